//! Two jobs in real containers behind one socket: the same Compose project in both at once, and what one does to everything
//! it can see, or how it ends, is nothing to the other and to the host.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{ask, listed, removed};
use super::job::{Job, Output};
use super::pin_root::PinRoot;
use super::setting::Engine;

/// What a site writes that lets each job have a Docker of its own
const POLICY: &str = "extends = 'ci'\n[owner]\nclean_up = 'when-caller-ends'\n";

/// Every name in it is fixed, as nobody should, and everybody does
const PROJECT: &str = "name: app
services:
  web:
    image: busybox:test
    container_name: app-web
    command: sh -c 'cat /src/marker > /data/said; exec sleep 10000'
    stop_grace_period: 1s
    networks: [back]
    volumes: ['data:/data', '.:/src:ro']
  db:
    image: busybox:test
    command: sleep 10000
    stop_grace_period: 1s
    networks: [back]
networks:
  back: {name: app-back}
volumes:
  data: {name: app-data}
";

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut play = Play::open(engine);
    play.same_project_at_once();
    play.each_sees_its_own();
    play.workspaces_are_mounted();
    play.a_child_with_the_socket_is_the_same_owner();
    play.famous_one_liners();
    play.a_killed_job_leaves_nothing();
    play.nor_does_one_that_sockwarden_did_not_see();
    play.failed
}

/// The two jobs, what the host has, and what went wrong
struct Play<'a> {
    engine: &'a Engine,
    gate: Gate,
    jobs: [Job; 2],
    host: Host<'a>,
    failed: Vec<String>,
    // Behind the jobs: what they have mounted goes last.
    _pins: PinRoot,
    _workspace: tempfile::TempDir,
}

impl<'a> Play<'a> {
    fn open(engine: &'a Engine) -> Self {
        let pins = PinRoot::new();
        let gate = Gate::with_files(&engine.socket, POLICY, &format!("pins = \"{}\"\n", pins.pins().display()));
        let workspace = tempfile::Builder::new().prefix("swt-two-").tempdir_in("/tmp").unwrap();
        let host = Host::furnish(&engine.socket);
        let bound = format!("{}:/builds", workspace.path().display());
        let in_volume = format!("{}:/builds", host.workspace);
        let jobs = [bound, in_volume].map(|workspace| {
            Job::with(
                engine,
                &gate.socket(),
                json!({"HostConfig": {"Binds": [workspace]}, "WorkingDir": "/builds/project"}),
            )
        });
        for (job, name) in jobs.iter().zip(NAMES) {
            job.must(&format!("echo {name} > marker && cat > compose.yaml <<'END'\n{PROJECT}END\n"));
        }
        assert!(fs::exists(workspace.path().join("project/compose.yaml")).unwrap());
        Self { engine, gate, jobs, host, failed: Vec::new(), _pins: pins, _workspace: workspace }
    }

    fn expect(&mut self, what: &str, seen: &str, expected: &str) {
        if seen != expected {
            self.failed.push(format!("{what}: expected `{expected}`, got `{seen}`"));
        }
    }

    fn succeeds(&mut self, what: &str, output: &Output) {
        if output.code != 0 {
            self.failed.push(format!("{what}: {output:?}"));
        }
    }

    /// Everything that a job sees after `compose up`; a volume that is mounted in it is among it
    fn all_of(&self, index: usize) -> String {
        match index {
            0 => "app-db-1 app-web app-back app-data ".to_owned(),
            _ => format!("app-db-1 app-web app-back app-data {} ", self.host.workspace),
        }
    }

    fn same_project_at_once(&mut self) {
        let [one, other] = &self.jobs;
        let up = || ["docker compose up -d", "docker compose ps -q | wc -l"].join(" && ");
        let outputs = thread::scope(|scope| {
            let runs = [one, other].map(|job| scope.spawn(move || job.run(&up())));
            runs.map(|run| run.join().unwrap())
        });
        for (output, name) in outputs.iter().zip(NAMES) {
            self.succeeds(&format!("{name}: compose up"), output);
            self.expect(&format!("{name}: compose ps"), output.stdout.trim(), "2");
        }
    }

