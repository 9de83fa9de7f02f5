//! An engine that writes down what it hears, and answers as a byte says: well, badly, or not at all.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// The engine
pub struct Engine {
    answers: u8,
    record: PathBuf,
    heard: Mutex<Vec<Heard>>,
}

/// A request as it came
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// All up to the empty line
    pub head: String,
    /// The body, if it came whole
    pub body: Option<Vec<u8>>,
    /// What came in the place of a chunk
    pub malformed: bool,
    /// Bytes of the record when the head had come
    pub recorded: u64,
}

impl Engine {
    /// One that has heard nothing
    pub fn new(answers: u8, record: PathBuf) -> Arc<Self> {
        Arc::new(Self { answers, record, heard: Mutex::default() })
    }

    /// What it heard, in order
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes connections
    pub async fn listen(self: Arc<Self>, listener: UnixListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&self).connection(stream));
        }
    }

    async fn connection(self: Arc<Self>, mut stream: UnixStream) {
        let mut reader = Reader { bytes: Vec::new() };
        while let Some(head) = reader.until(&mut stream, b"\r\n\r\n").await {
            let head = String::from_utf8_lossy(&head).into_owned();
            let recorded = std::fs::metadata(&self.record).map_or(0, |record| record.len());
            let place = {
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(Heard { head: head.clone(), recorded, ..Heard::default() });
                heard.len() - 1
            };
            let early = self.answers & EARLY != 0;
            if early && self.answer(&mut stream, &head).await.is_none() {
                return;
            }
            let body = reader.body(&mut stream, &head).await;
            if let Some(heard) = self.heard.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
                (heard.body, heard.malformed) = body;
            }
            if !early && self.answer(&mut stream, &head).await.is_none() {
                return;
            }
        }
    }

    /// Answers; `None` when the connection is no more HTTP
    async fn answer(&self, stream: &mut UnixStream, head: &str) -> Option<()> {
        let version = match self.answers >> 4 & 3 {
            0 => "1.51",
            1 => "1.41",
            2 => "1.24",
            _ => "9.9",
        };
        let upgrade = head.to_ascii_lowercase().contains("\r\nupgrade:");
        let body = if head.starts_with("HEAD ") { "" } else { OBJECT };
        let common = format!("Api-Version: {version}\r\nContent-Type: application/json\r\n");
        let leaves = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        let whole = format!("HTTP/1.1 200 OK\r\n{common}Content-Length: {}\r\n\r\n{body}", OBJECT.len());
        let (text, leaves) = match self.answers & 7 {
            0 => (whole, false),
            1 => (format!("HTTP/1.1 200 OK\r\n{common}Transfer-Encoding: chunked\r\n\r\n{}", chunked(body)), false),
            2 if upgrade => (leaves.to_owned(), true),
            2 => (whole, false),
            3 => (format!("HTTP/1.1 404 Not Found\r\n{common}Content-Length: 2\r\n\r\n{:.2}", body), false),
            4 => (format!("HTTP/1.1 204 No Content\r\n{common}\r\n"), false),
            5 => return None,
            6 => (format!("{common}\r\n\r\n"), true),
            _ => (leaves.to_owned(), true),
        };
        stream.write_all(text.as_bytes()).await.ok()?;
        if !leaves {
            return Some(());
        }
        // A raw stream: some bytes back and an end, then as much as comes. Without the end a client that cannot be heard
        // in the stream would wait for ever, as it may.
        stream.write_all(b"raw").await.ok()?;
        stream.shutdown().await.ok()?;
        let mut piece = [0; 4096];
        while let Ok(1..) = stream.read(&mut piece).await {}
        None
    }
}

fn chunked(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()) }
}

/// What has come and was not read yet
struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Everything up to and with an end; `None` when the connection ends before
    async fn until(&mut self, stream: &mut UnixStream, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.bytes.windows(end.len()).position(|window| window == end) {
                return Some(self.bytes.drain(..at + end.len()).collect());
            }
            self.more(stream).await?;
        }
    }

    async fn exactly(&mut self, stream: &mut UnixStream, length: usize) -> Option<Vec<u8>> {
        while self.bytes.len() < length {
            self.more(stream).await?;
        }
        Some(self.bytes.drain(..length).collect())
    }

    async fn more(&mut self, stream: &mut UnixStream) -> Option<()> {
        let length = stream.read_buf(&mut self.bytes).await.ok()?;
        (length > 0).then_some(())
    }

    /// The body, if it comes whole, and whether it is malformed
    async fn body(&mut self, stream: &mut UnixStream, head: &str) -> (Option<Vec<u8>>, bool) {
        let head = head.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if header("transfer-encoding:").is_none() {
            let length = header("content-length:").unwrap_or("0").parse();
            return match length {
                Ok(length) => (self.exactly(stream, length).await, false),
                Err(_) => (None, true),
            };
        }
        let mut body = Vec::new();
        loop {
            let Some(line) = self.until(stream, b"\r\n").await else { return (None, false) };
            let size = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim_end(), 16).ok());
            let Some(size) = size else { return (None, true) };
            let Some(chunk) = self.exactly(stream, size + 2).await else { return (None, false) };
            if !chunk.ends_with(b"\r\n") {
                return (None, true);
            }
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
            if size == 0 {
                return (Some(body), false);
            }
        }
    }
}

/// Owner of everything that is asked for
pub const OWNER: &str = "fuzz";

/// An answer that is any object at once, and the caller's own
const OBJECT: &str = concat!(
    r#"{"Id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","Name":"/x","ContainerID":"0123456789ab","#,
    r#""Config":{"Labels":{"sockwarden.owner":"fuzz"}},"Labels":{"sockwarden.owner":"fuzz"},"ApiVersion":"1.51"}"#
);
/// Answer before the body has come
const EARLY: u8 = 8;
