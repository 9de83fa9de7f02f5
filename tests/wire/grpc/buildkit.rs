//! BuildKit, played by the test: HTTP/2 behind the 101 of `POST /grpc`, and whatever the test says behind the others.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

/// What an answer is given on
pub type Respond = SendResponse<Bytes>;
type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;
type Method = Arc<dyn Fn(Request<RecvStream>, Respond) -> Answering + Send + Sync>;
/// What becomes of a connection that left HTTP/1.1
pub type Tunnel = Arc<dyn Fn(String, UnixStream) -> Answering + Send + Sync>;

/// The engine; everything it hears is in order
pub struct BuildKit {
    socket: PathBuf,
    heard: Arc<(Mutex<Vec<String>>, Condvar)>,
    pub runtime: Runtime,
    _directory: TempDir,
}

impl BuildKit {
    /// Answers every call well, with one empty message
    pub fn start() -> Self {
        Self::with(|request, respond| async move { well(request, respond, &[b""]).await })
    }

    /// Answers calls as `method` does
    pub fn with<F: Future<Output = ()> + Send + 'static>(
        method: impl Fn(Request<RecvStream>, Respond) -> F + Send + Sync + 'static,
    ) -> Self {
        let method: Method = Arc::new(move |request, respond| Box::pin(method(request, respond)));
        Self::behind(move |heard| {
            let method = Arc::clone(&method);
            Arc::new(move |head, stream| {
                let (method, heard) = (Arc::clone(&method), heard.clone());
                Box::pin(async move { speak(head, stream, method, heard).await })
            })
        })
    }

    /// Does with a connection that left HTTP/1.1 whatever `tunnel` does; it gets the head, and has said 101
    pub fn behind(tunnel: impl FnOnce(Heard) -> Tunnel) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let heard = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let tunnel = tunnel(Heard(Arc::clone(&heard)));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        let ours = Heard(Arc::clone(&heard));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, ours.clone(), Arc::clone(&tunnel)));
            }
        });
        Self { socket, heard, runtime, _directory: directory }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until a line was heard, and returns how often
    pub fn until(&self, line: &str) -> usize {
        let count = |heard: &Vec<String>| heard.iter().filter(|heard| heard.as_str() == line).count();
        let waited = self.heard.1.wait_timeout_while(self.heard.0.lock().unwrap(), PATIENCE, |heard| count(heard) == 0);
        let heard = waited.unwrap().0;
        assert!(count(&heard) > 0, "never {line}; heard {heard:#?}");
        count(&heard)
    }

    /// What was heard, but for what sockwarden asks of its own
    pub fn heard(&self) -> Vec<String> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().filter(|line| !line.starts_with("GET /_ping")).cloned().collect()
    }
}

/// Where what is heard is written down
#[derive(Clone)]
pub struct Heard(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Heard {
    pub fn hear(&self, line: impl Into<String>) {
        self.0.0.lock().unwrap().push(line.into());
        self.0.1.notify_all();
    }
}

/// HTTP/1.1, until a request leaves it
async fn serve(mut stream: UnixStream, heard: Heard, tunnel: Tunnel) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read_exact(&mut byte).await.is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        heard.hear(head.lines().next().unwrap());
        if head.contains("upgrade: h2c\r\n") {
            let said = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
            if stream.write_all(said.as_bytes()).await.is_ok() {
                tunnel(head, stream).await;
            }
            return heard.hear("closed");
        }
        // It has no images.
        let status = if head.contains("/images/") { "404 Not Found" } else { "200 OK" };
        let said = format!(
            "HTTP/1.1 {status}\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// HTTP/2, until the other side is gone
async fn speak(_: String, stream: UnixStream, method: Method, heard: Heard) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20).max_header_list_size(1 << 20);
    builder.max_concurrent_streams(250);
    let Ok(mut connection) = builder.handshake(stream).await else { return heard.hear("no HTTP/2") };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let mut headers: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        headers.sort();
        heard.hear(format!("{} {} {headers:?}", request.method(), request.uri()));
        tokio::spawn(method(request, respond));
    }
}

/// Reads a call to its end: its bytes, framed
pub async fn whole(request: Request<RecvStream>) -> Option<Vec<u8>> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        bytes.extend_from_slice(&piece);
    }
    Some(bytes)
}

/// Answers with these messages
pub async fn well(request: Request<RecvStream>, mut respond: Respond, messages: &[&[u8]]) {
    whole(request).await;
    let Ok(mut stream) = respond.send_response(head(), false) else { return };
    for message in messages {
        let _ = stream.send_data(framed(message), false);
    }
    let _ = stream.send_trailers(trailers(0, ""));
}

/// Answers nothing, and says so when the call is taken back
pub async fn silence(request: Request<RecvStream>, mut respond: Respond, heard: Heard) {
    whole(request).await;
    let reset = std::future::poll_fn(|context| respond.poll_reset(context)).await;
    if let Ok(reason) = reset {
        heard.hear(format!("reset {reason}"));
    }
}

pub fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

pub fn trailers(status: u16, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    trailers.insert("grpc-message", HeaderValue::try_from(message).unwrap());
    trailers
}

/// A message with its length before it
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}

const PATIENCE: Duration = Duration::from_secs(100);
