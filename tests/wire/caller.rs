//! Who calls is whoever made the connection, and nobody else who has its process's number, or its connection.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, plain};

/// Where [`a_process_that_leaves_its_connection_behind`] connects to
const SOCKET: &str = "SWT_CONNECT_TO";

#[test]
#[ignore = "a part of other tests, which run it in a process of its own"]
#[expect(clippy::zombie_processes, reason = "what it starts is to outlive it")]
fn a_process_that_leaves_its_connection_behind() {
    let stream = UnixStream::connect(std::env::var(SOCKET).unwrap()).unwrap();
    let request =
        "printf 'GET /v1.41/containers/json HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&0; cat";
    // Whoever it was left to sends, and reads the answer.
    Command::new("sh").args(["-c", request]).stdin(OwnedFd::from(stream)).spawn().unwrap();
}

/// Lets a process connect and end before anybody looks, and another have its number if this user may choose numbers
///
/// Returns the number, and what whoever has the connection now was answered.
fn left_behind(proxy: &Proxy) -> (u32, String) {
    proxy.signal(Signal::STOP);
    let mut leaver = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "caller::a_process_that_leaves_its_connection_behind", "--ignored", "--nocapture"])
        .env(SOCKET, &proxy.socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, mut said) = (leaver.id(), leaver.stdout.take().unwrap());
    assert!(leaver.wait().unwrap().success());
    let mut heir = heir(pid);
    proxy.signal(Signal::CONT);
    let mut answer = String::new();
    said.read_to_string(&mut answer).unwrap();
    if let Some(heir) = &mut heir {
        assert_eq!(heir.id(), pid);
        heir.kill().unwrap();
        heir.wait().unwrap();
    }
    (pid, answer)
}

/// Another process with that number; root may choose the next one
///
/// Kernels before 6.5 do not give the process with the connection, and an heir from before it was accepted stays unseen.
fn heir(pid: u32) -> Option<Child> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let numbers: Vec<u32> = release.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers < vec![6, 5] {
        return None;
    }
    for _ in 0..100 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let mut child = Command::new("sleep").arg("100").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        if child.id() == pid {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Somebody else's process was quicker, and is as good an heir.
        if std::path::Path::new(&format!("/proc/{pid}")).exists() {
            return None;
        }
    }
    panic!("no process got the number {pid}");
}

fn calls(proxy: Proxy) -> Vec<Value> {
    proxy.stop().records.into_iter().filter(|record| record["event"] == "request").collect()
}

#[test]
fn a_process_that_ended_is_neither_its_heir_nor_its_user() {
    let engine = Prompt::start();
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup::default());
    let (pid, answer) = left_behind(&proxy);
    assert!(answer.contains("HTTP/1.1 403 ") && answer.contains("the calling process has ended"), "{answer}");
    let heard = engine.heard();
    assert!(!heard.iter().any(|request| request.contains("/containers/json")), "{heard:?}");
    let calls = calls(proxy);
    assert_eq!(calls.len(), 1, "{calls:?}");
    let call = &calls[0];
    assert_eq!(
        (&call["caller"]["pid"], &call["owner"], &call["verdict"]),
        (&pid.into(), &"unknown".into(), &"deny".into())
    );
    assert_eq!(call["caller"]["uid"], rustix::process::getuid().as_raw(), "{call}");
}

#[test]
fn an_owner_that_does_not_depend_on_the_process_does_not_end_with_it() {
    let uid = format!("uid:{}", rustix::process::getuid().as_raw());
    for (rule, owner) in [("uid", uid.as_str()), ("team-a", "team-a")] {
        let engine = Prompt::start();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let listener =
            format!("[[listener]]\npath = \"{}\"\nowner = \"{rule}\"\npolicy = \"unrestricted\"\n", path("s.sock"));
        std::fs::write(directory.path().join("config.toml"), listener).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
        command.env_clear().args(["serve", "--engine", &format!("unix://{}", engine.socket().display())]);
        command.args(["--config", &path("config.toml"), "--audit", &path("audit.jsonl")]);
        let proxy = Proxy::of_command(&mut command, directory, ["s.sock", "audit.jsonl", "config.toml"]);
        let (_, answer) = left_behind(&proxy);
        assert!(answer.contains("HTTP/1.1 200 "), "{rule}: {answer}");
        let calls = calls(proxy);
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0]["owner"], owner, "{calls:?}");
    }
}

/// A proxy in a pid namespace of its own, from which this process is not seen
fn out_of_sight(engine: &Prompt, owner: &str) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let listener =
        format!("[[listener]]\nname = \"ci\"\npath = \"{}\"\npolicy = \"unrestricted\"\n{owner}", path("s.sock"));
    std::fs::write(directory.path().join("config.toml"), listener).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args([env!("CARGO_BIN_EXE_sockwarden"), "serve", "--engine"]);
    command.arg(format!("unix://{}", engine.socket().display())).env("POD_UID", "0a1b-pod");
    command.args(["--config", &path("config.toml"), "--audit", &path("audit.jsonl")]);
    Proxy::of_command(&mut command, directory, ["s.sock", "audit.jsonl", "config.toml"])
}

#[test]
fn who_cannot_be_seen_is_the_listener_and_that_is_said() {
    let engine = Prompt::start();
    let proxy = out_of_sight(&engine, "");
    proxy.logs("processes outside of this pid namespace cannot be seen");
    for _ in 0..2 {
        assert_eq!(proxy.ask(plain("GET", "/v1.41/containers/json")).status(), 200);
    }
    proxy.logs("callers in other pid namespaces cannot be told apart");
    let records = proxy.records();
    let calls: Vec<_> = records.iter().filter(|record| record["event"] == "request").collect();
    assert_eq!(calls.len(), 2, "{records:?}");
    for call in calls {
        assert_eq!((&call["owner"], &call["caller"]["pid"]), (&"listener:ci".into(), &Value::Null), "{call}");
    }
}

#[test]
fn who_cannot_be_seen_is_who_the_environment_names() {
    let engine = Prompt::start();
    let proxy = out_of_sight(&engine, "owner = \"env:POD_UID\"\n");
    assert_eq!(proxy.ask(plain("GET", "/v1.41/containers/json")).status(), 200);
    assert_eq!(proxy.records()[0]["owner"], "0a1b-pod");
}
