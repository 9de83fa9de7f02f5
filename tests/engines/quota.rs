//! Quotas on a real engine: what is counted is what it has, and what a cgroup carries is kept by the kernel.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{Answer, PATIENCE, ask, listed};
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn admission(engine: &Engine) -> Vec<String> {
    let mut job = Job::new(
        engine,
        "containers = 3\nnetworks = 1\nvolumes = 2\nexecs = 2\nmemory = \"96MiB\"\ncpus = 1\npids = 100\nports = 2",
        "",
    );
    let small = |more: Value| {
        let mut host = json!({"Memory": 16 << 20, "NanoCpus": 100_000_000, "PidsLimit": 10, "NetworkMode": "none"});
        host.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host
    };
    let published = json!({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}], "81/tcp": [{"HostIp": "127.0.0.1"}]}});
    let first = job.create(small(published));
    job.refused(&small(json!({"PublishAllPorts": true})), "quota of 2 published ports is used up");
    job.refused(&small(json!({"Memory": 81 << 20})), "quota of 96 MiB of memory does not leave that much");
    job.refused(&small(json!({"NanoCpus": 950_000_000})), "quota of 1 CPU does not leave that much");
    job.refused(&small(json!({"PidsLimit": 91})), "quota of 100 processes does not leave that much");
    // One that asks for no limit gets what is left, and the engine knows it.
    let second = job.create(json!({"NetworkMode": "none"}));
    let host = job.engine("GET", &format!("/containers/{second}/json"), "").json()["HostConfig"].clone();
    let given = (host["Memory"].as_i64(), host["CpuQuota"].as_i64(), host["PidsLimit"].as_i64());
    job.expect(given == (Some(80 << 20), Some(90_000), Some(90)), format!("the second has {given:?}"));
    job.refused(&small(json!({})), "quota of 96 MiB of memory is used up");
    for (update, status) in [
        (json!({"Memory": 32 << 20}), 200),
        (json!({"Memory": 81 << 20, "MemorySwap": -1}), 403),
        (json!({"PidsLimit": -1}), 403),
        (json!({"CpuPeriod": 1000}), 403),
    ] {
        let answer = job.ask("POST", &format!("/containers/{second}/update"), &update.to_string());
        job.expect(answer.status == status, format!("{update}: {} {}", answer.status, answer.text()));
    }
    // Removed by whoever: the places are free at once.
    job.engine("DELETE", &format!("/containers/{second}?force=1"), "");
    let second = job.create(small(json!({})));
    let third = job.create(small(json!({})));
    job.refused(&small(json!({})), "quota of 3 containers is used up");
    execs(&mut job, &first);
    for id in [&first, &second, &third] {
        job.ask("DELETE", &format!("/containers/{id}?force=1"), "");
    }
    unlabelled(&mut job);
    crowd(&mut job);
    networks(&mut job);
    volumes(&mut job);
    std::mem::take(&mut job.failed)
}

fn execs(job: &mut Job<'_>, id: &str) {
    let start = job.ask("POST", &format!("/containers/{id}/start"), "");
    job.expect(start.status == 204, start.text());
    let make = |job: &Job<'_>| {
        job.ask("POST", &format!("/containers/{id}/exec"), &json!({"Cmd": ["sleep", "600"]}).to_string())
    };
    let made: Vec<Answer> = (0..3).map(|_| make(job)).collect();
    let statuses: Vec<u16> = made.iter().map(|answer| answer.status).collect();
    job.expect(statuses == [201, 201, 403], format!("execs: {statuses:?}"));
    let said = made[2].text();
    job.expect(said.contains("quota of 2 execs is used up"), said);
    // One that runs and ends gives its place back.
    let first = made[0].json()["Id"].as_str().unwrap_or("").to_owned();
    job.ask("POST", &format!("/exec/{first}/start"), r#"{"Detach":true}"#);
    let pid = job.engine("GET", &format!("/exec/{first}/json"), "").json()["Pid"].as_i64().unwrap_or(0);
    job.expect(pid > 0, format!("the exec has pid {pid}"));
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    let ended = wait(|| make(job).status == 201);
    job.expect(ended, "an exec that ended keeps its place".to_owned());
}

