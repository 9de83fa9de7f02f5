//! A job container gives its own containers what it has itself, by the paths it knows, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Answer, ask};
use super::inside::Inside;
use super::job::{Job, Output};
use super::pin_root::PinRoot;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let place = Place::new(engine, "swt-given-");
    workspaces(&place, &mut failed);
    what_it_does_not_have(&place, &mut failed);
    inspected(&place, &mut failed);
    the_socket(&place, &mut failed);
    limits(&place, &mut failed);
    compose(&place, &mut failed);
    older_clients(&place, &mut failed);
    grandchildren(&place, &mut failed);
    failed
}

/// A job with two workspaces, one a directory of the host and one a volume, and a cache that it can only read
struct Place {
    engine: PathBuf,
    job: Job,
    inside: Inside,
    host: TempDir,
    volume: Volume,
    // After everything that mounts.
    pins: PinRoot,
}

/// A volume on the engine; removed when dropped
struct Volume(PathBuf, String);

impl Drop for Volume {
    fn drop(&mut self) {
        ask(&self.0, "DELETE", &format!("/volumes/{}?force=1", self.1), "");
    }
}

impl Place {
    fn new(engine: &Engine, prefix: &str) -> Self {
        // The engines have their own roots and share our `/tmp`.
        let host = TempDir::with_prefix_in(prefix, "/tmp").unwrap();
        let pins = PinRoot::new();
        for directory in ["ws/project/below", "cache"] {
            fs::create_dir_all(host.path().join(directory)).unwrap();
        }
        fs::write(host.path().join("ws/project/marker"), "of the directory").unwrap();
        fs::write(host.path().join("cache/marker"), "of the cache").unwrap();
        symlink("/etc", host.path().join("ws/project/out")).unwrap();
        symlink("below", host.path().join("ws/project/in")).unwrap();

        let name = format!("{prefix}{}-{}", std::process::id(), engine.name);
        ask(&engine.socket, "POST", "/volumes/create", &json!({ "Name": name }).to_string());
        let volume = Volume(engine.socket.clone(), name.clone());
        let inside = Inside::start(&engine.socket, "extends = 'ci'", &pins.pins());
        let at = host.path().display();
        let job = Job::with(
            engine,
            &inside.socket(),
            json!({"HostConfig": {
                "Binds": [format!("{at}/ws:/ws"), format!("{at}/cache:/cache:ro"), format!("{name}:/data")],
                "Tmpfs": {"/ws/tmp": ""},
                "Mounts": [{"Type": "tmpfs", "Target": "/scratch"}],
                "Memory": 128 << 20, "NanoCpus": 500_000_000, "PidsLimit": 100,
            }}),
        );
        job.must("mkdir -p /data/project/below && echo -n of the volume >/data/project/marker && ln -s /etc /data/out");
        inside.is_called_by(&engine.socket, job.id());
        Self { engine: engine.socket.clone(), job, inside, host, volume, pins }
    }

    /// What the engine itself says of a container that the job knows by this name
    fn inspect(&self, name: &str) -> Value {
        ask(&self.engine, "GET", &format!("/containers/{}/json", self.id(name)), "").json()
    }

    fn id(&self, name: &str) -> String {
        self.job.must(&format!("docker inspect --type container -f '{{{{.Id}}}}' {name}"))
    }

    /// Whether a script says what it should; otherwise what it said
    fn says(&self, failed: &mut Vec<String>, script: &str, expected: &str) {
        let output = self.job.run(script);
        if output.code != 0 || output.stdout.trim_end() != expected {
            failed.push(format!("{script}: expected `{expected}`, got {output:?}"));
        }
    }

    /// Whether a script fails with these words
    fn refuses(&self, failed: &mut Vec<String>, script: &str, words: &str) -> Output {
        let output = self.job.run(script);
        if output.code == 0 || !output.stderr.contains(words) {
            failed.push(format!("{script}: expected a refusal with `{words}`, got {output:?}"));
        }
        output
    }
}

const RUN: &str = "docker run --rm --network none";

