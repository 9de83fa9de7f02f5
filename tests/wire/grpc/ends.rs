//! How calls and connections end, whoever ends them: nothing is left behind, and the record says who it was.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::grpc::buildkit::{self, BuildKit, Heard, framed, trailers};
use crate::grpc::client::{
    Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, Raw, SETTINGS, SOLVE, STATUS, WORKERS,
    block, call, frame, read, upgraded,
};
use crate::grpc::{before, with_config};
use crate::proxy::{Proxy, Setup};

#[test]
fn an_answer_arrives_as_it_was_to_the_last_trailer() {
    let long = "x".repeat(13 << 10);
    let longest = "y".repeat(900 << 10);
    let said = [long.clone(), longest.clone()];
    let engine = BuildKit::with(move |request, mut respond| {
        let said = said.clone();
        async move {
            let path = request.uri().path().to_owned();
            buildkit::whole(request).await;
            let (text, alone) = match path.as_str() {
                WORKERS => (&said[0], false),
                STATUS => (&said[1], false),
                _ => (&said[0], true),
            };
            let mut last = trailers(2, "it%20failed");
            last.insert("grpc-status-details-bin", text.parse().unwrap());
            if alone {
                let mut head = buildkit::head();
                head.headers_mut().extend(last);
                drop(respond.send_response(head, true).unwrap());
            } else {
                let mut stream = respond.send_response(buildkit::head(), false).unwrap();
                stream.send_data(framed(b"message"), false).unwrap();
                stream.send_trailers(last).unwrap();
            }
        }
    });
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        for (path, text) in [(WORKERS, &long), (STATUS, &longest), (SOLVE, &long)] {
            let answer = client.call(call(path), framed(b"")).await;
            assert_eq!(answer.said(), (2, "it%20failed".to_owned()), "{path}");
            let last = answer.trailers.as_ref().unwrap_or(&answer.head);
            assert_eq!(last["grpc-status-details-bin"], **text, "{path}");
            assert_eq!(answer.is_only_head(), path == SOLVE);
        }
    });
    let left = proxy.stop();
    let ends: Vec<_> = left.events("end").into_iter().filter(|end| end["operation"] != "build.grpc").collect();
    assert_eq!(ends.len(), 3, "{}", left.audit);
    assert!(ends.iter().all(|end| end["grpc_status"] == 2 && end["outcome"] == "complete"), "{}", left.audit);
}

#[test]
fn an_engine_that_resets_a_call_is_told_as_it_was() {
    // A reset overtakes what was not written yet, on either side: it comes when the client has read.
    let has_read = Arc::new(tokio::sync::Semaphore::new(0));
    let read_by_client = Arc::clone(&has_read);
    let engine = BuildKit::with(move |request, mut respond| {
        let has_read = Arc::clone(&read_by_client);
        async move {
            let timeout = request.headers()["grpc-timeout"].to_str().unwrap();
            let number = timeout.trim_end_matches('S').parse::<u32>().unwrap();
            let late = request.uri().path() == STATUS;
            buildkit::whole(request).await;
            if !late {
                return respond.send_reset(Reason::from(number));
            }
            let mut stream = respond.send_response(buildkit::head(), false).unwrap();
            stream.send_data(framed(b"first"), false).unwrap();
            has_read.acquire().await.unwrap().forget();
            stream.send_reset(Reason::from(number));
        }
    });
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        for number in 0..=13 {
            let timeout = format!("{number}S");
            let mut request = call(WORKERS);
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
            let answer = client.call(request, framed(b"")).await;
            let (status, said) = answer.said();
            assert!(answer.is_only_head() && status == 14, "{number} {answer:?}");
            assert!(said.contains("the Docker Engine broke off"), "{said}");
            let mut request = call(STATUS);
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
            let (answer, mut stream) = client.send(request, false).await;
            stream.send_data(framed(b"\x0a\x03ref"), true).unwrap();
            let mut from = answer.await.unwrap().into_body();
            assert_eq!(from.data().await.unwrap().unwrap(), framed(b"first"), "{number}");
            has_read.add_permits(1);
            let reset = match from.data().await {
                Some(piece) => piece.unwrap_err().reason(),
                None => from.trailers().await.err().and_then(|error| error.reason()),
            };
            // NO_ERROR without trailers is an error all the same.
            let expected =
                if number == 0 { vec![Reason::NO_ERROR, Reason::INTERNAL_ERROR] } else { vec![number.into()] };
            assert!(reset.is_some_and(|reset| expected.contains(&reset)), "{number} {reset:?}");
        }
    });
    let left = proxy.stop();
    let ends = left.events("end").into_iter().filter(|end| end["operation"] != "build.grpc").collect::<Vec<_>>();
    assert_eq!(ends.len(), 28, "{}", left.audit);
    assert!(ends.iter().all(|end| end["outcome"] == "engine_failed"), "{}", left.audit);
}

