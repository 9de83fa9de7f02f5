//! Limits on what runs at a time, and memory beyond every limit: whatever is sent without end is cut off or held back.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::peer::Peer;
use crate::proxy::{Proxy, json, plain};

const TWO: &str = "[limits]\nrequests_per_owner = 2\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
const ATTACH: &str =
    "POST /v1.41/containers/x/attach?stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
/// More memory than an attack may cost, in KiB
const BOUND: u64 = 8 << 10;

/// Asks until there is a place again: the end of a stream and the next request come on different connections
fn passes_again(engine: &Engine, proxy: &Proxy) {
    let end = Instant::now() + Duration::from_secs(100);
    loop {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        let answer = thread::scope(|scope| {
            let answer = scope.spawn(|| client.message());
            if let Some(mut there) = engine.next_before(|| answer.is_finished()) {
                there.message();
                there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
            answer.join().unwrap()
        });
        if answer.status() == 200 {
            return;
        }
        assert_eq!(answer.status(), 429, "{answer:?}");
        assert!(Instant::now() < end, "the place was not given back: {answer:?}");
    }
}

/// Fills one of two places with a stream that runs: client and engine
fn follow(engine: &Engine, proxy: &Proxy, target: &str) -> (Peer, Peer) {
    let mut client = proxy.connect();
    client.send(plain("GET", target));
    let mut there = engine.accept();
    there.message();
    there.send(CHUNKED);
    client.head();
    client.exactly(8);
    (client, there)
}

fn attach(engine: &Engine, proxy: &Proxy) -> (Peer, Peer) {
    let mut client = proxy.connect();
    client.send(ATTACH);
    let mut there = engine.accept();
    there.message();
    there.send(SWITCH);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    (client, there)
}

#[test]
fn requests_of_an_owner_beyond_the_limit_are_told_so_and_recorded() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, TWO);
    let mut waiting = proxy.connect();
    waiting.send(plain("POST", "/v1.41/containers/x/wait"));
    let mut wait = engine.accept();
    wait.message();
    let _events = follow(&engine, &proxy, "/v1.41/events");
    let mut third = proxy.connect();
    for request in [
        plain("GET", "/v1.41/containers/json"),
        plain("GET", "/_ping"),
        json("POST", "/v1.41/containers/create", "{}"),
        ATTACH.as_bytes().to_vec(),
    ] {
        third.send(request);
        let answer = third.message();
        assert_eq!(answer.status(), 429, "{answer:?}");
        let said = answer.said();
        assert!(said.starts_with("sockwarden: 2 requests of this owner run already"), "{said}");
        assert!(said.contains("`requests_per_owner` in `[limits]`") && said.lines().count() == 1, "{said}");
        let id = said.rsplit("[record ").next().unwrap().trim_end_matches(']').to_owned();
        let records = proxy.records();
        let line = records.iter().find(|line| line["id"] == id.as_str()).unwrap();
        assert_eq!((&line["status"], &line["verdict"]), (&429.into(), &"error".into()), "{line}");
        assert_ne!(line["operation"], "unknown", "{line}");
    }
    // What is closed or not understood is said before, and costs nobody a place.
    third.send(plain("POST", "/v1.41/swarm/init"));
    assert_eq!(third.message().status(), 403);
    engine.has_heard_nothing();
    wait.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(waiting.message().text(), "{}");
    passes_again(&engine, &proxy);
}

