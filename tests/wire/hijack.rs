//! Attach and exec start leave HTTP: when the engine says so, never because the client asked.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use crate::engine::Engine;
use crate::peer::Peer;
use crate::proxy::{Proxy, json, plain};

const ATTACH: &str = "POST /v1.41/containers/x/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: tcp\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n\
    Upgrade: tcp\r\n\r\n";

/// A client and the engine's side of its tunnel
fn attached(engine: &Engine, proxy: &Proxy) -> (Peer, Peer) {
    let mut client = proxy.connect();
    client.send(ATTACH);
    let mut there = engine.accept();
    there.message();
    there.send(SWITCH);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("content-type: application/vnd.docker.raw-stream\r\n"), "{head}");
    (client, there)
}

#[test]
fn the_client_hears_101_only_after_the_engine_said_it() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    // Already on its way before anybody agreed to anything.
    client.send(ATTACH).send("early ");
    let mut there = engine.accept();
    let heard = there.message();
    assert_eq!(heard.headers(), ["host", "connection", "upgrade"]);
    client.stream.set_nonblocking(true).unwrap();
    assert!(client.stream.read(&mut [0]).is_err(), "an answer came before the engine's");
    client.stream.set_nonblocking(false).unwrap();
    // The engine's first bytes come along with its head.
    there.send(format!("{SWITCH}first "));
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(6), b"first ");
    assert_eq!(there.exactly(6), b"early ");
    client.send("late");
    assert_eq!(there.exactly(4), b"late");
}

#[test]
fn bytes_sent_with_the_head_reach_the_engine_after_its_101_only() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let hidden = plain("GET", "/v1.41/containers/hidden/json");
    let mut client = proxy.connect();
    client.send([ATTACH.as_bytes(), &hidden].concat());
    let mut there = engine.accept();
    there.message();
    there.send(
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}",
    );
    assert_eq!(client.message().said(), "no");
    // Not tunnelled: the next request is judged and goes over a connection of its own.
    let mut next = engine.accept();
    assert_eq!(next.message().head, "GET /v1.41/containers/hidden/json HTTP/1.1\r\nhost: docker\r\n\r\n");
    next.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.message().status(), 200);
    there.closed();
    assert_eq!(proxy.stop().events("request").len(), 2);
}

#[test]
fn an_engine_that_declines_leaves_the_client_in_http() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for status in ["200 OK", "400 Bad Request", "404 Not Found", "409 Conflict", "500 Internal Server Error"] {
        let mut client = proxy.connect();
        client.send(ATTACH);
        engine.answer_with(&format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
        assert_eq!(client.message().text(), "no", "{status}");
        client.send(plain("POST", "/v1.41/swarm/init"));
        assert_eq!(client.message().status(), 403, "judged, not tunnelled, after {status}");
    }
    engine.has_heard_nothing();
}

#[test]
fn a_detached_exec_stays_in_http() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    let head = "POST /v1.41/exec/x/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 15\r\n\r\n";
    client.send(format!("{head}{{\"Detach\":true}}"));
    let heard = engine.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(heard.header("upgrade"), None, "{heard:?}");
    assert_eq!(client.message().status(), 200);
    client.send(plain("POST", "/v1.41/swarm/init"));
    assert_eq!(client.message().status(), 403, "judged, not tunnelled");
    engine.has_heard_nothing();
}

#[test]
fn a_101_where_none_belongs_is_502_and_ends_the_call() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let detached = json("POST", "/v1.41/exec/x/start", r#"{"Detach":true}"#);
    for request in
        [plain("GET", "/v1.41/info"), plain("GET", "/v1.41/events"), json("POST", "/v1.41/build", "x"), detached]
    {
        let mut client = proxy.connect();
        client.send(String::from_utf8(request).unwrap().replacen(
            "Host: x",
            "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp",
            1,
        ));
        let mut there = engine.accept();
        there.message();
        there.send(SWITCH);
        let answer = client.message();
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert!(answer.said().contains("it left HTTP where it may not"), "{answer:?}");
        there.closed();
    }
    let left = proxy.stop();
    assert_eq!((left.events("request").len(), left.events("end").len()), (4, 4), "{}", left.audit);
    assert!(
        left.events("end").iter().all(|end| end["status"] == 502 && end["outcome"] == "engine_failed"),
        "{}",
        left.audit
    );
}

#[test]
fn each_side_may_stop_sending_and_go_on_receiving() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let (mut client, mut there) = attached(&engine, &proxy);
    client.send("all of it").finish();
    assert_eq!(there.rest(), b"all of it");
    there.send("still here").finish();
    assert_eq!(client.rest(), b"still here");

    let (mut client, mut there) = attached(&engine, &proxy);
    there.send("output").finish();
    assert_eq!(client.rest(), b"output");
    client.send("still here").finish();
    assert_eq!(there.rest(), b"still here");
    let left = proxy.stop();
    let (requests, ends) = (left.events("request"), left.events("end"));
    // Which of the two is written down first is nobody's promise.
    let first = ends.iter().find(|end| end["id"] == requests[0]["id"]).unwrap();
    assert_eq!((&first["bytes_in"], &first["bytes_out"]), (&9.into(), &10.into()), "{}", left.audit);
    assert!(ends.iter().all(|end| end["outcome"] == "complete" && end["status"] == 101), "{}", left.audit);
}

