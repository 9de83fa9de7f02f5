//! A directory of our own for one command: its name is the owner's, the socket is in it, and a lock in it tells whether we
//! live.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};

/// The place of a command; gone when dropped
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    owner: String,
    _lock: OwnedFd,
}

/// The place of a command whose `sockwarden run` is dead; it stays until it is forgotten
#[derive(Debug)]
pub struct Dead {
    path: PathBuf,
    owner: String,
    _lock: OwnedFd,
}

impl Place {
    /// Makes one that nobody else can enter
    ///
    /// # Errors
    /// When the system does not allow it; the error names the path.
    pub fn make() -> io::Result<Self> {
        Self::make_in(&root())
    }

    fn make_in(root: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let owner = format!("{OWNER}{:016x}", u64::from_ne_bytes(random));
        let path = root.join(format!("{DIRECTORY}{owner}"));
        let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot make {}: {error}", path.display()));
        DirBuilder::new().mode(0o700).create(&path).map_err(named)?;
        match lock(&path, OFlags::CREATE) {
            Ok(lock) => Ok(Self { path, owner, _lock: lock }),
            Err(error) => {
                remove(&path);
                Err(named(error))
            }
        }
    }

    /// Writes down which engine it is about, for who finds it dead
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn is_of(&self, engine: &Path) -> io::Result<()> {
        fs::write(self.path.join(ENGINE), engine.as_os_str().as_bytes())
    }

    /// Where the socket is
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Owner of what is made
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

impl Dead {
    /// Owner of what was made
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Removes the place: nothing is left that it could tell of
    pub fn forget(self) {
        remove(&self.path);
    }
}

/// Places of ours that nobody holds any more, and that are about this engine
pub fn dead(engine: &Path) -> Vec<Dead> {
    dead_in(&root(), engine)
}

fn dead_in(root: &Path, engine: &Path) -> Vec<Dead> {
    let us = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let dead = entries.filter_map(|entry| {
        let path = entry.path();
        let owner = path.file_name()?.to_str()?.strip_prefix(DIRECTORY)?.to_owned();
        let is = fs::symlink_metadata(&path).ok()?;
        // Anybody can make names here.
        let ours = is.is_dir() && is.uid() == us && is.mode() & 0o077 == 0;
        let id = owner.strip_prefix(OWNER)?;
        let named = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !(ours && named) {
            return None;
        }
        let told = path.join(ENGINE);
        match fs::read(&told) {
            Ok(of) if of == engine.as_os_str().as_bytes() => {
                let lock = lock(&path, OFlags::empty()).ok()?;
                // Whoever ended before it let go of the lock has no place any more, and what it let stay is to stay.
                told.exists().then_some(Dead { path, owner, _lock: lock })
            }
            Ok(_) => None,
            Err(_) => {
                remove_unused(&path);
                None
            }
        }
    });
    dead.collect()
}

/// Removes a place that was left before it said which engine it is about; one that is only just coming, or going, stays
fn remove_unused(path: &Path) {
    let changed = fs::symlink_metadata(path).and_then(|is| is.modified());
    let old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > COMING));
    if old && lock(path, OFlags::CREATE).is_ok() {
        remove(path);
    }
}

/// Holds a place; fails when somebody does
fn lock(path: &Path, or: OFlags) -> io::Result<OwnedFd> {
    let flags = or | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, path.join(LOCK), flags, Mode::RUSR | Mode::WUSR)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Removes what sockwarden puts there and nothing else, whatever else there should be
fn remove(path: &Path) {
    for file in FILES {
        let _ = fs::remove_file(path.join(file));
    }
    let _ = fs::remove_dir(path.join(STATE));
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Where places are made: a socket's path must be short, so not where `TMPDIR` says
fn root() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.filter(|path| path.is_absolute() && path.is_dir()).unwrap_or_else(|| "/tmp".into())
}

/// Everything in a place: the socket and the ledger of images, each with its lock and its draft, the engine's name, and the
/// lock of the place
const FILES: &[&str] = &[
    SOCKET,
    ".docker.sock.new",
    ".docker.sock.lock",
    "state/images.json",
    "state/images.new",
    "state/images.lock",
    ENGINE,
    LOCK,
];
const STATE: &str = "state";
const SOCKET: &str = "docker.sock";
const LOCK: &str = "lock";
const ENGINE: &str = "engine";
const DIRECTORY: &str = "sockwarden-";
const OWNER: &str = "run-";
/// Longest time that a place without its engine is taken for one that is only just made
const COMING: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_ends_is_never_found_dead() {
        let (root, engine) = (tempfile::tempdir().unwrap(), Path::new("/engine.sock"));
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| {
                for _ in 0..3000 {
                    Place::make_in(root.path()).unwrap().is_of(engine).unwrap();
                }
            });
            while !ends.is_finished() {
                let found = dead_in(root.path(), engine);
                assert!(found.is_empty(), "{found:?}");
            }
        });
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn whoever_died_is_found_by_one_and_stays_until_it_is_forgotten() {
        let (root, engine) = (tempfile::tempdir().unwrap(), Path::new("/engine.sock"));
        let Place { path, owner, _lock } = &*std::mem::ManuallyDrop::new(Place::make_in(root.path()).unwrap());
        fs::write(path.join(ENGINE), engine.as_os_str().as_bytes()).unwrap();
        assert!(dead_in(root.path(), engine).is_empty(), "it lives");
        // As a crash lets go of it; closing is not enough while another test has a process begin, which has a copy.
        flock(_lock, FlockOperation::Unlock).unwrap();
        assert!(dead_in(root.path(), Path::new("/another.sock")).is_empty());
        let found = dead_in(root.path(), engine);
        assert_eq!(found.iter().map(Dead::owner).collect::<Vec<_>>(), [owner]);
        assert!(dead_in(root.path(), engine).is_empty(), "another has found it");
        for dead in found {
            dead.forget();
        }
        assert!(!path.exists());
    }
}
