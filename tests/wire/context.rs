//! Contexts of the classic builder on the wire: what the engine gets, and when.

use std::io::{Read as _, Write as _};
use std::thread;

use serde_json::Value;

use crate::engine::Engine;
use crate::peer::Peer;
use crate::proxy::{Proxy, Setup, build};
use crate::tar::{archive, entry, tar};

const POLICY: &str = "version = 1\nname = \"x\"\nallow = [\"system\", \"build\"]\n[images]\nallow = [\"mine/**\"]\n";

/// A client that sends while the engine reads, as long as anybody reads
fn sends(proxy: &Proxy, context: &[u8]) -> Peer {
    let client = proxy.connect();
    let (mut input, request) = (client.stream.try_clone().unwrap(), build("/v1.41/build", context));
    thread::spawn(move || input.write_all(&request));
    client
}

/// What the engine gets of a context
fn passed(proxy: &Proxy, engine: &Engine, context: &[u8]) -> Vec<u8> {
    let mut client = sends(proxy, context);
    let mut there = engine.accept();
    let got = there.message();
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    assert_eq!(client.message().status(), 200);
    got.body
}

/// What the client is told, while the engine is left without an end
fn refused(proxy: &Proxy, engine: &Engine, context: &[u8]) -> (u16, String) {
    let mut client = sends(proxy, context);
    let got = engine.accept().rest();
    let answer = client.message();
    assert!(!got.ends_with(b"0\r\n\r\n"), "the engine has the end of it: {}", got.escape_ascii());
    (answer.status(), answer.said())
}

fn dockerfiles(body: &[u8]) -> usize {
    body.windows(10).filter(|window| *window == b"Dockerfile").count()
}

#[test]
fn the_engine_gets_the_dockerfile_that_was_judged_as_the_last_file() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, POLICY);
    let context = tar(&[("Dockerfile", b"FROM scratch\nCOPY a /\n"), ("a", b"1")]);
    let body = passed(&proxy, &engine, &context);
    assert!(body.starts_with(b"PaxHeader\0"), "it begins with bytes of the client's");
    let last = body.len() - 1024 - 1024;
    assert!(body[last - 1024..].starts_with(b"PaxHeader\0") || body[last..].starts_with(b"Dockerfile\0"));
    assert_eq!(dockerfiles(&body), 2);
    assert!(body[last + 512..].starts_with(b"FROM scratch\nCOPY a /\n\0"));
}

#[test]
fn what_a_policy_does_not_grant_is_broken_off_before_its_end() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, POLICY);
    for (context, status, said) in [
        (tar(&[("Dockerfile", b"FROM scratch\nADD http://127.0.0.1/x /\n")]), 403, "remote=http://127.0.0.1/x"),
        (tar(&[("Dockerfile", b"FROM scratch\nADD https://e.example/x /\n")]), 403, "(Dockerfile:2 ADD) is refused"),
        (tar(&[("Dockerfile", b"FROM scratch\nCOPY <<x /\n")]), 403, "a Dockerfile that is not understood (`<<`"),
        (tar(&[("a", b"1")]), 400, "the build context is refused: it has no Dockerfile `Dockerfile`"),
        (archive(&[entry(b"Dockerfile", b'2', "/etc/passwd", b"")]), 400, "is to be the Dockerfile"),
        (archive(&[entry(b"x", b'3', "", b"")]), 400, "is a device"),
        (b"FROM scratch\n".to_vec(), 400, "it is no tar archive"),
        (Vec::new(), 400, "has no Dockerfile"),
        (b"\x1f\x8b\x08\x00broken".to_vec(), 400, "its compression"),
        ([b"BZh9".as_slice(), &[1; 600]].concat(), 400, "it is compressed with bzip2"),
    ] {
        let (got, message) = refused(&proxy, &engine, &context);
        assert!(got == status && message.contains(said), "expected {status} `{said}`: {got} {message}");
        assert!(message.starts_with("sockwarden: ") && !message.contains('\n'), "{message}");
    }
    let left = proxy.stop();
    let ends = left.events("end");
    assert!(ends.iter().all(|end| end["outcome"] == "refused"), "{}", left.audit);
    let found = left.events("dockerfile");
    assert!(found.len() == 3 && found.iter().all(|line| line["verdict"] == "deny"), "{}", left.audit);
    assert_eq!(found[0]["asks"][0]["field"], Value::from("Dockerfile:2 ADD"), "{}", left.audit);
}

#[test]
fn a_policy_that_warns_says_what_it_would_refuse_and_one_that_records_reads_nothing() {
    let context = tar(&[("Dockerfile", b"FROM scratch\nADD http://127.0.0.1/x /\n")]);
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, &format!("mode = \"warn\"\n{POLICY}"));
    assert_eq!(dockerfiles(&passed(&proxy, &engine, &context)), 2);
    let left = proxy.stop();
    let found = left.events("dockerfile");
    assert!(found.len() == 1 && found[0]["verdict"] != "allow" && found[0]["verdict"] != "deny", "{}", left.audit);

    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    assert_eq!(passed(&proxy, &engine, &context), context);
    assert!(proxy.stop().events("dockerfile").is_empty());
}

