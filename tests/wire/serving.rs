//! What happens around connections: the socket, the ready line, reloading, ending.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use rustix::process::Signal;

use crate::engine::Engine;
use crate::proxy::{Proxy, Setup, command, fails, json, plain};

const OPEN: &str = "version = 1\nname = \"open\"\nallow = [\"system\", \"container\"]\n";
const SHUT: &str = "version = 1\nname = \"shut\"\nallow = [\"system.ping\"]\n";
const BROKEN: &str = "version = 1\nname = \"broken\"\nalow = [\"system\"]\n";

/// Asks until the answer has the wanted status; a reload has no other sign on the socket
fn becomes(engine: &Engine, proxy: &Proxy, status: u16) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(100);
    loop {
        let mut client = proxy.connect();
        client.send(plain("GET", "/v1.41/info"));
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| client.message());
            if let Some(mut there) = engine.next_before(|| answer.is_finished()) {
                there.message();
                there.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
            answer.join().unwrap()
        });
        if answer.status() == status {
            return;
        }
        assert!(std::time::Instant::now() < end, "still {answer:?}");
    }
}

#[test]
fn the_ready_line_says_where_and_by_which_policy() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    assert_eq!(proxy.ready, format!("sockwarden: ready on {} (policy unrestricted)\n", proxy.socket.display()));
    // Connections are taken from then on, and nobody asked the engine anything yet.
    engine.has_heard_nothing();
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
}

#[test]
fn the_socket_has_the_mode_that_was_asked_for() {
    let engine = Engine::start();
    for (arguments, mode) in [(vec![], 0o660), (vec!["--mode".to_owned(), "0600".to_owned()], 0o600)] {
        let proxy = Proxy::with(&engine, Setup { arguments, ..Setup::default() });
        assert_eq!(fs::metadata(&proxy.socket).unwrap().mode() & 0o7777, mode);
        assert_eq!(fs::metadata(&proxy.audit).unwrap().permissions().mode() & 0o077, 0, "the record is nobody else's");
    }
}

#[test]
fn the_socket_is_gone_at_the_end_and_a_stale_one_is_replaced() {
    let engine = Engine::start();
    let directory = tempfile::tempdir().unwrap();
    // Left over by a process that was killed: nobody listens. One that had a listener has it still while another test has a
    // process begin, which has a copy for a moment.
    let left = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&left, &SocketAddrUnix::new(directory.path().join("proxy.sock")).unwrap()).unwrap();
    let proxy = Proxy::at(engine.socket(), directory, Setup::default());
    proxy.passes(&engine, plain("GET", "/v1.41/info"));
    let socket = proxy.socket.clone();
    proxy.signal(Signal::INT);
    let left = proxy.left();
    assert!(left.status.success(), "{}", left.status);
    assert!(!socket.exists());
}

#[test]
fn a_path_that_somebody_serves_is_left_alone() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let place = tempfile::tempdir().unwrap();
    let audit = place.path().join("audit.jsonl");
    let said = fails(&mut command(engine.socket(), &proxy.socket, &audit));
    assert!(said.contains(&proxy.socket.display().to_string()), "{said}");
    proxy.passes(&engine, plain("GET", "/v1.41/info"));

    let foreign = place.path().join("foreign.sock");
    let listener = UnixListener::bind(&foreign).unwrap();
    fails(&mut command(engine.socket(), &foreign, &audit));
    UnixStream::connect(&foreign).expect("the foreign socket was taken away");
    drop(listener);

    let file = place.path().join("file");
    fs::write(&file, "precious").unwrap();
    fails(&mut command(engine.socket(), &file, &audit));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn two_that_write_one_record_leave_whole_lines() {
    let engine = Engine::start();
    let place = tempfile::tempdir().unwrap();
    let audit = place.path().join("audit.jsonl");
    let start = |state: &str| {
        let config = format!("state = '{}'", place.path().join(state).display());
        Proxy::with(&engine, Setup { audit: Some(audit.clone()), config, ..Setup::default() })
    };
    let (one, two) = (start("one"), start("two"));
    std::thread::scope(|scope| {
        for proxy in [&one, &two] {
            scope.spawn(move || {
                (0..100).for_each(|_| assert_eq!(proxy.ask(plain("POST", "/v1.41/swarm/init")).status(), 403))
            });
        }
    });
    // Each line is read as JSON here.
    assert_eq!(one.records().len(), 200);
}