#[test]
fn every_kind_of_stream_has_a_place_until_it_ends() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, TWO);
    let (_held, _there) = follow(&engine, &proxy, "/v1.41/events");
    for target in ["/v1.41/containers/x/logs?follow=1&stdout=1", "/v1.41/containers/x/stats", "/v1.41/events"] {
        let (client, mut there) = follow(&engine, &proxy, target);
        assert_eq!(proxy.ask(plain("GET", "/v1.41/info")).status(), 429, "{target}");
        // The engine ends it, or the client goes.
        there.send("0\r\n\r\n");
        passes_again(&engine, &proxy);
        drop((client, there));
        let (client, there) = follow(&engine, &proxy, target);
        assert_eq!(proxy.ask(plain("GET", "/v1.41/info")).status(), 429, "{target}");
        drop(client);
        passes_again(&engine, &proxy);
        drop(there);
    }
    for client_first in [true, false] {
        let (client, there) = attach(&engine, &proxy);
        assert_eq!(proxy.ask(plain("GET", "/v1.41/info")).status(), 429, "a tunnel counts");
        if client_first {
            drop(client)
        } else {
            drop(there)
        }
        passes_again(&engine, &proxy);
    }
    // An upload, and an attach without an upgrade.
    let mut client = proxy.connect();
    client.send("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut there = engine.accept();
    there.head();
    assert_eq!(proxy.ask(plain("GET", "/v1.41/info")).status(), 429, "an upload counts");
    drop(client);
    passes_again(&engine, &proxy);
    let mut client = proxy.connect();
    client.send(plain("POST", "/v1.41/containers/x/attach?stream=1&stdout=1"));
    let mut there = engine.accept();
    there.message();
    there.send(SWITCH);
    client.head();
    assert_eq!(proxy.ask(plain("GET", "/v1.41/info")).status(), 429, "output as a body counts");
    drop(there);
    passes_again(&engine, &proxy);
}

#[test]
fn a_refused_or_failed_request_gives_its_place_back() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nrequests_per_owner = 1\n");
    for _ in 0..3 {
        assert_eq!(proxy.ask(json("POST", "/v1.41/containers/create", "{\"x\":1}")).status(), 400);
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        engine.answer_with("no HTTP\r\n\r\n");
        assert_eq!(client.message().status(), 502);
        // Gone before its body had come.
        let mut client = proxy.connect();
        client.send("POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
        drop(client);
        passes_again(&engine, &proxy);
    }
}

#[test]
fn listeners_of_one_owner_share_its_places_and_another_owner_has_its_own() {
    let engine = Engine::start();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let listener = |socket: &str, owner: &str| {
        format!("[[listener]]\npath = \"{}\"\nowner = \"{owner}\"\npolicy = \"unrestricted\"\n", path(socket))
    };
    let config = [listener("one.sock", "a"), listener("two.sock", "a"), listener("other.sock", "b")].concat();
    std::fs::write(directory.path().join("config.toml"), format!("{config}{TWO}")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sockwarden"));
    command.env_clear().args(["serve", "--engine", &format!("unix://{}", engine.socket().display())]);
    command.args(["--config", &path("config.toml"), "--audit", &path("audit.jsonl")]);
    let (two, other) = (directory.path().join("two.sock"), directory.path().join("other.sock"));
    let proxy = Proxy::of_command(&mut command, directory, ["one.sock", "audit.jsonl", "config.toml"]);
    let connect = |path| Peer::of(std::os::unix::net::UnixStream::connect(path).unwrap());
    let _first = follow(&engine, &proxy, "/v1.41/events");
    let _second = follow(&engine, &proxy, "/v1.41/events");
    let mut client = connect(&two);
    assert_eq!(client.send(plain("GET", "/v1.41/info")).message().status(), 429);
    let mut client = connect(&other);
    client.send(plain("GET", "/v1.41/info"));
    engine.answer();
    assert_eq!(client.message().status(), 200);
}

#[test]
fn requests_behind_one_that_runs_wait_unread_and_cost_nothing() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nrequests_per_owner = 1\nheader_bytes = \"8KiB\"\n");
    let before = warm(&engine, &proxy);
    let mut client = proxy.connect();
    client.send(plain("POST", "/v1.41/containers/x/wait"));
    let mut wait = engine.accept();
    wait.message();
    // Far more than the socket and the proxy hold: the client must be held back.
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let many = plain("POST", "/v1.41/swarm/init").repeat(1000);
    let mut sent = 0;
    let stopped = loop {
        match client.stream.write(&many[sent % many.len()..]) {
            Ok(length) => sent += length,
            Err(error) => break error,
        }
        assert!(sent < 64 << 20, "nothing held the client back");
    };
    assert_eq!(stopped.kind(), std::io::ErrorKind::WouldBlock, "{stopped}");
    assert_eq!(proxy.records().len(), 3, "one request of a connection runs at a time");
    engine.has_heard_nothing();
    wait.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.message().text(), "{}");
    let whole = sent / plain("POST", "/v1.41/swarm/init").len();
    for _ in 0..whole {
        assert_eq!(client.message().status(), 403, "each in order, and judged");
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more for {sent} bytes of requests");
}

