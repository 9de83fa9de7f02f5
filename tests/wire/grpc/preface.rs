//! HTTP/2 on the socket itself, as buildx's remote driver speaks it: the same judging, and nothing but gRPC.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::grpc::buildkit::{BuildKit, Heard, framed};
use crate::grpc::client::{Client, PREFACE, SOLVE, WORKERS, call, upgraded};
use crate::grpc::{before, with_policy};

const SESSION: &str = "/moby.buildkit.v1.Control/Session";

#[test]
fn a_call_is_judged_as_behind_the_upgrade_which_is_what_the_engine_gets() {
    let engine = BuildKit::start();
    let proxy = with_policy(&engine, "version = 1\nname = \"some\"\nallow = [\"build.grpc\", \"build.workers\"]\n");
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        for _ in 0..2 {
            assert_eq!(client.call(call(WORKERS), framed(b"")).await.said().0, 0);
            let answer = client.call(call(SOLVE), framed(b"\x0a\x03ref")).await;
            assert!(answer.is_only_head() && answer.said().0 == 7, "{answer:?}");
            let answer = client.call(call("/moby.buildkit.v1.Control/So%6cve"), framed(b"\x0a\x03ref")).await;
            assert!(answer.is_only_head() && answer.said().0 == 12, "{answer:?}");
        }
    });
    let heard = engine.heard();
    assert_eq!(heard[0], "POST /v1.51/grpc HTTP/1.1");
    assert!(heard.len() == 3 && heard[1..].iter().all(|line| line.contains("ListWorkers")), "{heard:?}");
    let left = proxy.stop();
    let first = left.events("request")[0];
    assert_eq!((&first["operation"], &first["request"]), (&"build.grpc".into(), &"PRI *".into()), "{first}");
    let last = *left.events("end").last().unwrap();
    assert_eq!((&last["operation"], &last["outcome"]), (&"build.grpc".into(), &"complete".into()), "{last}");
    assert!(last["bytes_in"].as_u64().unwrap() > PREFACE.len() as u64, "{last}");
}

#[test]
fn where_builds_are_refused_every_call_says_so() {
    let engine = BuildKit::start();
    let proxy = with_policy(&engine, "version = 1\nname = \"none\"\nallow = [\"system\", \"build.workers\"]\n");
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        for path in [WORKERS, SOLVE, SESSION] {
            let answer = client.call(call(path), framed(b"")).await;
            let (status, said) = answer.said();
            assert!(answer.is_only_head() && status == 7 && said.contains("build.grpc"), "{answer:?}");
        }
    });
    assert_eq!(engine.heard(), [""; 0]);
    let left = proxy.stop();
    let denied = left.events("request").into_iter().filter(|line| line["verdict"] == "deny").count();
    assert_eq!(denied, 4, "the connection, and each call: {}", left.audit);
}

#[test]
fn what_is_no_grpc_is_told_to_speak_http_1() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        for (method, target) in [("GET", "/v1.51/info"), ("POST", "/v1.51/containers/create"), ("POST", WORKERS)] {
            let mut request = Request::new(());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = format!("http://localhost{target}").parse().unwrap();
            let answer = client.call(request, "{}").await;
            assert_eq!((answer.http, &answer.head["content-type"]), (505, &"application/json".parse().unwrap()));
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let said = body["message"].as_str().unwrap();
            assert!(
                said.starts_with("sockwarden: HTTP/2 is for BuildKit's gRPC alone; speak HTTP/1.1 [record "),
                "{said}"
            );
        }
        assert_eq!(client.call(call(WORKERS), framed(b"")).await.said().0, 0);
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
}

/// An engine that has sessions as tunnels: what it says first, and that it echoes
fn tunnels() -> BuildKit {
    BuildKit::behind(|heard: Heard| {
        Arc::new(move |head, mut stream| {
            let heard = heard.clone();
            Box::pin(async move {
                if head.contains("/grpc ") {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    return;
                }
                let mut lines: Vec<_> = head.lines().skip(1).filter(|line| line.contains("x-docker")).collect();
                lines.sort_unstable();
                heard.hear(format!("{lines:?}"));
                let _ = stream.write_all(b"PRI from the engine").await;
                let mut piece = [0; 1000];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    if stream.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
                heard.hear("session over");
            })
        })
    })
}

