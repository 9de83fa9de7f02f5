//! What the engine answers is read as strictly as what clients ask: one answer a request, framed in one way.

use crate::engine::Engine;
use crate::proxy::{Proxy, plain};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// The client's answer for what the engine says; the engine's connection must end unless it said something usable
fn said(engine: &Engine, proxy: &Proxy, answer: &str) -> (u16, String) {
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/info"));
    let mut there = engine.accept();
    there.message();
    // Whoever has heard enough closes.
    let _ = std::io::Write::write_all(&mut there.stream, answer.as_bytes());
    let message = client.message();
    if message.status() == 502 {
        there.rest();
        assert!(message.said().contains("the Docker Engine broke off"), "{message:?}");
    }
    (message.status(), message.text())
}

#[test]
fn an_answer_whose_end_can_be_found_in_two_ways_is_502() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for framing in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Transfer-Encoding: chunked\r\nContent-Length: 99",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: two",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
    ] {
        let (status, text) =
            said(&engine, &proxy, &format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"));
        assert_eq!(status, 502, "{framing:?} became {text}");
    }
    let (status, _) =
        said(&engine, &proxy, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert_eq!(status, 502, "HTTP/1.0 knows no chunks");
    let left = proxy.stop();
    let ends = left.events("end");
    assert!(ends.len() == 21 && ends.iter().all(|end| end["outcome"] == "engine_failed"), "{}", left.audit);
}

#[test]
fn an_answer_that_is_no_answer_is_502() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let long = "a".repeat(1 << 20);
    let many = "A: b\r\n".repeat(10_000);
    for answer in [
        "GET /v1.41/info HTTP/1.1\r\n\r\n".to_owned(),
        "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nA: b\rC: d\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "{\"message\":\"no head\"}\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 {long}\r\n\r\n"),
    ] {
        let (status, text) = said(&engine, &proxy, &answer);
        assert_eq!(status, 502, "{:?} became {text}", &answer[..answer.len().min(100)]);
    }
}

#[test]
fn interim_answers_are_not_the_answer() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 199 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let answer = interim.repeat(50) + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
        assert_eq!(said(&engine, &proxy, &answer), (200, "yes".to_owned()), "{interim:?}");
    }
}

#[test]
fn an_answer_without_a_body_has_none_and_what_follows_is_nobodys() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for answer in [
        format!("HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n{forged}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{forged}"),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n{forged}"),
        format!("{OK}{forged}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{forged}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n{forged}"),
    ] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        let mut there = engine.accept();
        there.message();
        there.send(&answer);
        let mut head = client.head();
        let body = if head.contains("chunked") {
            client.exactly(if answer.contains("{}") { 12 } else { 5 })
        } else {
            Vec::new()
        };
        if answer.starts_with(OK) {
            client.exactly(2);
        }
        assert!(!String::from_utf8_lossy(&body).contains("forged"), "{answer:?}");
        client.send(plain("GET", "/v1.41/version"));
        // A connection that said more than it was asked is not asked again.
        let heard = engine.answer();
        assert!(heard.head.starts_with("GET /v1.41/version "), "{heard:?}");
        head = client.head();
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("content-length: 6"), "{answer:?} {head}");
    }
    // To HEAD, whatever length is named.
    let mut client = proxy.connect();
    client.send(plain("HEAD", "/v1.41/containers/x/archive?path=/a"));
    engine.answer_with(&format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{forged}"));
    assert!(client.head().contains("content-length: 6"));
    client.send(plain("POST", "/v1.41/swarm/init"));
    assert!(client.head().starts_with("HTTP/1.1 403 "));
}

#[test]
fn an_answer_before_it_was_asked_for_is_nobodys() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut there = engine.accept();
    there.head();
    // The upload is still running: the first answer is its answer, the second has no request. At once, as a connection
    // that has answered may be closed.
    there.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"));
    assert_eq!(client.message().text(), "{}");
    drop(client);
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
}

#[test]
fn a_broken_chunk_breaks_the_answer_off() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for chunks in [
        "x\r\n{}",
        "-2\r\n{}",
        "2\r\n{}X",
        "fffffffffffffffff\r\n",
        "2\n{}\r\n",
        "2;a\n{}\r\n",
        "\r\n",
        "0\r\nA b\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/events"));
        engine.answer_with(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n{chunks}"));
        client.head();
        let rest = client.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{chunks:?} was ended as a whole: {:?}", String::from_utf8_lossy(&rest));
    }
    let left = proxy.stop();
    assert!(left.events("end").iter().all(|end| end["outcome"] == "engine_failed"), "{}", left.audit);
}

#[test]
fn memory_stays_flat_for_an_engine_that_answers_without_end() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
    let before = proxy.peak_memory();
    for (first, more, bytes) in [
        ("HTTP/1.1 200 OK\r\n", "A: b\r\n", 4 << 20),
        ("HTTP/1.1 200 OK\r\nA: ", "b", 4 << 20),
        ("HTTP/1.1 200 ", "O", 4 << 20),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", 16 << 20),
        ("", "\r\n", 4 << 20),
    ] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        let mut there = engine.accept();
        there.message();
        let piece = more.repeat((64 << 10) / more.len());
        there.send(first);
        let mut sent = 0;
        while sent < bytes && std::io::Write::write_all(&mut there.stream, piece.as_bytes()).is_ok() {
            sent += piece.len();
        }
        drop(there);
        assert_eq!(client.message().status(), 502, "{first:?} {more:?}");
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < 8 << 10, "{grown} KiB more");
}