    fn each_sees_its_own(&mut self) {
        for (index, name) in NAMES.iter().enumerate() {
            let seen = self.jobs[index].run(SEEN);
            self.succeeds(&format!("{name}: lists"), &seen);
            self.expect(&format!("{name}: lists"), &seen.stdout.replace('\n', " "), &self.all_of(index));
            // What is up has begun, and may not have come to its first command yet.
            let said = "until [ -s /data/said ]; do sleep 0.1; done; cat /data/said";
            let said = self.jobs[index].run(&format!("docker exec app-web sh -c '{said}'"));
            self.expect(&format!("{name}: what is mounted in its service"), said.stdout.trim(), name);
            // By the other's id and name, and the host's.
            let other = self.jobs[1 - index].must("docker inspect -f '{{.Id}}' app-web");
            for foreign in [other.as_str(), self.jobs[1 - index].id(), &self.host.container, &self.host.name] {
                for call in ["inspect", "rm -f", "stop", "logs", "exec -i"] {
                    let call = format!("docker {call} {foreign}{}", if call == "exec -i" { " true" } else { "" });
                    let output = self.jobs[index].run(&call);
                    let missing = output.stderr.to_lowercase().contains("no such");
                    if !missing || (output.code == 0 && !call.contains(" rm -f ")) {
                        self.failed.push(format!("{name} {call}: {output:?}"));
                    }
                }
            }
        }
        let on_the_engine = self.made_by_jobs();
        let [one, other] =
            [0, 1].map(|index| on_the_engine.iter().filter(|(owner, _)| owner == self.jobs[index].id()).count());
        if (one, other, on_the_engine.len()) != (4, 4, 8) {
            self.failed.push(format!("not four objects of each job: {on_the_engine:?}"));
        }
    }

    fn workspaces_are_mounted(&mut self) {
        for (index, name) in NAMES.iter().enumerate() {
            let read = self.jobs[index].run("docker run --rm -v \"$PWD:/src\" busybox:test cat /src/marker");
            self.succeeds(&format!("{name}: -v $PWD:/src"), &read);
            self.expect(&format!("{name}: -v $PWD:/src"), read.stdout.trim(), name);
            let written =
                self.jobs[index].run("docker run --rm -v \"$PWD:/src\" busybox:test touch /src/made && ls made");
            self.expect(&format!("{name}: written"), written.stdout.trim(), "made");
            let none = self.jobs[index].run("docker run --rm -v /root:/x busybox:test true");
            if none.code == 0 || !none.stderr.contains("/builds") {
                self.failed.push(format!("{name}: what a job does not have is mounted: {none:?}"));
            }
        }
    }

    fn a_child_with_the_socket_is_the_same_owner(&mut self) {
        let cli = "-v /var/run/docker.sock:/var/run/docker.sock -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro \
                   -e PATH=/bin:/usr/bin -e HOME=/tmp";
        for (index, name) in NAMES.iter().enumerate() {
            let job = &self.jobs[index];
            let seen = job.run(&format!("docker run --rm --name child {cli} busybox:test sh -c \"{SEEN}\""));
            let made = job.run(&format!("docker run --rm {cli} busybox:test docker volume create of-a-child"));
            let after = job.run("docker volume ls -q; docker volume rm of-a-child");
            self.succeeds(&format!("{name}: a child's lists"), &seen);
            // It is not attached to what its maker is attached to.
            let expected = self.all_of(0).replace("app-web ", "app-web child ");
            self.expect(&format!("{name}: a child's lists"), &seen.stdout.replace('\n', " "), &expected);
            self.succeeds(&format!("{name}: a child makes a volume"), &made);
            let volumes = self.all_of(index).replace("app-db-1 app-web app-back app-data ", "app-data of-a-child ");
            let expected = format!("{volumes}of-a-child ");
            self.expect(&format!("{name}: what its child made"), &after.stdout.replace('\n', " "), &expected);
        }
    }

    fn famous_one_liners(&mut self) {
        for line in ["docker rm -f $(docker ps -aq)", "docker system prune -af --volumes"] {
            // An engine prunes one after the other, and refuses whoever comes in between.
            let mut tried = (0..100).map(|_| self.jobs[0].run(line));
            let output = tried.find(|output| !output.stderr.contains("a prune operation is already running")).unwrap();
            self.succeeds(line, &output);
        }
        let left = self.jobs[0].must("docker ps -aq; docker network ls -q -f type=custom");
        self.expect("after the one-liners", &left, "");
        let images = self.jobs[0].must("docker images -q busybox:test | wc -l");
        self.expect("the shared image after the one-liners", &images, "1");
        let seen = self.jobs[1].run(SEEN);
        self.expect("the other job after the one-liners", &seen.stdout.replace('\n', " "), &self.all_of(1));
        let running = self.jobs[1].must("docker compose ps -q --status running | wc -l");
        self.expect("the other job's services after the one-liners", &running, "2");
        self.host_is_unharmed("after the one-liners");
        let again = self.jobs[0].run("docker compose up -d");
        self.succeeds("compose up after the one-liners", &again);
    }

    fn a_killed_job_leaves_nothing(&mut self) {
        self.jobs[0].kill();
        self.nothing_is_left_of(0, "killed");
        let seen = self.jobs[1].run(SEEN);
        self.expect("the other job after the kill", &seen.stdout.replace('\n', " "), &self.all_of(1));
        self.host_is_unharmed("after a job was killed");
    }

