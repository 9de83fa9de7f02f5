//! Heads and bodies that two readers could read in two ways, made by combination: each is one request, as it was judged,
//! or none, and what hides behind it is never heard.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, plain};

/// What must never be heard where the end of the first request is in doubt
const HIDDEN: &str = "GET /v1.41/containers/hidden/json HTTP/1.1\r\nHost: x\r\n\r\n";

const LENGTHS: &[&str] = &[
    "2",
    "0",
    "3",
    "02",
    " 2",
    "2 ",
    "\t2",
    "+2",
    "-2",
    "2,2",
    "2, 2",
    "2, 3",
    "2;",
    "2 2",
    "0x2",
    "2.0",
    "2e0",
    "",
    "two",
    "99999999999999999999",
    "18446744073709551618",
    "\u{ff12}",
    "\"2\"",
];

const CODINGS: &[&str] = &[
    "chunked",
    "Chunked",
    "CHUNKED",
    " chunked",
    "chunked ",
    "\tchunked",
    "identity",
    "chunked, identity",
    "identity, chunked",
    "chunked,chunked",
    "chunked, chunked",
    "gzip, chunked",
    "chunked, gzip",
    "xchunked",
    "chunkedx",
    "chunked;a=b",
    "\"chunked\"",
    "chunked,",
    ",chunked",
    "",
    ",",
    "\u{b}chunked",
    "chunked\u{b}",
    "chunked\0",
    "chunked\u{a0}",
    "cow",
    "trailers",
];

struct Pair {
    engine: Prompt,
    proxy: Proxy,
}

impl Pair {
    fn start() -> Self {
        let engine = Prompt::start();
        let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup::default());
        // The version is known from here on, and no question of ours is heard among the rest.
        proxy.ask(plain("GET", "/info"));
        engine.heard();
        Self { engine, proxy }
    }

    /// Sends bytes and then no more; returns the statuses that came, and what the engine heard meanwhile
    fn send(&self, bytes: &[u8]) -> (Vec<u16>, Vec<String>) {
        let mut client = UnixStream::connect(&self.proxy.socket).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        // It may be refused before it has come whole.
        let _ = client.write_all(bytes);
        let _ = client.shutdown(Shutdown::Write);
        let mut came = Vec::new();
        match client.read_to_end(&mut came) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error} after {came:?}"),
            _ => {}
        }
        let came = String::from_utf8_lossy(&came);
        let statuses = came.match_indices("HTTP/1.").filter_map(|(at, _)| came[at + 9..at + 12].parse().ok());
        (statuses.collect(), self.engine.heard())
    }
}

#[test]
fn the_end_of_a_request_is_where_it_was_judged_or_the_request_is_refused() {
    let pair = Pair::start();
    let lengths = LENGTHS.iter().map(|length| format!("Content-Length: {length}\r\n"));
    let codings = CODINGS.iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n"));
    let (lengths, codings): (Vec<_>, Vec<_>) = (lengths.collect(), codings.collect());
    let mut heads: Vec<(String, bool)> = Vec::new();
    for coding in &codings {
        heads.push((coding.clone(), true));
        for length in &lengths {
            heads.extend([(format!("{length}{coding}"), true), (format!("{coding}{length}"), true)]);
        }
        for other in [&codings[0], &codings[6], coding] {
            heads.extend([(format!("{coding}{other}"), true), (format!("{other}{coding}"), true)]);
        }
    }
    for length in &lengths {
        for other in &lengths {
            heads.push((format!("{length}{other}"), false));
        }
    }
    assert!(heads.len() > 1500, "{}", heads.len());
    for (head, coded) in heads {
        for (target, body) in
            [("/v1.41/containers/create", "2\r\n{}\r\n0\r\n\r\n"), ("/v1.41/images/load", "0\r\n\r\n")]
        {
            let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}{HIDDEN}");
            let (statuses, heard) = pair.send(request.as_bytes());
            assert!(!statuses.is_empty(), "no answer to {head:?}");
            let hidden = heard.iter().filter(|request| request.contains("/hidden/")).count();
            // With one length, and with that alone, the rest is another request, which is judged by itself.
            if coded && (statuses[0] == 400 || head.contains("Content-Length")) {
                assert_eq!((statuses.len(), hidden), (1, 0), "{head:?} {heard:?}");
            }
            assert!(heard.len() - hidden <= 1, "{head:?} became {heard:?}");
            for request in heard.iter().filter(|request| !request.contains("/hidden/")) {
                let lower = request.to_ascii_lowercase();
                let framings =
                    lower.matches("\r\ncontent-length: ").count() + lower.matches("\r\ntransfer-encoding: ").count();
                assert!(framings == 1 || framings == 0 && lower.ends_with("\r\n\r\n"), "{head:?} became {request:?}");
            }
        }
    }
}

