//! The record: a line before the engine hears anything, a line at the end, and no secret or forged line in either.

use serde_json::Value;

use crate::engine::Engine;
use crate::proxy::{Proxy, build, json, plain};
use crate::tar::tar;

#[test]
fn the_request_is_on_record_before_the_engine_hears_of_it() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(json("POST", "/v1.41/containers/create?name=web", r#"{"Image":"a","HostConfig":{"Privileged":true}}"#));
    let mut there = engine.accept();
    let records = proxy.records();
    assert_eq!(records.len(), 1, "{records:?}");
    let line = &records[0];
    for (key, value) in [
        ("event", "request"),
        ("operation", "container.create"),
        ("request", "POST /v1.41/containers/create"),
        ("api_version", "1.41"),
        ("policy", "unrestricted"),
        ("verdict", "allow"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["caller"]["pid"], std::process::id(), "{line}");
    assert_eq!(line["caller"]["uid"], rustix::process::getuid().as_raw(), "{line}");
    assert_eq!(line["images"][0], "docker.io/library/a:latest", "{line}");
    let asks: Vec<&Value> = line["asks"].as_array().unwrap().iter().map(|ask| &ask["ask"]).collect();
    assert!(asks.contains(&&"privileged".into()), "{line}");

    there.message();
    there.send("HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{\"Id\":\"12\"}");
    assert_eq!(client.message().status(), 201);
    let left = proxy.stop();
    assert_eq!(left.records.len(), 2, "{}", left.audit);
    let end = &left.records[1];
    assert_eq!((&end["event"], &end["id"]), (&"end".into(), &line["id"]), "{end}");
    assert_eq!(
        (&end["status"], &end["outcome"], &end["bytes_out"]),
        (&201.into(), &"complete".into(), &11.into()),
        "{end}"
    );
    assert!(end["duration_ms"].is_u64() && end["time"].as_str() >= line["time"].as_str(), "{end}");
    let line = left.audit.lines().next().unwrap();
    assert!(line.starts_with("{\"time\":"), "the time comes first: {line}");
}

#[test]
fn the_message_of_a_refusal_names_its_record() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, "version = 1\nname = \"none\"\nallow = [\"system.ping\"]\n");
    let mut said = Vec::new();
    for request in [
        plain("GET", "/v1.41/info"),
        plain("GET", "/v1.41/nothing"),
        plain("POST", "/v1.41/swarm/init"),
        json("POST", "/v1.41/containers/create", "{\"x\":1}"),
        json("POST", "/v1.41/containers/create", "{\"HostConfig\":{\"Privileged\":true,\"PidMode\":\"host\"}}"),
    ] {
        said.push(proxy.refuses(&engine, request).said());
    }
    assert!(
        said[4].contains("HostConfig.Privileged") && said[4].contains("HostConfig.PidMode"),
        "every reason: {}",
        said[4]
    );
    let left = proxy.stop();
    assert_eq!(left.records.len(), said.len(), "{}", left.audit);
    for (line, said) in left.records.iter().zip(said) {
        assert!(said.ends_with(&format!(" [record {}]", line["id"].as_str().unwrap())), "{said} {line}");
        assert_eq!(line["message"], said.as_str());
        assert_eq!(line["verdict"], if line["status"] == 403 { "deny" } else { "error" }, "{line}");
    }
}