/// An engine that writes frames by hand, behind its 101
fn by_hand(frames: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> BuildKit {
    let frames = Arc::new(frames);
    BuildKit::behind(move |_| {
        Arc::new(move |_, mut stream| {
            let frames = Arc::clone(&frames);
            Box::pin(async move {
                let mut preface = vec![0; PREFACE.len()];
                stream.read_exact(&mut preface).await.unwrap();
                stream.write_all(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])].concat()).await.unwrap();
                // Until the call's last frame.
                loop {
                    let mut head = [0; 9];
                    if stream.read_exact(&mut head).await.is_err() {
                        return;
                    }
                    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                    stream.read_exact(&mut payload).await.unwrap();
                    if head[3] == DATA && head[4] & END_STREAM != 0 {
                        break;
                    }
                }
                stream.write_all(&frames()).await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            })
        })
    })
}

fn answer_by_hand() -> Vec<u8> {
    let head = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    let last = block(&[("grpc-status", "0")]);
    [
        frame(HEADERS, END_HEADERS, 1, &head),
        frame(DATA, 0, 1, &framed(b"message")),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &last),
    ]
    .concat()
}

#[test]
fn a_reset_without_error_after_the_trailers_changes_nothing() {
    let engine = by_hand(|| [answer_by_hand(), frame(RST_STREAM, 0, 1, &[0; 4])].concat());
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let answer = client.call(call(WORKERS), framed(b"")).await;
        assert_eq!((answer.said().0, answer.body.as_slice(), answer.reset), (0, &framed(b"message")[..], None));
    });
}

#[test]
fn an_engine_that_goes_away_ends_what_runs_first_and_then_the_connection() {
    let engine = by_hand(|| [frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), answer_by_hand()].concat());
    let proxy = before(&engine);
    let mut raw = Raw::new(upgraded(&proxy));
    raw.call(1, WORKERS, b"");
    let frames: Vec<_> = (0..4).map(|_| raw.next()).collect();
    let kinds: Vec<_> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(
        &kinds.iter().filter(|kind| **kind != GOAWAY).copied().collect::<Vec<_>>()[..3],
        [HEADERS, DATA, HEADERS]
    );
    assert!(kinds.contains(&GOAWAY), "{frames:?}");
}

#[test]
fn an_engine_that_speaks_no_http_2_is_told_and_every_call_is_recorded() {
    for said in ["HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0\0\0\0\0\0", "", "\x7f\x7f\x7f\x04\0\0\0\0\0"] {
        let engine = BuildKit::behind(move |_| {
            Arc::new(move |_, mut stream| {
                Box::pin(async move {
                    let _ = stream.write_all(said.as_bytes()).await;
                    // Not before it was read.
                    let _ = stream.read_exact(&mut vec![0; PREFACE.len()]).await;
                })
            })
        });
        let proxy = before(&engine);
        engine.runtime.block_on(async {
            let client = upgraded(&proxy);
            client.stream.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(client.stream.try_clone().unwrap()).unwrap();
            let Ok((mut sender, connection)) = h2::client::handshake(stream).await else { return };
            let connection = tokio::spawn(connection);
            if let Ok((answer, mut stream)) = sender.send_request(call(WORKERS), false) {
                let _ = stream.send_data(framed(b""), true);
                let answer = read(answer).await;
                assert!(answer.reset.is_some() || answer.said().0 == 14, "{said:?} {answer:?}");
            }
            drop(sender);
            // The connection ends with the engine's.
            let _ = tokio::time::timeout(Duration::from_secs(100), connection).await.expect("it stays open");
        });
        let left = proxy.stop();
        assert_eq!(left.events("request").len(), left.events("end").len() + errors(&left), "{}", left.audit);
    }
}