#[test]
fn a_length_and_a_coding_together_are_read_as_the_coding_and_end_the_connection() {
    let pair = Pair::start();
    for head in ["Content-Length: 99\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 0"]
    {
        let request = format!(
            "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}"
        );
        let (statuses, heard) = pair.send(request.as_bytes());
        assert_eq!(statuses, [200], "{head:?}");
        assert_eq!(heard.len(), 1, "{head:?} {heard:?}");
        assert!(heard[0].ends_with("content-length: 2\r\n\r\n{}"), "{heard:?}");
    }
}

#[test]
fn a_line_of_a_head_that_is_none_is_refused() {
    let pair = Pair::start();
    let mut lines: Vec<Vec<u8>> = [
        "Content-Length : 0",
        "Content-Length\t: 0",
        " Content-Length: 0",
        "\tContent-Length: 0",
        "Content-Length 0",
        "Content Length: 0",
        ": 0",
        "X",
        "X\r: 0",
        "X: a\rb",
        "X: a\r\n b",
        "X: a\r\n\tContent-Length: 0",
        "X: a\n b",
        "X: a\r\r\nY: b",
        "Content-Length:\r\n 0",
        "Transfer-Encoding:\r\n chunked",
        "X\u{e9}: a",
        "X(: a",
        "\"X\": a",
        "X,Y: a",
        "X@: a",
        "{X}: a",
        "X=: a",
    ]
    .iter()
    .map(|line| line.as_bytes().to_vec())
    .collect();
    // Every control byte, in a name and in a value.
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\n')) {
        lines.push(vec![b'X', byte, b'Y', b':', b' ', b'a']);
        lines.push(vec![b'X', b':', b' ', b'a', byte, b'b']);
        lines.push(vec![b'X', b':', byte, b'b']);
    }
    for line in lines {
        let head = b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n";
        let bytes = [head.as_slice(), &line, b"\r\n\r\n", HIDDEN.as_bytes()].concat();
        let (statuses, heard) = pair.send(&bytes);
        assert_eq!(statuses, [400], "{:?}", String::from_utf8_lossy(&line));
        assert!(heard.is_empty(), "{:?} {heard:?}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn a_first_line_that_is_none_is_refused() {
    let pair = Pair::start();
    let mut lines: Vec<Vec<u8>> = [
        "GET  /v1.41/info HTTP/1.1",
        "GET\t/v1.41/info HTTP/1.1",
        "GET /v1.41/info  HTTP/1.1",
        " GET /v1.41/info HTTP/1.1",
        "GET /v1.41/info HTTP/1.1 ",
        "GET /v1.41/info HTTP/1.1 x",
        "GET /v1.41/info HTTP/1.2",
        "GET /v1.41/info HTTP/1.10",
        "GET /v1.41/info HTTP/01.1",
        "GET /v1.41/info HTTP/1",
        "GET /v1.41/info HTTP/2",
        "GET /v1.41/info HTTP/2.0",
        "GET /v1.41/info HTTP/3.0",
        "GET /v1.41/info HTTP/0.9",
        "GET /v1.41/info http/1.1",
        "GET /v1.41/info",
        "GET",
        "",
        "/v1.41/info HTTP/1.1",
        "GET v1.41/info HTTP/1.1",
        "GET ?x HTTP/1.1",
        "G(T /v1.41/info HTTP/1.1",
        "G:T /v1.41/info HTTP/1.1",
        "GET \\v1.41\\info HTTP/1.1",
        "GET /v1.41/\\info HTTP/1.1",
        "GET /v1.41/inf\u{e9} HTTP/1.1",
        "GET http://docker/v1.41/info HTTP/1.1",
        "GET //docker/v1.41/info HTTP/1.1",
        "GET docker:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "OPTIONS /v1.41/info HTTP/1.1",
        "CONNECT docker:80 HTTP/1.1",
        "CONNECT /v1.41/info HTTP/1.1",
        "CONNECT * HTTP/1.1",
        "CONNECT http://x/ HTTP/1.1",
        "TRACE /v1.41/info HTTP/1.1",
        "PRI * HTTP/2.0",
        "get /v1.41/info HTTP/1.1",
        "GET-X /v1.41/info HTTP/1.1",
        "GET /v1.41/info?a b HTTP/1.1",
        "GET /v1.41/info?\"x\" HTTP/1.1",
    ]
    .iter()
    .map(|line| line.as_bytes().to_vec())
    .collect();
    for byte in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\n') {
        lines.push([b"GET /v1.41/".as_slice(), &[byte], b"info HTTP/1.1"].concat());
        lines.push([b"GET".as_slice(), &[byte], b"/v1.41/info HTTP/1.1"].concat());
    }
    for line in lines {
        let bytes = [line.as_slice(), b"\r\nHost: x\r\n\r\n"].concat();
        let (statuses, heard) = pair.send(&bytes);
        let shown = String::from_utf8_lossy(&line).into_owned();
        assert!(statuses.len() == 1 && [400, 403, 404, 505].contains(&statuses[0]), "{shown:?} {statuses:?}");
        assert!(heard.is_empty(), "{shown:?} {heard:?}");
    }
}