#[test]
fn what_cannot_be_used_at_the_start_is_said_and_ends_it() {
    let engine = Engine::start();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let start =
        |arguments: &[&str]| fails(command(engine.socket(), &path("p.sock"), &path("audit.jsonl")).args(arguments));
    fs::write(path("broken.toml"), BROKEN).unwrap();
    fs::write(path("config.toml"), "[limits]\nbody_byte = 1\n").unwrap();
    assert!(start(&["--policy", "nosuch"]).contains("`nosuch`"));
    assert!(start(&["--policy", path("absent.toml").to_str().unwrap()]).contains("absent.toml"));
    let broken = start(&["--policy", path("broken.toml").to_str().unwrap()]);
    assert!(broken.contains("alow") && broken.contains("broken.toml"), "{broken}");
    assert!(start(&["--config", path("config.toml").to_str().unwrap()]).contains("body_byte"));
    assert!(!path("p.sock").exists(), "a socket was left behind");
}

#[test]
fn a_changed_policy_is_loaded_and_a_broken_one_changes_nothing() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, OPEN);
    becomes(&engine, &proxy, 200);
    fs::write(&proxy.policy, SHUT).unwrap();
    becomes(&engine, &proxy, 403);
    proxy.logs("policies reloaded");
    fs::write(&proxy.policy, BROKEN).unwrap();
    let line = proxy.logs("policies stay as they are");
    assert!(line.contains("alow") || proxy.logs("alow").contains("alow"), "{line}");
    becomes(&engine, &proxy, 403);
    // Another file in its place, as editors and Kubernetes do it.
    let next = proxy.policy.with_extension("next");
    fs::write(&next, OPEN).unwrap();
    fs::rename(&next, &proxy.policy).unwrap();
    becomes(&engine, &proxy, 200);
}

#[test]
fn a_hangup_reloads_all_listeners_or_none() {
    let engine = Engine::start();
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one.toml"), directory.path().join("two.toml"));
    fs::write(&one, OPEN).unwrap();
    fs::write(&two, OPEN).unwrap();
    let socket = directory.path().join("two.sock");
    let config = format!(
        "[[listener]]\npath = \"{}\"\npolicy = \"{}\"\n[[listener]]\npath = \"{}\"\npolicy = \"{}\"\n",
        directory.path().join("one.sock").display(),
        one.display(),
        socket.display(),
        two.display()
    );
    let file = directory.path().join("sockwarden.toml");
    fs::write(&file, config).unwrap();
    let audit = directory.path().join("audit.jsonl");
    let proxy = Proxy::of_command(
        std::process::Command::new(env!("CARGO_BIN_EXE_sockwarden"))
            .env_clear()
            .args(["serve", "--engine", &format!("unix://{}", engine.socket().display())])
            .args(["--config", file.to_str().unwrap(), "--audit", audit.to_str().unwrap()]),
        directory,
        ["one.sock", "audit.jsonl", "one.toml"],
    );
    becomes(&engine, &proxy, 200);
    // The first is good, the second is not: neither is taken.
    fs::write(&two, BROKEN).unwrap();
    fs::write(&one, SHUT).unwrap();
    proxy.signal(Signal::HUP);
    proxy.logs("policies stay as they are");
    becomes(&engine, &proxy, 200);
    fs::write(&two, SHUT).unwrap();
    proxy.signal(Signal::HUP);
    becomes(&engine, &proxy, 403);
}