/// Memory after an ordinary request
fn warm(engine: &Engine, proxy: &Proxy) -> u64 {
    proxy.passes(engine, plain("GET", "/v1.41/info"));
    proxy.peak_memory()
}

/// Sends the first bytes, then the others without end, until the proxy has had enough
fn flood(proxy: &Proxy, first: &str, more: &str) -> Option<u16> {
    let mut client = proxy.connect();
    client.send(first);
    let piece = more.repeat((64 << 10) / more.len() + 1);
    let (began, mut sent) = (Instant::now(), 0);
    while let Ok(length) = client.stream.write(piece.as_bytes()) {
        sent += length;
        assert!(began.elapsed() < PATIENCE, "{sent} bytes of {more:?} after {first:?} were taken, and no end");
    }
    // With bytes unread on its side the proxy's close is a reset, which may come before the answer is read.
    let rest = client.rest();
    String::from_utf8_lossy(&rest).split(' ').nth(1).and_then(|status| status.parse().ok())
}

/// Much longer than any limit in time that these tests set, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);

#[test]
fn memory_stays_flat_beyond_every_limit_of_a_head() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let before = warm(&engine, &proxy);
    for (first, more, statuses) in [
        ("GET /v1.41/info HTTP/1.1\r\n", "A: b\r\n", [431, 431]),
        ("GET /v1.41/info HTTP/1.1\r\n", "Content-Length: 0\r\n", [431, 431]),
        ("GET /v1.41/info HTTP/1.1\r\nA: ", "a", [431, 431]),
        ("GET /v1.41/info HTTP/1.1\r\n", "A", [431, 431]),
        ("GET /v1.41/info?a=", "a", [431, 414]),
        ("GET /", "a/", [431, 414]),
        ("", "G", [431, 431]),
        ("", "\r\n", [431, 431]),
        ("", " ", [400, 400]),
        ("", "\0", [400, 400]),
    ] {
        for _ in 0..10 {
            if let Some(status) = flood(&proxy, first, more) {
                assert!(statuses.contains(&status), "{status} for {first:?} and {more:?}");
            }
        }
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
    engine.has_heard_nothing();
    let left = proxy.stop();
    assert_eq!(left.events("request").len(), 101, "each left a record: {}", left.audit);
}

