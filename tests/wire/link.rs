//! Connections to the engine: a client's own, never another's, and never one that carried a stream.

use crate::engine::Engine;
use crate::peer::Peer;
use crate::proxy::{Proxy, json, plain};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn turn(client: &mut Peer, there: &mut Peer, request: impl AsRef<[u8]>) {
    client.send(request);
    there.message();
    there.send(OK);
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn the_requests_of_a_client_share_a_connection_that_no_other_client_gets() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut one = proxy.connect();
    one.send(plain("GET", "/v1.41/info"));
    let mut its = engine.accept();
    its.message();
    its.send(OK);
    assert_eq!(one.message().status(), 200);
    turn(&mut one, &mut its, json("POST", "/v1.41/containers/create", "{}"));
    let mut two = proxy.connect();
    two.send(plain("GET", "/v1.41/info"));
    let mut others = engine.accept();
    others.message();
    others.send(OK);
    assert_eq!(two.message().status(), 200);
    turn(&mut one, &mut its, plain("GET", "/v1.41/version"));
    drop(one);
    its.closed();
    turn(&mut two, &mut others, plain("GET", "/v1.41/info"));
}

#[test]
fn a_connection_that_carried_a_stream_is_not_used_again() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    for request in [
        json("POST", "/v1.41/build", "tar"),
        json("POST", "/v1.41/exec/x/start", r#"{"Detach":true}"#),
        plain("POST", "/v1.41/containers/x/attach"),
    ] {
        client.send(&request);
        let mut there = engine.accept();
        there.message();
        there.send(OK);
        assert_eq!(client.message().status(), 200);
        there.closed();
    }
    client.send(plain("GET", "/v1.41/info"));
    engine.answer();
    assert_eq!(client.message().status(), 200);
}

#[test]
fn an_engine_that_closed_in_between_is_connected_to_anew() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    for _ in 0..20 {
        client.send(plain("GET", "/v1.41/info"));
        let mut there = engine.accept();
        there.message();
        there.send(OK);
        assert_eq!(client.message().status(), 200);
        // The proxy has seen the end when it ends its side too.
        there.finish();
        there.closed();
    }
}

#[test]
fn bytes_after_an_answer_are_nobodys_answer() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/info"));
    let mut there = engine.accept();
    there.message();
    there.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"));
    assert_eq!(client.message().text(), "{}");
    there.closed();
    client.send(plain("GET", "/v1.41/info"));
    engine.answer();
    assert_eq!(client.message().text(), "{}");
}
