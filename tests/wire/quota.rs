//! Quotas against an engine that takes its time: what many clients ask for at once is counted one after the other.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peer::{Message, Peer};
use crate::proxy::{Proxy, Setup, json as request, plain};

/// Clients that come at once
const CROWD: usize = 200;
/// What they may make
const MOST: usize = 7;

/// An engine that makes containers, networks and volumes, slowly, and lists what it has
struct Slow {
    socket: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
    _directory: TempDir,
}

#[derive(Default)]
struct State {
    /// What was made: kind and labels
    made: Vec<(String, Value)>,
    /// Creates that are being worked on
    making: usize,
    /// Creates that fail before one works
    failures: usize,
    /// How often somebody asked for an image
    images: usize,
    /// Whether creates wait until this is lifted
    held: bool,
}

impl Slow {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { socket, state, _directory: directory }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    /// Waits until the state is as wanted
    fn wait(&self, wanted: impl Fn(&State) -> bool) {
        let state = self.state.0.lock().unwrap();
        let (state, late) =
            self.state.1.wait_timeout_while(state, Duration::from_secs(60), |state| !wanted(state)).unwrap();
        assert!(!late.timed_out(), "made {}, making {}", state.made.len(), state.making);
    }

    fn made(&self, kind: &str) -> usize {
        self.state.0.lock().unwrap().made.iter().filter(|(made, _)| made == kind).count()
    }
}