fn workspaces(place: &Place, failed: &mut Vec<String>) {
    for (at, what) in [("/ws/project", "of the directory"), ("/data/project", "of the volume")] {
        place.says(failed, &format!("cd {at} && {RUN} -v \"$PWD:/src\" busybox:test cat /src/marker"), what);
        place.says(
            failed,
            &format!("cd {at} && {RUN} --mount type=bind,source=\"$PWD\",target=/src busybox:test cat /src/marker"),
            what,
        );
        // What a child writes is there for the job, and a directory may be all that is asked for.
        place.says(
            failed,
            &format!("{RUN} -v {at}/below:/b -w /b busybox:test touch made-here && ls {at}/below"),
            "made-here",
        );
        place.says(failed, &format!("{RUN} -v {at}/marker:/m:ro busybox:test cat /m"), what);
        let read_only = format!("{RUN} -v {at}:/src:ro busybox:test touch /src/no");
        place.refuses(failed, &read_only, "Read-only file system");
    }
    place.says(failed, &format!("{RUN} -v /ws:/all busybox:test cat /all/project/marker"), "of the directory");
    place.says(failed, &format!("{RUN} -v /data:/all busybox:test cat /all/project/marker"), "of the volume");
    place.says(failed, &format!("{RUN} -v /ws/project/in:/in busybox:test ls /in"), "made-here");
    // A client that translates for itself.
    let host = place.host.path().join("ws/project");
    place.says(failed, &format!("{RUN} -v {}:/src busybox:test cat /src/marker", host.display()), "of the directory");
    // Read-only stays read-only, whichever name is used.
    for cache in [Path::new("/cache"), &place.host.path().join("cache")] {
        let cache = cache.display();
        place.says(failed, &format!("{RUN} -v {cache}:/c busybox:test cat /c/marker"), "of the cache");
        for wanted in [format!("-v {cache}:/c"), format!("--mount type=bind,src={cache},dst=/c")] {
            place.refuses(failed, &format!("{RUN} {wanted} busybox:test touch /c/no"), "Read-only file system");
        }
    }
    let record = place.inside.record();
    for line in ["\"to\":\"ro\"", "\"line\":\"ci:", "\"from\":\"/ws/project\""] {
        if !record.contains(line) {
            failed.push(format!("`{line}` is not on record"));
        }
    }
}

fn what_it_does_not_have(place: &Place, failed: &mut Vec<String>) {
    let has =
        "is inside the job container's own file system, which the engine cannot mount; it has /cache (ro), /data, ";
    for path in ["/etc", "/", "/root", "/scratch", "/ws/../etc", "/proc/1"] {
        place.refuses(failed, &format!("{RUN} -v {path}:/x busybox:test true"), has);
    }
    let above = place.host.path().display();
    place.refuses(failed, &format!("{RUN} -v {above}:/x busybox:test true"), has);
    // A link of the job's own making.
    for wanted in ["-v /ws/project/out:/x", "-v /ws/project/out/ssl:/x", "--mount type=bind,src=/ws/project/out,dst=/x"]
    {
        place.refuses(failed, &format!("{RUN} {wanted} busybox:test ls /x"), "leads out of the directory");
    }
    let out = place.job.run(&format!("{RUN} -v /data/out:/x busybox:test ls /x"));
    if out.code == 0 || out.stdout.contains("passwd") {
        failed.push(format!("a link leads out of a volume: {out:?}"));
    }
    place.refuses(failed, &format!("{RUN} -v /ws/project:/x:rshared busybox:test true"), "leave the propagation out");
    place.refuses(failed, &format!("{RUN} -v /ws/missing:/x busybox:test true"), "create_mountpoint");
    if place.host.path().join("ws/missing").exists() {
        failed.push("a directory was made for a refused call".to_owned());
    }
}

fn inspected(place: &Place, failed: &mut Vec<String>) {
    let name = &place.volume.1;
    let create = format!("docker create --name {name} -v /ws/project:/src:ro -v /data/project:/d -v /cache:/c");
    let mount = "--mount type=bind,src=/ws/project/below,dst=/m -v sub:/own -v /var/run/docker.sock:/docker.sock";
    place.job.must(&format!("{create} {mount} busybox:test true"));
    let mounts = "{{range .HostConfig.Mounts}}{{println .Type .Source .Target}}{{end}}";
    let format = format!("{{{{range .HostConfig.Binds}}}}{{{{println .}}}}{{{{end}}}}{mounts}");
    place.says(
        failed,
        // The CLI sends binds in any order.
        &format!("docker inspect -f '{format}' {name} | sort | grep ."),
        "/cache:/c\n/data/project:/d\n/var/run/docker.sock:/docker.sock\n/ws/project:/src:ro\n\
         bind /ws/project/below /m\nsub:/own",
    );
    let format =
        "{{range .Mounts}}{{.Destination}} {{.Type}} {{if eq .Type \"bind\"}}{{.Source}} {{end}}{{.RW}}\n{{end}}";
    place.says(
        failed,
        &format!("docker inspect -f '{format}' {name} | sort | grep ."),
        "/c bind /cache false\n/d bind /data/project true\n/docker.sock bind /var/run/docker.sock true\n\
         /m bind /ws/project/below true\n/own volume true\n/src bind /ws/project false",
    );
    place.says(failed, &format!("docker inspect -f '{{{{json .Config.Labels}}}}' {name}"), "{}");
    let real = place.inspect(name);
    let label = real["Config"]["Labels"]["sockwarden.asked"].as_str().unwrap_or_default();
    if !label.contains("/data/project:/d") {
        failed.push(format!("the engine keeps other words: {real}"));
    }
    // What was made from it is not what it was made from.
    place.job.must(&format!("docker commit {name} localhost/{name} && docker rm -v {name}"));
    place.job.must(&format!("docker create --name {name} localhost/{name} true"));
    place.says(failed, &format!("docker inspect -f '{{{{json .HostConfig.Binds}}}}' {name}"), "null");
    place.job.must(&format!("docker rm {name} && docker rmi localhost/{name} && docker volume rm sub"));
}

