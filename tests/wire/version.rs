//! Negotiation: newer clients are told an API version that is modelled here, and calls without one get it.

use serde_json::{Value, json as value};

use crate::engine::Engine;
use crate::proxy::{Proxy, plain};

const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.55\r\nBuilder-Version: 2\r\nDocker-Experimental: false\r\nOstype: linux\r\n\
    Server: Docker/29\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";

#[test]
fn the_newest_version_is_lowered_in_every_answer() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (said, lowered) in [("1.55", "1.51"), ("1.52", "1.51"), ("1.51", "1.51"), ("1.41", "1.41"), ("1.24", "1.24")] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.24/_ping"));
        engine.answer_with(&PING.replace("1.55", said));
        let answer = client.message();
        assert_eq!(answer.header("api-version"), Some(lowered), "{answer:?}");
        assert_eq!(answer.header("builder-version"), Some("2"), "the policy allows builds");
        assert_eq!((answer.header("ostype"), answer.text().as_str()), (Some("linux"), "OK"));
    }
}

#[test]
fn ping_by_head_has_the_headers_and_no_body() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("HEAD", "/v1.41/_ping"));
    let mut there = engine.accept();
    let heard = there.message();
    there.send(PING.strip_suffix("OK").unwrap());
    assert!(heard.head.starts_with("HEAD /v1.41/_ping HTTP/1.1\r\n"), "{heard:?}");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("api-version: 1.51\r\n"), "{head}");
    // No byte of a body came: the next answer begins here.
    client.send(plain("GET", "/v1.41/info"));
    there.message();
    there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn a_call_without_a_version_gets_the_newest_in_common() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (said, sent) in [("1.55", "1.51"), ("1.47", "1.47")] {
        let proxy = if said == "1.55" { &proxy } else { &Proxy::start(&engine) };
        let mut client = proxy.connect();
        client.send(plain("GET", "/info"));
        let asked = engine.answer_with(&PING.replace("1.55", said));
        assert_eq!(asked.head, "GET /_ping HTTP/1.1\r\nhost: docker\r\n\r\n", "our own question");
        let heard = engine.answer();
        assert!(heard.head.starts_with(&format!("GET /v{sent}/info HTTP/1.1\r\n")), "{heard:?}");
        assert_eq!(client.message().status(), 200);
        let mut client = proxy.connect();
        client.send(plain("GET", "/info"));
        assert!(engine.answer().head.contains(&format!("/v{sent}/info")), "asked once");
        assert_eq!(client.message().status(), 200);
    }
}

#[test]
fn an_engine_without_a_version_in_common_is_not_asked_anything() {
    let engine = Engine::start();
    for said in ["1.23", "x", ""] {
        let proxy = Proxy::start(&engine);
        let mut client = proxy.connect();
        client.send(plain("GET", "/info"));
        engine.answer_with(&PING.replace("1.55", said));
        let answer = client.message();
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert!(answer.said().contains("no API version between 1.24 and 1.51"), "{answer:?}");
        engine.has_heard_nothing();
    }
}

#[test]
fn the_answer_of_version_is_lowered_and_otherwise_kept() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let said = value!({
        "Version": "29.0", "ApiVersion": "1.55", "MinAPIVersion": "1.44", "Os": "linux",
        "Components": [{"Name": "Engine", "Details": {"ApiVersion": "1.55", "MinAPIVersion": "1.12", "GoVersion": "go1"}}, {"Name": "x"}],
    });
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/version"));
    let body = said.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.55";
    engine.answer_with(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let answer = client.message();
    assert_eq!(answer.header("api-version"), Some("1.51"));
    let mut expected = said.clone();
    expected["ApiVersion"] = "1.51".into();
    expected["Components"][0]["Details"]["ApiVersion"] = "1.51".into();
    expected["Components"][0]["Details"]["MinAPIVersion"] = "1.24".into();
    assert_eq!(serde_json::from_str::<Value>(&answer.text()).unwrap(), expected);
}
