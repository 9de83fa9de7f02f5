//! HTTP/1.1 as it is spoken on purpose wrongly: one request is one request, or none.

use std::io::Write as _;

use crate::engine::Engine;
use crate::proxy::{Proxy, json, plain};

const CREATE: &str = "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n";

#[test]
fn what_is_no_http_is_refused_and_ends_the_connection() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let long = "a".repeat(200_000);
    let many = "A: b\r\n".repeat(200);
    for bytes in [
        format!("{CREATE}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length: 2, 3\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length: +2\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length: -2\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length: 0x2\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length: 99999999999999999999\r\n\r\n{{}}"),
        format!("{CREATE}Content-Length : 2\r\n\r\n{{}}"),
        format!("{CREATE}Transfer-Encoding: identity\r\n\r\n{{}}"),
        format!("{CREATE}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        format!("{CREATE}X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        format!("{CREATE}X: a\0b\r\n\r\n"),
        format!("{CREATE}X\0: a\r\n\r\n"),
        format!("{CREATE}X Y: a\r\n\r\n"),
        format!("{CREATE}: a\r\n\r\n"),
        format!("{CREATE}X: a\rb\r\n\r\n"),
        "GET /v1.41/info HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("GET /v1.41/info HTTP/1.1\r\nX: {long}\r\n\r\n"),
        format!("GET /v1.41/info HTTP/1.1\r\n{many}\r\n"),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".to_owned(),
    ] {
        let mut client = proxy.connect();
        // It may be refused before it has come whole.
        let _ = client.stream.write_all(bytes.as_bytes());
        let answer = client.message();
        assert!([400, 431].contains(&answer.status()), "{:?} {answer:?}", &bytes[..bytes.len().min(200)]);
        client.closed();
    }
    engine.has_heard_nothing();
    let left = proxy.stop();
    assert_eq!(left.records.len(), 20, "each left a record: {}", left.audit);
    assert!(left.records.iter().all(|record| record["verdict"] == "error"), "{}", left.audit);
}

#[test]
fn a_body_that_is_coded_otherwise_than_chunked_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for coding in ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "chunked, chunked", "\tchunked;x=1"] {
        for line in ["POST /v1.41/containers/create", "POST /v1.41/images/load"] {
            let body = "Host: x\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
            let answer = proxy.refuses(&engine, format!("{line} HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n{body}"));
            assert_eq!(answer.status(), 400, "{coding:?} {answer:?}");
        }
    }
}

#[test]
fn a_broken_chunked_body_is_never_sent() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for chunks in [
        "x\r\n{}\r\n0\r\n\r\n",
        "2;\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}X0\r\n\r\n",
        "fffffffffffffffff\r\n{}",
        "2 2\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(format!("{CREATE}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
        let answer = client.message();
        assert_eq!(answer.status(), 400, "{chunks:?} {answer:?}");
        client.closed();
    }
    let mut client = proxy.connect();
    client.send(format!("{CREATE}Content-Length: 20\r\n\r\n{{}}")).finish();
    assert_eq!(client.message().status(), 400, "the body ended early");
    engine.has_heard_nothing();
}

#[test]
fn the_engine_gets_one_framing_whatever_the_client_chose() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for framed in [
        "Content-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;ext=1\r\n}\r\n0\r\n\r\n",
        "Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n",
        "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let heard = proxy.passes(&engine, format!("{CREATE}{framed}"));
        assert_eq!(heard.headers(), ["host", "content-type", "content-length"], "{framed:?}");
        assert_eq!((heard.header("content-length"), heard.text().as_str()), (Some("2"), "{}"), "{framed:?}");
    }
    for framed in ["\r\n", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let heard = proxy.passes(&engine, format!("POST /v1.41/containers/x/start HTTP/1.1\r\nHost: x\r\n{framed}"));
        assert_eq!(heard.headers(), ["host"], "{framed:?}");
    }
}

#[test]
fn a_stream_keeps_its_framing_and_loses_its_trailers() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let load = "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\n";
    let heard = proxy.passes(&engine, format!("{load}Content-Length: 3\r\n\r\ntar"));
    assert_eq!((heard.header("content-length"), heard.header("transfer-encoding")), (Some("3"), None));
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\ntar\r\n0\r\nX: y\r\n\r\n";
    let heard = proxy.passes(&engine, format!("{load}{chunked}"));
    assert_eq!((heard.header("content-length"), heard.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(heard.text(), "tar");
}

#[test]
fn bare_line_feeds_end_lines_as_they_do_for_the_engine() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let heard = proxy.passes(&engine, "GET /v1.41/info HTTP/1.1\nHost: x\nContent-Type: a\n\n");
    assert_eq!(heard.head, "GET /v1.41/info HTTP/1.1\r\nhost: docker\r\n\r\n");
}

