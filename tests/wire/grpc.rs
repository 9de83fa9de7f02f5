//! BuildKit's gRPC behind `POST /grpc`, as raw as it gets: the client's frames on one side, an engine of the test's on the
//! other.

mod buildkit;
mod client;
mod ends;
mod floods;
mod names;
mod owners;
mod preface;
mod processes;
mod strict;
mod trace;

use buildkit::BuildKit;
use client::{Client, SOLVE, STATUS, UPGRADE, WORKERS, call, upgraded};

use crate::proxy::{Proxy, Setup};

/// A proxy before this engine
pub fn before(engine: &BuildKit) -> Proxy {
    with_config(engine, "")
}

pub fn with_config(engine: &BuildKit, config: &str) -> Proxy {
    let setup = Setup { config: config.into(), ..Setup::default() };
    Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup)
}

pub fn with_policy(engine: &BuildKit, policy: &str) -> Proxy {
    let setup = Setup { policy: policy.into(), ..Setup::default() };
    Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup)
}

#[test]
fn a_call_is_judged_recorded_and_written_anew() {
    let engine = BuildKit::with(|request, respond| async move {
        let bytes = buildkit::whole(request).await;
        let mut respond = respond;
        let mut stream = respond.send_response(buildkit::head(), false).unwrap();
        // What came, as it came.
        stream.send_data(bytes.unwrap().into(), false).unwrap();
        stream.send_trailers(buildkit::trailers(0, "")).unwrap();
    });
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let mut request = call(STATUS);
        for (name, value) in [("grpc-timeout", "15S"), ("x-anything", "at all"), ("buildkit-controlapi-buildid", "abc")]
        {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = client.call(request, buildkit::framed(b"\x0a\x03ref")).await;
        assert_eq!((answer.said().0, answer.body.as_slice()), (0, b"\0\0\0\0\x05\x0a\x03ref".as_slice()), "{answer:?}");
    });
    let heard = engine.heard();
    assert_eq!(
        heard,
        [
            "POST /v1.51/grpc HTTP/1.1".to_owned(),
            format!(
                "POST http://localhost{STATUS} {:?}",
                ["content-type: application/grpc", "grpc-timeout: 15S", "te: trailers"]
            )
        ]
    );
    let left = proxy.stop();
    let of = |event: &str, operation: &str| -> serde_json::Value {
        let found = left.events(event).into_iter().find(|line| line["operation"] == operation);
        found.unwrap_or_else(|| panic!("no {event} of {operation}: {}", left.audit)).clone()
    };
    assert_eq!(of("request", "build.status")["request"], format!("POST {STATUS}"));
    let end = of("end", "build.status");
    assert_eq!((&end["status"], &end["grpc_status"], &end["outcome"]), (&200.into(), &0.into(), &"complete".into()));
    assert_eq!((&end["bytes_in"], &end["bytes_out"]), (&10.into(), &10.into()), "{end}");
    let end = of("end", "build.grpc");
    assert_eq!((&end["status"], &end["outcome"]), (&101.into(), &"complete".into()), "{end}");
    assert!(end["bytes_in"].as_u64().unwrap() > 100 && end["bytes_out"].as_u64().unwrap() > 50, "{end}");
}

