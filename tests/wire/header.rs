//! Headers are made, not copied: what the engine gets is counted here to the last byte.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::engine::Engine;
use crate::proxy::{Proxy, json};

/// Headers that would mean something to some server between here and there
const NOISE: &str = "User-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\nAuthorization: Basic eDp5\r\n\
    X-Forwarded-For: 1.2.3.4\r\nX-Original-URL: /v1.41/info\r\nX-HTTP-Method-Override: DELETE\r\nX-Meta-A: b\r\n\
    X-Registry-Auth: e30=\r\nX-Registry-Config: e30=\r\nTE: trailers\r\nTrailer: X\r\nVia: 1.1 x\r\nRange: bytes=0-1\r\n\
    If-None-Match: *\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eDp5\r\nX-Docker-Expose-Session-Uuid: x\r\n";

#[test]
fn the_engine_gets_no_header_of_the_client() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let heard = proxy.passes(&engine, format!("GET /v1.41/info HTTP/1.1\r\nHost: evil\r\n{NOISE}\r\n"));
    assert_eq!(heard.head, "GET /v1.41/info HTTP/1.1\r\nhost: docker\r\n\r\n");

    let body = r#"{"Image":"a"}"#;
    let head = format!("POST /v1.41/containers/create HTTP/1.1\r\nHost: evil\r\n{NOISE}Content-Type: text/x; a=b\r\n");
    let heard = proxy.passes(&engine, format!("{head}Content-Length: 13\r\n\r\n{body}"));
    let start = "POST /v1.41/containers/create HTTP/1.1\r\n";
    assert!(heard.head.starts_with(start), "{heard:?}");
    assert_eq!(heard.headers(), ["host", "content-type", "content-length"], "{heard:?}");
    assert_eq!(heard.header("content-type"), Some("application/json"));

    let head = format!("POST /v1.41/images/load HTTP/1.1\r\nHost: evil\r\n{NOISE}Content-Type: text/x\r\n");
    let heard = proxy.passes(&engine, format!("{head}Content-Length: 3\r\n\r\ntar"));
    assert_eq!(heard.headers(), ["host", "content-type", "content-length"], "{heard:?}");
    assert_eq!((heard.header("content-type"), heard.text().as_str()), (Some("application/x-tar"), "tar"));
}

#[test]
fn an_upgrade_is_asked_of_the_engine_only_where_it_may_be() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n";
    let heard = proxy.passes(&engine, format!("GET /v1.41/info HTTP/1.1\r\n{upgrade}\r\n"));
    assert_eq!(heard.headers(), ["host"]);
    let heard = proxy.passes(&engine, format!("POST /v1.41/containers/x/attach?stream=1 HTTP/1.1\r\n{upgrade}\r\n"));
    assert_eq!(heard.headers(), ["host", "connection", "upgrade"]);
    assert_eq!(heard.header("upgrade"), Some("tcp"), "the protocol is ours to say");
    let start = "POST /v1.41/exec/x/start HTTP/1.1\r\n";
    let heard = proxy.passes(&engine, format!("{start}{upgrade}Content-Length: 15\r\n\r\n{{\"Detach\":true}}"));
    assert_eq!(heard.headers(), ["host", "content-type", "content-length"], "a detached exec stays in HTTP");
}