fn errors(left: &crate::proxy::Left) -> usize {
    left.events("request").iter().filter(|line| line["verdict"] == "error" || line["verdict"] == "deny").count()
}

/// An engine that answers `Status` with a head only, and everything else not at all
fn waiting() -> BuildKit {
    BuildKit::behind(|heard: Heard| {
        Arc::new(move |_, stream| {
            let heard = heard.clone();
            Box::pin(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let heard = heard.clone();
                    tokio::spawn(async move {
                        let path = request.uri().path().rsplit('/').next().unwrap().to_owned();
                        heard.hear(path.clone());
                        if path == "ListWorkers" {
                            return buildkit::well(request, respond, &[b""]).await;
                        }
                        if path == "Status" {
                            buildkit::whole(request).await;
                            let mut stream = respond.send_response(buildkit::head(), false).unwrap();
                            stream.send_data(framed(b"first"), false).unwrap();
                            let reset = std::future::poll_fn(|context| stream.poll_reset(context)).await;
                            return heard.hear(format!("Status reset {:?}", reset.ok()));
                        }
                        buildkit::silence(request, respond, heard).await;
                    });
                }
            })
        })
    })
}

type Calls = (ResponseFuture, SendStream<Bytes>, Response<RecvStream>, SendStream<Bytes>);

/// Two calls that wait for the engine: one before, one after the answer's head
async fn two_calls(client: &Client) -> Calls {
    let (solved, mut stream) = client.send(call(SOLVE), false).await;
    stream.send_data(framed(b"\x0a\x03ref"), true).unwrap();
    let (status, mut other) = client.send(call(STATUS), false).await;
    other.send_data(framed(b"\x0a\x03ref"), true).unwrap();
    let mut status = status.await.unwrap();
    assert_eq!(status.body_mut().data().await.unwrap().unwrap(), framed(b"first"));
    (solved, stream, status, other)
}

fn abandoned(proxy: &Proxy, operations: &[&str]) {
    let end = Instant::now() + Duration::from_secs(100);
    loop {
        let records = proxy.records();
        let ended = |operation: &&&str| {
            records.iter().any(|line| {
                line["event"] == "end" && line["operation"] == **operation && line["outcome"] == "abandoned"
            })
        };
        let missing: Vec<_> = operations.iter().filter(|operation| !ended(operation)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "no end of {missing:?}: {records:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_call_that_is_taken_back_is_taken_back_from_the_engine() {
    let engine = waiting();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let calls = two_calls(&client).await;
        engine.until("Solve");
        drop(calls);
        engine.until("reset stream no longer needed");
        engine.until("Status reset Some(CANCEL)");
        // The connection is as good as before.
        let answer = client.call(call(WORKERS), framed(b"")).await;
        assert_eq!(answer.said().0, 0, "{answer:?}");
        abandoned(&proxy, &["build.solve", "build.status"]);
    });
}

#[test]
fn a_client_that_is_gone_takes_all_its_calls_with_it() {
    for killed in [false, true] {
        let engine = waiting();
        let proxy = before(&engine);
        let own = tokio::runtime::Runtime::new().unwrap();
        let peer = upgraded(&proxy);
        let socket = peer.stream.try_clone().unwrap();
        let calls = own.block_on(async {
            let client = Client::new(peer).await;
            let calls = two_calls(&client).await;
            (calls, client)
        });
        engine.until("Solve");
        if killed {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
        }
        drop(calls);
        drop(socket);
        own.shutdown_background();
        engine.until("closed");
        abandoned(&proxy, &["build.solve", "build.status"]);
    }
}