#[test]
fn when_one_side_is_gone_so_is_the_other() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let (client, mut there) = attached(&engine, &proxy);
    drop(client);
    there.closed();
    let (mut client, there) = attached(&engine, &proxy);
    drop(there);
    client.closed();
    // Also when it had stopped sending before.
    let (mut client, mut there) = attached(&engine, &proxy);
    client.finish();
    there.closed();
    drop(client);
    let mut bytes = there.stream.try_clone().unwrap();
    let gone = (0..1_000_000).find_map(|_| bytes.write_all(b"output").err());
    let gone = gone.map(|error| error.kind());
    assert!(
        matches!(gone, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)),
        "the engine sends to nobody: {gone:?}"
    );
    assert_eq!(proxy.stop().events("end").len(), 3);
}

#[test]
fn the_last_words_of_an_engine_that_reads_no_further_arrive() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for _ in 0..20 {
        let (mut client, mut there) = attached(&engine, &proxy);
        // `exec -i x head -c 3`: the input is longer than anybody wants.
        let mut input = client.stream.try_clone().unwrap();
        let sender = thread::spawn(move || input.write_all(&vec![b'i'; 4 << 20]));
        there.exactly(3);
        there.send(vec![b'o'; 100_000]);
        drop(there);
        assert_eq!(client.rest().len(), 100_000);
        // Nobody is left to take the rest of the input.
        assert!(sender.join().unwrap().is_err());
    }
}

#[test]
fn ten_megabytes_each_way_arrive_as_they_were() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let pattern = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..10 << 20).map(next).collect()
    };
    let (input, output) = (pattern(1), pattern(2));
    let (mut client, mut there) = attached(&engine, &proxy);
    thread::scope(|scope| {
        let (mut to_proxy, mut to_client) = (client.stream.try_clone().unwrap(), there.stream.try_clone().unwrap());
        let (input, output) = (&input, &output);
        scope.spawn(move || {
            to_proxy.write_all(input).unwrap();
            to_proxy.shutdown(std::net::Shutdown::Write).unwrap();
        });
        scope.spawn(move || {
            to_client.write_all(output).unwrap();
            to_client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let at_engine = scope.spawn(|| there.rest());
        assert!(client.rest() == *output, "the output changed on its way");
        assert!(at_engine.join().unwrap() == *input, "the input changed on its way");
    });
    let left = proxy.stop();
    let end = left.events("end")[0];
    assert_eq!((&end["bytes_in"], &end["bytes_out"]), (&(10 << 20).into(), &(10 << 20).into()), "{}", left.audit);
}

#[test]
fn a_client_that_asks_for_no_upgrade_gets_the_output_as_a_body() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send(plain("POST", "/v1.41/containers/x/attach?stream=1&stdout=1&logs=1"));
    let mut there = engine.accept();
    assert_eq!(there.message().headers(), ["host", "connection", "upgrade"]);
    there.send(format!("{SWITCH}first "));
    there.send("second").finish();
    let answer = client.message();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "first second"));
    assert_eq!(answer.header("upgrade"), None, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/vnd.docker.raw-stream"));
    drop(there);
    let left = proxy.stop();
    let end = left.events("end")[0];
    assert_eq!(
        (&end["status"], &end["bytes_out"], &end["outcome"]),
        (&200.into(), &12.into(), &"complete".into()),
        "{end}"
    );
}

#[test]
fn a_client_of_http_1_0_gets_the_output_as_a_body_whatever_it_asks_for() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut client = proxy.connect();
    client.send("POST /v1.41/containers/x/attach?stream=1 HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    let mut there = engine.accept();
    there.message();
    there.send(format!("{SWITCH}out")).finish();
    let head = client.head();
    assert!(head.starts_with("HTTP/1.0 200 ") && !head.contains("upgrade"), "{head}");
    assert_eq!(client.rest(), b"out");
    drop(there);
    assert_eq!(proxy.stop().events("end")[0]["outcome"], "complete");
}

#[test]
fn a_refused_attach_is_an_ordinary_answer() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, "version = 1\nname = \"none\"\nallow = [\"system.ping\"]\n");
    let mut client = proxy.connect();
    client.send(ATTACH).send(plain("POST", "/v1.41/swarm/init"));
    let answer = client.message();
    assert_eq!(answer.status(), 403);
    assert!(answer.said().contains("container.attach"), "{answer:?}");
    assert_eq!(client.message().status(), 403);
    engine.has_heard_nothing();
}

#[test]
fn streams_that_end_early_leave_no_descriptor_and_no_task_behind() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", proxy.child.id())).unwrap().count();
    let round = |number: usize| {
        let (mut client, mut there) = attached(&engine, &proxy);
        match number % 6 {
            0 => drop(client),
            1 => drop(there),
            2 => drop((client, there)),
            3 => {
                client.finish();
                there.finish();
                client.rest();
                there.rest();
            }
            4 => {
                client.send("half").finish();
                there.rest();
                drop(there);
                client.rest();
            }
            _ => {
                there.send("half").finish();
                client.rest();
                drop(client);
                there.rest();
            }
        }
    };
    (0..6).for_each(round);
    // What is closed is seen to be closed a moment later.
    let settled = |most: usize| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(100);
        while open() > most {
            assert!(std::time::Instant::now() < end, "{} descriptors, and {most} before", open());
            thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let idle = Proxy::start(&engine);
    let few = std::fs::read_dir(format!("/proc/{}/fd", idle.child.id())).unwrap().count() + 2;
    settled(few);
    (0..60).for_each(round);
    settled(few);
    let left = proxy.stop();
    assert_eq!((left.events("request").len(), left.events("end").len()), (66, 66), "{}", left.audit);
}

#[test]
fn a_silent_tunnel_is_cut_when_the_limit_says_so() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nidle = \"1s\"\n");
    let (mut client, mut there) = attached(&engine, &proxy);
    client.closed();
    there.closed();
}
