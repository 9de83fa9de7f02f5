//! What fails is said by its status, and leaves its record: the engine, the record, the client.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::Value;

use crate::engine::Engine;
use crate::peer::Peer;
use crate::proxy::{Proxy, Setup, json, plain};

#[test]
fn an_engine_that_is_not_there_is_502() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere.sock");
    let proxy = Proxy::at(&nowhere, tempfile::tempdir().unwrap(), Setup::default());
    for target in ["/v1.41/info", "/info"] {
        let answer = proxy.ask(plain("GET", target));
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert!(answer.said().contains("cannot reach the Docker Engine"), "{answer:?}");
    }
    let left = proxy.stop();
    let end = left.events("end");
    assert_eq!(
        (end.len(), &end[0]["status"], &end[0]["outcome"]),
        (1, &502.into(), &"engine_failed".into()),
        "{}",
        left.audit
    );
}

#[test]
fn an_engine_whose_queue_is_full_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // Room for one, which it takes.
    let _first = UnixStream::connect(&socket).unwrap();
    let proxy = Proxy::at(&socket, tempfile::tempdir().unwrap(), Setup::default());
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/info"));
    while proxy.records().is_empty() {
        std::thread::yield_now();
    }
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut peer = Peer::of(stream);
                peer.message();
                peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
            });
        }
    });
    let answer = client.message();
    assert_eq!(answer.status(), 200, "{answer:?}");
}

#[test]
fn an_engine_that_breaks_off_before_its_answer_is_502() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for said in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 999999 x\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        engine.answer_with(said);
        let answer = client.message();
        assert_eq!(answer.status(), 502, "{said:?} {answer:?}");
        assert!(answer.said().contains("the Docker Engine broke off"), "{answer:?}");
    }
    let left = proxy.stop();
    assert!(
        left.events("end").iter().all(|end| end["outcome"] == "engine_failed" && end["status"] == 502),
        "{}",
        left.audit
    );
    assert_eq!((left.events("end").len(), left.events("request").len()), (5, 5), "{}", left.audit);
}

#[test]
fn an_engine_that_breaks_off_in_its_answer_breaks_ours_off() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        engine.answer_with(said);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let rest = String::from_utf8(client.rest()).unwrap();
        // A chunked body without its last chunk, a sized one without its last byte: no client takes it for whole.
        assert!(rest.contains("{}") && !rest.ends_with("0\r\n\r\n"), "{rest:?}");
    }
    let left = proxy.stop();
    assert!(left.events("end").iter().all(|end| end["outcome"] == "engine_failed"), "{}", left.audit);
    assert_eq!(left.events("end").len(), 2, "{}", left.audit);
}

#[test]
fn an_engine_that_breaks_off_in_the_answer_of_version_leaves_one_record() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/version"));
    engine.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}");
    assert_eq!(client.message().status(), 502);
    let left = proxy.stop();
    assert_eq!((left.events("request").len(), left.events("end").len()), (1, 1), "{}", left.audit);
    assert_eq!((&left.records[1]["status"], &left.records[1]["outcome"]), (&502.into(), &"engine_failed".into()));
}

#[test]
fn a_slow_engine_is_504_unless_the_operation_may_wait() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nengine_answer = \"1s\"\n");
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/info"));
    let mut slow = engine.accept();
    slow.message();
    let answer = client.message();
    assert_eq!(answer.status(), 504, "{answer:?}");
    assert!(answer.said().contains("did not answer within 1s"), "{answer:?}");
    slow.closed();

    let mut waiting = proxy.connect();
    waiting.send(plain("POST", "/v1.41/containers/x/wait"));
    let mut wait = engine.accept();
    wait.message();
    // Longer than the limit: another call runs into it meanwhile.
    client.send(plain("GET", "/v1.41/info"));
    let _slow = engine.accept();
    assert_eq!(client.message().status(), 504);
    wait.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(waiting.message().status(), 200);
}

#[test]
fn what_cannot_be_recorded_is_503_and_is_not_sent() {
    let engine = Engine::start();
    // The path of the record leads through a directory that goes away, so a new file cannot be made.
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("audit");
    let setup = Setup { audit: Some(directory.join("audit.jsonl")), ..Setup::default() };
    let proxy = Proxy::with(&engine, setup);
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
    // A line that comes late would make the file anew.
    proxy.until_ended(1);
    fs::remove_dir_all(&directory).unwrap();
    for request in
        [plain("GET", "/v1.41/info"), json("POST", "/v1.41/containers/create", "{}"), json("POST", "/v1.41/build", "x")]
    {
        let answer = proxy.refuses(&engine, request);
        assert_eq!(answer.status(), 503, "{answer:?}");
        assert!(answer.said().contains("cannot be written"), "{answer:?}");
    }
    assert_eq!(proxy.refuses(&engine, plain("POST", "/v1.41/swarm/init")).status(), 403, "a refusal stays one");
    fs::create_dir(&directory).unwrap();
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
}

#[test]
fn a_client_that_goes_away_ends_the_call_at_the_engine() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    // Before the answer, in the middle of an upload, and in the middle of a stream.
    let mut client = proxy.connect();
    client.send(plain("POST", "/v1.41/containers/x/wait"));
    let mut wait = engine.accept();
    wait.message();
    drop(client);
    wait.closed();

    let mut client = proxy.connect();
    client.send("POST /v1.41/build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut build = engine.accept();
    build.head();
    drop(client);
    let rest = build.rest();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "half an upload was ended as a whole one: {:?}",
        String::from_utf8_lossy(&rest)
    );

    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/events"));
    let mut events = engine.accept();
    events.message();
    events.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.head();
    client.exactly(3);
    drop(client);
    events.closed();

    let left = proxy.stop();
    let outcomes: Vec<&Value> = left.events("end").iter().map(|end| &end["outcome"]).collect();
    assert_eq!(outcomes, ["abandoned", "abandoned", "abandoned"], "{}", left.audit);
}

#[test]
fn a_client_that_only_stopped_sending_gets_its_answer() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/events")).finish();
    let mut events = engine.accept();
    events.message();
    events.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.head();
    assert_eq!(client.exactly(8), b"3\r\none\r\n");
    events.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.rest(), b"3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(proxy.stop().events("end")[0]["outcome"], "complete");
}

#[test]
fn an_answer_in_the_middle_of_an_upload_reaches_the_client() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (framing, first) in [("Transfer-Encoding: chunked", "3\r\nabc\r\n"), ("Content-Length: 1000000", "abc")] {
        let mut client = proxy.connect();
        client.send(format!("POST /v1.41/build HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{first}"));
        let mut build = engine.accept();
        build.head();
        build.exactly(3);
        build.send("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"message\":\"no\"}"[..].replace("15", "16"));
        drop(build);
        let answer = client.message();
        assert_eq!((answer.status(), answer.said().as_str()), (400, "no"), "{framing}");
    }
}
