//! Links of every kind, and what is swapped while it is looked at.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sockwarden::mount::{Kind, Unresolved};

use crate::stage::{Stage, descriptor, host_path, leads_to, resolve};

#[test]
fn links_lead_to_where_they_point() {
    let stage = Stage::new();
    let [allowed, deep, outside] = stage.dirs(["allowed", "allowed/deep", "outside"]);
    let secret = stage.file("outside/secret");
    let host = stage.host(&[]);
    leads_to(&host, &allowed, &allowed);
    leads_to(&host, &stage.link(&outside, "allowed/absolute"), &outside);
    leads_to(&host, &stage.link("../outside", "allowed/relative"), &outside);
    leads_to(&host, &stage.link("relative", "allowed/chain"), &outside);
    leads_to(&host, &stage.link("chain/secret", "allowed/through"), &secret);
    leads_to(&host, &allowed.join("chain/secret"), &secret);
    // `..` after a link leaves where the link led to, not where the link is.
    stage.link(&deep, "outside/into-deep");
    leads_to(&host, &stage.link("../outside/into-deep/..", "allowed/dots"), &allowed);
    leads_to(&host, &stage.link("../../../../../../../../../../../../", "allowed/up"), Path::new("/"));
    assert_eq!(resolve(&host, &secret).unwrap().kind(), Kind::File);
    assert_eq!(resolve(&host, &stage.socket).unwrap().kind(), Kind::Socket);
}

#[test]
fn rings_and_magic_links_are_refused() {
    let stage = Stage::new();
    let host = stage.host(&[]);
    stage.link("b", "a");
    stage.link("a", "b");
    for ring in ["a", "b", "a/x"] {
        let error = resolve(&host, &stage.path(ring)).unwrap_err();
        assert!(matches!(error, Unresolved::Loop), "{ring}: {error}");
    }
    let kept = fs::File::open(stage.file("kept")).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&kept);
    let [of_self, of_fd] = ["/proc/self/root".to_owned(), format!("/proc/self/fd/{number}")];
    let linked = stage.link("/proc/self/root/etc", "innocent");
    for magic in [
        of_self.as_str(),
        of_fd.as_str(),
        "/proc/self/root/etc",
        "/proc/self/cwd",
        "/proc/self/exe",
        "/proc/thread-self/cwd",
        "/dev/fd/0/x",
        linked.to_str().unwrap(),
    ] {
        let error = resolve(&host, Path::new(magic)).unwrap_err();
        assert!(matches!(error, Unresolved::MagicLink), "{magic}: {error}");
    }
    for magic in ["/proc/1/root", "/proc/1/root/etc", "/proc/1/cwd"] {
        let error = resolve(&host, Path::new(magic)).unwrap_err();
        // In a sandbox even root may not look at the first process.
        assert!(matches!(error, Unresolved::MagicLink | Unresolved::Denied), "{magic}: {error}");
    }
}

#[test]
fn what_is_missing_names_the_deepest_directory() {
    let stage = Stage::new();
    let [allowed] = stage.dirs(["allowed"]);
    let file = stage.file("allowed/file");
    stage.link("../allowed", "allowed/round");
    let host = stage.host(&[]);
    for (path, rest) in [("allowed/x", "x"), ("allowed/x/y/z", "x/y/z"), ("allowed/round/x/y", "x/y")] {
        match resolve(&host, &stage.path(path)).unwrap_err() {
            Unresolved::Missing(missing) => {
                assert_eq!((missing.parent.path(), missing.rest.as_str()), (&host_path(&allowed), rest), "{path}");
                assert_eq!(missing.protected(), None, "{path}");
            }
            error => panic!("{path}: {error}"),
        }
    }
    match resolve(&host, Path::new("/sockwarden-has-no-such-directory/x")).unwrap_err() {
        Unresolved::Missing(missing) => assert_eq!(missing.parent.path().as_str(), "/"),
        error => panic!("{error}"),
    }
    let dangling = stage.link("nowhere", "allowed/dangling");
    for path in [dangling.clone(), dangling.join("x")] {
        let error = resolve(&host, &path).unwrap_err();
        assert!(matches!(&error, Unresolved::Dangling(at) if at == dangling.to_str().unwrap()), "{error}");
    }
    let error = resolve(&host, &file.join("x")).unwrap_err();
    assert!(matches!(error, Unresolved::NotADirectory), "{error}");
}