#[test]
fn a_client_that_only_looks_whether_there_is_a_buildkit_is_no_failure() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    for _ in 0..10 {
        // Dialled, and closed without a byte of HTTP/2.
        drop(upgraded(&proxy));
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(100);
    while engine.heard().iter().filter(|line| *line == "closed").count() < 10 {
        assert!(std::time::Instant::now() < end, "the engine's side stays open: {:?}", engine.heard());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let left = proxy.stop();
    let ends = left.events("end");
    assert!(ends.len() == 10 && ends.iter().all(|end| end["outcome"] == "complete"), "{}", left.audit);
    let said = left.log.lines().filter(|line| !line.contains("descriptors") && !line.contains(" ending "));
    assert_eq!(said.count(), 0, "{}", left.log);
}

#[test]
fn what_comes_along_with_the_upgrade_is_the_beginning_of_http_2() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let mut peer = proxy.connect();
    let head = client::frame(client::HEADERS, client::END_HEADERS, 1, &client::block(&client::pseudo("POST", WORKERS)));
    let body = client::frame(client::DATA, client::END_STREAM, 1, &[0; 5]);
    let settings = client::frame(client::SETTINGS, 0, 0, &[]);
    peer.send([UPGRADE.as_bytes(), client::PREFACE, &settings, &head, &body].concat());
    assert!(peer.head().starts_with("HTTP/1.1 101 "));
    let mut raw = client::Raw { peer };
    let frames: Vec<_> = (0..3).map(|_| raw.next()).collect();
    let kinds: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.flags & client::END_STREAM)).collect();
    assert_eq!(kinds, [(client::HEADERS, 0), (client::DATA, 0), (client::HEADERS, 1)], "{frames:?}");
}

#[test]
fn the_upgrade_is_one_operation_however_it_is_spelled_and_nothing_hides_behind_it() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let upgrade = |target: &str, more: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{more}\r\n")
    };
    // They stay until all is heard: the engine would say of one that goes that it spoke no HTTP/2.
    let mut peers = Vec::new();
    for target in ["/grpc", "/v1.41/grpc", "/%67rpc"] {
        let mut peer = proxy.connect();
        peer.send(upgrade(target, ""));
        assert!(peer.head().starts_with("HTTP/1.1 101 "), "{target}");
        peers.push(peer);
    }
    let heard: Vec<_> = engine.heard().into_iter().filter(|line| line != "closed").collect();
    let written = |version: &str| format!("POST /v{version}/grpc HTTP/1.1");
    assert_eq!(heard, [written("1.51"), written("1.41"), written("1.51")]);
    for (target, more, status) in [
        ("/grpc", "Content-Length: 5\r\n", 400),
        ("/grpc?x=y", "", 400),
        ("//grpc", "", 400),
        ("/GRPC", "", 404),
        ("/grpc/x", "", 404),
        ("/v1.41/v1.41/grpc", "", 404),
    ] {
        let mut peer = proxy.connect();
        peer.send(upgrade(target, more)).send(if more.is_empty() { "" } else { "hello" });
        let answer = peer.message();
        assert_eq!(answer.status(), status, "{target} {more} {answer:?}");
    }
    assert_eq!(engine.heard().into_iter().filter(|line| line != "closed").count(), 3, "{:?}", engine.heard());
}

#[test]
fn calls_run_side_by_side_and_count_among_the_owners_requests() {
    let engine = BuildKit::with(|request, respond| async move {
        if request.uri().path() == SOLVE {
            buildkit::whole(request).await;
            std::future::pending::<()>().await;
            drop(respond);
        } else {
            buildkit::well(request, respond, &[b""]).await;
        }
    });
    // The connection is one of them.
    let proxy = with_config(&engine, "[limits]\nrequests_per_owner = 3\n");
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let mut held = Vec::new();
        for reference in ["one", "two"] {
            let (answer, mut stream) = client.send(call(SOLVE), false).await;
            let message = [b"\x0a\x03".as_slice(), reference.as_bytes()].concat();
            stream.send_data(buildkit::framed(&message), true).unwrap();
            held.push((answer, stream));
            while engine.heard().iter().filter(|line| line.contains(SOLVE)).count() < held.len() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
        let answer = client.call(call(WORKERS), buildkit::framed(b"")).await;
        let (status, message) = answer.said();
        assert_eq!(status, 8, "{answer:?}");
        assert!(message.starts_with("sockwarden: 3 requests of this owner run already"), "{message}");
        drop(held);
        // What was taken back makes room.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(100);
        loop {
            let answer = client.call(call(WORKERS), buildkit::framed(b"")).await;
            if answer.said().0 == 0 {
                break;
            }
            assert!(std::time::Instant::now() < end, "the places were not given back: {answer:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
}
