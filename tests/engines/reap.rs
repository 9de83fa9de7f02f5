//! Nothing is left behind on a real engine: not of a job that is killed, not while sockwarden is dead, and nothing of
//! anybody else goes.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{PATIENCE, ask, listed, removed};
use super::job::Job;
use super::setting::Engine;

/// An owner: a container that a runner started, and what it has made through a listener
///
/// Made on the engine itself, as it is there when sockwarden starts.
struct Owner<'a> {
    engine: &'a Path,
    name: String,
    id: String,
}

impl<'a> Owner<'a> {
    fn start(engine: &'a Path, name: &str, command: &[&str], listener: &Path) -> Self {
        let name = format!("swt-reap-{}-{name}", std::process::id());
        let id =
            made(engine, &format!("/containers/create?name={name}"), &json!({"Image": "busybox:test", "Cmd": command}));
        let owner = Self { engine, name, id };
        made(engine, &format!("/containers/{}/start", owner.id), &Value::Null);
        let labels = json!({"sockwarden.owner": owner.id, "sockwarden.listener": listener, "sockwarden.record": "1"});
        let [network, volume, child] = ["net", "vol", "child"].map(|what| format!("{}-{what}", owner.name));
        made(engine, "/networks/create", &json!({"Name": network, "Labels": labels, "IPAM": subnet()}));
        made(engine, "/volumes/create", &json!({"Name": volume, "Labels": labels}));
        let host =
            json!({"NetworkMode": network, "Binds": [format!("{volume}:/data")], "RestartPolicy": {"Name": "always"}});
        // With an anonymous volume, and a process that does not listen to SIGTERM.
        let body = json!({"Image": "busybox:test", "Cmd": ["sleep", "10000"], "Labels": labels, "HostConfig": host, "Volumes": {"/anonymous": {}}});
        let child = made(engine, &format!("/containers/create?name={child}"), &body);
        made(engine, &format!("/containers/{child}/start"), &Value::Null);
        owner
    }

    /// Containers, networks and volumes by name; the runner's own container is not among them
    fn has(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (list, pointer, name) in
            [("/containers/json?all=1", "", "/Names/0"), ("/networks", "", "/Name"), ("/volumes", "/Volumes", "/Name")]
        {
            let all = listed(self.engine, list).json();
            for object in all.pointer(pointer).and_then(Value::as_array).into_iter().flatten() {
                let name = object.pointer(name).and_then(Value::as_str).unwrap_or_default().trim_start_matches('/');
                names.extend(name.starts_with(&format!("{}-", self.name)).then(|| name.to_owned()));
            }
        }
        names
    }

    fn signal(&self, signal: &str) {
        ask(self.engine, "POST", &format!("/containers/{}/kill?signal={signal}", self.id), "");
    }

    fn wait(&self) {
        ask(self.engine, "POST", &format!("/containers/{}/wait", self.id), "");
    }

    /// Waits until nothing of it is left
    fn is_gone(&self) -> Result<(), String> {
        gone(|| self.has())
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        removed(self.engine, &format!("/containers/{}?force=1&v=1", self.id));
        for name in self.has() {
            removed(self.engine, &format!("/containers/{name}?force=1&v=1"));
            removed(self.engine, &format!("/networks/{name}"));
            removed(self.engine, &format!("/volumes/{name}?force=1"));
        }
    }
}

fn made(engine: &Path, target: &str, body: &Value) -> String {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(engine, "POST", target, &body);
    assert!(answer.is_success(), "{target} {body}: {}", answer.text());
    answer.json()["Id"].as_str().unwrap_or_default().to_owned()
}

