//! A job container that is known by its connection alone: its workspaces reach its children, and so does its socket, through
//! which a child calls as the same owner.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::gate::Gate;
use super::http::ask;
use super::job::Job;
use super::pin_root::PinRoot;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    // The engines have their own roots and share our `/tmp`. What mounts is dropped before the pins are.
    let pins = PinRoot::new();
    let host = TempDir::with_prefix_in("swt-workspace-", "/tmp").unwrap();
    fs::create_dir_all(host.path().join("project/below")).unwrap();
    fs::write(host.path().join("project/marker"), "of the directory").unwrap();
    symlink("/etc", host.path().join("project/out")).unwrap();
    let gate = Gate::with_files(&engine.socket, "extends = 'ci'", &format!("pins = \"{}\"\n", pins.pins().display()));
    // An anonymous volume, as runners make them: it goes with the job.
    let job = Job::with(
        engine,
        &gate.socket(),
        json!({"HostConfig": {"Binds": [format!("{}:/ws", host.path().display()), "/data"], "Memory": 256 << 20}}),
    );
    job.must("mkdir -p /data/project && echo -n of the volume >/data/project/marker");

    let run = "docker run --rm --network none";
    for (at, what) in [("/ws/project", "of the directory"), ("/data/project", "of the volume")] {
        let said = job.must(&format!("cd {at} && {run} -v \"$PWD:/src\" busybox:test cat /src/marker"));
        if said != what {
            failed.push(format!("{at}: expected `{what}`, got `{said}`"));
        }
    }
    for (bind, words) in [("/ws/project/out", "leads out of the directory"), ("/etc", "it has /data, ")] {
        let refused = job.run(&format!("{run} -v {bind}:/x busybox:test ls /x"));
        if refused.code == 0 || !refused.stderr.contains(words) {
            failed.push(format!("{bind}: expected `{words}`, got {refused:?}"));
        }
    }

    // The child is a job of its own to the kernel, and the same owner to us.
    let name = format!("swt-made-by-a-child-{}-{}", std::process::id(), engine.name);
    let client = "-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -e PATH=/bin:/usr/bin";
    let child_with =
        |socket: &str, script: &str| format!("{run} {client} {socket} -v /ws:/w busybox:test sh -c '{script}'");
    let child = |script: &str| child_with("-v /var/run/docker.sock:/var/run/docker.sock", script);
    job.must(&child(&format!("docker create --name {name} -v /w/project:/again busybox:test cat /again/marker")));
    let said = job.must(&format!("docker start -a {name}"));
    if said != "of the directory" {
        failed.push(format!("a child gives on something else: {said}"));
    }
    let made = job.must(&format!("docker inspect -f '{{{{.Id}}}}' {name}"));
    let made = ask(&engine.socket, "GET", &format!("/containers/{made}/json"), "").json();
    if made["Config"]["Labels"]["sockwarden.owner"] != job.id() || made["HostConfig"]["Memory"] != 256 << 20 {
        failed.push(format!("what a child makes is not the job's, or has other limits: {made}"));
    }
    let denied = job.run(&child("docker run --privileged busybox:test true"));
    if denied.code == 0 || !denied.stderr.contains("privileged") {
        failed.push(format!("a child may do more than its job: {denied:?}"));
    }
    let look = "docker ps -a --format \"{{.Names}}\" | sort | tail -1";
    let mut ways = vec![child(look)];
    // Of the job's client, which is the engine's own, from 28 on.
    if engine.generation() == "sid" {
        ways.push(child_with("--use-api-socket", look));
    }
    for way in ways {
        let seen = job.must(&way);
        if seen != name {
            failed.push(format!("a child does not see what its job sees: {seen}: {way}"));
        }
    }
    job.must(&format!("docker rm {name}"));
    failed
}