/// Made for the owner when there was no quota: it counts as its limits are, and without one as all there is
fn unlabelled(job: &mut Job<'_>) {
    let host = json!({"Memory": 16 << 20, "NanoCpus": 100_000_000, "PidsLimit": 10, "NetworkMode": "none"});
    for (memory, wanted) in [(81 << 20, "does not leave that much"), (0, "is used up")] {
        let old = json!({"Memory": memory, "NanoCpus": 100_000_000, "PidsLimit": 10, "NetworkMode": "none"});
        let labels = json!({ "sockwarden.owner": job.owner });
        let body = json!({"Image": "busybox:test", "Cmd": ["true"], "Labels": labels, "HostConfig": old});
        let made = job.engine("POST", "/containers/create", &body.to_string()).json();
        let id = made["Id"].as_str().unwrap_or("").to_owned();
        job.made.push(id.clone());
        job.refused(&host, &format!("quota of 96 MiB of memory {wanted}"));
        job.engine("DELETE", &format!("/containers/{id}?force=1"), "");
    }
}

/// Many creates at once, none of which knows of the others
fn crowd(job: &mut Job<'_>) {
    let host = json!({"Memory": 16 << 20, "NanoCpus": 100_000_000, "PidsLimit": 10, "NetworkMode": "none"});
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let (job, host) = (&*job, &host);
        let clients: Vec<_> = (0..200).map(|_| scope.spawn(|| job.create_with(host, &["true"]))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let made: Vec<String> =
        answers.iter().filter_map(|answer| Some(answer.json()["Id"].as_str()?.to_owned())).collect();
    job.expect(made.len() == 3, format!("{} of 200 containers were made with a quota of 3", made.len()));
    for id in made {
        job.engine("DELETE", &format!("/containers/{id}?force=1"), "");
    }
}

fn networks(job: &mut Job<'_>) {
    let name = |at: u8| format!("{}n{at}", job.prefix);
    let (one, two) = (json!({"Name": name(1)}).to_string(), json!({"Name": name(2)}).to_string());
    let made = job.ask("POST", "/networks/create", &one);
    let id = made.json()["Id"].as_str().unwrap_or("").to_owned();
    let refused = job.ask("POST", "/networks/create", &two);
    job.expect(made.status == 201 && refused.status == 403, format!("{} {}", made.text(), refused.text()));
    job.engine("DELETE", &format!("/networks/{id}"), "");
    let again = job.ask("POST", "/networks/create", &two);
    job.expect(again.status == 201, again.text());
    let id = again.json()["Id"].as_str().unwrap_or("").to_owned();
    job.engine("DELETE", &format!("/networks/{id}"), "");
}

fn volumes(job: &mut Job<'_>) {
    let name = |at: u8| format!("{}v{at}", job.prefix);
    let names = [1, 2, 3].map(name);
    let mount = |name: &str| json!({"NetworkMode": "none", "Binds": [format!("{name}:/v")]});
    // By its own call, and with a container; one that is there takes no further place.
    let made = job.ask("POST", "/volumes/create", &json!({"Name": names[0]}).to_string());
    job.expect(made.status == 201, made.text());
    let first = job.create(mount(&names[0]));
    job.ask("DELETE", &format!("/containers/{first}"), "");
    let second = job.create(mount(&names[1]));
    job.ask("DELETE", &format!("/containers/{second}"), "");
    job.refused(&mount(&names[2]), "quota of 2 volumes is used up");
    job.refused(&json!({"NetworkMode": "none", "Binds": ["/anonymous"]}), "quota of 2 volumes is used up");
    let refused = job.ask("POST", "/volumes/create", "{}");
    job.expect(refused.status == 403, refused.text());
    let again = job.ask("POST", "/volumes/create", &json!({"Name": names[0]}).to_string());
    job.expect(again.status == 201, again.text());
    for volume in job.own_volumes() {
        job.engine("DELETE", &format!("/volumes/{volume}?force=1"), "");
    }
}

/// Runs on one engine; says what failed
pub fn cgroup(engine: &Engine) -> Vec<String> {
    let mut job = Job::new(
        engine,
        "memory = \"48MiB\"\ncpus = 0.5\npids = 40\ncgroup = true",
        "[run]\ncgroup_parent = true\nrestart = true\n",
    );
    // A shell ends when it cannot fork, so it is not the container's first process; it waits until both are started, which
    // takes processes too.
    let fork = "sh -c 'while [ ! -e /go ]; do sleep 0.1; done; while :; do sleep 600 & done' & exec sleep 600";
    let ids: Vec<String> =
        [json!({}), json!({"CgroupParent": "/elsewhere", "PidsLimit": 1000, "NanoCpus": 1_000_000_000})]
            .into_iter()
            .map(|mut host| {
                host["NetworkMode"] = "none".into();
                job.create_running(host, &["sh", "-c", fork])
            })
            .collect();
    let parents: Vec<String> = ids.iter().map(|id| job.parent(id)).collect();
    let parent = parents[0].clone();
    job.expect(parent.starts_with("/sockwarden-") && parents[1] == parent, format!("parents are {parents:?}"));
    for (what, expected) in [(Carried::Memory, (48 << 20).to_string()), (Carried::Pids, "40".to_owned())] {
        let limit = what.limit(&parent);
        job.expect(limit == expected, format!("{what:?} is {limit}"));
    }
    let cpus = Carried::Cpus.limit(&parent);
    job.expect(cpus.split_whitespace().next() == Some("50000"), format!("CPU time is {cpus}"));
    // Both together have as many processes as the owner may, however many they try to start.
    let pids: Vec<String> = ids.iter().map(|id| job.pid(id)).collect();
    for pid in &pids {
        let told = fs::write(format!("/proc/{pid}/root/go"), "");
        job.expect(told.is_ok(), format!("{pid} cannot be told: {told:?}"));
    }
    let used = || Carried::Pids.used(&parent).parse().unwrap_or(0_u32);
    let full = wait(|| used() >= 35);
    job.expect(full && used() <= 40, format!("there are {} processes", used()));
    for (id, pid) in ids.iter().zip(&pids) {
        let seen = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        job.expect(seen.contains(&format!(":{parent}/{id}\n")), format!("{id} is in {seen}"));
        job.engine("DELETE", &format!("/containers/{id}?force=1"), "");
    }
    // One that has no limit of its own is ended where the sum is.
    let hog =
        job.create_running(json!({"NetworkMode": "none", "RestartPolicy": {"Name": "no"}}), &["tail", "/dev/zero"]);
    let state = |job: &Job<'_>| job.engine("GET", &format!("/containers/{hog}/json"), "").json()["State"].clone();
    let killed = wait(|| state(&job)["ExitCode"] == 137);
    job.expect(killed, format!("the hog is {}", state(&job)));
    // It is gone, and the cgroup with it when there is no container left, and made anew when one is started again.
    sleep(Duration::from_secs(6));
    job.expect(Carried::Memory.exists(&parent), "the cgroup goes before the owner's last container".to_owned());
    job.engine("DELETE", &format!("/containers/{hog}?force=1"), "");
    job.expect(wait(|| !Carried::Memory.exists(&parent)), "the cgroup outlives its owner's containers".to_owned());
    crash(&mut job, &parent);
    let record = job.gate.record();
    let forced = format!("{{\"field\":\"HostConfig.CgroupParent\",\"from\":\"/elsewhere\",\"to\":\"{parent}\"");
    job.expect(record.contains(&forced), format!("the forced cgroup is not on record: {record}"));
    std::mem::take(&mut job.failed)
}

/// What a sockwarden that was killed left behind goes with the next one
fn crash(job: &mut Job<'_>, parent: &str) {
    let id = job.create(json!({"NetworkMode": "none"}));
    job.expect(Carried::Memory.exists(parent), "a create makes no cgroup".to_owned());
    job.gate.kill();
    job.engine("DELETE", &format!("/containers/{id}?force=1"), "");
    job.gate.again();
    job.expect(wait(|| !Carried::Memory.exists(parent)), "a crash leaves the cgroup behind".to_owned());
    // A start is enough to have it back, with its limits.
    let id = job.create(json!({"NetworkMode": "none"}));
    Carried::remove(parent);
    job.expect(!Carried::Memory.exists(parent), "the cgroup cannot be removed".to_owned());
    let started = job.ask("POST", &format!("/containers/{id}/start"), "");
    let limit = Carried::Memory.limit(parent);
    job.expect(started.status == 204 && limit == (48 << 20).to_string(), format!("{} {limit}", started.text()));
    job.engine("DELETE", &format!("/containers/{id}?force=1"), "");
    job.expect(wait(|| !Carried::Memory.exists(parent)), "the cgroup outlives its owner's containers".to_owned());
}

/// A job with a quota, on one engine
struct Job<'a> {
    target: &'a Path,
    gate: Gate,
    owner: String,
    prefix: String,
    made: Vec<String>,
    failed: Vec<String>,
}