fn the_socket(place: &Place, failed: &mut Vec<String>) {
    let client = "-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -e PATH=/bin:/usr/bin";
    let name = &format!("{}-child", place.volume.1);
    let child = |bind: &str, at: &str, script: &str| {
        format!("{RUN} {client} {bind} -e DOCKER_HOST=unix://{at} busybox:test sh -c '{script}'")
    };
    let gate = place.inside.socket();
    let own_name = format!("-v {}:/s", gate.display());
    for (bind, at) in [
        ("-v /var/run/docker.sock:/var/run/docker.sock", "/var/run/docker.sock"),
        ("-v /run/docker.sock:/x:ro", "/x"),
        ("--mount type=bind,src=/var/run/docker.sock,dst=/s", "/s"),
        (own_name.as_str(), "/s"),
        (&format!("-v {}:/s", place.engine.display()), "/s"),
    ] {
        place.refuses(failed, &child(bind, at, "docker run --privileged busybox:test true"), "privileged");
        place.job.must(&child(bind, at, &format!("docker create --name {name} busybox:test true")));
        let owner = place.inspect(name)["Config"]["Labels"]["sockwarden.owner"].clone();
        if owner != "inside" {
            failed.push(format!("{bind}: what a child makes belongs to {owner}"));
        }
        place.job.must(&format!("docker rm {name}"));
    }
    for bind in ["-v /var/run:/x", "-v /run:/x", "-v /var/run/docker.sock/..:/x"] {
        place.refuses(failed, &format!("{RUN} {bind} busybox:test true"), "it has /cache (ro)");
    }
}

fn limits(place: &Place, failed: &mut Vec<String>) {
    let name = &format!("{}-limits", place.volume.1);
    for (asked, expected) in [
        ("", json!([128 << 20, 500_000_000, 100])),
        ("-m 1g --cpus 2 --pids-limit -1", json!([128 << 20, 500_000_000, 100])),
        ("-m 64m --cpus 0.25 --pids-limit 7", json!([64 << 20, 250_000_000, 7])),
    ] {
        place.job.must(&format!("docker create --name {name} {asked} busybox:test true"));
        let host = &place.inspect(name)["HostConfig"];
        let got = json!([host["Memory"], host["NanoCpus"], host["PidsLimit"]]);
        if got != expected {
            failed.push(format!("limits with `{asked}`: expected {expected}, got {got}"));
        }
        place.job.must(&format!("docker rm {name}"));
    }
}

fn compose(place: &Place, failed: &mut Vec<String>) {
    let project = place.volume.1.to_lowercase();
    let file = "
services:
  web:
    image: busybox:test
    command: [sleep, '10000']
    init: true
    stop_grace_period: 0s
    volumes:
      - ./:/src
      - /data/project:/data:ro
      - /cache:/cache
      - /var/run/docker.sock:/var/run/docker.sock
      - type: bind
        source: ./below
        target: /below
      - named:/named
      - /anonymous
volumes:
  named:
";
    fs::write(place.host.path().join("ws/project/compose.yaml"), file).unwrap();
    let compose = format!("cd /ws/project && docker compose -p {project}");
    let up = |place: &Place| {
        place.job.must(&format!("{compose} up -d >/tmp/up 2>&1 || {{ cat /tmp/up >&2; exit 1; }}"));
        place.job.must(&format!("{compose} ps -q web"))
    };
    let (first, second) = (up(place), up(place));
    if first.is_empty() || first != second {
        failed.push(format!("the second `up` made another container: {first}, {second}"));
    }
    place.says(
        failed,
        &format!("{compose} exec -T web cat /src/marker /data/marker /cache/marker"),
        "of the directoryof the volumeof the cache",
    );
    // Made anew it has the same, anonymous volumes included.
    let names = "docker inspect -f '{{range .Mounts}}{{println .Name}}{{end}}'";
    let anonymous = format!("{names} $({compose} ps -q web) | sort | grep .");
    let before = place.job.must(&anonymous);
    place.job.must(&format!("{compose} up -d --force-recreate >/tmp/up 2>&1 || {{ cat /tmp/up >&2; exit 1; }}"));
    place.says(failed, &anonymous, &before);
    place.says(failed, &format!("{compose} exec -T web cat /src/marker"), "of the directory");
    place.job.must(&format!("{compose} down -v >/tmp/down 2>&1 || {{ cat /tmp/down >&2; exit 1; }}"));
}