/// docker-py with a Dockerfile from elsewhere, compressed: the path is followed by the text, of which the engine takes the first
#[test]
fn what_docker_py_says_of_a_dockerfile_from_elsewhere_is_the_path_in_the_context() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, POLICY);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar(&[("Dockerfile", b"FROM evil\n"), (".dockerfile.1", b"FROM scratch\n")])).unwrap();
    let context = gzip.finish().unwrap();
    let mut client = proxy.connect();
    let query = "dockerfile=.dockerfile.1&dockerfile=FROM+scratch%0A";
    let head = format!("POST /v1.41/build?{query} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n");
    client.send([format!("{head}Content-Length: {}\r\n\r\n", context.len()).as_bytes(), &context].concat());
    let mut there = engine.accept();
    let got = there.message();
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    assert_eq!(client.message().status(), 200);
    assert!(got.head.starts_with("POST /v1.41/build?dockerfile=.dockerfile.1&labels="), "{}", got.head);
    assert_eq!(got.head.matches("dockerfile=").count(), 1, "{}", got.head);
    assert!(!got.head.to_ascii_lowercase().contains("encoding: gzip"), "{}", got.head);
    let last = got.body.len() - 2048;
    assert!(got.body[last + 512..].starts_with(b"FROM scratch\n\0"), "another Dockerfile comes last");
}

/// More memory than a context may cost, in KiB
const BOUND: u64 = 24 << 10;

#[test]
fn memory_stays_flat_for_a_large_context() {
    const LARGE: usize = 200 << 20;
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, POLICY);
    passed(&proxy, &engine, &tar(&[("Dockerfile", b"FROM scratch\n")]));
    let before = proxy.peak_memory();
    let mut client = proxy.connect();
    let dockerfile = entry(b"Dockerfile", b'0', "", b"FROM scratch\n");
    let mut large = entry(b"large", b'0', "", b"");
    large[124..135].copy_from_slice(format!("{LARGE:011o}").as_bytes());
    large[148..156].fill(b' ');
    let sum: u32 = large.iter().map(|byte| u32::from(*byte)).sum();
    large[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let length = dockerfile.len() + large.len() + LARGE + 1024;
    client.send(format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    let mut there = engine.accept();
    let mut input = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        input.write_all(&[dockerfile, large].concat()).unwrap();
        (0..LARGE >> 20).for_each(|_| input.write_all(&[7; 1 << 20]).unwrap());
        input.write_all(&[0; 1024]).unwrap();
    });
    let (mut piece, mut got, mut end) = (vec![0; 1 << 20], 0, Vec::new());
    while !end.ends_with(b"\r\n0\r\n\r\n") {
        let length = there.stream.read(&mut piece).unwrap();
        assert!(length > 0, "the engine was left after {got} bytes");
        got += length;
        end.extend_from_slice(&piece[..length]);
        end.drain(..end.len().saturating_sub(7));
    }
    sender.join().unwrap();
    assert!(got > LARGE, "the engine got {got} bytes");
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.message().status(), 200);
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more for a context of {LARGE} bytes");
}

#[test]
fn what_is_held_of_a_context_takes_room_like_a_body() {
    let engine = Engine::start();
    let config = "[limits]\nbody_bytes = \"1MiB\"\nbodies_bytes = \"1MiB\"\n".to_owned();
    let proxy = Proxy::with(&engine, Setup { policy: POLICY.to_owned(), config, ..Setup::default() });
    let long = [b"FROM scratch\n", "# comment\n".repeat(60_000).as_bytes()].concat();
    let both = tar(&[("dockerfile", &long), ("Dockerfile", &long)]);
    let (status, message) = refused(&proxy, &engine, &both);
    assert!(status == 503 && message.contains("`bodies_bytes` in `[limits]`"), "{status} {message}");
    // It is given back.
    passed(&proxy, &engine, &tar(&[("Dockerfile", &long)]));
}

#[test]
fn who_goes_on_sending_what_was_refused_can_read_why() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, POLICY);
    let mut client = proxy.connect();
    let dockerfile = entry(b"Dockerfile", b'0', "", b"FROM scratch\nADD http://127.0.0.1/x /\n");
    let head = "POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    client.send([head.as_bytes(), &dockerfile].concat());
    // Some clients, Go's among them, forget an answer when they cannot write any more.
    for _ in 0..4 {
        client.send(vec![0; 1 << 20]);
    }
    assert_eq!(client.message().status(), 403);
}