impl<'a> Job<'a> {
    fn new(engine: &'a Engine, quota: &str, sections: &str) -> Self {
        let policy = format!(
            "version = 1\nname = \"quota\"\nallow = [\"container\", \"exec\", \"network\", \"volume\", \"container.update\"]\n\
             [images]\nallow = [\"**\"]\n[owner]\nisolate = true\n[quota]\n{quota}\n{}",
            if sections.is_empty() { "[run]\npublish = true\npublish_all = true\n" } else { sections },
        );
        let prefix = format!("swt-{}-quota-", std::process::id());
        // Nobody else's containers are counted.
        let owner = format!("{prefix}{}", if quota.contains("cgroup") { "cgroup" } else { "admission" });
        let gate = Gate::with_owner(&engine.socket, &policy, &owner);
        Self { target: &engine.socket, gate, owner, prefix, made: Vec::new(), failed: Vec::new() }
    }

    fn expect(&mut self, holds: bool, what: String) {
        if !holds {
            self.failed.push(what);
        }
    }

    fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        ask(&self.gate.socket(), method, target, body)
    }

    /// Asks the engine itself
    fn engine(&self, method: &str, target: &str, body: &str) -> Answer {
        ask(self.target, method, target, body)
    }

    fn create_with(&self, host: &Value, command: &[&str]) -> Answer {
        let body = json!({"Image": "busybox:test", "Cmd": command, "HostConfig": host, "ExposedPorts": {"9/tcp": {}}});
        self.ask("POST", "/containers/create", &body.to_string())
    }

    fn create(&mut self, host: Value) -> String {
        self.made_of(&host, &["sleep", "600"])
    }

    fn made_of(&mut self, host: &Value, command: &[&str]) -> String {
        let made = self.create_with(host, command);
        let id = made.json()["Id"].as_str().unwrap_or("").to_owned();
        self.expect(made.status == 201, format!("{host}: {} {}", made.status, made.text()));
        self.made.push(id.clone());
        id
    }

    fn create_running(&mut self, host: Value, command: &[&str]) -> String {
        let id = self.made_of(&host, command);
        let started = self.ask("POST", &format!("/containers/{id}/start"), "");
        self.expect(started.status == 204, started.text());
        id
    }

    fn refused(&mut self, host: &Value, wanted: &str) {
        let answer = self.create_with(host, &["sleep", "600"]);
        let told = answer.status == 403 && answer.text().contains(wanted);
        self.expect(told, format!("expected `{wanted}` for {host}: {} {}", answer.status, answer.text()));
    }

    fn pid(&self, id: &str) -> String {
        self.engine("GET", &format!("/containers/{id}/json"), "").json()["State"]["Pid"].to_string()
    }

    fn parent(&self, id: &str) -> String {
        let inspected = self.engine("GET", &format!("/containers/{id}/json"), "").json();
        inspected["HostConfig"]["CgroupParent"].as_str().unwrap_or("").to_owned()
    }

    /// Names of the volumes that this job made
    fn own_volumes(&self) -> Vec<String> {
        let volumes = listed(self.target, "/volumes").json()["Volumes"].as_array().cloned().unwrap_or_default();
        let names = volumes.iter().map(|volume| volume["Name"].as_str().unwrap_or("").to_owned());
        names.filter(|name| name.starts_with(&self.prefix)).collect()
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        for id in self.made.iter().filter(|id| !id.is_empty()) {
            self.engine("DELETE", &format!("/containers/{id}?force=1&v=1"), "");
        }
    }
}

