//! `sockwarden run` with the docker CLI of the engine's own generation.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::http::{PATIENCE, listed};
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            failed.push(what);
        }
    };
    let prefix = format!("swt-run-{}-", std::process::id());
    let socket = engine.socket.as_path();
    let left = || {
        let lists = ["/containers/json?all=1", "/networks", "/volumes"].map(|list| listed(socket, list).text());
        lists.iter().filter(|list| list.contains(&prefix)).count()
    };
    // The engines share our `/tmp`.
    let dir = tempfile::Builder::new().prefix("swt-run-").tempdir_in("/tmp").unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("marker"), "of the working directory").unwrap();
    let policy = dir.path().join("policy.toml");
    std::fs::write(
        &policy,
        "extends = 'ci'\n[images]\nallow = ['registry.example.com/**']\n[network]\nsubnet = true\n",
    )
    .unwrap();
    let docker = docker(engine);
    let subnet = super::reap::subnet()["Config"][0]["Subnet"].as_str().unwrap().to_owned();
    let command = |more: &[&str], script: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
        command.args(["run", "--engine", &format!("unix://{}", socket.display()), "--policy"]).arg(&policy);
        command.arg("--audit").arg(dir.path().join("audit.jsonl")).arg("--config").arg("/dev/null").args(more);
        let script =
            script.replace("docker ", &format!("{docker} ")).replace("NAME", &prefix).replace("SUBNET", &subnet);
        command.args(["--", "sh", "-c", &script]).current_dir(&work).env("PWD", &work);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let said = |more: &[&str], script: &str| {
        let output = command(more, script).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), out, err)
    };

    let make = "docker network create --subnet SUBNET NAMEn >/dev/null && docker volume create NAMEv >/dev/null && \
                docker run -d --name NAMEc --network NAMEn -v NAMEv:/v busybox:test sleep 1000 >/dev/null";
    let (code, out, err) = said(
        &[],
        &format!("{make} && docker ps --format '{{{{.Names}}}}'; docker run --privileged busybox:test true; exit 7"),
    );
    expect(code == Some(7), format!("status {code:?}: {err}"));
    expect(out.trim() == format!("{prefix}c"), format!("ps: {out}"));
    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("sockwarden: ")).collect();
    let told = lines.len() == 3
        && lines[0] == "sockwarden: made 1 container, 1 network, 1 volume; nothing is left"
        && lines[1].starts_with("sockwarden: refused 1 call, the first with: privileged")
        && lines[2].contains("audit.jsonl, owner run-");
    expect(told, format!("summary: {err}"));
    expect(left() == 0, "something is left".to_owned());

    let (code, out, err) = said(&[], "docker run --rm -v \"$PWD:/src\" busybox:test cat /src/marker");
    expect((code, out.as_str()) == (Some(0), "of the working directory"), format!("{code:?} {out} {err}"));
    let (code, _, err) = said(&[], "docker run --rm -v /etc:/x busybox:test true");
    expect(code == Some(126) || code == Some(125), format!("the host's files are given: {code:?} {err}"));

    // Passed on while it runs, and nothing is left whatever it was.
    for (signal, status) in [(Signal::USR1, 9), (Signal::TERM, 143)] {
        let script = format!("trap 'exit 9' USR1; {make}; touch ready; while :; do sleep 0.1; done");
        let child = command(&[], &script).spawn().unwrap();
        until("the command is ready", || work.join("ready").exists());
        std::fs::remove_file(work.join("ready")).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        expect(output.status.code() == Some(status), format!("{signal:?}: {:?} {err}", output.status));
        expect(left() == 0, format!("{signal:?}: something is left: {err}"));
    }

    let (code, _, err) = said(&["--keep-on-failure"], &format!("{make}; exit 3"));
    let owner = err.split("owner ").nth(1).unwrap_or_default().trim().to_owned();
    expect(code == Some(3) && left() == 3 && err.contains("all of it stays"), format!("{code:?} {} {err}", left()));
    let url = format!("unix://{}", socket.display());
    let audit = dir.path().join("audit.jsonl");
    let cleaned = Command::new(env!("CARGO_BIN_EXE_sockwarden"))
        .args(["clean", "--engine", &url, "--audit"])
        .args([audit.as_os_str(), owner.as_ref()])
        .output()
        .unwrap();
    expect(cleaned.status.success() && left() == 0, format!("{cleaned:?}"));

    // Whoever was killed himself is cleaned up after by the next one.
    let mut child = command(&[], &format!("{make}; touch ready; sleep 1000")).spawn().unwrap();
    until("the command is ready", || work.join("ready").exists());
    let shell = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap_or_default();
    child.kill().unwrap();
    child.wait().unwrap();
    for pid in shell.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    expect(left() == 3, "it went by itself".to_owned());
    let (code, _, err) = said(&[], "true");
    expect(code == Some(0) && left() == 0, format!("after the next one: {} {err}", left()));
    failed
}

/// The command line of the engine's generation
fn docker(engine: &Engine) -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
    let output = Command::new(tool).args(["cli", &engine.name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