#[test]
fn a_build_that_runs_has_its_grace_and_an_idle_connection_ends_at_once() {
    let engine = waiting();
    let proxy = with_config(&engine, "[limits]\ngrace = \"10m\"\n");
    let own = tokio::runtime::Runtime::new().unwrap();
    let (calls, client, _idle) = own.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let idle = Client::new(upgraded(&proxy)).await;
        assert_eq!(idle.call(call(WORKERS), framed(b"")).await.said().0, 0);
        (two_calls(&client).await, client, idle)
    });
    proxy.signal(Signal::TERM);
    // The idle one is closed, which the engine sees.
    engine.until("closed");
    own.block_on(async {
        // A build that runs makes more calls.
        let answer = client.call(call(WORKERS), framed(b"")).await;
        assert_eq!(answer.said().0, 0, "{answer:?}");
    });
    let begun = Instant::now();
    drop(calls);
    let left = proxy.left();
    assert!(begun.elapsed() < Duration::from_secs(100), "it waits for nothing");
    assert!(left.status.success(), "{}", left.log);
    drop(client);
}

#[test]
fn the_connections_of_an_owner_that_ends_are_cut_and_stand_on_record_as_abandoned() {
    let engine = waiting();
    let policy = "allow = ['*']\n[owner]\nclean_up = 'when-sockwarden-ends'\n".to_owned();
    let setup = Setup { policy, config: "[[listener]]\nowner = 'team'\n".to_owned(), ..Setup::default() };
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup);
    let own = tokio::runtime::Runtime::new().unwrap();
    let _clients: Vec<_> = own.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let client = Client::new(upgraded(&proxy)).await;
            clients.push((two_calls(&client).await, client));
        }
        clients
    });
    let left = proxy.stop();
    let ends = left.events("end").into_iter().filter(|end| end["operation"] == "build.grpc");
    let outcomes: Vec<_> = ends.map(|end| end["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["abandoned"; 8], "{}", left.audit);
}

#[test]
fn a_build_that_outlasts_the_grace_is_cut_off() {
    let engine = waiting();
    let proxy = with_config(&engine, "[limits]\ngrace = \"1s\"\n");
    let own = tokio::runtime::Runtime::new().unwrap();
    let _calls = own.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        (two_calls(&client).await, client)
    });
    let left = proxy.stop();
    assert!(left.log.contains("cut off after the grace period"), "{}", left.log);
    engine.until("closed");
}

#[test]
fn a_silent_connection_is_cut_where_the_limit_says_so() {
    let engine = waiting();
    let proxy = with_config(&engine, "[limits]\nidle = \"1s\"\n");
    let mut client = upgraded(&proxy);
    // It may be cut before it has said so much.
    let _ = client.stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    client.rest();
    engine.until("closed");
}

#[test]
fn a_client_that_begins_no_http_2_is_waited_for_as_long_as_a_head() {
    let engine = waiting();
    let proxy = with_config(&engine, "[limits]\nhead_time = \"1s\"\n");
    for bytes in ["", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let mut client = upgraded(&proxy);
        // It may be cut before it has said so much.
        let _ = client.stream.write_all(bytes.as_bytes());
        // What a server says first.
        client.rest();
    }
    // And what is no HTTP/2 is cut at once.
    let proxy = before(&engine);
    let mut client = upgraded(&proxy);
    client.send("GET /v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n");
    client.rest();
    engine.until("closed");
    assert!(engine.heard().iter().all(|line| !line.contains("info")), "{:?}", engine.heard());
    let left = proxy.stop();
    assert_eq!(left.events("end")[0]["outcome"], "refused", "{}", left.audit);
}

#[test]
fn pieces_of_an_answer_arrive_before_the_next_is_sent() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<()>(1);
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let engine = BuildKit::with(move |request, mut respond| {
        let receiver = receiver.lock().unwrap().take();
        async move {
            buildkit::whole(request).await;
            let (Some(mut next), Ok(mut stream)) = (receiver, respond.send_response(buildkit::head(), false)) else {
                return;
            };
            while next.recv().await.is_some() {
                stream.send_data(framed(b"a line of a log"), false).unwrap();
            }
            stream.send_trailers(trailers(0, "")).unwrap();
        }
    });
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (status, mut stream) = client.send(call(STATUS), false).await;
        stream.send_data(framed(b"\x0a\x03ref"), true).unwrap();
        let mut from = status.await.unwrap().into_body();
        for _ in 0..20 {
            sender.send(()).await.unwrap();
            assert_eq!(from.data().await.unwrap().unwrap(), framed(b"a line of a log"));
        }
        drop(sender);
        assert!(from.data().await.is_none() && from.trailers().await.unwrap().unwrap()["grpc-status"] == "0");
    });
}