#[test]
fn a_fragment_is_no_part_of_what_is_judged_or_sent() {
    let pair = Pair::start();
    for (target, sent) in [
        ("/v1.41/info#x", "GET /v1.41/info "),
        ("/v1.41/containers/own/json#/../../victim/json", "GET /v1.41/containers/own/json "),
        ("/v1.41/containers/json?all=1#&limit=1", "GET /v1.41/containers/json?all=1 "),
    ] {
        let (statuses, heard) = pair.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(statuses, [200], "{target}");
        assert!(heard.len() == 1 && heard[0].starts_with(sent), "{target} {heard:?}");
    }
}

#[test]
fn whoever_is_named_as_host_the_engine_is_the_same() {
    let pair = Pair::start();
    for hosts in [
        "",
        "Host: x\r\n",
        "Host: evil.example.com\r\n",
        "Host:\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a/../b\r\n",
        "Host: @:99999\r\n",
        "Host: [::1]:2375\r\n",
        "Forwarded: host=evil\r\n",
        "X-Forwarded-Host: evil\r\n",
        "X-Forwarded-Prefix: /v1.24\r\n",
        "X-Original-URL: /v1.41/version\r\n",
        "X-Rewrite-URL: /v1.41/version\r\n",
        "X-HTTP-Method: DELETE\r\n",
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-Method-Override: DELETE\r\n",
        "Connection: Host, X\r\nX: y\r\n",
        "Connection: close, Content-Length\r\n",
        "Proxy-Connection: keep-alive\r\n",
        "TE: trailers, chunked\r\n",
        "Range: bytes=0-0\r\n",
        "If-Match: *\r\n",
        "Max-Forwards: 0\r\n",
        "Early-Data: 1\r\n",
    ] {
        let (statuses, heard) = pair.send(format!("GET /v1.41/info HTTP/1.1\r\n{hosts}\r\n").as_bytes());
        assert_eq!(statuses, [200], "{hosts:?}");
        assert_eq!(heard, ["GET /v1.41/info HTTP/1.1\r\nhost: docker\r\n\r\n"], "{hosts:?}");
    }
}