fn session(more: &[(&'static str, &str)]) -> Request<()> {
    let mut request = call(SESSION);
    for (name, value) in more {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn bytes(data: &[u8]) -> bytes::Bytes {
    framed(&[&[0x0a, u8::try_from(data.len()).unwrap()], data].concat())
}

#[test]
fn a_session_over_grpc_is_the_session_of_post_session() {
    let engine = tunnels();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        let request = session(&[
            ("x-docker-expose-session-uuid", "abc"),
            ("x-docker-expose-session-sharedkey", "/src:node"),
            ("x-docker-expose-session-grpc-method", "/moby.filesync.v1.FileSync/DiffCopy"),
            ("x-docker-expose-session-grpc-method", "/grpc.health.v1.Health/Check"),
            ("x-docker-expose-session-anything", "else"),
        ]);
        let (answer, mut stream) = client.send(request, false).await;
        let mut from = answer.await.unwrap().into_body();
        assert_eq!(from.data().await.unwrap().unwrap(), bytes(b"PRI from the engine"));
        // However the messages are cut.
        let message = bytes(b"hello");
        for piece in [message.slice(..3), message.slice(3..9), message.slice(9..)] {
            stream.send_data(piece, false).unwrap();
        }
        assert_eq!(from.data().await.unwrap().unwrap(), bytes(b"hello"));
        stream.send_data([bytes(b"one"), bytes(b"two")].concat().into(), true).unwrap();
        let mut rest = Vec::new();
        while let Some(piece) = from.data().await {
            rest.extend_from_slice(&piece.unwrap());
        }
        let text = String::from_utf8_lossy(&rest).replace(['\0', '\n'], "");
        assert!(text.contains("one") && text.ends_with("two"), "{text:?}");
        assert_eq!(from.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
    engine.until("session over");
    let heard = engine.heard();
    assert!(heard.contains(&"POST /v1.51/session HTTP/1.1".to_owned()), "{heard:?}");
    let expected = [
        "x-docker-expose-session-grpc-method: /grpc.health.v1.Health/Check",
        "x-docker-expose-session-grpc-method: /moby.filesync.v1.FileSync/DiffCopy",
        "x-docker-expose-session-sharedkey: /src:node",
        "x-docker-expose-session-uuid: abc",
    ];
    assert!(heard.contains(&format!("{expected:?}")), "{heard:#?}");
    let left = proxy.stop();
    let of = |event: &str| left.events(event).into_iter().find(|line| line["operation"] == "build.session").unwrap();
    assert_eq!(of("request")["request"], format!("POST {SESSION}"));
    let end = of("end");
    assert_eq!((&end["grpc_status"], &end["outcome"]), (&0.into(), &"complete".into()), "{end}");
}

#[test]
fn a_session_over_grpc_is_one_behind_an_upgrade_too() {
    let engine = tunnels();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        // Bake does so for a context that several of its targets share.
        let client = Client::new(upgraded(&proxy)).await;
        let (answer, stream) = client.send(session(&[("x-docker-expose-session-uuid", "abc")]), false).await;
        let mut from = answer.await.unwrap().into_body();
        assert_eq!(from.data().await.unwrap().unwrap(), bytes(b"PRI from the engine"));
        drop(stream);
    });
    assert!(engine.heard().contains(&"POST /v1.51/session HTTP/1.1".to_owned()), "{:?}", engine.heard());
}

#[test]
fn a_session_over_grpc_ends_with_whoever_goes_and_is_refused_where_it_is_unclear() {
    let engine = tunnels();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        let uuid = ("x-docker-expose-session-uuid", "abc");
        for more in [
            &[][..],
            &[uuid, uuid],
            &[("x-docker-expose-session-uuid", "a/b")],
            &[uuid, ("content-type", "application/grpc")],
            &[uuid, ("grpc-encoding", "gzip")],
        ] {
            let answer = client.call(session(more), "").await;
            assert!(answer.is_only_head() && [3, 12].contains(&answer.said().0), "{more:?} {answer:?}");
        }
        assert!(engine.heard().iter().all(|line| !line.contains("/session")), "{:?}", engine.heard());
        // Bytes that are no message end it.
        for wrong in [&b"\x01\0\0\0\x02\x0a\0"[..], b"\0\0\0\0\x02\x12\0", b"\0\xff\xff\xff\xff"] {
            let (answer, mut stream) = client.send(session(&[uuid]), false).await;
            let mut from = answer.await.unwrap().into_body();
            stream.send_data(wrong.to_vec().into(), false).unwrap();
            while let Some(piece) = from.data().await {
                piece.unwrap();
            }
            assert_eq!(from.trailers().await.unwrap().unwrap()["grpc-status"], "3", "{wrong:?}");
        }
        while engine.heard().iter().filter(|line| *line == "session over").count() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (answer, stream) = client.send(session(&[uuid]), false).await;
        let from = answer.await.unwrap();
        drop((from, stream));
        while engine.heard().iter().filter(|line| *line == "session over").count() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let left = proxy.stop();
    let ends = left.events("end").into_iter().filter(|end| end["operation"] == "build.session");
    let mut outcomes: Vec<_> = ends.map(|end| end["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["abandoned", "refused", "refused", "refused"], "{}", left.audit);
}

#[test]
fn a_session_that_the_engine_reads_slowly_holds_the_client_back_in_constant_memory() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let ours = Arc::clone(&gate);
    let total = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&total);
    let engine = BuildKit::behind(|_| {
        Arc::new(move |head, mut stream| {
            let (gate, counted) = (Arc::clone(&ours), Arc::clone(&counted));
            Box::pin(async move {
                if head.contains("/session ") {
                    drop(gate.acquire().await);
                }
                let mut piece = vec![0; 1 << 16];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    *counted.lock().unwrap() += length;
                }
            })
        })
    });
    let proxy = before(&engine);
    let message = {
        let data = vec![7; 1 << 14];
        framed(&[&[0x0a, 0x80, 0x80, 1], data.as_slice()].concat())
    };
    engine.runtime.block_on(async {
        let client = Client::at_once(&proxy).await;
        assert_ne!(client.call(call("/x/y"), "").await.said().0, 0);
        let before = proxy.peak_memory();
        let (_answer, mut stream) = client.send(session(&[("x-docker-expose-session-uuid", "abc")]), false).await;
        let (mut sent, begun) = (0, Instant::now());
        while sent < LARGE {
            stream.reserve_capacity(message.len());
            let mut rest = message.clone();
            while !rest.is_empty() {
                let room = tokio::time::timeout(
                    Duration::from_millis(500),
                    std::future::poll_fn(|context| stream.poll_capacity(context)),
                )
                .await;
                match room {
                    Ok(room) => {
                        let room = room.unwrap().unwrap().min(rest.len());
                        stream.send_data(rest.split_to(room), false).unwrap();
                        stream.reserve_capacity(rest.len());
                    }
                    // Held back: the engine reads on.
                    Err(_) if gate.available_permits() == 0 => {
                        assert!(sent < 8 << 20, "held back after {sent} bytes");
                        gate.add_permits(1);
                    }
                    // On a busy machine it may take its time.
                    Err(_) => assert!(begun.elapsed() < PATIENCE, "held back after {sent} bytes"),
                }
            }
            sent += 1 << 14;
        }
        assert!(gate.available_permits() > 0, "nothing held the client back");
        stream.send_data(bytes::Bytes::new(), true).unwrap();
        while *total.lock().unwrap() < LARGE {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let grown = proxy.peak_memory() - before;
        assert!(grown < 24 << 10, "{grown} KiB more for a session of {LARGE} bytes");
    });
}

const LARGE: usize = 100 << 20;
const PATIENCE: Duration = Duration::from_secs(300);