    fn nor_does_one_that_sockwarden_did_not_see(&mut self) {
        self.gate.kill();
        self.jobs[1].kill();
        self.gate.again();
        self.nothing_is_left_of(1, "killed while sockwarden was dead");
        self.host_is_unharmed("after sockwarden was killed");
    }

    fn nothing_is_left_of(&mut self, index: usize, how: &str) {
        let begun = Instant::now();
        loop {
            let left = self.made_by_jobs();
            let left: Vec<_> = left.iter().filter(|(owner, _)| owner == self.jobs[index].id()).collect();
            if left.is_empty() {
                return;
            }
            if begun.elapsed() > SECONDS {
                self.failed.push(format!("{how}: after {SECONDS:?} there still are {left:?}"));
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Owner and name of what the engine has of these jobs
    fn made_by_jobs(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (list, within, name, labels) in LISTS {
            let all = listed(&self.engine.socket, list).json();
            for object in all.pointer(within).and_then(Value::as_array).into_iter().flatten() {
                let owner = object.pointer(labels).and_then(|labels| labels["sockwarden.owner"].as_str());
                let owner = owner.filter(|owner| self.jobs.iter().any(|job| job.id() == *owner));
                let name = object.pointer(name).and_then(Value::as_str).unwrap_or_default();
                found.extend(owner.map(|owner| (owner.to_owned(), name.to_owned())));
            }
        }
        found
    }

    fn host_is_unharmed(&mut self, when: &str) {
        if let Err(harm) = self.host.is_unharmed() {
            self.failed.push(format!("{when}: {harm}"));
        }
    }
}

/// What is on the host beside the jobs: a container that runs, one that does not, a network, volumes
struct Host<'a> {
    engine: &'a Path,
    name: String,
    container: String,
    workspace: String,
}

impl<'a> Host<'a> {
    fn furnish(engine: &'a Path) -> Self {
        let name = format!("swt-two-{}", std::process::id());
        let made = |target: &str, body: Value| {
            let answer = ask(engine, "POST", target, &body.to_string());
            assert!(answer.is_success(), "{target}: {}", answer.text());
            answer.json()["Id"].as_str().unwrap_or_default().to_owned()
        };
        made("/networks/create", json!({"Name": format!("{name}-net")}));
        made("/volumes/create", json!({"Name": format!("{name}-vol")}));
        made("/volumes/create", json!({"Name": format!("{name}-ws")}));
        made(&format!("/containers/create?name={name}-idle"), json!({"Image": "busybox:test", "Cmd": ["true"]}));
        let body = json!({"Image": "busybox:test", "Cmd": ["sleep", "10000"]});
        let container = made(&format!("/containers/create?name={name}"), body);
        ask(engine, "POST", &format!("/containers/{container}/start"), "");
        Self { engine, workspace: format!("{name}-ws"), name, container }
    }

    fn is_unharmed(&self) -> Result<(), String> {
        let Self { engine, name, container, workspace } = self;
        let here = |target: &str| ask(engine, "GET", target, "");
        let runs = here(&format!("/containers/{container}/json")).json()["State"]["Running"].as_bool();
        if runs != Some(true) {
            return Err("the host's container does not run".to_owned());
        }
        for target in [
            format!("/containers/{name}-idle/json"),
            format!("/networks/{name}-net"),
            format!("/volumes/{name}-vol"),
            format!("/volumes/{workspace}"),
            "/images/busybox:test/json".to_owned(),
        ] {
            if here(&target).status != 200 {
                return Err(format!("{target} is gone"));
            }
        }
        Ok(())
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        for target in
            [format!("/containers/{name}?force=1"), format!("/containers/{name}-idle"), format!("/networks/{name}-net")]
        {
            removed(self.engine, &target);
        }
        // The jobs that have one of them mounted are gone by now.
        for volume in ["vol", "ws"] {
            removed(self.engine, &format!("/volumes/{name}-{volume}?force=1"));
        }
    }
}

const NAMES: [&str; 2] = ["bound", "in-a-volume"];

/// Everything that a job sees; the engine's own networks left out
const SEEN: &str = "docker ps -a --format '{{.Names}}' | sort && docker network ls -f type=custom --format '{{.Name}}' && \
                    docker volume ls -q";

/// Lists of the engine: target, where the list is, name, labels
const LISTS: [(&str, &str, &str, &str); 3] = [
    ("/containers/json?all=1", "", "/Names/0", "/Labels"),
    ("/networks", "", "/Name", "/Labels"),
    ("/volumes", "/Volumes", "/Name", "/Labels"),
];

/// How long what a job made may outlive it
const SECONDS: Duration = Duration::from_secs(90);
