//! What is at the path before, during and after a claim.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    (directory, path)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Leaves a socket where nobody listens; one that had a listener still has while another test has a process begin, which
/// has a copy of it for a moment
fn leave(path: &Path) {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
}

fn take(path: &Path) -> Result<(UnixListener, Claim), SocketError> {
    Claim::take(path, 0o660, None)
}

#[test]
fn a_socket_has_its_rights_and_goes_away_on_release() {
    let (directory, path) = place();
    let group = rustix::process::getegid();
    let (listener, claim) = Claim::take(&path, 0o606, Some(group)).unwrap();
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.mode() & 0o7777, made.gid()), (0o606, group.as_raw()));
    UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(names(directory.path()), [".docker.sock.lock", "docker.sock"]);
    claim.release();
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn a_path_is_served_by_one_instance() {
    let (directory, path) = place();
    let (_listener, claim) = take(&path).unwrap();
    assert!(matches!(take(&path), Err(SocketError::Served(_))));
    UnixStream::connect(&path).unwrap();
    assert_eq!(names(directory.path()), [".docker.sock.lock", "docker.sock"]);
    drop(claim);
    take(&path).unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_leftovers_of_a_crash_too() {
    let (directory, path) = place();
    leave(&path);
    leave(&directory.path().join(".docker.sock.new"));
    fs::write(directory.path().join(".docker.sock.lock"), "").unwrap();
    let (_listener, _claim) = take(&path).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_live_socket_is_never_replaced_even_if_its_queue_is_full() {
    let (directory, path) = place();
    let flags = SocketFlags::CLOEXEC;
    let engine = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    rustix::net::bind(&engine, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&engine, 0).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        assert!(matches!(take(&path), Err(SocketError::Live(_))));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let client = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        waiting.push((rustix::net::connect(&client, &SocketAddrUnix::new(&path).unwrap()), client));
    }
    assert!(waiting.iter().any(|(result, _)| *result == Err(Errno::AGAIN)), "{waiting:?}");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(names(directory.path()), ["docker.sock"]);
}

#[test]
fn what_is_no_stream_socket_is_never_removed() {
    let (directory, path) = place();
    let _datagram = UnixDatagram::bind(&path).unwrap();
    assert!(matches!(take(&path), Err(SocketError::Live(_))));
    fs::remove_file(&path).unwrap();

    fs::write(&path, "precious").unwrap();
    assert!(matches!(take(&path), Err(SocketError::NotASocket(_))));
    fs::rename(&path, directory.path().join("target")).unwrap();
    std::os::unix::fs::symlink("target", &path).unwrap();
    assert!(matches!(take(&path), Err(SocketError::NotASocket(_))));
    fs::remove_file(&path).unwrap();
    fs::write(directory.path().join(".docker.sock.new"), "precious").unwrap();
    assert!(matches!(take(&path), Err(SocketError::Failed("make", ..))));
    assert_eq!(names(directory.path()), [".docker.sock.new", "target"]);
}

#[test]
fn a_socket_put_there_by_somebody_else_is_left_alone() {
    let (directory, path) = place();
    let (_listener, claim) = take(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    claim.release();
    assert_eq!(names(directory.path()), ["docker.sock"]);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_lock_on_a_file_that_was_removed_meanwhile_is_none() {
    let (directory, path) = place();
    let lock_path = directory.path().join(".docker.sock.lock");
    let open = || OwnedFd::from(fs::OpenOptions::new().create(true).append(true).open(&lock_path).unwrap());
    let waiting = [open(), open()];
    fs::remove_file(&lock_path).unwrap();
    let [gone, replaced] = waiting;
    // Closing it is not enough while another test has a process begin, which has a copy for a moment.
    let unlock = |file: OwnedFd| rustix::fs::flock(&file, FlockOperation::Unlock).unwrap();
    let copy = gone.try_clone().unwrap();
    assert!(hold(gone, &lock_path).unwrap().is_none());
    unlock(copy);
    let held = lock(&lock_path, &path).unwrap();
    assert!(hold(replaced, &lock_path).unwrap().is_none());
    assert!(matches!(lock(&lock_path, &path), Err(SocketError::Served(_))));
    unlock(held);
    lock(&lock_path, &path).unwrap();
}

#[test]
fn missing_directories_are_made_and_those_of_others_in_tmp_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/docker.sock");
    drop(take(&path).unwrap());
    let root = rustix::process::geteuid().is_root();
    let mode = fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777;
    assert_eq!(mode, if root { 0o755 } else { 0o700 });

    // As in /tmp: everybody may make names, and a link leads somewhere else.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    take(&directory.path().join("a/docker.sock")).unwrap();
    std::os::unix::fs::symlink("a", directory.path().join("link")).unwrap();
    assert!(matches!(take(&directory.path().join("link/docker.sock")), Err(SocketError::Foreign(_))));
    assert_eq!(names(&directory.path().join("a")), ["b"]);
    if root {
        std::os::unix::fs::chown(directory.path().join("a"), Some(65534), None).unwrap();
        assert!(matches!(take(&directory.path().join("a/docker.sock")), Err(SocketError::Foreign(_))));
    }
}

#[test]
fn the_longest_path_is_served_and_a_longer_one_named() {
    let (directory, _) = place();
    let room = MAX_PATH - directory.path().as_os_str().len() - 1;
    let (listener, _claim) = take(&directory.path().join("s".repeat(room))).unwrap();
    UnixStream::connect(directory.path().join("s".repeat(room))).unwrap();
    listener.accept().unwrap();
    assert!(matches!(take(&directory.path().join("s".repeat(room + 1))), Err(SocketError::TooLong(_))));
}

/// A process has one environment and one set of descriptors, so this test runs itself again in one of its own.
#[test]
fn sockets_of_systemd_come_with_their_names() {
    const CHILD: &str = "SOCKWARDEN_TEST_INHERITED";
    let run_with = |descriptor: OwnedFd, script: &str, expected: &str| {
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "server::socket::tests::sockets_of_systemd_come_with_their_names"])
            .env(CHILD, expected)
            .stdin(descriptor)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    };
    let run = |script: &str, expected: &str| {
        let (_directory, path) = place();
        run_with(UnixListener::bind(&path).unwrap().into(), script, expected);
        assert!(path.exists());
    };
    let Ok(expected) = std::env::var(CHILD) else {
        let give = r#"export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES="#;
        run(&format!(r#"{give}ci; exec "$@" 3<&0 </dev/null"#), "ci");
        run(&format!(r#"{give}; exec "$@" 3<&0 </dev/null"#), "unknown");
        run(r#"export LISTEN_PID=1 LISTEN_FDS=1; exec "$@" 3<&0 </dev/null"#, "none");
        run(r#"export LISTEN_FDS=1; exec "$@" 3<&0 </dev/null"#, "none");
        run(&format!(r#"{give}ci; exec "$@" 3</dev/null"#), "error");
        let (connected, _other) = UnixStream::pair().unwrap();
        run_with(connected.into(), &format!(r#"{give}ci; exec "$@" 3<&0 </dev/null"#), "error");
        return;
    };
    match (inherited(), expected.as_str()) {
        (Err(SocketError::NotAListener(name)), "error") => assert_eq!(name, "ci"),
        (Ok(listeners), "none") => assert!(listeners.is_empty(), "{listeners:?}"),
        (Ok(listeners), expected) => {
            let [(name, listener)] = &listeners[..] else { panic!("{listeners:?}") };
            assert_eq!(name, expected);
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        (Err(error), _) => panic!("{error}"),
    }
    assert!(inherited().unwrap().is_empty());
}
