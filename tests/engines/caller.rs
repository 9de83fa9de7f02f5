//! A container calls through the socket: it is known whatever its control groups are called, its record names it and its
//! job, and no label that an image brought makes it somebody else.

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::ask;
use super::job::Job;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    works(engine, &mut failed);
    is_known(engine, &mut failed);
    is_its_makers(engine, &mut failed);
    is_named_by_a_label(engine, &mut failed);
    failed
}

fn works(engine: &Engine, failed: &mut Vec<String>) {
    let gate = Gate::start(&engine.socket, "ci");
    let job = Job::start(engine, &gate.socket());
    let name = job.must("docker create --name swt-of-a-job busybox:test true && docker rm swt-of-a-job");
    if !name.ends_with("swt-of-a-job") {
        failed.push(format!("a job cannot create and remove a container: {name}"));
    }
    let compose = job.must("docker compose version");
    if !compose.contains("Compose") {
        failed.push(format!("there is no Compose in a job: {compose}"));
    }
    let denied = job.run("docker run --privileged busybox:test true");
    if denied.code == 0 || !denied.stderr.contains("privileged") {
        failed.push(format!("a job may do more than its policy: {denied:?}"));
    }
    if !job.id().starts_with(&job.must("hostname")) {
        failed.push(format!("a script ran in another container than {}", job.id()));
    }
    job.kill();
}

/// Whatever a container shares with the host or another, it is itself
fn is_known(engine: &Engine, failed: &mut Vec<String>) {
    let gate = Gate::start(&engine.socket, "ci");
    let other = Job::start(engine, &gate.socket());
    let joined = format!("container:{}", other.id());
    let parent = format!("swt-{}-{}", std::process::id(), engine.name);
    for host in [
        json!({}),
        json!({"CgroupParent": format!("/{parent}/deep")}),
        json!({"CgroupnsMode": "host"}),
        json!({"CgroupnsMode": "private"}),
        json!({"PidMode": "host", "NetworkMode": "host"}),
        json!({"PidMode": joined, "NetworkMode": joined}),
        json!({"CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"]}),
        json!({"Init": true}),
    ] {
        let job =
            Job::with(engine, &gate.socket(), json!({"HostConfig": host, "Labels": {"wp_uuid": "7", "x": "secret"}}));
        let before = gate.record().len();
        job.must("docker ps");
        let record = gate.record().split_off(before);
        for line in calls(&record) {
            let caller = &line["caller"];
            let expected = (&json!(job.id()), &json!(job.id()), &json!({"wp_uuid": "7"}), &json!("busybox:test"));
            if (&line["owner"], &caller["container"]["id"], &caller["job"], &caller["container"]["image"]) != expected {
                failed.push(format!("{host}: the record does not name {}: {line}", job.id()));
            }
        }
        if calls(&record).is_empty() || record.contains("secret") {
            failed.push(format!("{host}: nothing, or too much, is on record: {record}"));
        }
    }
    // The engine makes a parent, and leaves it.
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
        for group in ["deep", ""] {
            let _ = std::fs::remove_dir(hierarchy.join(&parent).join(group));
        }
    }
    // A process in a group of its own making, which only has another's name.
    let rights = json!({"CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"], "CgroupnsMode": "private"});
    let forger = Job::with(engine, &gate.socket(), json!({"HostConfig": rights}));
    forger.must(&format!(
        "mkdir /tmp/cg && cd /tmp && (mount -t cgroup -o pids none cg || mount -t cgroup2 none cg) && group=/tmp/cg/docker/{} && mkdir -p $group && \
         echo $$ > $group/cgroup.procs && grep -q :/docker/{} /proc/self/cgroup && docker ps",
        other.id(),
        other.id(),
    ));
    let record = gate.record();
    let last = calls(&record).pop().unwrap_or_default();
    if last["owner"] != forger.id() {
        failed.push(format!("a process named its own container: {last}"));
    }
    ask(&gate.socket(), "GET", "/containers/json", "");
    let record = gate.record();
    let last = calls(&record).pop().unwrap_or_default();
    if last["owner"] != json!(format!("uid:{}", rustix::process::getuid().as_raw()))
        || !last["caller"]["container"].is_null()
    {
        failed.push(format!("a process of the host is somebody else: {last}"));
    }
}

/// What an owner made is its maker's, and what only says so is not
fn is_its_makers(engine: &Engine, failed: &mut Vec<String>) {
    let gate = Gate::start(&engine.socket, "ci");
    let victim = Job::start(engine, &gate.socket());
    let labels = json!({"sockwarden.owner": victim.id(), "sockwarden.listener": gate.socket()});
    // As sockwarden makes it: the label is the container's own.
    let child = Job::with(engine, &gate.socket(), json!({"Labels": labels}));
    expect_owner(&gate, &child, victim.id(), failed);
    // Made through another listener, as by a runner, it is a caller of its own.
    let elsewhere = json!({"sockwarden.owner": victim.id(), "sockwarden.listener": "runners"});
    let job = Job::with(engine, &gate.socket(), json!({"Labels": elsewhere}));
    expect_owner(&gate, &job, job.id(), failed);
    // As somebody makes it who can only choose the image.
    let image = format!("swt-spoof-{}:1", std::process::id());
    let (repo, tag) = image.split_once(':').unwrap();
    let commit = format!("/commit?container={}&repo={repo}&tag={tag}", victim.id());
    let made = ask(&engine.socket, "POST", &commit, &json!({"Labels": labels}).to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let spoofer = Job::with(engine, &gate.socket(), json!({"Image": image}));
    expect_owner(&gate, &spoofer, spoofer.id(), failed);
    // Without its image nothing is proved either.
    ask(&engine.socket, "DELETE", &format!("/images/{image}?force=1"), "");
    expect_owner(&gate, &spoofer, spoofer.id(), failed);
}

fn is_named_by_a_label(engine: &Engine, failed: &mut Vec<String>) {
    let gate = Gate::with_owner(&engine.socket, include_str!("../../policies/ci.toml"), "label:com.example.job");
    let job = Job::with(engine, &gate.socket(), json!({"Labels": {"com.example.job": "7"}}));
    expect_owner(&gate, &job, "com.example.job=7", failed);
    let image = format!("swt-label-{}:1", std::process::id());
    let (repo, tag) = image.split_once(':').unwrap();
    let made = ask(&engine.socket, "POST", &format!("/commit?container={}&repo={repo}&tag={tag}", job.id()), "");
    assert_eq!(made.status, 201, "{}", made.text());
    let spoofer = Job::with(engine, &gate.socket(), json!({"Image": image}));
    expect_owner(&gate, &spoofer, spoofer.id(), failed);
    ask(&engine.socket, "DELETE", &format!("/images/{image}?force=1"), "");
}

/// Makes a call and looks on record, and on what it made, who its owner is
fn expect_owner(gate: &Gate, job: &Job, owner: &str, failed: &mut Vec<String>) {
    let volume = job.must("docker volume create");
    let seen = job.must(&format!("docker volume inspect -f '{{{{index .Labels \"sockwarden.owner\"}}}}' {volume}"));
    job.must(&format!("docker volume rm {volume}"));
    let record = gate.record();
    let last = calls(&record).pop().unwrap_or_default();
    if last["owner"] != owner || seen != owner {
        failed.push(format!("expected owner {owner}, got {seen} and on record {last}"));
    }
}

/// The first lines of all calls
fn calls(record: &str) -> Vec<Value> {
    let lines = record.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == "request").collect()
}