#[test]
fn http_1_0_is_one_request_unless_it_asks_to_stay() {
    let pair = Pair::start();
    let next = "GET /v1.41/version HTTP/1.0\r\n\r\n";
    for (headers, answers) in [
        ("", 1),
        ("Connection: close\r\n", 1),
        ("Connection: keep-alive\r\n", 2),
        ("Connection: Keep-Alive\r\nConnection: close\r\n", 1),
        ("Connection: close, keep-alive\r\n", 1),
        ("Keep-Alive: 300\r\n", 1),
    ] {
        let (statuses, heard) = pair.send(format!("GET /v1.41/info HTTP/1.0\r\n{headers}\r\n{next}").as_bytes());
        assert_eq!((statuses.len(), heard.len()), (answers, answers), "{headers:?} {heard:?}");
    }
    for head in ["Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"] {
        let bytes = format!("POST /v1.41/containers/create HTTP/1.0\r\n{head}\r\n2\r\n{{}}\r\n0\r\n\r\n{next}");
        assert_eq!(pair.send(bytes.as_bytes()), (vec![400], vec![]), "{head:?}");
    }
    // A version that knows no interim answer gets none.
    let bytes = "POST /v1.41/containers/create HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(pair.send(bytes.as_bytes()).0, [200]);
}

#[test]
fn no_other_expectation_is_met() {
    let pair = Pair::start();
    let load = "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n";
    for expected in ["100-continue", "100-Continue", " 100-continue "] {
        let (statuses, heard) = pair.send(format!("{load}Expect: {expected}\r\n\r\ntar").as_bytes());
        assert!(statuses.ends_with(&[200]) && heard.len() == 1, "{expected:?} {statuses:?} {heard:?}");
        assert!(!heard[0].to_ascii_lowercase().contains("expect"), "{heard:?}");
    }
    for expected in [
        "",
        "200-ok",
        "100-continue, x",
        "100-continue;a",
        "101-switching-protocols",
        "100",
        "x",
        "100-continue\r\nExpect: 100-continue",
        "100-continue\r\nExpect: x",
    ] {
        let (statuses, heard) = pair.send(format!("{load}Expect: {expected}\r\n\r\ntar").as_bytes());
        assert_eq!((statuses.as_slice(), heard.len()), (&[400][..], 0), "{expected:?} {heard:?}");
    }
}

#[test]
fn a_body_that_is_coded_is_refused_in_every_spelling() {
    let pair = Pair::start();
    for coding in [
        "gzip",
        "GZIP",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "identity, gzip",
        "gzip, identity",
        "chunked",
        "aes128gcm",
        "\"\"",
        "*",
    ] {
        for target in ["/v1.41/containers/create", "/v1.41/images/load", "/v1.41/build", "/v1.41/containers/x/exec"] {
            // docker-py's word for a compressed context, which goes no further.
            if (coding, target) == ("gzip", "/v1.41/build") {
                continue;
            }
            let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Encoding: {coding}\r\n");
            let (statuses, heard) = pair.send(format!("{head}Content-Length: 2\r\n\r\n{{}}").as_bytes());
            assert_eq!((statuses.as_slice(), heard.len()), (&[400][..], 0), "{target} {coding:?} {heard:?}");
        }
    }
}

#[test]
fn whatever_a_client_wants_to_upgrade_to_a_plain_operation_stays_in_http() {
    let pair = Pair::start();
    for upgrade in ["tcp", "TCP", "h2c", "h2", "websocket", "TLS/1.0", "HTTP/2.0", "", "tcp, h2c", "x\r\nUpgrade: tcp"]
    {
        for connection in ["Upgrade", "upgrade, HTTP2-Settings", "keep-alive", ""] {
            for (line, heard_line) in [
                ("GET /_ping", "GET /v1.41/_ping"),
                ("GET /v1.41/info", "GET /v1.41/info"),
                ("GET /v1.41/events", "GET /v1.41/events"),
                ("POST /v1.41/containers/x/start", "POST /v1.41/containers/x/start"),
                ("POST /v1.41/build", "POST /v1.41/build"),
            ] {
                let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\n");
                let request =
                    format!("{head}HTTP2-Settings: AAMAAABk\r\n\r\nPOST /v1.41/swarm/init HTTP/1.1\r\nHost: x\r\n\r\n");
                let (statuses, heard) = pair.send(request.as_bytes());
                assert_eq!(statuses, [200, 403], "{line} {upgrade:?} {connection:?}");
                assert_eq!(heard.len(), 1, "{heard:?}");
                let lower = heard[0].to_ascii_lowercase();
                assert!(
                    heard[0].starts_with(heard_line) && !lower.contains("upgrade") && !lower.contains("http2"),
                    "{heard:?}"
                );
            }
        }
    }
}
