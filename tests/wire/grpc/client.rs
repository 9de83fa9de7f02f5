//! A client of gRPC: well-behaved over a library, or frame by frame.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use tokio::net::UnixStream;

use crate::peer::Peer;
use crate::proxy::Proxy;

pub const UPGRADE: &str = "POST /grpc HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const WORKERS: &str = "/moby.buildkit.v1.Control/ListWorkers";
pub const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
pub const STATUS: &str = "/moby.buildkit.v1.Control/Status";

/// A connection that has left HTTP/1.1
pub fn upgraded(proxy: &Proxy) -> Peer {
    let mut peer = proxy.connect();
    peer.send(UPGRADE);
    let head = peer.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("upgrade: h2c\r\n"), "{head}");
    peer
}

/// A client that keeps to the protocol
#[derive(Clone)]
pub struct Client(SendRequest<Bytes>);

/// An answer to its end
#[derive(Debug)]
pub struct Answer {
    pub head: HeaderMap,
    pub http: u16,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    pub reset: Option<Reason>,
}

impl Client {
    /// On a connection that has left HTTP/1.1
    pub async fn new(peer: Peer) -> Self {
        Self::over(peer.stream).await
    }

    /// On a connection that speaks HTTP/2 from its first byte
    pub async fn at_once(proxy: &Proxy) -> Self {
        Self::over(proxy.connect().stream).await
    }

    async fn over(stream: std::os::unix::net::UnixStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(stream).unwrap();
        let mut builder = h2::client::Builder::new();
        builder.max_header_list_size(2 << 20).initial_connection_window_size(1 << 20);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Begins a call
    pub async fn send(&self, request: Request<()>, end: bool) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let mut sender = self.0.clone().ready().await.unwrap();
        sender.send_request(request, end).unwrap()
    }

    /// A call with these bytes, to its end
    pub async fn call(&self, request: Request<()>, bytes: impl Into<Bytes>) -> Answer {
        let (answer, mut stream) = self.send(request, false).await;
        // It may have been refused already.
        let _ = stream.send_data(bytes.into(), true);
        tokio::time::timeout(PATIENCE, read(answer)).await.expect("no answer in time")
    }
}

/// Reads an answer to its end
pub async fn read(answer: ResponseFuture) -> Answer {
    let response = match answer.await {
        Ok(response) => response,
        Err(error) => {
            let reset = Some(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
            return Answer { head: HeaderMap::new(), http: 0, body: Vec::new(), trailers: None, reset };
        }
    };
    let http = response.status().as_u16();
    let (parts, mut from) = response.into_parts();
    let mut answer = Answer { head: parts.headers, http, body: Vec::new(), trailers: None, reset: None };
    while let Some(piece) = from.data().await {
        match piece {
            Ok(piece) => {
                from.flow_control().release_capacity(piece.len()).unwrap();
                answer.body.extend_from_slice(&piece);
            }
            Err(error) => {
                answer.reset = error.reason();
                return answer;
            }
        }
    }
    match from.trailers().await {
        Ok(trailers) => answer.trailers = trailers,
        Err(error) => answer.reset = error.reason(),
    }
    answer
}

impl Answer {
    /// `grpc-status` and `grpc-message`, wherever they stand
    pub fn said(&self) -> (u16, String) {
        let of = |name: &str| self.trailers.as_ref().and_then(|trailers| trailers.get(name)).or(self.head.get(name));
        let text = |name| of(name).map(|value| value.to_str().unwrap().to_owned());
        let status = text("grpc-status").unwrap_or_else(|| panic!("no status: {self:?}"));
        (status.parse().unwrap(), text("grpc-message").unwrap_or_default())
    }

    /// Whether it is one head and nothing else
    pub fn is_only_head(&self) -> bool {
        self.http == 200 && self.body.is_empty() && self.trailers.is_none() && self.head.contains_key("grpc-status")
    }
}

/// Field `number` with text or a message in it
pub fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let (value, mut bytes) = (value.as_ref(), vec![number << 3 | 2]);
    let mut length = value.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    [bytes.as_slice(), value].concat()
}

/// A gRPC call as clients make it
pub fn call(path: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = format!("http://localhost{path}").parse().unwrap();
    for (name, value) in HEAD {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

const HEAD: &[(&str, &str)] = &[
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("user-agent", "grpc-go/1.69.4"),
    ("grpc-accept-encoding", "gzip"),
    ("traceparent", "00-3f2b-01"),
];

/// A client that writes frames by hand
pub struct Raw {
    pub peer: Peer,
}

/// A frame: type, flags, stream, payload
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

impl Raw {
    pub fn new(mut peer: Peer) -> Self {
        peer.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        Self { peer }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.peer.send(bytes);
        self
    }

    /// A whole call
    pub fn call(&mut self, stream: u32, path: &str, message: &[u8]) -> &mut Self {
        let head = frame(HEADERS, END_HEADERS, stream, &block(&pseudo("POST", path)));
        let body = [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), message].concat();
        self.send([head, frame(DATA, END_STREAM, stream, &body)].concat())
    }

    /// The next frame of any kind
    pub fn frame(&mut self) -> Frame {
        let head = self.peer.exactly(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Frame { kind: head[3], flags: head[4], stream, payload: self.peer.exactly(length as usize) }
    }

    /// The next frame that is about a call, or ends the connection
    pub fn next(&mut self) -> Frame {
        loop {
            let frame = self.frame();
            if matches!(frame.kind, DATA | HEADERS | RST_STREAM | GOAWAY | CONTINUATION) {
                return frame;
            }
        }
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], stream.to_be_bytes().as_slice(), payload].concat()
}

/// A block of headers: literal, nothing remembered, nothing coded
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length @ 0..127) => block.push(length),
                _ => {
                    block.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub fn pseudo<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
}

const PATIENCE: Duration = Duration::from_secs(100);
