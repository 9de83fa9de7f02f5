//! The request target: what could be read in two ways is refused, what is understood is written anew.

use crate::engine::Engine;
use crate::proxy::{Proxy, json, plain};

#[test]
fn a_target_with_two_readings_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for target in [
        "//v1.41/info",
        "/v1.41//info",
        "/v1.41/./info",
        "/v1.41/x/../info",
        "/v1.41/%2e%2e/info",
        "/v1.41/info/",
        "/v1.41/info%2f",
        "/v1.41/containers//json",
        "/v1.41/containers/../info",
        "/v1.41/containers/%2e%2e%2finfo/json",
        "/v1.41/containers/a%2fb/json",
        "/v1.41/containers/%2Fa/json",
        "/v1.41/volumes/a%2f..%2fb",
        "/v1.41/containers/a%00/json",
        "/v1.41/containers/a%0d%0aX:%20y/json",
        "/v1.41/containers/a%20b/json",
        "/v1.41/in%zzfo",
        "/v1.41/info%",
        "/v1.41/info%2",
        "/v1.41/%ff",
        "/v1.41/a;b",
        "/v1.41/containers/json?all=%z",
        "/v1.41/containers/json?all=1;limit=1",
        "/v1.41/containers/json?%61ll=1&all=1",
        "/v1.41/containers/json?all=%ff",
        "/v1.41/containers/json?filters=%00",
    ] {
        let answer = proxy.refuses(&engine, plain("GET", target));
        assert!([400, 404].contains(&answer.status()), "{target} {answer:?}");
        assert!(answer.said().starts_with("sockwarden: "), "{target} {answer:?}");
    }
}

#[test]
fn a_target_of_another_form_never_reaches_the_engine() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for line in [
        "GET http://docker/v1.41/info HTTP/1.1",
        "GET http://evil/v1.41/info HTTP/1.1",
        "GET unix:///v1.41/info HTTP/1.1",
        "CONNECT docker:80 HTTP/1.1",
        "CONNECT /v1.41/info HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "GET info HTTP/1.1",
        "GET  /v1.41/info HTTP/1.1",
        "GET /v1.41/in fo HTTP/1.1",
        "GET /v1.41/info HTTP/2.0",
        "GET /v1.41/info",
        "PRI * HTTP/2.0",
    ] {
        let answer = proxy.refuses(&engine, format!("{line}\r\nHost: x\r\n\r\n"));
        assert!([400, 403, 404, 505].contains(&answer.status()), "{line} {answer:?}");
    }
}

#[test]
fn what_is_understood_is_written_in_one_spelling() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (method, target, written) in [
        ("GET", "/v1.41/%69nfo", "/v1.41/info"),
        ("GET", "/%76%31.41/info", "/v1.41/info"),
        ("GET", "/v1.41/containers/%61bc/json", "/v1.41/containers/abc/json"),
        ("GET", "/v1.41/images/a%2Fb%3Ac/json", "/v1.41/images/a/b:c/json"),
        ("GET", "/v1.41/networks/", "/v1.41/networks"),
        ("GET", "/v1.41/containers/json?", "/v1.41/containers/json"),
        ("GET", "/v1.41/containers/json?&&all=TRUE&", "/v1.41/containers/json?all=1"),
        ("GET", "/v1.41/containers/json?all=0&limit=+", "400"),
        ("GET", "/v1.41/containers/json?all=0&size=false", "/v1.41/containers/json"),
        ("GET", "/v1.41/containers/x/top?ps_args=a+b%20c%2B", "/v1.41/containers/x/top?ps_args=a%20b%20c%2B"),
        (
            "GET",
            "/v1.41/volumes?filters=%7B%22label%22%3A%5B%22a%22%5D%7D",
            "/v1.41/volumes?filters=%7B%22label%22%3A%7B%22a%22%3Atrue%7D%7D",
        ),
        ("DELETE", "/v1.41/containers/x?v=1&force=yes", "/v1.41/containers/x?force=1&v=1"),
        ("POST", "/v1.41/containers/x/rename?name=%2Fy", "/v1.41/containers/x/rename?name=y"),
    ] {
        if written == "400" {
            assert_eq!(proxy.refuses(&engine, plain(method, target)).status(), 400, "{target}");
            continue;
        }
        let heard = proxy.passes(&engine, plain(method, target));
        let line = heard.head.lines().next().unwrap();
        assert_eq!(line, format!("{method} {written} HTTP/1.1"), "for {target}");
    }
}

#[test]
fn a_version_has_one_spelling_and_a_range() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for version in
        ["v01.41", "v1.041", "v1.41.0", "v1..41", "v1", "v", "v1.", "v.41", "v2.0", "v1.4", "v1.+1", "v1.%34", "v1.411"]
    {
        let answer = proxy.refuses(&engine, plain("GET", &format!("/{version}/info")));
        assert_eq!(answer.status(), 400, "{version} {answer:?}");
        assert!(answer.said().contains("is no API version"), "{version} {answer:?}");
    }
    // The engine's own words, which clients compare.
    let old = proxy.refuses(&engine, plain("GET", "/v1.23/info"));
    assert_eq!(old.status(), 400);
    let words = "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version";
    assert_eq!(old.said(), words);
    let new = proxy.refuses(&engine, plain("GET", "/v1.52/info"));
    assert_eq!(new.status(), 400);
    assert_eq!(new.said(), "client version 1.52 is too new. Maximum supported API version is 1.51");
    for version in ["v1.24", "v1.51"] {
        let heard = proxy.passes(&engine, plain("GET", &format!("/{version}/info")));
        assert!(heard.head.starts_with(&format!("GET /{version}/info HTTP/1.1\r\n")), "{heard:?}");
    }
}

#[test]
fn a_target_beyond_the_limit_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\ntarget_bytes = \"1KiB\"\n");
    let target = |length: usize| format!("/v1.41/containers/json?filters={}", "%20".repeat((length - 31) / 3));
    let answer = proxy.refuses(&engine, plain("GET", &target(1040)));
    assert_eq!(answer.status(), 414);
    assert!(answer.said().contains("`target_bytes`"), "{answer:?}");
    let below = proxy.refuses(&engine, plain("GET", &target(1000)));
    assert_eq!(below.status(), 400, "blanks are no JSON, but short enough to be looked at");
}

#[test]
fn a_body_where_none_belongs_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (method, target) in [
        ("GET", "/v1.41/info"),
        ("DELETE", "/v1.41/containers/x"),
        ("POST", "/v1.41/containers/x/stop"),
        ("GET", "/_ping"),
    ] {
        let answer = proxy.refuses(&engine, json(method, target, r#"{"HostConfig":{"Privileged":true}}"#));
        assert_eq!(answer.status(), 400, "{target} {answer:?}");
        assert!(answer.said().contains("takes no body"), "{answer:?}");
    }
    // dockerode repeats the query; nothing of it is passed on.
    let heard = proxy.passes(&engine, json("POST", "/v1.41/containers/x/stop?t=3", r#"{"t":99}"#));
    assert_eq!(heard.head, "POST /v1.41/containers/x/stop?t=3 HTTP/1.1\r\nhost: docker\r\n\r\n");
}
