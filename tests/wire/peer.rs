//! One end of a connection, in raw bytes; every wait has a deadline and fails with all that came until then.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// One end of a connection
pub struct Peer {
    pub stream: UnixStream,
    unread: Vec<u8>,
}

/// A request or response: its head as it came, its body without its framing
#[derive(Debug)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

impl Peer {
    pub fn of(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
        self
    }

    /// Says that nothing more will be sent
    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Reads up to the empty line
    pub fn head(&mut self) -> String {
        let end = loop {
            match self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.more(), "closed in the middle of a head: {}", self.shown()),
            }
        };
        String::from_utf8(self.unread.drain(..end).collect()).unwrap()
    }

    /// Reads a request or response with its body
    pub fn message(&mut self) -> Message {
        let head = self.head();
        let mut message = Message { head, body: Vec::new() };
        if message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.line();
                let length =
                    usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
                let chunk = self.exactly(length);
                message.body.extend(chunk);
                assert_eq!(self.exactly(2), b"\r\n");
                if length == 0 {
                    return message;
                }
            }
        }
        message.body = match message.header("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()),
            None if message.has_no_body() => Vec::new(),
            None => self.rest(),
        };
        message
    }

    /// Reads exactly so many bytes
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.more(), "closed after {} of {length} bytes: {}", self.unread.len(), self.shown());
        }
        self.unread.drain(..length).collect()
    }

    /// Reads to the end
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.unread)
    }

    /// Waits until the other side has closed, and has sent nothing more
    pub fn closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "instead of the end came {:?}", String::from_utf8_lossy(&rest));
    }

    /// Waits for the next byte; tells whether there is one
    pub fn is_open(&mut self) -> bool {
        !self.unread.is_empty() || self.more()
    }

    fn line(&mut self) -> String {
        let end = loop {
            match self.unread.windows(2).position(|window| window == b"\r\n") {
                Some(end) => break end + 2,
                None => assert!(self.more(), "closed in the middle of a line: {}", self.shown()),
            }
        };
        String::from_utf8(self.unread.drain(..end).collect()).unwrap()
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                length > 0
            }
            // A peer that closes with bytes unread resets; for us that is an end.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error} after {}", self.shown()),
        }
    }

    fn shown(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.unread))
    }
}

impl Message {
    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.head))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().skip(1).find(named).map(|line| line[name.len() + 1..].trim())
    }

    /// Names of all headers, in lower case and in order
    pub fn headers(&self) -> Vec<String> {
        let name = |line: &str| line.split_once(':').map(|(name, _)| name.to_ascii_lowercase());
        self.head.lines().skip(1).filter_map(name).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The text of an error in the engine's shape; nothing else may be in it
    pub fn said(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        let members = body.as_object().unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!(members.len(), 1, "{self:?}");
        members["message"].as_str().unwrap().to_owned()
    }

    fn has_no_body(&self) -> bool {
        let is_request = !self.head.starts_with("HTTP/");
        is_request || matches!(self.status(), 100..=199 | 204 | 304)
    }
}

/// Longest wait for anything; long, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);