#[test]
fn pipelined_requests_are_judged_each_and_answered_in_order() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    let requests = [
        plain("GET", "/v1.41/containers/one/json"),
        json("POST", "/v1.41/containers/create", r#"{"hostconfig":{}}"#),
        plain("POST", "/v1.41/swarm/init"),
        plain("GET", "/v1.41/containers/two/json"),
    ];
    client.send(requests.concat());
    let mut first = engine.accept();
    assert!(first.message().head.contains("/containers/one/json"));
    engine.has_heard_nothing();
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    assert_eq!(client.message().text(), "one");
    assert_eq!(client.message().status(), 400);
    assert_eq!(client.message().status(), 403);
    assert!(first.message().head.contains("/containers/two/json"));
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
    assert_eq!(client.message().text(), "two");
    assert_eq!(proxy.stop().events("request").len(), 4);
}

#[test]
fn a_body_is_never_the_next_request() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let hidden = String::from_utf8(plain("GET", "/v1.41/containers/hidden/json")).unwrap();
    let closed =
        format!("POST /v1.41/swarm/init HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
    let mut client = proxy.connect();
    client.send(closed).finish();
    assert_eq!(client.message().status(), 403);
    client.closed();
    let get = format!("GET /v1.41/info HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
    let mut client = proxy.connect();
    client.send(get).finish();
    assert_eq!(client.message().status(), 400);
    client.closed();
    engine.has_heard_nothing();
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send("GET /v1.41/info HTTP/1.0\r\n\r\n");
    let heard = engine.answer_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert_eq!(heard.head, "GET /v1.41/info HTTP/1.1\r\nhost: docker\r\n\r\n");
    let answer = client.message();
    assert_eq!((answer.header("transfer-encoding"), answer.text().as_str()), (None, "{}"), "{answer:?}");
    client.closed();
}

#[test]
fn a_client_that_sends_no_whole_head_is_told_so_in_time_and_an_idle_one_is_let_go() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nhead_time = \"4s\"\n");
    let (mut half, mut idle, mut between) = (proxy.connect(), proxy.connect(), proxy.connect());
    half.send("GET /v1.41/info HTTP/1.1\r\nHost: x\r\n");
    between.send(plain("POST", "/v1.41/swarm/init"));
    assert_eq!(between.message().status(), 403);
    let answer = half.message();
    assert_eq!(answer.status(), 408, "{answer:?}");
    assert!(answer.said().contains("did not arrive within 4s (`head_time` in `[limits]`)"), "{answer:?}");
    // Between two requests nobody waits for an answer, and one that came would be taken for the next one's.
    half.closed();
    idle.closed();
    between.closed();
    // Behind an answer, half a head is closed upon likewise.
    let mut second = proxy.connect();
    second.send([plain("POST", "/v1.41/swarm/init"), b"GET /v1.41/info".to_vec()].concat());
    assert_eq!(second.message().status(), 403);
    second.closed();
    engine.has_heard_nothing();
    let left = proxy.stop();
    let statuses: Vec<u64> = left.records.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [403, 408, 403, 408], "{}", left.audit);
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_head_is_told_so() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for half in ["G", "GET /v1.41/info HTTP/1.1\r\n", "GET /v1.41/info HTTP/1.1\r\nHost: x\r\n"] {
        let mut client = proxy.connect();
        let answer = client.send(half).finish().message();
        assert_eq!(answer.status(), 400, "{half:?} {answer:?}");
        assert!(answer.said().contains("ended in the middle of its head"), "{answer:?}");
    }
    proxy.connect().finish().closed();
    engine.has_heard_nothing();
    let left = proxy.stop();
    assert_eq!(left.records.len(), 3, "each half left a record, nothing left none: {}", left.audit);
}

#[test]
fn a_body_is_asked_for_only_when_it_is_wanted() {
    let engine = Engine::start();
    let proxy =
        Proxy::with_policy(&engine, "version = 1\nname = \"no-build\"\nallow = [\"network\", \"image.import\"]\n");
    for (target, status) in
        [("/v1.41/build", 403), ("/v1.41/swarm/init", 403), ("/v1.41/nothing", 404), ("/v1.41/build?x=1", 400)]
    {
        let mut client = proxy.connect();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"));
        assert_eq!(client.message().status(), status, "{target}");
    }
    engine.has_heard_nothing();
    for (target, body) in [("/v1.41/images/create?fromSrc=-", "tar"), ("/v1.41/networks/create", "{} ")] {
        let mut client = proxy.connect();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
        assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n", "{target}");
        client.send(body);
        let heard = engine.answer();
        assert!(heard.header("expect").is_none() && heard.text().starts_with(&body[..1]), "{heard:?}");
        assert_eq!(client.message().status(), 200);
    }
}
