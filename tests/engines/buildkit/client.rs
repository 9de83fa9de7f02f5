//! `POST /grpc` and the calls on it.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// A connection for calls
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
}

/// How a call ended
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// What came before the end
    pub messages: Vec<Vec<u8>>,
    /// `grpc-status`
    pub status: String,
    /// `grpc-message`, as it came
    pub said: String,
}

impl Reply {
    /// The answer of HTTP/1.1 to who wanted to leave it
    pub fn before(said: String) -> Self {
        Self { messages: Vec::new(), status: "no upgrade".to_owned(), said }
    }

    /// The one message of a call that went well
    pub fn ok(self) -> Result<Vec<u8>, Self> {
        if self.status == "0" { Ok(self.messages.concat()) } else { Err(self) }
    }
}

/// Messages of an answer, one by one
pub struct Answers {
    // Dropping it would end the call.
    _asking: SendStream<Bytes>,
    head: http::HeaderMap,
    body: RecvStream,
    buffered: BytesMut,
}

impl Client {
    /// Opens one, as buildx does
    pub async fn open(socket: &Path) -> Result<Self, Reply> {
        let stream = upgraded(socket, "/grpc", &[]).await.map_err(Reply::before)?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .max_header_list_size(1 << 20)
            .handshake(stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Makes a call with one message and waits for its end
    pub async fn call(&self, path: &str, metadata: &[(&str, &str)], message: impl AsRef<[u8]>) -> Reply {
        self.framed(path, metadata, frame(0, message.as_ref())).await
    }

    /// The same with a body of one's own framing
    pub async fn framed(&self, path: &str, metadata: &[(&str, &str)], body: Bytes) -> Reply {
        let asked = async {
            match self.start(path, metadata, body).await {
                Ok(mut answers) => answers.rest().await,
                Err(error) => broken(&error),
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{path} has no end"))
    }

    /// Makes a call whose asking side stays open, until what is told `is_over`; all that was told
    pub async fn conversation(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
        message: impl AsRef<[u8]>,
        is_over: impl Fn(&[u8]) -> bool,
    ) -> Result<String, Reply> {
        let body = frame(0, message.as_ref());
        let talking = async {
            let mut answers = self.begin(path, metadata, body, false).await.map_err(|error| broken(&error))?;
            let mut told = String::new();
            while let Some(message) = answers.next().await {
                told += &String::from_utf8_lossy(&message);
                if is_over(&message) {
                    return Ok(told);
                }
            }
            let end = answers.rest().await;
            if end.status == "0" { Ok(told) } else { Err(end) }
        };
        tokio::time::timeout(PATIENCE, talking).await.unwrap_or_else(|_| panic!("{path} has no end"))
    }

    /// Makes a call and reads its answers as they come
    pub async fn start(&self, path: &str, metadata: &[(&str, &str)], body: Bytes) -> Result<Answers, h2::Error> {
        self.begin(path, metadata, body, true).await
    }

    async fn begin(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
        body: Bytes,
        is_all: bool,
    ) -> Result<Answers, h2::Error> {
        let mut head = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "grpc-go/1.72.0");
        for (name, value) in metadata {
            head = head.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await?;
        let (answer, mut asking) = sender.send_request(head.body(()).unwrap(), false)?;
        // Who refuses by the head alone may have done so already.
        let _ = asking.send_data(body, is_all);
        let (head, body) = answer.await?.into_parts();
        Ok(Answers { _asking: asking, head: head.headers, body, buffered: BytesMut::new() })
    }
}

impl Answers {
    /// The next message
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = unframed(&mut self.buffered) {
                return Some(message);
            }
            let piece = self.body.data().await?.ok()?;
            let _ = self.body.flow_control().release_capacity(piece.len());
            self.buffered.extend_from_slice(&piece);
        }
    }

    /// All that is still to come
    pub async fn rest(&mut self) -> Reply {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        let trailers = match self.body.trailers().await {
            // A refusal has no body, and its trailers are its head.
            Ok(trailers) => trailers.unwrap_or_else(|| self.head.clone()),
            Err(error) => return Reply { messages, ..broken(&error) },
        };
        let word = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Reply { messages, status: word("grpc-status"), said: word("grpc-message") }
    }
}

/// A call that HTTP/2 ended
fn broken(error: &h2::Error) -> Reply {
    Reply { messages: Vec::new(), status: "broken off".to_owned(), said: error.to_string() }
}

/// A connection that has left HTTP/1.1, or the answer that it got instead
pub async fn upgraded(socket: &Path, path: &str, headers: &[String]) -> Result<UnixStream, String> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\
         Connection: Upgrade\r\nUpgrade: h2c\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Byte by byte: what comes behind the head is HTTP/2 already.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        return Ok(stream);
    }
    // What was refused says why in a body of a length that is told, and the connection stays.
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
    let mut body = vec![0; length.parse().unwrap()];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut body)).await;
    assert!(read.is_ok_and(|read| read.is_ok()), "half an answer: {head}");
    answer.extend(body);
    Err(String::from_utf8_lossy(&answer).into_owned())
}

/// A message as gRPC frames it
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut bytes = vec![flag];
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend(message);
    bytes.into()
}

/// Takes the first whole message out of what has come
pub fn unframed(buffered: &mut BytesMut) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(buffered.get(1..5)?.try_into().unwrap()) as usize;
    let frame = (buffered.len() >= 5 + length).then(|| buffered.split_to(5 + length))?;
    let mut message = frame[5..].to_vec();
    // Engines answer as they were asked.
    if frame[0] == 1 {
        message.clear();
        GzDecoder::new(&frame[5..]).read_to_end(&mut message).unwrap();
    }
    Some(message)
}

/// How long a call of a test may take
const PATIENCE: Duration = Duration::from_secs(300);
