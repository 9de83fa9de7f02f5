//! Real engines of three generations: what they are handed is what was checked.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use sockwarden::api::bind::HostPath;
use sockwarden::mount::{Host, Pin};

use crate::http::ask;
use crate::setting::{Engine, on_each_engine};

/// Runs a command in a container that has `source` at `/ws`, and returns what it wrote
fn run(engine: &Path, source: &HostPath, command: [&str; 2]) -> String {
    let create = json!({
        "Image": "busybox:test", "Cmd": command, "Tty": true, "NetworkDisabled": true,
        "HostConfig": {"Mounts": [{"Type": "bind", "Source": source.as_str(), "Target": "/ws"}], "NetworkMode": "none"},
    });
    let created = ask(engine, "POST", "/v1.41/containers/create", &create.to_string());
    let id = created.json()["Id"].as_str().unwrap_or_else(|| panic!("{}", created.text())).to_owned();
    let started = ask(engine, "POST", &format!("/v1.41/containers/{id}/start"), "");
    let waited = ask(engine, "POST", &format!("/v1.41/containers/{id}/wait"), "");
    let logs = ask(engine, "GET", &format!("/v1.41/containers/{id}/logs?stdout=1&stderr=1"), "");
    let removed = ask(engine, "DELETE", &format!("/v1.41/containers/{id}?force=1"), "");
    assert!(started.is_success() && removed.is_success(), "{}{}{}", started.text(), waited.text(), removed.text());
    logs.text()
}

/// A directory on the shared mount of the engines, whose mounts they all see
fn shared() -> tempfile::TempDir {
    let lab = std::env::var_os("LAB").map_or_else(|| "/var/cache/sockwarden-lab".into(), PathBuf::from);
    let shared = lab.join("shared");
    fs::create_dir_all(&shared).unwrap();
    tempfile::Builder::new().prefix("pins-").tempdir_in(shared).unwrap()
}

/// The unpinned path shows that the swap is a real attack, the pinned one that it is over.
#[test]
fn a_container_has_the_directory_that_was_checked() {
    on_each_engine(|Engine { name: _, socket }| {
        // The engines have their own roots and share our `/tmp`.
        let job = tempfile::Builder::new().prefix("mount-").tempdir_in("/tmp").unwrap();
        let [checked, evil] = ["ws", "evil"].map(|name| job.path().join(name));
        fs::create_dir(&checked).unwrap();
        fs::write(checked.join("marker"), "checked").unwrap();
        std::os::unix::fs::symlink("/etc", &evil).unwrap();
        let path = HostPath::parse(checked.to_str().unwrap()).unwrap();

        let host = Host::open(socket, &[]).unwrap();
        let resolved = host.resolve(&path).unwrap();
        let mut failed = Vec::new();
        if (resolved.path(), resolved.protected()) != (&path, None) {
            failed.push(format!("resolved to {resolved:?}"));
        }
        let shared = shared();
        let pins = shared.path().join("pins");
        let pin = Pin::make(&resolved, &pins).unwrap();
        renameat_with(CWD, &checked, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
        let attacked = run(socket, &path, ["ls", "/ws"]);
        if !attacked.contains("passwd") {
            failed.push(format!("the swap without a pin had no effect: {attacked}"));
        }
        let seen = run(socket, pin.path(), ["ls", "/ws"]);
        if seen != "marker" {
            failed.push(format!("the pinned directory holds {seen}"));
        }
        pin.undo().unwrap();
        if fs::read_dir(&pins).unwrap().count() != 0 {
            failed.push("a pin stays".to_owned());
        }
        failed
    });
}

#[test]
fn paths_are_those_of_the_engines_root() {
    on_each_engine(|Engine { name, socket }| {
        let host = Host::open(socket, &[]).unwrap();
        let release = host.resolve(&HostPath::parse("/etc/os-release").unwrap()).unwrap();
        let text = fs::read_to_string(crate::stage::descriptor(&release)).unwrap();
        let mut failed = Vec::new();
        if !text.contains(name) {
            failed.push(format!("its /etc/os-release is another's: {text}"));
        }
        if release.path().as_str() != "/usr/lib/os-release" {
            failed.push(format!("/etc/os-release leads to {}", release.path()));
        }
        for path in ["/", "/proc", "/sys", "/dev", "/run", "/var/lib"] {
            if host.resolve(&HostPath::parse(path).unwrap()).unwrap().protected().is_none() {
                failed.push(format!("{path} is not protected"));
            }
        }
        failed
    });
}
