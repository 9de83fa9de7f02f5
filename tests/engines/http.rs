//! The smallest HTTP client that hides nothing: bytes out, answers in.
//!
//! Attacks need requests that no library would send, so a request is bytes here, and several answers may come back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

/// One answer
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code
    pub status: u16,
    /// Body, or with 101 whatever came after the head
    pub body: Vec<u8>,
}

impl Answer {
    /// The body for people
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// The body as JSON, `null` when it is none
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether the request had an effect, as far as the status tells
    pub fn is_success(&self) -> bool {
        matches!(self.status, 101 | 200..=299)
    }
}

/// Sends a request with a length and `Connection: close`, and reads its answer
///
/// An engine prunes one after the other, and refuses whoever comes in between; the oldest one adds up its disk's use in the
/// same way. That is asked again.
pub fn ask(socket: &Path, method: &str, target: &str, body: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let mut answers = send(socket, &request(method, target, &[], body.as_bytes(), Framing::Length), 1);
        assert_eq!(answers.len(), 1, "{method} {target} got {answers:?}");
        let answer = answers.remove(0);
        let said = if answer.is_success() { String::new() } else { answer.text() };
        let is_taken = ["a prune", "a disk usage"]
            .iter()
            .any(|what| said.contains(&format!("{what} operation is already running")));
        if !is_taken || begun.elapsed() > PATIENCE {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What an engine has in a list
///
/// A list fails when something in it is removed by another test at that moment; taken for an empty one, it would show
/// everything as gone.
pub fn listed(engine: &Path, target: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask(engine, "GET", target, "");
        if answer.is_success() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "GET {target}: {} {}", answer.status, answer.text());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Removes something from an engine, as far as it is there
///
/// A busy engine may say that a container it was to kill does not end, and leave it there: it is told again.
pub fn removed(engine: &Path, target: &str) {
    let begun = Instant::now();
    while ask(engine, "DELETE", target, "").status >= 500 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks for a stream and leaves it open
pub fn open(socket: &Path, target: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: docker\r\n\r\n").as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

/// What an open stream tells until that is enough
pub fn until(mut stream: UnixStream, is_enough: impl Fn(&str) -> bool) -> String {
    let (mut received, begun) = (Vec::new(), Instant::now());
    loop {
        let told = String::from_utf8_lossy(&whole_chunks(&received)).into_owned();
        if is_enough(&told) {
            return told;
        }
        let mut piece = [0; 65536];
        let length = stream.read(&mut piece).unwrap_or(0);
        assert!(length > 0 && begun.elapsed() < PATIENCE, "never came to it: {told}");
        received.extend(&piece[..length]);
    }
}

/// The chunks that are whole, behind the rest of a head
fn whole_chunks(received: &[u8]) -> Vec<u8> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").map_or(received.len(), |end| end + 4);
    let (mut rest, mut body) = (&received[head..], Vec::new());
    while let Some((chunk, after)) = chunk(rest) {
        body.extend(chunk);
        rest = after;
    }
    body
}

/// How the end of a body is told
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`
    Length,
    /// `Transfer-Encoding: chunked`, byte by byte at first
    Chunked,
}

/// The bytes of a request; `Content-Type` is JSON unless a header says otherwise
pub fn request(method: &str, target: &str, headers: &[String], body: &[u8], framing: Framing) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n");
    let typed = headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:"));
    if !body.is_empty() && !typed {
        head += "Content-Type: application/json\r\n";
    }
    for header in headers {
        head += &format!("{header}\r\n");
    }
    let mut bytes;
    match framing {
        Framing::Length => {
            // A GET without a body has no length, as from every client.
            if !body.is_empty() || matches!(method, "POST" | "PUT") {
                head += &format!("Content-Length: {}\r\n", body.len());
            }
            bytes = (head + "\r\n").into_bytes();
            bytes.extend(body);
        }
        Framing::Chunked => {
            bytes = (head + "Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            let (first, rest) = body.split_at(body.len().min(1));
            for chunk in [first, rest].into_iter().filter(|chunk| !chunk.is_empty()) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
    }
    bytes
}

/// Sends bytes as [`send`] does, and again where the engine lost what it was at
///
/// A busy engine with containerd's store may answer 404 as a lease of its own is gone when it commits, or a snapshot of
/// anybody's when it adds up (28.5). Those are containerd's words, which no engine says of what was asked for.
pub fn send_again(socket: &Path, bytes: &[u8], expected: usize) -> Vec<Answer> {
    let mut tries = 5;
    loop {
        let answers = send(socket, bytes, expected);
        let is_lost = answers.iter().any(|answer| answer.text().contains("does not exist: not found"));
        tries -= 1;
        if !is_lost || tries == 0 {
            return answers;
        }
    }
}

/// Sends bytes and reads every answer until the other side closes, or is silent after the `expected` ones
pub fn send(socket: &Path, bytes: &[u8], expected: usize) -> Vec<Answer> {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    // Whoever refuses early may close before the last byte is written; the answer is what counts.
    let sent = stream.write_all(bytes);
    let mut received = Vec::new();
    let bodies = if bytes.starts_with(b"HEAD ") { Bodies::None } else { Bodies::AsTold };
    loop {
        let answers = answers(&received, bodies);
        // The end of an old answer is the end of its connection.
        let is_old = received.starts_with(b"HTTP/1.0 ");
        let complete = !is_old && answers.as_ref().is_some_and(|answers| answers.len() >= expected);
        // More than the expected answers would be a smuggled request, so a moment is spent on waiting for one. The expected
        // ones may take as long as an engine in which everything is made for the first time.
        let patience = if complete { Duration::from_millis(150) } else { Duration::from_secs(120) };
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut piece = [0; 65536];
        match stream.read(&mut piece) {
            Ok(0) => return whole(&received, bodies),
            Ok(length) => received.extend(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(complete, "no answer in {patience:?} ({sent:?}): {}", String::from_utf8_lossy(&received));
                return whole(&received, bodies);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return whole(&received, bodies),
            Err(error) => panic!("reading an answer: {error}"),
        }
    }
}

/// Whether answers have bodies: those to HEAD name a length and have none
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    None,
    AsTold,
}

fn whole(received: &[u8], bodies: Bodies) -> Vec<Answer> {
    answers(received, bodies).unwrap_or_else(|| panic!("half an answer: {}", String::from_utf8_lossy(received)))
}

/// The answers in `bytes`; `None` while the last one is not whole
fn answers(mut bytes: &[u8], bodies: Bodies) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let rest = &bytes[end + 4..];
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (body, rest) = if bodies == Bodies::None && (rest.is_empty() || rest.starts_with(b"HTTP/")) {
            (Vec::new(), rest)
        } else if status == 101 {
            (rest.to_vec(), &rest[rest.len()..])
        } else if header("transfer-encoding:") == Some("chunked") {
            chunks(rest)?
        } else if let Some(length) = header("content-length:").and_then(|length| length.parse::<usize>().ok()) {
            (rest.get(..length)?.to_vec(), rest.get(length..)?)
        } else if matches!(status, 100..=199 | 204 | 304) {
            (Vec::new(), rest)
        } else {
            (rest.to_vec(), &rest[rest.len()..])
        };
        bytes = rest;
        if status != 100 {
            answers.push(Answer { status, body });
        }
    }
    Some(answers)
}

fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (chunk, after) = chunk(bytes)?;
        body.extend(chunk);
        bytes = after;
        if chunk.is_empty() {
            return Some((body, bytes));
        }
    }
}

/// The first chunk, and what is behind it
fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
    Some((bytes.get(end + 2..end + 2 + size)?, bytes.get(end + 2 + size + 2..)?))
}

/// Time in which a busy engine must have done what it was told
pub const PATIENCE: Duration = Duration::from_secs(120);
