//! JSON bodies: whatever the engine's decoder would read otherwise is refused with the field's path.

use crate::engine::Engine;
use crate::proxy::{Proxy, json};

const CREATE: &str = "/v1.41/containers/create";

#[test]
fn a_body_with_two_readings_is_refused_with_the_path_of_the_field() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (body, at) in [
        (r#"{"Image":"a","Image":"b"}"#, "Image"),
        (r#"{"Image":"a","\u0049mage":"b"}"#, "Image"),
        (r#"{"Image":"a","image":"b"}"#, "image"),
        (r#"{"hostconfig":{"Privileged":true}}"#, "hostconfig"),
        (r#"{"Ho\u017ftConfig":{"Privileged":true}}"#, "Ho\u{17f}tConfig"),
        ("{\"Ho\u{17f}tConfig\":{\"Privileged\":true}}", "Ho\u{17f}tConfig"),
        ("{\"HostConfig\":{\"Net\u{17f}orkMode\":\"host\"}}", "HostConfig.Net\u{17f}orkMode"),
        ("{\"Networ\u{212a}ingConfig\":{}}", "Networ\u{212a}ingConfig"),
        (r#"{"HostConfig":{},"HostConfig":{"Privileged":true}}"#, "HostConfig"),
        (r#"{"HostConfig":{"Privileged":false,"PRIVILEGED":true}}"#, "HostConfig.PRIVILEGED"),
        (
            r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/a","source":"/b","Target":"/c"}]}}"#,
            "HostConfig.Mounts[0].source",
        ),
        (r#"{"HostConfig":{"Privileged":"true"}}"#, "HostConfig.Privileged"),
        (r#"{"HostConfig":{"Privileged":1}}"#, "HostConfig.Privileged"),
        (r#"{"HostConfig":{"Memory":1.5}}"#, "HostConfig.Memory"),
        (r#"{"HostConfig":{"Memory":1e9}}"#, "HostConfig.Memory"),
        (r#"{"HostConfig":{"Memory":"1"}}"#, "HostConfig.Memory"),
        (r#"{"HostConfig":{"Memory":9223372036854775808}}"#, "HostConfig.Memory"),
        (r#"{"HostConfig":{"BlkioWeight":65536}}"#, "HostConfig.BlkioWeight"),
        (r#"{"HostConfig":{"CapAdd":[null]}}"#, "HostConfig.CapAdd[0]"),
        (r#"{"HostConfig":{"CapAdd":[["ALL"]]}}"#, "HostConfig.CapAdd[0]"),
        (r#"{"HostConfig":{"Binds":["/etc"]}, "Env":{"A":"b"}}"#, "Env"),
        (r#"{"HostConfig":{"Binds":["/a:/b:rw,ro"]}}"#, "HostConfig.Binds[0]"),
        (r#"{"HostConfig":{"Mounts":[{"Type":"Bind","Source":"/a","Target":"/b"}]}}"#, "HostConfig.Mounts[0].Type"),
        (r#"{"HostConfig":{"Mounts":[{"Type":"npipe","Source":"/a","Target":"/b"}]}}"#, "HostConfig.Mounts[0].Type"),
        (r#"{"HostConfig":{"Mounts":{"Type":"bind"}}}"#, "HostConfig.Mounts"),
        (r#"{"HostConfig":[]}"#, "HostConfig"),
        (r#"{"HostConfig":{"Init":"yes"}}"#, "HostConfig.Init"),
        (r#"{"Labels":{"a":"1","a":"2"}}"#, "Labels.a"),
        (r#"{"Labels":{"a":1}}"#, "Labels.a"),
        (r#"{"ExposedPorts":{"80/tcp":{"x":1}}}"#, "ExposedPorts.80/tcp.x"),
        (r#"{"NetworkingConfig":{"EndpointsConfig":{"a":{},"a":{}}}}"#, "NetworkingConfig.EndpointsConfig.a"),
        (r#"{"HostConfig":{"NoSuchField":true}}"#, "HostConfig.NoSuchField"),
        (r#"{"Privileged":true}"#, "Privileged"),
        (r#"{"HostConfig":{"Capabilities":["ALL"]}}"#, "HostConfig.Capabilities"),
        (r#"{"a\u001b[31m":1}"#, "a\\u{1b}[31m"),
    ] {
        let answer = proxy.refuses(&engine, json("POST", CREATE, body));
        assert_eq!(answer.status(), 400, "{body} {answer:?}");
        assert!(answer.said().contains(&format!("body field {at}: ")), "{body}\n{}", answer.said());
    }
}

#[test]
fn what_is_not_one_json_document_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let deep = [vec![b'['; 40], vec![b']'; 40]].concat();
    let cases: [&[u8]; 24] = [
        b"{",
        b"{}{}",
        b"{} x",
        b"{}\0",
        b"\xef\xbb\xbf{}",
        b"{\"Image\":\"\xff\"}",
        b"{\"Image\":\"\xed\xa0\x80\"}",
        br#"{"Image":"\ud800"}"#,
        b"{\"Image\":\"a\nb\"}",
        b"{'Image':'a'}",
        b"{\"Image\":\"a\",}",
        b"// c\n{}",
        b"\xff\xfe{\0}\0",
        b" ",
        b"{\"HostConfig\":{\"Memory\":01}}",
        b"{\"HostConfig\":{\"Memory\":NaN}}",
        b"{\"HostConfig\":{\"Memory\":Infinity}}",
        b"{\"HostConfig\":{\"Memory\":.5}}",
        b"{\"HostConfig\":{\"Memory\":0x10}}",
        b"{\"HostConfig\":{\"Privileged\":True}}",
        b"{Image:\"a\"}",
        b"{\"Image\":\"\\x61\"}",
        b"{\"Image\":\"a\"}\x1a",
        &deep,
    ];
    for body in cases {
        let answer = proxy.refuses(&engine, json("POST", CREATE, body));
        assert_eq!(answer.status(), 400, "{:?} {answer:?}", String::from_utf8_lossy(body));
        assert!(answer.said().contains("body is not one JSON document: "), "{answer:?}");
    }
    for body in ["[]", "\"x\"", "1", "true"] {
        let answer = proxy.refuses(&engine, json("POST", CREATE, body));
        assert!(answer.said().contains("body field body: expected an object"), "{answer:?}");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_and_while_it_comes() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nbody_bytes = \"64KiB\"\n");
    let padded = |length: usize| format!("{{\"Image\":\"a\"}}{}", " ".repeat(length - 13));
    let answer = proxy.refuses(&engine, json("POST", CREATE, padded(65_537)));
    assert_eq!(answer.status(), 413);
    assert!(answer.said().contains("`body_bytes`"), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "the rest of the body is no next request");

    let mut client = proxy.connect();
    client.send(format!("POST {CREATE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    client.send("8000\r\n").send(" ".repeat(0x8000)).send("\r\n8001\r\n").send(" ".repeat(0x8001)).send("\r\n");
    assert_eq!(client.message().status(), 413, "a chunked body has no length to see before");
    engine.has_heard_nothing();

    let heard = proxy.passes(&engine, json("POST", CREATE, padded(65_536)));
    assert_eq!(heard.text(), r#"{"Image":"a"}"#);
}

#[test]
fn blanks_and_escapes_in_a_body_hide_nothing() {
    let engine = Engine::start();
    let proxy =
        Proxy::with_policy(&engine, "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n");
    let letters: String = "Privileged".chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    for body in [
        "{\"HostConfig\" : { \"Privileged\" : true } }".to_owned(),
        "\r\n\t {\r\n\t\"HostConfig\"\r\n\t:\r\n\t{\r\n\t\"Privileged\"\n\n\n:\n\n\ntrue\r\n\t}\r\n\t}\r\n\t"
            .to_owned(),
        format!("{{\"HostConfig\":{{\"{letters}\":true}}}}"),
        format!("{{\"HostConfig\":{{\"{}\":true}}}}", letters.to_uppercase().replace("\\U", "\\u")),
        "{\"\\u0048ostConfig\":{\"Privi\\u006ceged\":true}}".to_owned(),
    ] {
        let answer = proxy.refuses(&engine, json("POST", CREATE, &body));
        assert_eq!(answer.status(), 403, "{body} {answer:?}");
        assert!(answer.said().contains("HostConfig.Privileged"), "{body} {answer:?}");
    }
}

#[test]
fn a_body_that_does_not_come_is_refused_in_time() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nbody_time = \"1s\"\n");
    let mut client = proxy.connect();
    client.send(format!("POST {CREATE} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{{\"Image\""));
    let answer = client.message();
    assert_eq!(answer.status(), 408, "{answer:?}");
    assert!(answer.said().contains("`body_time`"), "{answer:?}");
    client.closed();
    engine.has_heard_nothing();
}

#[test]
fn unknown_fields_that_say_nothing_are_dropped() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let zeros = r#"{"Image":"a","X1":null,"X2":"","X3":0,"X4":false,"X5":[],"X6":{},"X7":0.0,"HostConfig":{"Y":""}}"#;
    let heard = proxy.passes(&engine, json("POST", CREATE, zeros));
    assert_eq!(heard.text(), r#"{"Image":"a","HostConfig":{}}"#);
}

#[test]
fn null_and_empty_are_kept_apart_where_the_engine_tells_them_apart() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (body, written) in [
        (r#"{"HostConfig":{"MaskedPaths":null}}"#, r#"{"HostConfig":{}}"#),
        (r#"{"HostConfig":{"MaskedPaths":[]}}"#, r#"{"HostConfig":{"MaskedPaths":[]}}"#),
        (r#"{"HostConfig":{"ReadonlyPaths":[]}}"#, r#"{"HostConfig":{"ReadonlyPaths":[]}}"#),
        (r#"{"HostConfig":{"Init":false}}"#, r#"{"HostConfig":{"Init":false}}"#),
        (r#"{"HostConfig":{"PidsLimit":0}}"#, r#"{"HostConfig":{"PidsLimit":0}}"#),
        (r#"{"HostConfig":{"MemorySwappiness":0}}"#, r#"{"HostConfig":{"MemorySwappiness":0}}"#),
        (r#"{"Entrypoint":[],"Cmd":null}"#, r#"{"Entrypoint":[]}"#),
        (r#"{"Entrypoint":[""]}"#, r#"{"Entrypoint":[""]}"#),
        (r#"{"Entrypoint":"sh"}"#, r#"{"Entrypoint":["sh"]}"#),
        (r#"{"StopTimeout":0}"#, r#"{"StopTimeout":0}"#),
        (r#"{"HostConfig":{"PortBindings":{"80/tcp":null}}}"#, r#"{"HostConfig":{"PortBindings":{"80/tcp":null}}}"#),
        (r#"{"HostConfig":{"PortBindings":{"80/tcp":[]}}}"#, r#"{"HostConfig":{"PortBindings":{"80/tcp":[]}}}"#),
        (
            r#"{"NetworkingConfig":{"EndpointsConfig":{"n":null}}}"#,
            r#"{"NetworkingConfig":{"EndpointsConfig":{"n":null}}}"#,
        ),
        (r#"{"HostConfig":{"Binds":["/a/../etc//x/:/v"]}}"#, r#"{"HostConfig":{"Binds":["/etc/x:/v"]}}"#),
    ] {
        assert_eq!(proxy.passes(&engine, json("POST", CREATE, body)).text(), written, "for {body}");
    }
    let commit = "/v1.41/commit?container=x";
    let without = proxy.passes(&engine, json("POST", commit, ""));
    assert_eq!((without.header("content-type"), without.text().as_str()), (None, ""), "{without:?}");
    assert_eq!(proxy.passes(&engine, json("POST", commit, "{}")).text(), "{}");
}

#[test]
fn a_body_of_a_form_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for kind in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-UrlEncoded; charset=utf-8",
        " application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/mixed",
    ] {
        for (target, body) in [("/v1.41/containers/x/stop", "t=1"), ("/v1.41/build", "t=1"), ("/v1.41/images/load", "")]
        {
            let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n");
            let answer = proxy.refuses(&engine, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
            assert_eq!(answer.status(), 400, "{kind} {answer:?}");
            assert!(answer.said().contains("a form body"), "{kind} {answer:?}");
        }
    }
}

#[test]
fn parameters_that_hold_json_are_read_as_strictly() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (target, name) in [
        ("/v1.41/containers/json?filters={\"label\":[\"a\"],\"label\":[\"b\"]}", "filters"),
        ("/v1.41/containers/json?filters={}{}", "filters"),
        ("/v1.41/containers/json?filters={\"label\":{\"a\":false}}", "filters"),
        ("/v1.41/containers/json?filters=[]", "filters"),
        ("/v1.41/containers/json?filters={\"label\":[\"\\ud800\"]}", "filters"),
    ] {
        let escaped = target.replace('"', "%22").replace('{', "%7B").replace('}', "%7D").replace('\\', "%5C");
        let answer = proxy.refuses(&engine, crate::proxy::plain("GET", &escaped));
        assert!(answer.said().contains(&format!("query parameter `{name}`: ")), "{target} {answer:?}");
    }
    for pairs in [
        "buildargs={%22A%22:%22x%22,%22A%22:%22y%22}",
        "buildargs={%22A%22:1}",
        "ulimits=[{%22name%22:%22x%22}]",
        "cachefrom={}",
    ] {
        let answer = proxy.refuses(&engine, json("POST", &format!("/v1.41/build?{pairs}"), ""));
        let name = pairs.split('=').next().unwrap();
        assert!(answer.said().contains(&format!("query parameter `{name}`: ")), "{pairs} {answer:?}");
    }
}