/// Waits until nothing is there
fn gone(left: impl Fn() -> Vec<String>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let left = left();
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?} there still are {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Jobs end in every way; a job beside them lives
pub fn ends(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |what: &str, holds: Result<(), String>| {
        if let Err(error) = holds {
            failed.push(format!("{what}: {error}"));
        }
    };
    let engine = engine.socket.as_path();
    let mut gate = Gate::with_policy(engine, &policy("clean_up = 'when-caller-ends'\nkeep = 'on-failure'\n"));
    let listener = gate.socket();
    let sleep = ["sleep", "10000"];
    let neighbour = Owner::start(engine, "neighbour", &sleep, &listener);
    let elsewhere = Owner::start(engine, "elsewhere", &["true"], Path::new("/somewhere/else.sock"));

    // Whoever fails is kept, whoever does not is not.
    let [good, bad] = [("good", "exit 0"), ("bad", "exit 7")].map(|(name, script)| {
        Owner::start(
            engine,
            name,
            &["sh", "-c", &format!("trap '{script}' TERM; while :; do sleep 0.1; done")],
            &listener,
        )
    });
    // A look finds them, as a create of theirs would have told of them.
    std::thread::sleep(LOOK);
    good.signal("TERM");
    bad.signal("TERM");
    expect("a job that ended well", good.is_gone());
    bad.wait();

    // Dead while its owner dies.
    gate.kill();
    let [killed, removed] = ["killed", "removed"].map(|name| Owner::start(engine, name, &sleep, &listener));
    ask(engine, "DELETE", &format!("/containers/{}?force=1", removed.id), "");
    killed.signal("KILL");
    killed.wait();
    // With another policy: nothing is kept any more.
    gate.again_with(&policy("clean_up = 'when-caller-ends'\n"));
    for (what, owner) in [("killed", &killed), ("removed", &removed), ("kept", &bad)] {
        expect(&format!("a job that was {what} while sockwarden was dead"), owner.is_gone());
    }

    let late = Owner::start(engine, "late", &sleep, &listener);
    std::thread::sleep(LOOK);
    late.signal("KILL");
    expect("a job that was killed", late.is_gone());

    for (what, owner) in [("a live neighbour", &neighbour), ("another listener's owner", &elsewhere)] {
        if owner.has().len() != 3 {
            failed.push(format!("{what} has only {:?}", owner.has()));
        }
    }
    let record = gate.record();
    let reasons = record.lines().filter(|line| line.contains("\"reason\":\"caller_ended\"")).count();
    if reasons < 15 || record.matches("\"outcome\":\"removed\"").count() < 15 {
        failed.push(format!("removals are not on record: {record}"));
    }
    failed
}

/// Two jobs that call by themselves through one socket, as a runner starts them; one of them is killed
pub fn of_callers(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let text = policy("isolate = true\nclean_up = 'when-caller-ends'\n");
    let gate = Gate::with_policy(&engine.socket, &text);
    let jobs = ["a", "b"]
        .map(|name| (format!("swt-reapjob-{}-{name}", std::process::id()), Job::start(engine, &gate.socket())));
    for (name, job) in &jobs {
        let subnet = subnet()["Config"][0]["Subnet"].as_str().unwrap().to_owned();
        job.must(&format!(
            "docker network create --subnet {subnet} {name} && docker volume create {name} && \
             docker run -d --name {name} --network {name} -v {name}:/v busybox:test sleep 10000"
        ));
    }
    let left = |name: &str| -> Vec<String> {
        let lists = ["/containers/json?all=1", "/networks", "/volumes"];
        let lists = lists.map(|list| listed(&engine.socket, list).text());
        lists.into_iter().filter(|list| list.contains(name)).collect()
    };
    let [(killed, job), (lives, neighbour)] = &jobs;
    // At once, without a look in between: the engine tells of the end, and a create told of the owner.
    job.kill();
    let end = ask(&engine.socket, "GET", &format!("/containers/{}/json", job.id()), "").json();
    if let Err(error) = gone(|| left(killed)) {
        failed.push(format!("a job that was killed: {error}"));
    }
    // Of the time that it takes, how long the engine needs for what it is told is not ours.
    let end: Timestamp = end["State"]["FinishedAt"].as_str().unwrap().parse().unwrap();
    let first: Timestamp = first_removal(&gate.record(), job.id()).parse().unwrap();
    let after = first.duration_since(end).as_secs();
    if after >= SOON {
        failed.push(format!("it was cleaned up after only {after} s later"));
    }
    if left(lives).len() != 3 {
        failed.push("its neighbour lost something".to_owned());
    }
    neighbour.must(&format!("docker rm -f {lives} && docker network rm {lives} && docker volume rm {lives}"));
    failed
}

/// When the first thing of an owner's was about to go
fn first_removal(record: &str, owner: &str) -> String {
    let lines = record.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut removals = lines.filter(|line| line["event"] == "cleanup" && line["owner"] == owner);
    removals.next().unwrap_or_default()["time"].as_str().unwrap_or_default().to_owned()
}

/// Two steps of a CI job that share an owner by its label: what they made goes after the last of them
pub fn of_a_label(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let text = policy("isolate = true\nclean_up = 'when-caller-ends'\n");
    let gate = Gate::with_owner(&engine.socket, &text, "label:com.example.job");
    let label = format!("swt-reaplabel-{}", std::process::id());
    let steps = [(); 2].map(|()| Job::with(engine, &gate.socket(), json!({"Labels": {"com.example.job": label}})));
    for (number, step) in steps.iter().enumerate() {
        step.must(&format!(
            "docker volume create {label}-{number} && \
             docker run -d --name {label}-{number} --network none -v {label}-{number}:/v busybox:test sleep 10000"
        ));
    }
    let left = || -> Vec<String> {
        let lists = ["/containers/json?all=1", "/volumes"].map(|list| listed(&engine.socket, list).text());
        lists
            .into_iter()
            .filter(|list| [0, 1].iter().any(|number| list.contains(&format!("{label}-{number}"))))
            .collect()
    };
    let [first, second] = &steps;
    first.kill();
    std::thread::sleep(LOOK * 2);
    let seen = second.must("docker ps --format '{{.Names}}' | sort");
    if !seen.contains(&format!("{label}-0")) || !seen.contains(&format!("{label}-1")) {
        failed.push(format!("the first step's end took something with it: {seen}"));
    }
    second.kill();
    if let Err(error) = gone(left) {
        failed.push(format!("the last step's end: {error}"));
    }
    failed
}

/// A listener whose owner ends with sockwarden, or after its lease
pub fn with_sockwarden(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let engine = engine.socket.as_path();
    let prefix = format!("swt-reapws-{}-", std::process::id());
    let left = || -> Vec<String> {
        let lists = ["/containers/json?all=1", "/networks", "/volumes", "/images/json"];
        let lists = lists.map(|list| listed(engine, list).text());
        lists.into_iter().filter(|list| list.contains(&prefix)).collect()
    };
    let rules = "clean_up = 'when-sockwarden-ends'\nimages = true\ngrace = '1s'\n";
    let mut gate = Gate::with_owner(engine, &policy(rules), &format!("{prefix}owner"));
    let fill = |socket: &Path, what: &str| {
        let image = json!({"Image": "busybox:test", "Cmd": ["sleep", "10000"], "HostConfig": {"Binds": [format!("{prefix}{what}:/data")]}});
        made(socket, "/networks/create", &json!({"Name": format!("{prefix}{what}"), "IPAM": subnet()}));
        made(socket, "/volumes/create", &json!({"Name": format!("{prefix}{what}")}));
        let id = made(socket, &format!("/containers/create?name={prefix}{what}"), &image);
        made(socket, &format!("/containers/{id}/start"), &Value::Null);
        // Somebody else's container in its network does not hold it up.
        id
    };
    fill(&gate.socket(), "early");
    gate.kill();
    gate.again_with(&policy(rules));
    let child = fill(&gate.socket(), "new");
    let early = || left().into_iter().filter(|list| list.contains(&format!("{prefix}early"))).collect();
    if let Err(error) = gone(early) {
        failed.push(format!("what an earlier run left: {error}"));
    }
    let runs = ask(engine, "GET", &format!("/containers/{child}/json"), "").json();
    if runs.pointer("/State/Running") != Some(&json!(true)) {
        failed.push(format!("what this run made went with it: {runs}"));
    }
    // Its main process does not listen to SIGTERM, and is killed after the grace.
    gate.stop();
    if !left().is_empty() {
        failed.push(format!("after its end there still are {:?}", left()));
    }

    let leased = "clean_up = 'when-sockwarden-ends'\nlease = '10s'\n";
    gate.again_with(&policy(leased));
    let child = fill(&gate.socket(), "leased");
    let logs = super::http::open(&gate.socket(), &format!("/containers/{child}/logs?follow=1&stdout=1"));
    std::thread::sleep(Duration::from_secs(12) + LOOK);
    if left().is_empty() {
        failed.push("a running stream is no life".to_owned());
    }
    drop(logs);
    if let Err(error) = gone(left) {
        failed.push(format!("after the lease: {error}"));
    }
    failed
}

/// `sockwarden clean`, and an image that has an owner's labels
pub fn by_hand(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            failed.push(what);
        }
    };
    let url = format!("unix://{}", engine.socket.display());
    let engine = engine.socket.as_path();
    let owner = Owner::start(engine, "hand", &["sleep", "10000"], Path::new("/somewhere.sock"));
    // Somebody of the host's started a container from an image that claims to be this owner's.
    let labels =
        json!({"sockwarden.owner": owner.id, "sockwarden.record": "1", "sockwarden.listener": "/somewhere.sock"});
    let image = format!("{}-image", owner.name);
    made(engine, &format!("/commit?container={}&repo={image}&tag=1", owner.id), &json!({"Labels": labels}));
    let host = format!("host-{}", owner.name);
    let host = made(
        engine,
        &format!("/containers/create?name={host}"),
        &json!({"Image": format!("{image}:1"), "Cmd": ["true"]}),
    );
    // The owner's own container is let into its network, as jobs do to reach their services.
    let network = format!("{}-net", owner.name);
    made(engine, &format!("/networks/{network}/connect"), &json!({"Container": owner.id}));

    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_sockwarden"))
            .args(["clean", "--engine", &url, "--audit"])
            .arg(dir.path().join("audit.jsonl"))
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, list, _) = run(&["--list"]);
    let line = list.lines().find(|line| line.starts_with(&owner.id)).unwrap_or_default();
    expect(code == Some(0) && line.contains("2 containers, 1 network, 1 volume, 1 image"), format!("{code:?} {list}"));
    let (code, out, err) = run(&["--dry-run", &owner.id]);
    let expected = ["container", "network", "volume"].map(|kind| format!("would remove {kind} {}-", owner.name));
    let told = expected.iter().all(|line| out.contains(line)) && out.lines().count() == 3;
    expect(code == Some(1) && told && err.contains("left alone"), format!("{code:?} {out} {err}"));
    expect(
        owner.has().len() == 3 && !dir.path().join("audit.jsonl").exists(),
        "a dry run removed something".to_owned(),
    );
    let (code, out, err) = run(&[&owner.id]);
    expect(code == Some(1) && out.lines().count() == 3 && err.contains("left alone"), format!("{code:?} {out} {err}"));
    expect(owner.has().is_empty(), format!("there still are {:?}", owner.has()));
    let there = ask(engine, "GET", &format!("/containers/{host}/json"), "").status;
    expect(there == 200, format!("a container of the host's went: {there}"));
    let runs = ask(engine, "GET", &format!("/containers/{}/json", owner.id), "").json();
    expect(runs.pointer("/State/Running") == Some(&json!(true)), "the owner itself went".to_owned());
    let record = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap_or_default();
    expect(record.matches("\"reason\":\"asked\"").count() == 3, format!("not on record: {record}"));

    ask(engine, "DELETE", &format!("/containers/{host}?force=1"), "");
    let (code, out, err) = run(&["--images", &owner.id]);
    expect(code == Some(0) && out.starts_with("removed image"), format!("{code:?} {out} {err}"));
    let (code, out, err) = run(&[&owner.id]);
    expect((code, out.as_str(), err.as_str()) == (Some(0), "", ""), format!("{code:?} {out} {err}"));
    let (code, _, err) = run(&["--engine", "unix:///nonexistent.sock", "x"]);
    expect(code == Some(2), format!("{code:?} {err}"));
    failed
}

/// A few addresses of one's own: all engines of a machine share its address pools, which are soon used up
pub fn subnet() -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (1 << 16);
    json!({"Config": [{"Subnet": format!("10.{}.{}.{}/29", 200 + number / 8192, number / 32 % 256, number % 32 * 8)}]})
}

fn policy(owner: &str) -> String {
    format!(
        "allow = ['*']\n[images]\nallow = ['**']\n[run]\nnetwork = true\n[network]\nsubnet = true\n[owner]\n{owner}"
    )
}

/// Seconds in which an end is seen that the engine tells of; a look may come later
const SOON: i64 = 8;
/// Longer than the time between two looks at what there is
const LOOK: Duration = Duration::from_secs(11);
