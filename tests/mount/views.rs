//! Whose file system it is: engines with another root, with mounts of their own, and those that cannot be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use sockwarden::mount::{Host, Protected, Unresolved, Unseen};

use crate::stage::{Listener, Stage, host_path, resolve};

#[test]
fn an_engine_with_another_root_has_its_own_paths() {
    let stage = Stage::new();
    let [root, here, outside] = stage.dirs(["root", "root/srv/here", "outside"]);
    stage.file("root/srv/here/file");
    stage.link("/srv/here", "root/srv/absolute");
    stage.link("../../../../../srv/here", "root/srv/relative");
    stage.link(outside.to_str().unwrap(), "root/srv/out");
    let engine = Listener::start(&stage, None, &root);
    let host = Host::open(&engine.socket, &[Protected::ours("the record", &here.join("file")).unwrap()]).unwrap();
    for path in ["/srv/here", "/srv/absolute", "/srv/relative", "/srv/../../../srv/here"] {
        let resolved = resolve(&host, Path::new(path)).unwrap();
        assert_eq!(resolved.path().as_str(), "/srv/here");
        // Our own things are known on the engine's side too, by what they are.
        assert_eq!(resolved.protected().map(|said| said.starts_with("holds the record")), Some(true));
    }
    // What the link names is in our root only.
    let error = resolve(&host, Path::new("/srv/out")).unwrap_err();
    assert!(matches!(&error, Unresolved::Dangling(at) if at == "/srv/out"), "{error}");
    assert_eq!(resolve(&host, Path::new("/")).unwrap().path().as_str(), "/");
}

#[test]
fn an_engine_with_mounts_of_its_own_is_seen_with_them() {
    let stage = Stage::new();
    let [covered, cover] = stage.dirs(["covered", "cover"]);
    stage.file("covered/ours");
    stage.file("cover/theirs");
    let mounts = format!("mount --bind {} {}", cover.display(), covered.display());
    let engine = Listener::start(&stage, Some(&mounts), Path::new("/"));
    let protect = [Protected::ours("the record", &stage.path("covered/ours")).unwrap()];
    let host = Host::open(&engine.socket, &protect).unwrap();
    assert_eq!(resolve(&host, &covered.join("theirs")).unwrap().path(), &host_path(&covered.join("theirs")));
    assert!(matches!(resolve(&host, &covered.join("ours")).unwrap_err(), Unresolved::Missing(_)));
    // Covered for the engine, so a mount of it gives nothing away; what is above has it below the cover.
    assert_eq!(resolve(&host, &covered).unwrap().protected(), None);
    assert!(resolve(&host, &stage.path("")).unwrap().protected().is_some());
}

#[test]
fn an_engine_that_ended_is_noticed() {
    let stage = Stage::new();
    let [root, _] = stage.dirs(["root", "root/srv"]);
    let engine = Listener::start(&stage, None, &root);
    let host = Host::open(&engine.socket, &[]).unwrap();
    resolve(&host, Path::new("/srv")).unwrap();
    let socket = engine.socket.clone();
    drop(engine);
    let error = resolve(&host, Path::new("/srv")).unwrap_err();
    assert!(matches!(error, Unresolved::Stale), "{error}");
    let error = Host::open(&socket, &[]).unwrap_err();
    assert!(matches!(error, Unseen::Unreachable(..)), "{error}");
}

/// What is to be seen from another process, which runs this same test with the socket in its environment
fn as_another(test: &str, stage: &Stage, socket: &Path, mut command: Command) {
    // The build's directory may be closed to others.
    let program = stage.path("tests");
    // Not by this process: what another test starts meanwhile would have the copy open for writing, and it could not be run.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    for directory in [stage.path(""), socket.parent().unwrap().to_owned()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    let run = command.arg(&program).args(["--exact", test, "--nocapture"]).env(SOCKET, socket).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
}

const SOCKET: &str = "SOCKWARDEN_TEST_MOUNT_SOCKET";

fn given() -> Option<std::path::PathBuf> {
    std::env::var_os(SOCKET).map(Into::into)
}

fn ordinary_user() -> Command {
    let mut command = Command::new("env");
    command.uid(65534).gid(65534).current_dir("/");
    command
}

#[test]
fn an_ordinary_user_sees_an_engine_with_the_same_root() {
    if let Some(socket) = given() {
        let host = Host::open(&socket, &[]).unwrap();
        let resolved = resolve(&host, Path::new("/var/run")).unwrap();
        assert!(resolved.protected().is_some(), "{resolved:?}");
        assert_eq!(resolve(&host, Path::new("/usr/share")).unwrap().protected(), None);
        return;
    }
    let stage = Stage::new();
    as_another("views::an_ordinary_user_sees_an_engine_with_the_same_root", &stage, &stage.socket, ordinary_user());
}

#[test]
fn an_ordinary_user_is_told_that_another_root_cannot_be_seen() {
    if let Some(socket) = given() {
        let error = Host::open(&socket, &[]).unwrap_err();
        assert!(matches!(error, Unseen::Forbidden(_)), "{error}");
        return;
    }
    for mounts in [None, Some(":")] {
        let stage = Stage::new();
        let [root] = stage.dirs(["root"]);
        let root = if mounts.is_some() { Path::new("/") } else { &root };
        let engine = Listener::start(&stage, mounts, root);
        let test = "views::an_ordinary_user_is_told_that_another_root_cannot_be_seen";
        as_another(test, &stage, &engine.socket, ordinary_user());
    }
}

#[test]
fn an_engine_outside_the_process_namespace_is_hidden() {
    if let Some(socket) = given() {
        let error = Host::open(&socket, &[]).unwrap_err();
        assert!(matches!(error, Unseen::Hidden), "{error}");
        return;
    }
    let stage = Stage::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]);
    as_another("views::an_engine_outside_the_process_namespace_is_hidden", &stage, &stage.socket, command);
    // With the other namespace's `/proc` the numbers mean other processes.
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork"]);
    as_another("views::a_proc_of_another_namespace_is_not_believed", &stage, &stage.socket, command);
}

#[test]
fn a_proc_of_another_namespace_is_not_believed() {
    if let Some(socket) = given() {
        let error = Host::open(&socket, &[]).unwrap_err();
        assert!(matches!(error, Unseen::Proc(_)), "{error}");
        return;
    }
    let stage = Stage::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork"]);
    as_another("views::a_proc_of_another_namespace_is_not_believed", &stage, &stage.socket, command);
}