/// Requests that carry the secret `hunter2` in every place that may hold one
fn secrets() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE.encode(text);
    let auth = encode(
        r#"{"username":"u","password":"hunter2","identitytoken":"hunter2","registrytoken":"hunter2","auth":"hunter2"}"#,
    );
    let config = encode(r#"{"r.example":{"username":"u","password":"hunter2"}}"#);
    let with = |line: &str, name: &str, value: &str| {
        format!("{line} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n\r\n").into_bytes()
    };
    vec![
        json(
            "POST",
            "/v1.41/containers/create",
            r#"{"Image":"a","Env":["TOKEN=hunter2"],"Labels":{"l":"hunter2"},"Cmd":["x","hunter2"],"Entrypoint":["hunter2"],"Healthcheck":{"Test":["CMD","hunter2"]}}"#,
        ),
        json(
            "POST",
            "/v1.41/containers/create",
            r#"{"Image":"a","Env":["TOKEN=hunter2"],"HostConfig":{"Privileged":true}}"#,
        ),
        json(
            "POST",
            "/v1.41/containers/create",
            r#"{"Image":"a","Env":["TOKEN=hunter2"],"HostConfig":{"x":"hunter2"}}"#,
        ),
        json("POST", "/v1.41/containers/create", r#"{"Image":"a","Env":{"TOKEN":"hunter2"}}"#),
        json("POST", "/v1.41/containers/create", r#"{"Image":"a","Env":["TOKEN=hunter2""#),
        json("POST", "/v1.41/containers/x/exec", r#"{"Env":["TOKEN=hunter2"],"Cmd":["hunter2"]}"#),
        json(
            "POST",
            "/v1.41/commit?container=x&changes=ENV+TOKEN%3Dhunter2&comment=hunter2",
            r#"{"Env":["TOKEN=hunter2"]}"#,
        ),
        json(
            "POST",
            "/v1.41/auth",
            r#"{"username":"u","password":"hunter2","serveraddress":"r.example","identitytoken":"hunter2"}"#,
        ),
        json("POST", "/v1.41/auth", r#"{"username":"u","password":{"hunter2":1}}"#),
        json("POST", "/v1.41/volumes/create", r#"{"Name":"v","Labels":{"l":"hunter2"}}"#),
        json("POST", "/v1.41/networks/create", r#"{"Name":"n","Labels":{"l":"hunter2"}}"#),
        build(
            "/v1.41/build?buildargs=%7B%22TOKEN%22%3A%22hunter2%22%7D&labels=%7B%22l%22%3A%22hunter2%22%7D",
            &tar(&[("Dockerfile", b"FROM scratch\nARG TOKEN\nADD https://me:hunter2@r.example/x /\nENV B=hunter2\n")]),
        ),
        json("POST", "/v1.41/build?buildargs=%7B%22TOKEN%22%3A%5B%22hunter2%22%5D%7D", ""),
        json("POST", "/v1.41/build?buildargs=%7B%22TOKEN%22%3A%22hunter2", ""),
        json("POST", "/v1.41/build?token=hunter2", ""),
        with("POST /v1.41/images/create?fromImage=r.example/a&tag=1", "X-Registry-Auth", &auth),
        with("POST /v1.41/images/r.example/a/push?tag=1", "X-Registry-Auth", &auth),
        with("POST /v1.41/build?remote=http://r.example/x", "X-Registry-Config", &config),
        with("GET /v1.41/info", "Authorization", "Bearer hunter2"),
        with("GET /v1.41/info", "Cookie", "hunter2"),
        with("GET /v1.41/info?a=hunter2", "X-Api-Key", "hunter2"),
    ]
}

#[test]
fn no_secret_is_in_the_record_or_the_log() {
    let policies = [
        "unrestricted",
        "version = 1\nname = \"none\"\nallow = [\"system.ping\"]\n",
        "version = 1\nname = \"warn\"\nmode = \"warn\"\nallow = []\n",
    ];
    for policy in policies {
        let engine = Engine::start();
        let setup = crate::proxy::Setup {
            policy: policy.into(),
            config: "[log]\nlevel = \"trace\"\n".into(),
            ..Default::default()
        };
        let proxy = Proxy::with(&engine, setup);
        let (mut sent, mut refused) = (0, 0);
        for request in secrets() {
            let mut client = proxy.connect();
            client.send(&request);
            // The proxy answers by itself, or connects to the engine before it does.
            let answer = std::thread::scope(|scope| {
                let answer = scope.spawn(|| client.message());
                let mut heard = 0;
                while let Some(mut there) = engine.next_before(|| answer.is_finished()) {
                    there.message();
                    there.send(
                        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{\"Id\":\"x\"}",
                    );
                    heard += 1;
                }
                if heard == 0 {
                    refused += 1
                } else {
                    sent += 1
                }
                answer.join().unwrap()
            });
            assert!(answer.status() < 500, "{answer:?}");
        }
        assert!(refused >= 7 && sent + refused == secrets().len(), "{policy}: {sent} sent, {refused} refused");
        let left = proxy.stop();
        assert_eq!(left.events("request").len(), secrets().len(), "{}", left.audit);
        for text in [&left.audit, &left.log] {
            let found = text.lines().find(|line| line.contains("hunter2"));
            assert_eq!(found, None, "under {policy}");
        }
    }
}

#[test]
fn no_name_can_forge_a_line_or_move_a_cursor() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, "version = 1\nname = \"none\"\nallow = [\"system.ping\"]\n");
    let forged = r#"\n{\"time\":\"2000\",\"event\":\"request\"}\r\u001b[2J\u0085\u2028\u0000\u202e"#;
    let label = format!(
        r#"{{"Image":"a","Labels":{{"{forged}":"{forged}"}},"HostConfig":{{"Privileged":true,"CgroupParent":"{forged}","Binds":["/{forged}:/x"],"SecurityOpt":["{forged}"],"NetworkMode":"{forged}"}},"{forged}":[],"Hostname":"{forged}"}}"#
    );
    let escaped = "%0a%7b%22event%22%3a%22request%22%7d%0d%1b%5b2J%c2%85%e2%80%a8";
    let requests = [
        json("POST", "/v1.41/containers/create", &label),
        json("POST", "/v1.41/containers/create", label.replace("\"Hostname\"", "\"hostname\"")),
        json("POST", "/v1.41/containers/create", format!(r#"{{"{forged}":1}}"#)),
        plain("GET", &format!("/v1.41/containers/{escaped}/json")),
        plain("GET", &format!("/{escaped}")),
        plain("GET", &format!("/v{escaped}/info")),
        plain("GET", &format!("/v1.41/info?{escaped}={escaped}")),
        plain("GET", &format!("/v1.41/containers/json?all={escaped}")),
        plain("GET", &format!("/v1.41/containers/x/top?ps_args={escaped}")),
        plain("POST", &format!("/v1.41/images/create?fromImage={escaped}")),
    ];
    for request in &requests {
        proxy.refuses(&engine, request);
    }
    let left = proxy.stop();
    assert_eq!(left.records.len(), requests.len(), "{}", left.audit);
    for text in [left.audit, left.log] {
        let odd = text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{2028}' | '\u{202e}'));
        assert_eq!(odd, None, "{text}");
        assert!(!text.lines().any(|line| line.starts_with("{\"event\"")), "{text}");
    }
}