#[test]
fn registry_credentials_are_encoded_anew() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let given = r#" {"Username":"u", "password":"\u0070w", "email":"", "junk":null } "#;
    let expected = r#"{"username":"u","password":"pw"}"#;
    for encoded in [URL_SAFE.encode(given), URL_SAFE_NO_PAD.encode(given)] {
        let head = "POST /v1.41/images/create?fromImage=a&tag=1 HTTP/1.1\r\nHost: x\r\n";
        let heard = proxy.passes(&engine, format!("{head}x-registry-AUTH:  {encoded} \r\n\r\n"));
        assert_eq!(heard.headers(), ["host", "x-registry-auth"]);
        let written = URL_SAFE.decode(heard.header("x-registry-auth").unwrap()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
    let given = URL_SAFE.encode(r#"{"b.example":{"Password":"p"},"a.example":{"username":"u"}}"#);
    let heard =
        proxy.passes(&engine, format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nX-Registry-Config: {given}\r\n\r\n"));
    let written = URL_SAFE.decode(heard.header("x-registry-config").unwrap()).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), r#"{"a.example":{"username":"u"},"b.example":{"password":"p"}}"#);
}

#[test]
fn credentials_that_are_not_understood_are_refused_without_being_repeated() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let secret = "hunter2hunter2";
    for header in [
        secret.to_owned(),
        URL_SAFE.encode(format!("\"{secret}\"")),
        URL_SAFE.encode(format!("{{\"{secret}\":1}}")),
        URL_SAFE.encode(format!(r#"{{"password":"{secret}","password":"x"}}"#)),
        URL_SAFE.encode(format!(r#"{{"password":"{secret}","Password":"x"}}"#)),
        URL_SAFE.encode(format!(r#"{{"password":"{secret}"}}}}"#)),
        URL_SAFE.encode(format!(r#"{{"password":["{secret}"]}}"#)),
        URL_SAFE.encode(format!(r#"{{"pa\u017f\u017fword":"{secret}"}}"#)),
        STANDARD.encode(format!(r#"{{"password":"{secret}","x":"\u00ff\u00fe???>>>"}}"#)),
    ] {
        for (line, name) in [
            ("POST /v1.41/images/create?fromImage=a", "X-Registry-Auth"),
            ("POST /v1.41/images/a/push?tag=1", "X-Registry-Auth"),
            ("GET /v1.41/distribution/a/json", "X-Registry-Auth"),
            ("POST /v1.41/build", "X-Registry-Config"),
        ] {
            let answer = proxy.refuses(&engine, format!("{line} HTTP/1.1\r\nHost: x\r\n{name}: {header}\r\n\r\n"));
            assert_eq!(answer.status(), 400, "{line} {header} {answer:?}");
            assert!(answer.said().contains(&format!("header {name} ")), "{answer:?}");
            assert!(!answer.text().contains(secret) && !answer.text().contains(&header), "{answer:?}");
        }
    }
    let left = proxy.stop();
    assert!(!left.audit.contains(secret) && !left.log.contains(secret), "{}\n{}", left.audit, left.log);
}

#[test]
fn a_header_that_may_stand_once_is_refused_twice() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (name, one, two) in [
        ("Content-Type", "application/json", "application/x-www-form-urlencoded"),
        ("X-Registry-Auth", "e30=", "e30="),
        ("X-Registry-Config", "e30=", "e30="),
        ("Content-Encoding", "identity", "gzip"),
    ] {
        let head = format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\n{name}: {one}\r\n{name}: {two}\r\n\r\n");
        let answer = proxy.refuses(&engine, head);
        assert_eq!(answer.status(), 400, "{name} {answer:?}");
    }
    for encoding in ["GZIP", "br", "chunked"] {
        let head = format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\n\r\n");
        assert!(proxy.refuses(&engine, head).said().contains("Content-Encoding"), "{encoding}");
    }
}

#[test]
fn the_content_type_of_an_answer_passes_and_what_is_about_the_connection_does_not() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(json("GET", "/v1.41/containers/x/archive?path=/a", ""));
    engine.answer_with(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nX-Docker-Container-Path-Stat: e30=\r\nServer: Docker/28\r\n\
         Connection: close\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nTrailer: X\r\nContent-Length: 1\r\n\r\nx",
    );
    let answer = client.message();
    assert_eq!(answer.text(), "x");
    assert_eq!(answer.header("content-type"), Some("application/x-tar"));
    assert_eq!(answer.header("x-docker-container-path-stat"), Some("e30="));
    for name in ["connection", "keep-alive", "upgrade", "trailer"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    // The engine's `Connection: close` was about its own connection; the client's goes on.
    client.send(json("GET", "/v1.41/info", ""));
    engine.answer();
    assert_eq!(client.message().status(), 200);
}
