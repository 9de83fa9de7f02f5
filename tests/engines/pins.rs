//! A job that can write a directory swaps what is in it after the check: with `pin = true` its container gets what was
//! checked, and the pin goes away with the container.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{PATIENCE, ask};
use super::pin_root::PinRoot;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            failed.push(what);
        }
    };
    // The engines have their own roots and share our `/tmp`.
    let job = tempfile::Builder::new().prefix("swt-pins-").tempdir_in("/tmp").unwrap();
    let root = PinRoot::new();
    let pins = root.pins();
    let [ws, evil] = ["ws", "evil"].map(|name| job.path().join(name));
    fs::create_dir(&ws).unwrap();
    fs::write(ws.join("marker"), "checked").unwrap();
    std::os::unix::fs::symlink("/etc", &evil).unwrap();

    let info = ask(&engine.socket, "GET", "/info", "").json();
    let data = info["DockerRootDir"].as_str().unwrap();
    let policy = format!(
        "version = 1\nname = \"pins\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n[mounts]\npin = true\n\
         allow = [{{ source = \"{}/**\", access = \"rw\" }}, {{ source = \"{data}/**\", access = \"rw\" }}]\n",
        job.path().display(),
    );
    let gate = Gate::with_files(&engine.socket, &policy, &format!("pins = \"{}\"\n", pins.display()));
    let create = |host: Value| {
        let body = json!({"Image": "busybox:test", "Cmd": ["ls", "/ws"], "Tty": true, "HostConfig": host});
        ask(&gate.socket(), "POST", "/containers/create", &body.to_string())
    };
    for host in [
        json!({"NetworkMode": "none", "Binds": [format!("{}:/ws", ws.display())]}),
        json!({"NetworkMode": "none", "Mounts": [{"Type": "bind", "Source": ws, "Target": "/ws"}]}),
    ] {
        let made = create(host.clone());
        expect(made.status == 201, format!("{host}: {} {}", made.status, made.text()));
        let id = made.json()["Id"].as_str().unwrap_or("").to_owned();
        // Between the check and the start, when the engine looks again.
        renameat_with(CWD, &ws, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
        let post = |target: &str| ask(&gate.socket(), "POST", &format!("/containers/{id}/{target}"), "");
        let (started, waited) = (post("start"), post("wait"));
        let logs = ask(&engine.socket, "GET", &format!("/containers/{id}/logs?stdout=1&stderr=1"), "").text();
        renameat_with(CWD, &ws, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
        expect(started.status == 204 && waited.status == 200, format!("{} {}", started.text(), waited.text()));
        expect(logs == "marker", format!("{host}: after the swap the container has {logs}"));
        // A sweep in between leaves what a container has.
        sleep(Duration::from_secs(6));
        expect(
            fs::read_dir(&pins).unwrap().count() == 1,
            "the pin of a container that exists was taken away".to_owned(),
        );
        ask(&gate.socket(), "DELETE", &format!("/containers/{id}"), "");
        let until = Instant::now() + PATIENCE;
        while fs::read_dir(&pins).unwrap().count() > 0 && Instant::now() < until {
            sleep(Duration::from_millis(200));
        }
        expect(fs::read_dir(&pins).unwrap().count() == 0, "the pin outlives its container".to_owned());
    }
    let stolen = create(json!({"Binds": [format!("{}:/x", pins.parent().unwrap().display())]}));
    expect(stolen.status == 403, format!("the directory of pins is mounted: {}", stolen.text()));
    for within in ["", "/volumes", "/.."] {
        let stolen = create(json!({"Binds": [format!("{data}{within}:/x")]}));
        expect(stolen.status == 403, format!("the engine's data is mounted: {}", stolen.text()));
    }
    let record = gate.record();
    expect(record.contains("\"field\":\"HostConfig.Binds[0]\""), format!("the pin is not on record: {record}"));
    failed
}