fn serve(stream: UnixStream, state: &(Mutex<State>, Condvar)) {
    let mut peer = Peer::of(stream);
    loop {
        // The proxy keeps connections; it closes them between two requests.
        let mut first = [0];
        if !matches!(rustix::net::recv(&peer.stream, &mut first, rustix::net::RecvFlags::PEEK), Ok((1, _))) {
            return;
        }
        let request = peer.message();
        let (status, body) = answer(&request, state);
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n");
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        // Whoever asked may have gone.
        if std::io::Write::write_all(&mut peer.stream, answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(request: &Message, (state, changed): &(Mutex<State>, Condvar)) -> (&'static str, Value) {
    let mut words = request.head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap().trim_start_matches("/v1.41");
    let listed = |kind: &str| -> Vec<Value> {
        let state = state.lock().unwrap();
        let own = state.made.iter().filter(|(made, _)| made == kind).enumerate();
        own.map(|(at, (_, labels))| json!({"Id": format!("{at:064x}"), "Name": at.to_string(), "State": "running", "Labels": labels}))
            .collect()
    };
    match (method, path) {
        // An engine without cgroups of its own, as one without root.
        ("GET", "/info") => return ("200 OK", json!({"CgroupDriver": "none", "CgroupVersion": "2"})),
        ("GET", "/containers/json") => return ("200 OK", json!(listed("containers"))),
        ("GET", "/networks") => return ("200 OK", json!(listed("networks"))),
        ("GET", "/volumes") => return ("200 OK", json!({ "Volumes": listed("volumes") })),
        ("GET", path) if path.starts_with("/volumes/") => {
            return ("404 Not Found", json!({"message": "no such volume"}));
        }
        ("GET", path) if path.starts_with("/images/") => {
            state.lock().unwrap().images += 1;
            changed.notify_all();
            return ("200 OK", json!({"Id": "sha256:1"}));
        }
        ("POST", _) if path.ends_with("/create") => {}
        _ => return ("200 OK", json!({})),
    }
    let kind = path.split('/').nth(1).unwrap().to_owned();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let mut all = state.lock().unwrap();
    all.making += 1;
    changed.notify_all();
    all = changed.wait_while(all, |state| state.held).unwrap();
    drop(all);
    // The time that it takes between having heard and having made.
    thread::sleep(Duration::from_millis(5));
    let mut all = state.lock().unwrap();
    all.making -= 1;
    changed.notify_all();
    if all.failures > 0 {
        all.failures -= 1;
        return ("409 Conflict", json!({"message": "in use"}));
    }
    all.made.push((kind, body["Labels"].clone()));
    ("201 Created", json!({"Id": "1", "Warnings": []}))
}

fn proxy(engine: &Slow, quota: &str) -> Proxy {
    let policy = format!(
        "version = 1\nname = \"q\"\nallow = [\"container\", \"network\", \"volume\", \"exec\"]\n[images]\nallow = [\"**\"]\n[run]\npublish = true\n[quota]\n{quota}\n"
    );
    Proxy::at(&engine.socket, tempfile::tempdir().unwrap(), Setup { policy, ..Setup::default() })
}

fn create() -> Vec<u8> {
    request("POST", "/v1.41/containers/create", r#"{"Image":"a"}"#)
}

#[test]
fn two_hundred_creates_at_once_do_not_exceed_a_quota() {
    for (kind, path, body) in [
        ("containers", "containers/create", r#"{"Image":"a"}"#),
        ("networks", "networks/create", r#"{"Name":"n"}"#),
        ("volumes", "volumes/create", "{}"),
    ] {
        let engine = Slow::start();
        let proxy = proxy(&engine, &format!("{kind} = {MOST}"));
        let answers: Vec<(u16, String)> = thread::scope(|scope| {
            let ask = || {
                let answer = proxy.ask(request("POST", &format!("/v1.41/{path}"), body));
                (answer.status(), answer.text())
            };
            let clients: Vec<_> = (0..CROWD).map(|_| scope.spawn(ask)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!((made, engine.made(kind)), (MOST, MOST));
        for (_, refusal) in answers.iter().filter(|(status, _)| *status != 201) {
            let owner = proxy.socket.display();
            let wanted = format!("quota of {MOST} {kind} is used up");
            assert!(
                refusal.contains(&wanted) && refusal.contains("policy.toml:9: remove some first"),
                "{owner} {refusal}"
            );
        }
        assert_eq!(answers.iter().filter(|(status, _)| *status == 403).count(), CROWD - MOST);
        let records = proxy.stop().records;
        let denied = records.iter().filter(|record| record["verdict"] == "deny");
        let quota = |record: &&Value| {
            record["asks"].as_array().unwrap().iter().any(|ask| ask["ask"] == "quota" && ask["verdict"] == "refused")
        };
        assert_eq!(denied.filter(quota).count(), CROWD - MOST);
    }
}

#[test]
fn a_client_that_goes_before_the_answer_keeps_its_place_taken() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "containers = 1");
    engine.change(|state| state.held = true);
    let mut gone = proxy.connect();
    gone.send(create());
    engine.wait(|state| state.making == 1);
    drop(gone);
    let abandoned = |records: &[Value]| records.iter().any(|record| record["outcome"] == "abandoned");
    proxy.until_recorded(abandoned);
    let next = thread::scope(|scope| {
        let next = scope.spawn(|| proxy.ask(create()).status());
        // The engine is still at it, so nobody knows yet what there will be; a second create would be here soon.
        let state = engine.state.0.lock().unwrap();
        let moment = Duration::from_millis(500);
        let (state, _) = engine.state.1.wait_timeout_while(state, moment, |state| state.making < 2).unwrap();
        assert_eq!(state.making, 1);
        drop(state);
        engine.change(|state| state.held = false);
        next.join().unwrap()
    });
    assert_eq!((next, engine.made("containers")), (403, 1));
}

#[test]
fn a_client_that_goes_while_it_waits_for_its_turn_leaves_a_record() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "containers = 1");
    engine.change(|state| state.held = true);
    let mut first = proxy.connect();
    first.send(create());
    engine.wait(|state| state.making == 1);
    let mut second = proxy.connect();
    second.send(create());
    engine.wait(|state| state.images == 2);
    drop(second);
    let gone = |records: &[Value]| {
        let said = |record: &Value| record["message"].as_str().is_some_and(|said| said.contains("the client went"));
        records.iter().any(|record| said(record) && record["operation"] == "container.create")
    };
    proxy.until_recorded(gone);
    engine.change(|state| state.held = false);
    assert_eq!(first.message().status(), 201);
    assert_eq!(engine.made("containers"), 1);
}

#[test]
fn a_create_that_failed_gives_its_place_back() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "containers = 1");
    engine.change(|state| state.failures = 3);
    for expected in [409, 409, 409, 201, 403] {
        assert_eq!(proxy.ask(create()).status(), expected);
    }
    engine.change(|state| state.made.clear());
    assert_eq!(proxy.ask(create()).status(), 201);
}

#[test]
fn a_sum_is_kept_by_what_each_container_may_use() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "memory = \"1GiB\"\ncpus = 2\npids = 100\nports = 3");
    let ask = |host: &str| {
        let answer =
            proxy.ask(request("POST", "/v1.41/containers/create", format!(r#"{{"Image":"a","HostConfig":{host}}}"#)));
        (answer.status(), answer.text())
    };
    let whole = r#"{"Memory":268435456,"CpuPeriod":50000,"CpuQuota":25000,"PidsLimit":30,"PortBindings":{"80/tcp":null,"81/tcp":[{"HostPort":"8081"}]}}"#;
    assert_eq!(ask(whole).0, 201);
    let labels = engine.state.0.lock().unwrap().made[0].1.clone();
    for (label, value) in [("memory", "268435456"), ("cpus", "500000000"), ("pids", "30"), ("ports", "2")] {
        assert_eq!(labels[format!("sockwarden.{label}")], value, "{labels}");
    }
    for (host, wanted) in [
        (r#"{"Memory":1073741824}"#, "quota of 1 GiB of memory does not leave that much"),
        (r#"{"Memory":2147483648}"#, "quota of 1 GiB of memory is smaller than that"),
        (r#"{"NanoCpus":1600000000}"#, "quota of 2 CPUs does not leave that much"),
        (r#"{"CpuQuota":200000}"#, "quota of 2 CPUs does not leave that much"),
        (r#"{"CpuQuota":2000,"CpuPeriod":1000}"#, "quota of 2 CPUs does not leave that much"),
        (r#"{"PidsLimit":71}"#, "quota of 100 processes does not leave that much"),
        (r#"{"PortBindings":{"80/tcp":[{},{}]}}"#, "quota of 3 published ports does not leave that much"),
        (r#"{"PortBindings":{"80/tcp":[],"81/udp":[]}}"#, "quota of 3 published ports does not leave that much"),
    ] {
        let (status, text) = ask(host);
        assert!(status == 403 && text.contains(wanted), "{host}: {status} {text}");
    }
    // What has no limit gets what is left.
    assert_eq!(ask("{}").0, 201);
    let (status, text) = ask("{}");
    assert!(status == 403 && text.contains("quota of 1 GiB of memory is used up"), "{text}");
    let records = proxy.stop().records;
    let changes: Vec<String> = records
        .iter()
        .filter(|record| record["verdict"] == "modify")
        .flat_map(|record| record["changes"].as_array().unwrap().clone())
        .map(|change| format!("{}={}", change["field"].as_str().unwrap(), change["to"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, ["HostConfig.Memory=805306368", "HostConfig.CpuQuota=150000", "HostConfig.PidsLimit=70"]);
}

#[test]
fn labels_that_a_client_sends_count_for_nothing() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "memory = \"1GiB\"");
    let body = r#"{"Image":"a","Labels":{"sockwarden.memory":"1"}}"#;
    assert_eq!(proxy.ask(request("POST", "/v1.41/containers/create", body)).status(), 403);
    assert_eq!(proxy.ask(plain("GET", "/v1.41/containers/json")).status(), 200);
    assert_eq!(engine.made("containers"), 0);
}

#[test]
fn where_no_cgroup_can_be_made_the_log_says_so_and_the_sum_is_kept_all_the_same() {
    let engine = Slow::start();
    let proxy = proxy(&engine, "memory = \"1GiB\"\ncgroup = true");
    proxy.logs("no cgroups for owners");
    assert_eq!(proxy.ask(create()).status(), 201);
    let refused = proxy.ask(create());
    assert!(refused.status() == 403 && refused.text().contains("quota of 1 GiB of memory is used up"), "{refused:?}");
    let records = proxy.stop().records;
    let changes: Vec<&Value> = records.iter().filter_map(|record| record["changes"].as_array()).flatten().collect();
    assert_eq!(changes.iter().map(|change| &change["field"]).collect::<Vec<_>>(), ["HostConfig.Memory"]);
}