#[test]
fn a_stream_that_runs_goes_on_under_its_own_policy() {
    let engine = Engine::start();
    let proxy = Proxy::with_policy(&engine, "version = 1\nname = \"open\"\nallow = [\"system\"]\n");
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/events"));
    let mut there = engine.accept();
    there.message();
    there.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.head();
    client.exactly(8);
    fs::write(&proxy.policy, SHUT).unwrap();
    proxy.signal(Signal::HUP);
    becomes(&engine, &proxy, 403);
    there.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.exactly(13), b"3\r\ntwo\r\n0\r\n\r\n");
    client.send(plain("GET", "/v1.41/info"));
    assert_eq!(client.message().status(), 403, "the next request of the same connection is judged anew");
}

#[test]
fn what_runs_at_the_end_is_finished_within_the_grace() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let mut running = proxy.connect();
    running.send(plain("POST", "/v1.41/containers/x/wait"));
    let mut wait = engine.accept();
    wait.message();
    let mut attached = proxy.connect();
    attached.send("POST /v1.41/containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    let mut tunnel = engine.accept();
    tunnel.message();
    tunnel.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    attached.head();
    let mut idle = proxy.connect();
    idle.send(plain("POST", "/v1.41/swarm/init"));
    idle.message();
    proxy.signal(Signal::TERM);
    idle.closed();
    assert!(UnixStream::connect(&proxy.socket).is_err(), "nobody new gets in");
    wait.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(running.message().text(), "{}");
    tunnel.send("bye").finish();
    assert_eq!(attached.rest(), b"bye");
    drop(attached);
    let left = proxy.left();
    assert!(left.status.success(), "{}", left.status);
    assert_eq!(left.events("end").len(), 2, "{}", left.audit);
}

#[test]
fn what_does_not_finish_within_the_grace_is_cut_off_and_recorded() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\ngrace = \"100ms\"\n");
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/events"));
    let mut there = engine.accept();
    there.message();
    there.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.head();
    client.exactly(8);
    proxy.signal(Signal::TERM);
    client.closed();
    there.closed();
    let left = proxy.left();
    assert!(left.status.success(), "{}", left.status);
    assert_eq!(left.events("end")[0]["outcome"], "abandoned", "{}", left.audit);
    assert!(left.log.contains("cut off after the grace period"), "{}", left.log);
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let engine = Engine::start();
    let proxy = Proxy::with_config(&engine, "[limits]\nconnections = 2\n");
    let mut held: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    for client in &mut held {
        client.send(plain("POST", "/v1.41/swarm/init"));
        assert_eq!(client.message().status(), 403);
    }
    let mut third = proxy.connect();
    let answer = third.message();
    assert_eq!(answer.status(), 503);
    assert!(answer.said().contains("`connections`"), "{answer:?}");
    // Whoever has a place keeps it.
    held[0].send(json("POST", "/v1.41/swarm/init", ""));
    assert_eq!(held[0].message().status(), 403);
}

#[test]
fn fewer_open_files_are_fewer_connections_and_nobody_runs_out() {
    let engine = Engine::start();
    let directory = tempfile::tempdir().unwrap();
    let [socket, audit] = ["proxy.sock", "audit.jsonl"].map(|name| directory.path().join(name));
    let whole = command(engine.socket(), &socket, &audit);
    // A shell sets the limit and becomes the proxy.
    let mut limited = std::process::Command::new("/bin/sh");
    limited
        .env_clear()
        .args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""])
        .arg(whole.get_program())
        .args(whole.get_args());
    let proxy =
        Proxy::of_command(limited.args(["--policy", "unrestricted"]), directory, ["proxy.sock", "audit.jsonl", "none"]);
    assert!(proxy.logs("open files for fewer connections").contains("12"));
    let mut held: Vec<_> = (0..12).map(|_| proxy.connect()).collect();
    for client in &mut held {
        client.send(plain("POST", "/v1.41/swarm/init"));
        assert_eq!(client.message().status(), 403);
    }
    let mut refused: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for client in &mut refused {
        let answer = client.message();
        assert_eq!(answer.status(), 503);
        assert!(answer.said().contains("`connections`"), "{answer:?}");
    }
    // Every one of the others still reaches the engine, at the same time.
    let mut engines = Vec::new();
    for client in &mut held {
        client.send(plain("GET", "/v1.41/events"));
        let mut there = engine.accept();
        there.message();
        there.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200 "));
        engines.push(there);
    }
}
