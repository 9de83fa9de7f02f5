//! Pins: a name for what was checked, whatever happens to the name it had.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sockwarden::engine::Engine;
use sockwarden::exchange::Pins;
use sockwarden::mount::{Host, Pin, PinError};

use crate::stage::{Listener, Stage, host_path, resolve};

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

fn mounts_below(directory: &Path) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(directory.to_str().unwrap())).count()
}

#[test]
fn a_pin_leads_to_what_was_checked_after_a_swap() {
    let mut stage = Stage::new();
    let [_, checked, _, below, other] = stage.dirs(["job", "job/ws", "job/ws/empty", "job/ws/below", "other"]);
    stage.file("job/ws/marker");
    stage.file("other/from-other");
    stage.bind(&other, &below);
    let evil = stage.link("/etc", "job/evil");
    let pins = stage.path("pins");
    let host = stage.host(&[]);
    let resolved = resolve(&host, &checked).unwrap();
    renameat_with(CWD, &checked, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
    let pin = Pin::make(&resolved, &pins).unwrap();
    let at = Path::new(pin.path().as_str());
    assert_eq!(at.parent(), Some(pins.as_path()));
    assert_eq!(fs::read_to_string(at.join("marker")).unwrap(), "job/ws/marker");
    assert_eq!(fs::read_to_string(at.join("below/from-other")).unwrap(), "other/from-other", "what is mounted below");
    assert_eq!(fs::read_link(&checked).unwrap(), Path::new("/etc"), "the swap");
    fs::write(at.join("new"), "written").unwrap();
    pin.undo().unwrap();
    assert_eq!(fs::read_to_string(evil.join("new")).unwrap(), "written", "undoing removes no file");
    assert_eq!((names(&pins), mounts_below(&pins)), (0, 0), "nothing stays");
    assert_eq!(fs::metadata(&pins).unwrap().mode() & 0o7777, 0o700);
    // The stage unmounts what it mounted by the name it had.
    renameat_with(CWD, &checked, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_file_and_a_socket_can_be_pinned() {
    let stage = Stage::new();
    let file = stage.file("file");
    let pins = stage.path("pins");
    let host = stage.host(&[]);
    for path in [&file, &stage.socket] {
        let resolved = resolve(&host, path).unwrap();
        let pin = Pin::make(&resolved, &pins).unwrap();
        let (was, is) = (fs::metadata(path).unwrap(), fs::metadata(pin.path().as_str()).unwrap());
        assert_eq!((is.dev(), is.ino()), (was.dev(), was.ino()));
        pin.undo().unwrap();
        assert_eq!((names(&pins), mounts_below(&pins)), (0, 0));
    }
}

#[test]
fn pins_are_swept_but_those_in_use() {
    let stage = Stage::new();
    let [ws] = stage.dirs(["ws"]);
    stage.file("ws/marker");
    let pins = stage.path("pins");
    assert_eq!(Pin::sweep(&pins, &[]).unwrap(), 0, "no directory, no pins");
    let host = stage.host(&[]);
    let resolved = resolve(&host, &ws).unwrap();
    let [kept, stale] = [(); 2].map(|()| Pin::make(&resolved, &pins).unwrap().path().clone());
    fs::write(pins.join("of-the-operator"), "").unwrap();
    assert_eq!(Pin::sweep(&pins, &[kept.clone(), host_path(Path::new("/etc"))]).unwrap(), 1);
    assert!(!Path::new(stale.as_str()).exists());
    assert!(Path::new(kept.as_str()).join("marker").exists());
    assert!(Pin::adopt(&pins, &stale).is_none());
    assert!(Pin::adopt(&pins, &host_path(&pins.join("of-the-operator"))).is_none());
    Pin::adopt(&pins, &kept).unwrap().undo().unwrap();
    assert_eq!((names(&pins), mounts_below(&pins)), (1, 0), "the operator's file stays");
    assert!(ws.join("marker").exists());
}

/// An engine without a container, as a sweep asks it
fn empty_engine(socket: &Path) -> Engine {
    let listener = UnixListener::bind(socket).unwrap();
    // Ends with the test's process.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: 2";
            let _ = stream.write_all(format!("{head}\r\n\r\n[]").as_bytes());
        }
    });
    let patience = Duration::from_secs(100);
    Engine::new(socket.to_owned(), patience, patience)
}