/// A limit of a cgroup, as the kernel has it
#[derive(Debug, Clone, Copy)]
enum Carried {
    Memory,
    Cpus,
    Pids,
}

impl Carried {
    /// Directory, file of the limit, file of the use
    fn files(self) -> (&'static str, &'static str, &'static str) {
        match (self, Path::new("/sys/fs/cgroup/memory").is_dir()) {
            (Self::Memory, true) => ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            (Self::Cpus, true) => ("cpu", "cpu.cfs_quota_us", "cpu.stat"),
            (Self::Pids, true) => ("pids", "pids.max", "pids.current"),
            (Self::Memory, false) => ("", "memory.max", "memory.current"),
            (Self::Cpus, false) => ("", "cpu.max", "cpu.stat"),
            (Self::Pids, false) => ("", "pids.max", "pids.current"),
        }
    }

    fn read(self, parent: &str, file: &str) -> String {
        let path = format!("/sys/fs/cgroup/{}{parent}/{file}", self.files().0);
        fs::read_to_string(&path).map_or_else(|error| format!("{path}: {error}"), |text| text.trim().to_owned())
    }

    fn limit(self, parent: &str) -> String {
        self.read(parent, self.files().1)
    }

    fn used(self, parent: &str) -> String {
        self.read(parent, self.files().2)
    }

    fn exists(self, parent: &str) -> bool {
        Path::new(&format!("/sys/fs/cgroup/{}{parent}", self.files().0)).exists()
    }

    /// Takes it away, as a reboot would
    fn remove(parent: &str) {
        for carried in [Self::Memory, Self::Cpus, Self::Pids] {
            let _ = fs::remove_dir(format!("/sys/fs/cgroup/{}{parent}", carried.files().0));
        }
    }
}

/// Waits until something holds; says whether it came to that
fn wait(holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
    true
}