#[test]
fn odd_names_are_exact_or_refused() {
    let stage = Stage::new();
    let host = stage.host(&[]);
    for name in ["a (deleted)", "line\nfeed", "back\\slash\\040", "co:lon", " ", "ümläut", "(unreachable)"] {
        let file = stage.file(name);
        leads_to(&host, &file, &file);
    }
    let odd = stage.path("").join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&odd).unwrap();
    let error = resolve(&host, &stage.link(&odd, "plain")).unwrap_err();
    assert!(matches!(error, Unresolved::NotText), "{error}");
}

/// A job that can write a directory swaps what is in it: whatever comes out, its name is the name of what was opened.
#[test]
fn a_swap_never_separates_name_and_identity() {
    let stage = Stage::new();
    let [_, inside, outside] = stage.dirs(["allowed", "allowed/x", "outside"]);
    let other = stage.link(&outside, "allowed/y");
    let host = stage.host(&[]);
    let (of_inside, of_outside) = (identity(&inside), identity(&outside));
    let (mut as_inside, mut as_outside) = (0, 0);
    race(
        || renameat_with(CWD, &inside, CWD, &other, RenameFlags::EXCHANGE).unwrap(),
        || {
            let resolved = match resolve(&host, &inside) {
                Ok(resolved) => resolved,
                Err(Unresolved::Moving) => return false,
                Err(error) => panic!("{error}"),
            };
            let path = Path::new(resolved.path().as_str());
            match identity(&descriptor(&resolved)) {
                found if found == of_inside => {
                    as_inside += 1;
                    assert!(path == inside || path == other, "the directory was called {}", path.display());
                }
                found if found == of_outside => {
                    as_outside += 1;
                    assert_eq!(path, outside, "what the link leads to was called otherwise");
                }
                found => panic!("{found:?} is neither"),
            }
            as_inside >= 100 && as_outside >= 100
        },
    );
}

/// The kernel calls what was removed `name (deleted)`, and a job can have a file of that name ready.
#[test]
fn what_was_removed_is_not_taken_for_its_namesake() {
    let stage = Stage::new();
    let decoy = stage.file("file (deleted)");
    let file = stage.path("file");
    let host = stage.host(&[]);
    let of_decoy = identity(&decoy);
    let (mut there, mut gone) = (0, 0);
    race(
        || {
            fs::write(&file, "").unwrap();
            thread::yield_now();
            fs::remove_file(&file).unwrap();
        },
        || {
            match resolve(&host, &file) {
                Ok(resolved) => {
                    there += 1;
                    assert_eq!(resolved.path(), &host_path(&file));
                    assert_ne!(identity(&descriptor(&resolved)), of_decoy);
                }
                Err(Unresolved::Missing(_) | Unresolved::Moving) => gone += 1,
                Err(error) => panic!("{error}"),
            }
            there >= 100 && gone >= 100
        },
    );
    leads_to(&host, &decoy, &decoy);
}

/// Runs `change` over and over beside `look`, until `look` has seen all there is to see.
fn race(change: impl Fn() + Sync, mut look: impl FnMut() -> bool) {
    // Looks are far more than it takes on a machine of one slow core; without this end a race never seen would hang.
    const LOOKS: usize = 200_000;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                change();
                thread::yield_now();
            }
        });
        let finish = Raise(&done);
        let seen = (0..LOOKS).any(|_| {
            assert!(!changing.is_finished(), "nothing changes any more");
            thread::yield_now();
            look()
        });
        drop(finish);
        assert!(seen, "there was no race to be seen");
    });
}

/// Raises its flag also when a look panics, so that the other side ends.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn identity(path: &Path) -> (u64, u64) {
    fs::metadata(path).map(|is| (is.dev(), is.ino())).unwrap()
}
