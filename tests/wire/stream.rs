//! Streams in both directions: as they come, in constant memory, however large.

use std::io::{Read, Write};
use std::thread;

use crate::engine::Engine;
use crate::proxy::{Proxy, plain};

const LARGE: usize = 200 << 20;

/// More memory than a stream may cost, in KiB
const BOUND: u64 = 24 << 10;

#[test]
fn memory_stays_flat_for_an_upload_that_the_engine_reads_slowly() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let before = idle_memory(&engine, &proxy);
    let mut client = proxy.connect();
    client.send(format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
    let mut there = engine.accept();
    let head = there.head();
    assert!(head.contains(&format!("content-length: {LARGE}\r\n")), "{head}");
    let mut input = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || (0..LARGE >> 20).for_each(|_| input.write_all(&[7; 1 << 20]).unwrap()));
    let mut piece = vec![0; 1 << 20];
    let mut left = LARGE;
    while left > 0 {
        left -= there.stream.read(&mut piece).unwrap();
    }
    sender.join().unwrap();
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.message().status(), 200);
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more for an upload of {LARGE} bytes");
    let left = proxy.stop();
    assert_eq!(left.events("end").last().unwrap()["bytes_in"], LARGE, "{}", left.audit);
}

#[test]
fn memory_stays_flat_for_a_download_that_the_client_reads_late() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let before = idle_memory(&engine, &proxy);
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/images/get?names=a"));
    let mut there = engine.accept();
    there.message();
    there.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    // Nobody reads yet: the engine must be held back long before it has sent all of it.
    let chunk = [b"100000\r\n".as_slice(), &[7; 1 << 20], b"\r\n"].concat();
    there.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    let stopped = loop {
        match there.stream.write(&chunk[sent % chunk.len()..]) {
            Ok(length) => sent += length,
            Err(error) => break error,
        }
        assert!(sent < LARGE, "nothing held the engine back");
    };
    assert_eq!(stopped.kind(), std::io::ErrorKind::WouldBlock, "{stopped}");
    there.stream.set_write_timeout(Some(std::time::Duration::from_secs(100))).unwrap();
    let mut output = there.stream.try_clone().unwrap();
    let total = (LARGE >> 20) * chunk.len();
    let sender = thread::spawn(move || {
        while sent < total {
            sent += output.write(&chunk[sent % chunk.len()..]).unwrap();
        }
        output.write_all(b"0\r\n\r\n").unwrap();
    });
    let (mut piece, mut received, mut end) = (vec![0; 1 << 20], 0, Vec::new());
    while !end.ends_with(b"\r\n0\r\n\r\n") {
        let length = client.stream.read(&mut piece).unwrap();
        assert!(length > 0, "cut off after {received} bytes");
        received += length;
        end.extend_from_slice(&piece[length.saturating_sub(7)..length]);
        end.drain(..end.len().saturating_sub(7));
    }
    sender.join().unwrap();
    assert!(received > LARGE, "{received}");
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more for a download of {LARGE} bytes");
    let left = proxy.stop();
    assert_eq!(left.events("end").last().unwrap()["bytes_out"], LARGE, "{}", left.audit);
}

#[test]
fn an_upload_that_is_refused_midway_ends_the_same_for_a_client_that_goes_on_sending() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for close in ["Connection: close\r\n", ""] {
        let mut client = proxy.connect();
        client.send(format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
        let mut there = engine.accept();
        there.head();
        let mut input = client.stream.try_clone().unwrap();
        let sender = thread::spawn(move || (0..LARGE >> 20).try_for_each(|_| input.write_all(&[7; 1 << 20])));
        there.exactly(1 << 20);
        there.send(format!("HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n{close}Content-Length: 16\r\n\r\n{{\"message\":\"no\"}}"));
        drop(there);
        let answer = client.message();
        assert_eq!((answer.status(), answer.said().as_str()), (500, "no"));
        drop(client);
        let _ = sender.join().unwrap();
    }
}

#[test]
fn an_upload_that_the_policy_refuses_is_answered_before_it_has_come() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, "version = 1\nname = \"none\"\nallow = [\"system.ping\"]\n");
    let mut client = proxy.connect();
    client.send(format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
    let answer = client.message();
    assert_eq!(answer.status(), 403);
    assert!(answer.said().contains("build.build"), "{answer:?}");
    engine.has_heard_nothing();
}

#[test]
fn each_piece_of_a_stream_arrives_before_the_next_is_sent() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/containers/x/logs?follow=1&stdout=1"));
    let mut there = engine.accept();
    there.message();
    there.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let head = client.head();
    assert!(head.contains("transfer-encoding: chunked\r\n"), "the head comes before the first line: {head}");
    for _ in 0..20 {
        there.send("5\r\nline\n\r\n");
        assert_eq!(client.exactly(10), b"5\r\nline\n\r\n");
    }
    there.send("0\r\n\r\n");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
    // An upload likewise.
    let mut client = proxy.connect();
    client.send("PUT /v1.41/containers/x/archive?path=/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut there = engine.accept();
    there.head();
    for _ in 0..20 {
        client.send("5\r\npiece\r\n");
        assert_eq!(there.exactly(10), b"5\r\npiece\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(there.exactly(5), b"0\r\n\r\n");
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.message().status(), 200);
}

fn idle_memory(engine: &Engine, proxy: &Proxy) -> u64 {
    proxy.passes(engine, plain("GET", "/v1.41/info"));
    proxy.peak_memory()
}
