//! `sockwarden run` as its command, its caller and a terminal see it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

/// `sockwarden run … -- sh -c SCRIPT`, with a place of its own for all that it makes
fn command(world: &World, place: &std::path::Path, script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
    command.args(["run", "--engine", &format!("unix://{}", world.socket().display()), "--config", "/dev/null"]);
    command.arg("--audit").arg(place.join("audit.jsonl")).args(["--", "sh", "-c", script]);
    command.env("XDG_RUNTIME_DIR", place).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_status_is_the_command_s_and_the_place_is_private_and_goes() {
    let (world, place) = (World::start(), tempfile::tempdir().unwrap());
    let script = "s=${DOCKER_HOST#unix://}; test -S $s && stat -c %a $s ${s%/*}; echo ${DOCKER_TLS_VERIFY-none}";
    for (end, status) in [("", 0), ("; exit 7", 7), ("; kill -9 $$", 137)] {
        let mut command = command(&world, place.path(), &format!("{script}{end}"));
        let output = command.env("DOCKER_TLS_VERIFY", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "600\n700\nnone\n", "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().filter(|line| line.starts_with("sockwarden: ")).count(), 3, "{said}");
        let left = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["audit.jsonl"]);
    }
    for (program, status) in [("/nonexistent", 127), ("/", 126)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
        command.args(["run", "--engine", &format!("unix://{}", world.socket().display()), "--config", "/dev/null"]);
        let output =
            command.arg("--audit").arg(place.path().join("audit.jsonl")).args(["--", program]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}

#[test]
fn every_signal_that_tells_something_is_passed_on() {
    let (world, place) = (World::start(), tempfile::tempdir().unwrap());
    for (name, signal) in [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
    ] {
        let script = format!("trap 'echo {name}; exit 5' {name}; echo ready; while :; do sleep 0.05; done");
        let run = command(&world, place.path(), &script);
        // Away from whatever terminal the tests have; it takes the place of itself, as no leader of a group starts it.
        let mut away = Command::new("setsid");
        away.arg(run.get_program()).args(run.get_args()).env("XDG_RUNTIME_DIR", place.path());
        let mut child = away.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), name);
        assert_eq!(child.wait().unwrap().code(), Some(5), "{name}");
    }
}

#[test]
fn what_a_terminal_sends_reaches_the_command_once() {
    let (world, place) = (World::start(), tempfile::tempdir().unwrap());
    // Busy all the time, so that a second signal is not taken for the first.
    let script = "trap 'echo got it' INT; echo ready; i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done; echo the end";
    let run = command(&world, place.path(), script);
    let quoted = std::iter::once(run.get_program()).chain(run.get_args());
    let quoted: Vec<String> =
        quoted.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"))).collect();
    // In the place of the shell that `script` starts it by: which one that is, and what it does with a signal, is $SHELL's.
    let mut terminal = Command::new("script")
        .args(["-qefc", &format!("exec {}", quoted.join(" ")), "/dev/null"])
        .env("XDG_RUNTIME_DIR", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), BufReader::new(terminal.stdout.take().unwrap()));
    let mut line = String::new();
    while !line.contains("ready") {
        assert!(screen.read_line(&mut line).unwrap() > 0, "{line}");
    }
    keys.write_all(b"\x03").unwrap();
    let mut rest = String::new();
    screen.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("got it").count(), 1, "{rest}");
    assert!(rest.contains("the end") && rest.contains("the record is in"), "{rest}");
    assert!(terminal.wait().unwrap().success());
}

#[test]
fn a_command_that_begins_is_not_taken_for_one_that_died() {
    let (world, place) = (World::start(), tempfile::tempdir().unwrap());
    // Left before it said which engine it is about: long ago, and only just.
    let [old, new] = ["0", "1"].map(|digit| place.path().join(format!("sockwarden-run-{}", digit.repeat(16))));
    for left in [&old, &new] {
        std::fs::DirBuilder::new().mode(0o700).create(left).unwrap();
    }
    std::fs::File::open(&old).unwrap().set_modified(UNIX_EPOCH).unwrap();
    // Each of them looks for dead ones while others begin.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let output = command(&world, place.path(), "true").output().unwrap();
                    assert!(output.status.success(), "{output:?}");
                    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 3, "{output:?}");
                }
            });
        }
    });
    assert_eq!((old.exists(), new.exists()), (false, true));
}