/// A part of a volume has no name of its own below API 1.45, whatever the engine speaks
fn older_clients(place: &Place, failed: &mut Vec<String>) {
    let (said, source) = runs(place, "/v1.41", "/data/project:/src:ro", "cat /src/marker");
    if said != "of the volume" || source.as_ref().is_none_or(|source| !source.starts_with(&*pins(place))) {
        failed.push(format!("a part of a volume for API 1.41: `{said}` from {source:?}"));
    }
    let refused = create(place, "/v1.41", "/data/out:/x", "ls /x");
    if refused.status != 403 || !refused.text().contains("leads out of the directory") {
        failed.push(format!("a link out of a volume for API 1.41: {} {}", refused.status, refused.text()));
    }
}

/// What a child was given it gives on, and no more: neither the rest of a volume nor what lies beside a directory
fn grandchildren(place: &Place, failed: &mut Vec<String>) {
    let name = format!("{}-parent", place.volume.1);
    let binds = "-v /data/project/below:/b -v /ws/project/below:/w:ro -v /data:/all:ro";
    place.job.must(&format!("docker run -d --init --network none --name {name} {binds} busybox:test sleep 10000"));
    place.inside.is_called_by(&place.engine, &place.id(&name));
    for (bind, expected) in [("/b:/x", "made-here"), ("/w:/x", "made-here"), ("/all:/x", "out\nproject")] {
        let (said, _) = runs(place, "", bind, "ls -1 /x");
        if said != expected {
            failed.push(format!("{bind} from a child: expected `{expected}`, got `{said}`"));
        }
        let (said, _) = runs(place, "", bind, "touch /x/by-the-child && echo written");
        if said.contains("written") != (bind == "/b:/x") {
            failed.push(format!("{bind} from a child that may not write there, or may: {said}"));
        }
    }
    for bind in ["/ws/project:/x", "/data:/x", "/cache:/x", "/b/..:/x"] {
        let refused = create(place, "", bind, "ls /x");
        if refused.status != 403 || !refused.text().contains("it has /all (ro), /b, /w (ro)") {
            failed.push(format!("{bind} from a child: {} {}", refused.status, refused.text()));
        }
    }
    // By its name it would be the whole volume, of which the child may write a part only.
    let (said, _) = runs(place, "", &format!("{}:/x", place.volume.1), "touch /x/by-the-child && echo written");
    if said.contains("written") {
        failed.push("a child writes to all of a volume of which it has a part".to_owned());
    }
    place.inside.is_called_by(&place.engine, place.job.id());
    place.job.must(&format!("docker rm -f {name}"));
}

/// What a container with one bind says, and where that comes from by the engine's words
fn runs(place: &Place, version: &str, bind: &str, script: &str) -> (String, Option<String>) {
    let made = create(place, version, bind, script);
    let Some(id) = made.json()["Id"].as_str().map(str::to_owned) else { return (made.text(), None) };
    let post = |what: &str| ask(&place.inside.socket(), "POST", &format!("/containers/{id}/{what}"), "");
    let (started, _) = (post("start"), post("wait"));
    let logs = ask(&place.engine, "GET", &format!("/containers/{id}/logs?stdout=1&stderr=1"), "").text();
    let source = place.inspect(&id)["Mounts"][0]["Source"].as_str().map(str::to_owned);
    ask(&place.inside.socket(), "DELETE", &format!("/containers/{id}"), "");
    let said = if started.status == 204 { logs } else { started.text() };
    (said.replace('\r', ""), source)
}

fn create(place: &Place, version: &str, bind: &str, script: &str) -> Answer {
    let host = json!({"NetworkMode": "none", "Binds": [bind]});
    let body = json!({"Image": "busybox:test", "Cmd": ["sh", "-c", script], "Tty": true, "HostConfig": host});
    ask(&place.inside.socket(), "POST", &format!("{version}/containers/create"), &body.to_string())
}

fn pins(place: &Place) -> String {
    place.pins.pins().display().to_string()
}
