//! Nothing is left behind, in whatever order things happen.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proxy::{Left, Proxy, Setup, json as request};
use crate::world::{Watcher, World};

/// A listener whose owner ends with sockwarden
const WITH_US: &str =
    "allow = ['*']\n[owner]\nclean_up = 'when-sockwarden-ends'\n[images]\nallow = ['**']\n[run]\nnetwork = true\n";
/// A listener whose owners end with their containers
const WITH_CALLER: &str = "allow = ['*']\n[owner]\nclean_up = 'when-caller-ends'\n[images]\nallow = ['**']\n";
/// A container's id
const CALLER: &str = "c0ffee0000000000000000000000000000000000000000000000000000000000";

fn start(world: &World, policy: &str) -> Proxy {
    world.add("/images/busybox", json!({}));
    let config = "[[listener]]\n[limits]\ngrace = '100s'\n".into();
    Proxy::at(world.socket(), tempfile::tempdir().unwrap(), Setup { policy: policy.into(), config, ..Setup::default() })
}

fn container(name: &str) -> Vec<u8> {
    request("POST", &format!("/v1.41/containers/create?name={name}"), r#"{"Image":"busybox"}"#)
}

fn make(proxy: &Proxy, kind: &str, name: &str) {
    let answer = match kind {
        "containers" => proxy.ask(container(name)),
        kind => proxy.ask(request("POST", &format!("/v1.41/{kind}/create"), json!({ "Name": name }).to_string())),
    };
    assert_eq!(answer.status(), 201, "{answer:?}");
}

/// What was removed and what came of it, in order
fn removals(left: &Left) -> Vec<(String, String, u64)> {
    let ends = left.events("cleanup_end");
    let line = |begin: &&Value| {
        let end = ends.iter().find(|end| end["id"] == begin["id"]).unwrap_or_else(|| panic!("no end of {begin}"));
        let object =
            format!("{} {}", begin["object"]["kind"].as_str().unwrap(), begin["object"]["name"].as_str().unwrap());
        (object, end["outcome"].as_str().unwrap().to_owned(), end["attempts"].as_u64().unwrap())
    };
    left.events("cleanup").iter().map(line).collect()
}

#[test]
fn what_an_owner_made_goes_in_order_and_is_on_record_before() {
    let world = World::start();
    let proxy = start(&world, WITH_US);
    for (kind, name) in [("networks", "n"), ("volumes", "v"), ("containers", "b"), ("containers", "a")] {
        make(&proxy, kind, name);
    }
    world.add("/volumes/of-another", json!({"sockwarden.owner": "another"}));
    let (audit, record) = (proxy.audit.clone(), proxy.audit.clone());
    world.set(|state| {
        state.watcher = Some(Watcher(Box::new(move |line| {
            let Some(name) = line.strip_prefix("DELETE ").and_then(|path| path.rsplit('/').next()) else { return };
            let record = fs::read_to_string(&audit).unwrap();
            let told = |line: &str| line.contains("\"cleanup\"") && line.contains(&format!("\"name\":\"{name}\""));
            assert!(record.lines().any(told), "{name} goes before its record");
        })));
    });
    let left = proxy.stop();
    assert!(left.status.success(), "{}", left.log);
    let mut removed = world.heard("DELETE ");
    removed[..2].sort();
    assert_eq!(
        removed,
        [
            "DELETE /containers/a?force=1&v=1",
            "DELETE /containers/b?force=1&v=1",
            "DELETE /networks/n",
            "DELETE /volumes/v"
        ],
        "{}",
        fs::read_to_string(record).unwrap_or_default()
    );
    assert!(
        removals(&left).iter().all(|(_, outcome, attempts)| outcome == "removed" && *attempts == 1),
        "{}",
        left.audit
    );
    assert_eq!(left.events("cleanup")[0]["reason"], "sockwarden_ends");
}

#[test]
fn what_does_not_go_is_tried_again_and_then_left_with_its_reason() {
    let world = World::start();
    let proxy = start(&world, WITH_US);
    make(&proxy, "networks", "n");
    make(&proxy, "volumes", "v");
    world.set(|state| {
        state.spoilt.insert("DELETE /networks/n".into(), vec![403, 500]);
        state.spoilt.insert("DELETE /volumes/v".into(), vec![-409]);
        let attached =
            json!({"Id": "n", "Name": "n", "Labels": state.objects["/networks/n"]["Labels"], "Containers": {"x": {}}});
        state.objects.insert("/networks/n".into(), attached);
    });
    let left = proxy.stop();
    let expected = [("network n", "removed", 3), ("volume v", "stays", 6)];
    let expected = expected.map(|(object, outcome, attempts)| (object.to_owned(), outcome.to_owned(), attempts));
    assert_eq!(removals(&left), expected, "{}", left.audit);
    assert_eq!(left.events("cleanup_end")[1]["message"], "not now");
    assert!(!world.heard("POST /networks/n/disconnect").is_empty(), "whoever is in it is let out");
}

#[test]
fn what_cannot_be_recorded_is_not_removed() {
    let world = World::start();
    let proxy = start(&world, WITH_US);
    make(&proxy, "volumes", "v");
    // A line that comes late would make the file anew.
    proxy.until_ended(1);
    fs::remove_file(&proxy.audit).unwrap();
    fs::create_dir(&proxy.audit).unwrap();
    proxy.stop();
    assert!(world.heard("DELETE ").is_empty(), "{:?}", world.heard("DELETE "));
}

#[test]
fn what_is_being_made_when_its_owner_ends_does_not_survive_it() {
    for client_stays in [true, false] {
        let world = World::start();
        let proxy = start(&world, WITH_US);
        world.set(|state| state.held.push("POST /containers/create".into()));
        let mut client = proxy.connect();
        client.send(container("late"));
        world.until("asked to make it", |state| state.heard.iter().any(|line| line.contains("/containers/create")));
        let mut client = client_stays.then_some(client);
        proxy.signal(Signal::TERM);
        // It has looked and found nothing: whoever looked no further would be done.
        world.until("looked for", |state| state.heard.iter().any(|line| line.starts_with("GET /volumes?")));
        assert!(world.heard("DELETE ").is_empty());
        world.set(|state| state.held.clear());
        let left = proxy.left();
        assert_eq!(world.heard("DELETE "), ["DELETE /containers/late?force=1&v=1"], "{client_stays}: {}", left.audit);
        if let Some(client) = &mut client {
            assert_eq!(client.message().status(), 201);
        }
    }
}

#[test]
fn nothing_new_is_made_for_an_owner_that_has_ended() {
    let world = World::start();
    let proxy = start(&world, WITH_US);
    make(&proxy, "volumes", "v");
    world.set(|state| state.held.push("DELETE /volumes/v".into()));
    let mut client = proxy.connect();
    // In the middle of its body the connection is busy, and is not closed at the end.
    let whole = String::from_utf8(container("late")).unwrap().replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (begin, end) = whole.split_at(whole.len() - 1);
    client.send(begin);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    proxy.signal(Signal::TERM);
    world.until("removed", |state| state.heard.iter().any(|line| line == "DELETE /volumes/v"));
    client.send(end);
    let answer = client.message();
    assert_eq!(answer.status(), 403, "{answer:?}");
    assert!(answer.said().contains("it has ended"), "{answer:?}");
    world.set(|state| state.held.clear());
    let left = proxy.left();
    assert!(world.heard("POST /containers/create").is_empty());
    let refused = left.events("request").into_iter().find(|line| line["operation"] == "container.create");
    assert_eq!(refused.unwrap()["verdict"], "deny", "{}", left.audit);
}

/// A caller's container that runs, and a volume that it made before sockwarden was started
fn of_a_caller(world: &World, listener: &str) {
    let labels = json!({"sockwarden.owner": CALLER, "sockwarden.listener": listener, "sockwarden.record": "1"});
    world.add("/volumes/v", labels.clone());
    world.add("/containers/child", labels);
    lives(world, true);
}

fn lives(world: &World, runs: bool) {
    let caller = json!({"Id": CALLER, "Labels": {}, "State": {"Running": runs, "ExitCode": 137}});
    world.set(|state| drop(state.objects.insert(format!("/containers/{CALLER}"), caller)));
}

fn begins(world: &World, line: &str, times: usize) {
    world.until(line, |state| state.heard.iter().filter(|heard| heard.starts_with(line)).count() >= times);
}

#[test]
fn an_end_that_the_engine_tells_of_is_cleaned_up_after_at_once_and_one_it_does_not_soon() {
    for told in [true, false] {
        let world = World::start();
        world.add("/images/sha256:i", json!({}));
        let proxy = start(&world, WITH_CALLER);
        of_a_caller(&world, proxy.socket.to_str().unwrap());
        // Found at a look, and alive.
        begins(&world, &format!("GET /containers/{CALLER}/json"), 1);
        begins(&world, "GET /events?", 1);
        assert!(world.heard("DELETE ").is_empty(), "a live owner is left alone");
        if told {
            // A look at all that there is finds nothing out any more.
            world.set(|state| state.deaf = Some("sockwarden.listener".into()));
        }
        lives(&world, false);
        if told {
            world.tell_of_death(CALLER, 137);
        }
        world.until("gone", |state| {
            !["/volumes/v", "/containers/child"].iter().any(|object| state.objects.contains_key(*object))
        });
        let left = proxy.stop();
        let reasons = left.events("cleanup");
        assert!(reasons.len() == 2 && reasons.iter().all(|line| line["reason"] == "caller_ended"), "{}", left.audit);
    }
}

#[test]
fn whoever_stops_telling_is_asked_again_from_where_it_stopped() {
    let world = World::start();
    world.add("/images/sha256:i", json!({}));
    let proxy = start(&world, WITH_CALLER);
    of_a_caller(&world, proxy.socket.to_str().unwrap());
    begins(&world, "GET /events?", 1);
    world.tell_of_death("somebody", 0);
    world.hang_up();
    begins(&world, "GET /events?", 2);
    assert!(world.heard("GET /events?")[1].ends_with("&since=1"), "{:?}", world.heard("GET /events?"));
    // What was missed meanwhile is looked for, without another word.
    lives(&world, false);
    world.until("gone", |state| !state.objects.contains_key("/volumes/v"));
}

#[test]
fn a_job_without_a_container_for_a_moment_has_not_ended() {
    let world = World::start();
    world.set(|state| state.held.push("GET /_ping".into()));
    let proxy = start(&world, WITH_CALLER);
    let listener = proxy.socket.to_str().unwrap();
    let labels = json!({"sockwarden.owner": "job=1", "sockwarden.listener": listener, "sockwarden.record": "1"});
    world.add("/volumes/v", labels);
    // It is looked for at the start, and again when the engine's events are listened to, which is at once.
    world.set(|state| state.held.clear());
    world.until("gone", |state| !state.objects.contains_key("/volumes/v"));
    world.set(|state| {
        let first = |word: &str| state.heard.iter().position(|line| line.contains(word)).unwrap();
        let (looked, removed) = (first("job%3D1%22"), first("DELETE /volumes/v"));
        let moment = state.came[removed] - state.came[looked];
        assert!(moment >= Duration::from_secs(5), "{moment:?} {:#?}", &state.heard[..=removed]);
    });
}

#[test]
fn only_what_itself_says_whose_it_is_goes() {
    let world = World::start();
    let proxy = start(&world, WITH_CALLER);
    let listener = proxy.socket.to_str().unwrap();
    let labels = json!({"sockwarden.owner": CALLER, "sockwarden.listener": listener, "sockwarden.record": "1"});
    // The image was made with the labels of an owner that has ended, and somebody started it on the engine itself.
    let image = json!({"Id": "sha256:i", "Config": {"Labels": labels}});
    world.set(|state| drop(state.objects.insert("/images/sha256:i".into(), image)));
    world.add("/containers/database", labels.clone());
    world.add("/volumes/elsewhere", json!({"sockwarden.owner": CALLER, "sockwarden.listener": "elsewhere"}));
    world.add("/volumes/never", json!({"sockwarden.owner": CALLER}));
    world.add("/volumes/v", labels);
    world.until("gone", |state| !state.objects.contains_key("/volumes/v"));
    proxy.logs("left alone");
    proxy.stop();
    assert_eq!(world.heard("DELETE "), ["DELETE /volumes/v"]);
}

#[test]
fn an_earlier_run_s_rest_goes_at_the_start_and_what_this_run_makes_stays() {
    let world = World::start();
    world.add("/images/busybox", json!({}));
    let place = tempfile::tempdir().unwrap();
    let listener = "[[listener]]\npath = './proxy.sock'\npolicy = './policy.toml'\nowner = 'team'\n";
    fs::write(place.path().join("config.toml"), listener).unwrap();
    fs::write(place.path().join("policy.toml"), WITH_US).unwrap();
    let start = |place: TempDir| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
        command.env_clear().arg("serve").arg("--engine").arg(format!("unix://{}", world.socket().display()));
        for (flag, file) in [("--config", "config.toml"), ("--audit", "audit.jsonl")] {
            command.arg(flag).arg(place.path().join(file));
        }
        Proxy::of_command(&mut command, place, ["proxy.sock", "audit.jsonl", "policy.toml"])
    };
    let proxy = start(place);
    make(&proxy, "volumes", "early");
    let proxy = start(proxy.kill());
    make(&proxy, "volumes", "new");
    world.until("gone", |state| !state.objects.contains_key("/volumes/early"));
    // A second look, after which it would be gone, had it been taken for the earlier run's.
    begins(&world, "GET /volumes?", world.heard("GET /volumes?").len() + 2);
    assert_eq!(world.heard("DELETE "), ["DELETE /volumes/early"]);
    proxy.stop();
    assert_eq!(world.heard("DELETE "), ["DELETE /volumes/early", "DELETE /volumes/new"]);
}

#[test]
fn where_nothing_is_cleaned_up_the_engine_is_asked_nothing() {
    let world = World::start();
    let proxy = start(&world, "allow = ['*']\n[images]\nallow = ['**']\n");
    make(&proxy, "volumes", "v");
    proxy.stop();
    let heard = world.heard("");
    assert!(heard.iter().all(|line| line.contains("_ping") || line.contains("/volumes")), "{heard:?}");
    assert!(world.heard("DELETE ").is_empty());
}