#[test]
fn memory_stays_flat_beyond_every_limit_of_a_body() {
    let engine = Engine::start();
    let proxy =
        Proxy::with_config(&engine, "[limits]\nheader_bytes = \"8KiB\"\nbody_bytes = \"64KiB\"\nbody_time = \"1s\"\n");
    let before = warm(&engine, &proxy);
    let create = "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (first, more) in [
        // Blanks, one chunk or many, and what JSON would make of it.
        (format!("{create}fffffff\r\n"), " "),
        (create.to_owned(), "1\r\n \r\n"),
        (format!("{create}fffffff\r\n"), "["),
        (format!("{create}fffffff\r\n{{\"Env\":["), "\"a\","),
        (format!("{create}fffffff\r\n{{\"Labels\":{{"), "\"a\":\"b\","),
        // Sizes, extensions and trailers.
        (create.to_owned(), "0"),
        (format!("{create}2"), " "),
        (format!("{create}2;"), "x"),
        (create.to_owned(), "1;xxxxxxxxxxxxxxxx\r\n \r\n"),
        (format!("{create}2\r\n{{}}\r\n0\r\n"), "A: b\r\n"),
        (format!("{create}2\r\n{{}}\r\n0\r\nA: "), "b"),
        ("POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), " "),
        // Bodies of which nothing is wanted.
        ("POST /v1.41/swarm/init HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), " "),
        ("GET /v1.41/info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n".to_owned(), " "),
    ] {
        if let Some(status) = flood(&proxy, &first, more) {
            assert!([400, 403, 408, 413].contains(&status), "{status} for {first:?} and {more:?}");
        }
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
    engine.has_heard_nothing();
}

#[test]
fn an_upload_with_framing_without_end_breaks_off_at_the_engine() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let before = warm(&engine, &proxy);
    for (first, more) in [("3\r\ntar\r\n0\r\n", "A: b\r\n"), ("3\r\ntar\r\n0\r\nA: ", "b"), ("3;", "x")] {
        let load = "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        thread::scope(|scope| {
            scope.spawn(|| flood(&proxy, &format!("{load}{first}"), more));
            let rest = engine.accept().rest();
            assert!(!rest.ends_with(b"0\r\n\r\n"), "an upload that was never whole was ended as a whole one");
        });
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
}

#[test]
fn large_bodies_share_a_room_and_small_ones_need_none() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nbody_bytes = \"1MiB\"\nbodies_bytes = \"1MiB\"\n");
    let create = |length: usize| json("POST", "/v1.41/containers/create", format!("{{}}{}", " ".repeat(length - 2)));
    proxy.passes(&engine, create(1 << 20));
    let before = proxy.peak_memory();
    // All but the last byte of each: together they are twenty times what there is room for.
    let mut whole = create(1 << 20);
    whole.pop();
    let mut crowd: Vec<Peer> = (0..20).map(|_| proxy.connect()).collect();
    thread::scope(|scope| {
        for client in &mut crowd {
            // It may be refused before it has come whole.
            scope.spawn(|| drop(client.stream.write_all(&whole)));
        }
    });
    let (mut waiting, end) = (crowd, Instant::now() + PATIENCE);
    while waiting.len() > 1 {
        assert!(Instant::now() < end, "{} large bodies found room for one", waiting.len());
        waiting.retain_mut(|client| {
            client.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let mut first = [0; 12];
            let answered = std::io::Read::read_exact(&mut client.stream, &mut first).is_ok();
            assert!(!answered || &first == b"HTTP/1.1 503", "{}", String::from_utf8_lossy(&first));
            !answered
        });
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
    engine.has_heard_nothing();
    let records = proxy.records();
    let refused = records.iter().filter(|line| line["status"] == 503).collect::<Vec<_>>();
    assert!(refused.len() >= 19, "{records:?}");
    assert!(refused[0]["message"].as_str().unwrap().contains("`bodies_bytes` in `[limits]`"), "{}", refused[0]);
    proxy.passes(&engine, create(16 << 10));
    // Who goes gives the room back.
    drop(waiting);
    loop {
        let mut client = proxy.connect();
        let _ = client.stream.write_all(&create(1 << 20));
        let answered = thread::scope(|scope| {
            let answer = scope.spawn(|| client.message().status());
            if let Some(mut there) = engine.next_before(|| answer.is_finished()) {
                assert_eq!(there.message().text(), "{}");
                there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
            answer.join().unwrap()
        });
        if answered == 200 {
            return;
        }
        assert!(answered == 503 && Instant::now() < end + PATIENCE, "{answered}");
    }
}

#[test]
fn half_a_body_holds_no_place_of_its_owner() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nrequests_per_owner = 1\n");
    let half = "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    let _crowd: Vec<Peer> = (0..10)
        .map(|_| {
            let mut client = proxy.connect();
            client.send(half);
            client
        })
        .collect();
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
}
