//! Requests with a few bytes changed, thousands of them: whatever becomes of each, the engine hears what is on record and
//! nothing else, in our own spelling, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, plain};

/// Connections that are tried
const TRIES: u32 = 4000;

/// What a connection says before it is changed
const SAID: &[&str] = &[
    "GET /v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%22%5D%7D HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    "POST /v1.41/containers/create?name=web HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"Image\":\"a\"}",
    "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6;a=b\r\n{\"Imag\r\n7\r\ne\":\"a\"}\r\n0\r\nX: y\r\n\r\n",
    "POST /v1.41/containers/web/stop?t=3 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "DELETE /v1.41/containers/web?force=1&v=1 HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    "POST /v1.41/swarm/init HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
];

/// Pieces that mean something to some reader of HTTP or JSON
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "%",
    "%2f",
    "%00",
    "%0d%0a",
    "/",
    "//",
    "..",
    "?",
    "&",
    "#",
    "=",
    "+",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "\\",
    "\u{17f}",
    "\u{212a}",
    "\u{feff}",
    "0",
    "1",
    "-",
    "f",
    "0\r\n\r\n",
    "\r\n\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    "GET / HTTP/1.1\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "\r\n ",
    "\r\nContent-Length: 0",
];

/// Numbers that are the same in every run, so that what fails can be tried again
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn mutated(&mut self) -> Vec<u8> {
        let requests = 1 + self.below(3);
        let mut bytes: Vec<u8> = (0..requests).flat_map(|_| SAID[self.below(SAID.len())].bytes()).collect();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let piece = PIECES[self.below(PIECES.len())].bytes();
            let taken = match self.below(5) {
                0 => at..at,
                1 => at..at + 1,
                2 => at..(at + 1 + self.below(30)).min(bytes.len()),
                3 => {
                    bytes[at] = u8::try_from(self.below(256)).unwrap();
                    continue;
                }
                _ => {
                    let again = bytes[at..(at + self.below(60)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, again);
                    continue;
                }
            };
            bytes.splice(taken, piece);
        }
        bytes
    }
}

/// A request as only we write it
fn is_ours(heard: &str) -> bool {
    const NAMES: &[&str] = &["host", "content-type", "content-length"];
    let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
    let mut lines = head.split("\r\n");
    let line: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let length =
        headers.iter().find(|(name, _)| *name == "content-length").map_or(0, |(_, length)| length.parse().unwrap());
    matches!(line.as_slice(), ["GET" | "POST" | "DELETE" | "PUT" | "HEAD", target, "HTTP/1.1"] if target.starts_with("/v1."))
        && headers.first() == Some(&("host", "docker"))
        && headers.len() == head.matches("\r\n").count()
        && headers
            .iter()
            .enumerate()
            .all(|(at, (name, _))| NAMES.contains(name) && !headers[..at].iter().any(|(other, _)| other == name))
        && body.len() == length
        && (body.is_empty() || serde_json::from_str::<serde_json::Value>(body).is_ok())
}

#[test]
fn what_is_changed_on_its_way_is_heard_as_it_is_on_record_or_not_at_all() {
    let engine = Prompt::saying(|_| "{}".to_owned());
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup::default());
    let mut numbers = Numbers(1);
    let mut heard_in_all = 0;
    for number in 0..TRIES {
        let bytes = numbers.mutated();
        let shown = || format!("{number}: {:?}", String::from_utf8_lossy(&bytes));
        let mut client = UnixStream::connect(&proxy.socket).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        let _ = client.write_all(&bytes);
        let _ = client.shutdown(Shutdown::Write);
        let mut came = Vec::new();
        match client.read_to_end(&mut came) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}: {}", shown()),
            _ => {}
        }
        let came = String::from_utf8_lossy(&came).into_owned();
        let answers = came.matches("HTTP/1.1 200 OK\r\n").count() + came.matches("HTTP/1.0 200 OK\r\n").count();
        assert!(!came.contains("HTTP/1.1 5") || came.contains(" 505 "), "{} became {came}", shown());
        // Our own question for the version, where a changed path has lost its own.
        let heard: Vec<String> = engine.heard().into_iter().filter(|heard| !heard.starts_with("GET /_ping ")).collect();
        heard_in_all += heard.len();
        assert_eq!(heard.len(), answers, "{} became {heard:?} and {came}", shown());
        for request in &heard {
            assert!(is_ours(request), "{} became {request:?}", shown());
        }
    }
    proxy.ask(plain("GET", "/v1.41/info"));
    let left = proxy.stop();
    let allowed = left.events("request").iter().filter(|line| line["verdict"] == "allow").count();
    assert_eq!(allowed, heard_in_all + 1, "what was heard is not what is on record");
    // Most changes are harmless or refused; if nothing passed, or all of it, nothing would be shown.
    let refused = left.events("request").len() - allowed;
    assert!(heard_in_all > 500 && refused > 500, "{heard_in_all} heard, {refused} refused");
    assert!(left.status.success() && !left.log.contains("panicked"), "{}", left.log);
}