#[test]
fn a_pin_that_another_sockwarden_hands_to_the_engine_is_not_swept() {
    let stage = Stage::new();
    let [ws] = stage.dirs(["ws"]);
    let pins = stage.path("pins");
    let host = stage.host(&[]);
    let engine = empty_engine(&stage.socket.with_file_name("empty.sock"));
    // Two of them, as a lock knows no processes, only descriptors.
    let [one, other] = [(); 2].map(|()| Pins::new(pins.clone()));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let resolved = resolve(&host, &ws).unwrap();
        let pinned = one.make(vec![("HostConfig.Binds[0]".to_owned(), resolved)]).await.unwrap();
        other.sweep(&engine).await.unwrap();
        assert_eq!((names(&pins), mounts_below(&pins)), (1, 1), "the engine has not answered yet");
        drop(pinned);
        other.sweep(&engine).await.unwrap();
        assert_eq!((names(&pins), mounts_below(&pins)), (0, 0), "no container has it");
    });
}

#[test]
fn pins_are_not_kept_where_others_can_write() {
    let stage = Stage::new();
    let [ws, open, shared, inner, theirs] = stage.dirs(["ws", "open", "shared", "shared/pins", "theirs"]);
    let host = stage.host(&[]);
    let resolved = resolve(&host, &ws).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&open, 0o755);
    mode(&shared, 0o777);
    mode(&inner, 0o700);
    mode(&theirs, 0o700);
    std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
    for root in [open, inner, theirs] {
        let error = Pin::make(&resolved, &root).unwrap_err();
        assert!(matches!(error, PinError::Unsafe(..)), "{}: {error}", root.display());
        assert_eq!(names(&root), 0);
    }
    let linked = stage.link("ws", "linked");
    assert!(matches!(Pin::make(&resolved, &linked).unwrap_err(), PinError::Failed("open", ..)));
}

#[test]
fn a_pin_that_the_engine_does_not_see_is_no_pin() {
    let stage = Stage::new();
    let [root, _] = stage.dirs(["root", "root/srv"]);
    let engine = Listener::start(&stage, None, &root);
    let host = Host::open(&engine.socket, &[]).unwrap();
    let resolved = resolve(&host, Path::new("/srv")).unwrap();
    let pins = stage.path("pins");
    let error = Pin::make(&resolved, &pins).unwrap_err();
    assert!(matches!(error, PinError::NotSeen(_)), "{error}");
    assert_eq!((names(&pins), mounts_below(&pins)), (0, 0));
    drop(engine);

    // The name is there in this engine's namespace, and the mount does not reach it.
    let engine = Listener::start(&stage, Some("mount --make-rprivate /"), Path::new("/"));
    let host = Host::open(&engine.socket, &[]).unwrap();
    let resolved = resolve(&host, &root).unwrap();
    let error = Pin::make(&resolved, &pins).unwrap_err();
    assert!(matches!(error, PinError::NotSeen(_)), "{error}");
    assert_eq!((names(&pins), mounts_below(&pins)), (0, 0));
}

/// The engine's mounts are not ours, so the same thing is looked for on ours, and only the same thing will do.
#[test]
fn an_engine_with_mounts_of_its_own_gets_pins_of_what_we_have_too() {
    let mut stage = Stage::new();
    let [ws, moved, only, pins] = stage.dirs(["ws", "moved", "only", "pins"]);
    stage.file("ws/marker");
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o700)).unwrap();
    stage.bind(&pins.clone(), &pins);
    rustix::mount::mount_change(&pins, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    let mounts = format!("mount --bind {} {}; mount -t tmpfs none {}", ws.display(), moved.display(), only.display());
    let engine = Listener::start(&stage, Some(&mounts), Path::new("/"));
    let host = Host::open(&engine.socket, &[]).unwrap();
    for path in [&ws, &moved] {
        let resolved = resolve(&host, path).unwrap();
        assert_eq!(resolved.path(), &host_path(path));
        let pin = Pin::make(&resolved, &pins).unwrap();
        assert_eq!(fs::read_to_string(Path::new(pin.path().as_str()).join("marker")).unwrap(), "ws/marker");
        pin.undo().unwrap();
    }
    let resolved = resolve(&host, &only).unwrap();
    let error = Pin::make(&resolved, &pins).unwrap_err();
    assert!(matches!(error, PinError::Elsewhere(_)), "{error}");
    assert_eq!(names(&pins), 0);
    // Covered for us, and not for the engine: its name leads us to something else.
    let [cover] = stage.dirs(["cover"]);
    stage.bind(&cover, &ws);
    match Pin::make(&resolve(&host, &ws).unwrap(), &pins) {
        // Another mount shows the same, which depends on the machine.
        Ok(pin) => {
            assert_eq!(fs::read_to_string(Path::new(pin.path().as_str()).join("marker")).unwrap(), "ws/marker");
            pin.undo().unwrap();
        }
        Err(error) => assert!(matches!(error, PinError::Elsewhere(_)), "{error}"),
    }
    assert_eq!(names(&pins), 0);
}
