//! A pin: a name for exactly what was checked, in a directory that no job can write.
//!
//! The engine takes names, not descriptors, and follows them long after the check (Docker 20.10 to 28.5 even at each start).
//! So the descriptor is mounted at a name of its own, and the engine is given that. The directory must lie on a mount that
//! the engine sees by the same name and where new mounts reach it; [`Pin::make`] looks through the engine's eyes before it
//! says that it worked.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::geteuid;
use thiserror::Error;

use crate::api::bind::HostPath;
use crate::mount::node::{Kind, look};
use crate::mount::{Resolved, Unresolved};

/// A mount of what was checked
///
/// Outlives the process: a container that is started again needs it again. Ends with [`Pin::undo`] or [`Pin::sweep`].
#[derive(Debug)]
#[must_use = "a pin that nobody undoes stays until the next sweep"]
pub struct Pin {
    at: PathBuf,
    path: HostPath,
}

/// Why there is no pin
#[derive(Debug, Error)]
pub enum PinError {
    /// Somebody else could put a link in a pin's place
    #[error("pins cannot be kept in `{}`: {}", .0.display(), .1)]
    Unsafe(PathBuf, &'static str),
    /// The engine sees something else, or nothing
    #[error("the engine does not see what is mounted in `{}`: it must lie on a shared mount that the engine has by the same name", .0.display())]
    NotSeen(PathBuf),
    /// The engine has its own mounts, and none of ours shows the same
    #[error("`{0}` can be reached in the engine's mount namespace only, and cannot be pinned from here")]
    Elsewhere(HostPath),
    /// The engine could not be looked at
    #[error("cannot check a pin: {0}")]
    Unchecked(#[from] Unresolved),
    /// The system said no
    #[error("cannot {} `{}`: {}", .0, .1.display(), .2)]
    Failed(&'static str, PathBuf, #[source] io::Error),
}

impl Pin {
    /// Mounts what was resolved, with all that is mounted below, in `pin_root`, which is made when it is not there
    ///
    /// # Errors
    /// When the system or the engine does not allow it; nothing stays behind then.
    pub fn make(resolved: &Resolved, pin_root: &Path) -> Result<Self, PinError> {
        let root = private(pin_root)?;
        let tree = clone(resolved)?;
        let name = unique().map_err(|error| PinError::Failed("name a pin in", pin_root.to_owned(), error))?;
        let at = pin_root.join(&name);
        let failed = |what, error: Errno| PinError::Failed(what, at.clone(), error.into());
        if resolved.kind == Kind::Directory {
            mkdirat(&root, &name, Mode::RWXU).map_err(|error| failed("make", error))?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&root, &name, flags, Mode::RUSR).map_err(|error| failed("make", error))?;
        }
        let pinned = move_mount(&tree, "", &root, &name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|error| failed("mount at", error))
            .and_then(|()| {
                // On a shared mount it is shared itself, and would let a container mount into it.
                let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
                mount_change(&at, private).map_err(|error| failed("make private", error))
            })
            .and_then(|()| seen_by_engine(resolved, &at));
        match pinned {
            Ok(path) => Ok(Self { at, path }),
            Err(error) => {
                // The first failure is the one to tell; a sweep finds what stays.
                let _ = remove(&at);
                Err(error)
            }
        }
    }

    /// Keeps everybody from sweeping, other processes too, for as long as what is returned lives; waits for who sweeps
    ///
    /// # Errors
    /// When pins cannot be kept there.
    pub fn hold(pin_root: &Path) -> Result<OwnedFd, PinError> {
        let root = private(pin_root)?;
        retry_on_intr(|| flock(&root, FlockOperation::LockShared))
            .map_err(|error| PinError::Failed("lock", pin_root.to_owned(), error.into()))?;
        Ok(root)
    }

    /// Keeps everybody from making pins in the same way; nothing where somebody makes one
    ///
    /// # Errors
    /// When the directory cannot be locked.
    pub fn hold_up(pin_root: &Path) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = openat(CWD, pin_root, flags, Mode::empty())?;
        match flock(&root, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            locked => Ok(locked.map(|()| Some(root))?),
        }
    }

    /// The pin of an earlier run that the engine knows by `path`, if it is one
    pub fn adopt(pin_root: &Path, path: &HostPath) -> Option<Self> {
        let name = name_of(path)?;
        let at = pin_root.join(name);
        (is_name(name) && at.symlink_metadata().is_ok()).then(|| Self { at, path: path.clone() })
    }

    /// Whether a path is called like a pin
    pub fn is_name(path: &HostPath) -> bool {
        name_of(path).is_some_and(is_name)
    }

    /// The path to hand to the engine
    pub fn path(&self) -> &HostPath {
        &self.path
    }

    /// Takes the mount away; containers that run keep theirs
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn undo(self) -> io::Result<()> {
        remove(&self.at)
    }

    /// Undoes all pins in `pin_root` but those the engine knows by a path in `keep`, and says how many
    ///
    /// # Errors
    /// With the first that could not be undone, after all the others were.
    pub fn sweep(pin_root: &Path, keep: &[HostPath]) -> io::Result<usize> {
        let entries = match fs::read_dir(pin_root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let (mut undone, mut failed) = (0, None);
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_name(name)) else { continue };
            if keep.iter().any(|path| name_of(path) == Some(name)) {
                continue;
            }
            match remove(&pin_root.join(name)) {
                Ok(()) => undone += 1,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(undone), Err)
    }
}

/// Opens the directory of pins, once it is sure that nobody else can put something there
fn private(pin_root: &Path) -> Result<OwnedFd, PinError> {
    let failed = |what, error| PinError::Failed(what, pin_root.to_owned(), error);
    DirBuilder::new().mode(0o700).recursive(true).create(pin_root).map_err(|error| failed("make", error))?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = openat(CWD, pin_root, flags, Mode::empty()).map_err(|error| failed("open", error.into()))?;
    let us = geteuid().as_raw();
    let real = fs::canonicalize(pin_root).map_err(|error| failed("look at", error))?;
    for directory in real.ancestors() {
        let is = fs::symlink_metadata(directory).map_err(|error| failed("look at", error))?;
        let refused = if is.uid() != us && is.uid() != 0 {
            "a directory above belongs to somebody else"
        } else if directory == real && is.mode() & 0o077 != 0 {
            "it is open to others (its mode must be 0700)"
        } else if is.mode() & 0o022 != 0 && is.mode() & 0o1000 == 0 {
            "a directory above can be written by others"
        } else {
            continue;
        };
        return Err(PinError::Unsafe(pin_root.to_owned(), refused));
    }
    Ok(root)
}

/// A mount of the descriptor, not yet anywhere
fn clone(resolved: &Resolved) -> Result<OwnedFd, PinError> {
    let failed = |error: Errno| PinError::Failed("clone", resolved.path.as_str().into(), error.into());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    match open_tree(&resolved.file, "", flags | OpenTreeFlags::AT_RECURSIVE) {
        // The descriptor belongs to a mount of another namespace.
        Err(Errno::INVAL) => {}
        tree => return tree.map_err(failed),
    }
    // What is mounted below differs between namespaces, and only the engine's was judged.
    let elsewhere = || PinError::Elsewhere(resolved.path.clone());
    let table = resolved.own.table()?;
    let of_engine = resolved.engine.table()?;
    let below = |table: &crate::mount::table::Table, path: &Path| table.below(path).any(|mount| mount.point != path);
    if below(&of_engine, Path::new(resolved.path.as_str())) {
        return Err(elsewhere());
    }
    for mount in table.showing(&resolved.place) {
        let Ok(rest) = resolved.place.path.strip_prefix(&mount.place.path) else { continue };
        let path = mount.point.join(rest);
        let Ok(file) = resolved.own.open_plain(&path) else { continue };
        if look(&file).is_ok_and(|seen| seen.identity == resolved.identity) && !below(&table, &path) {
            return open_tree(&file, "", flags).map_err(failed);
        }
    }
    Err(elsewhere())
}

/// The engine's name of a pin, if it leads to what was resolved
fn seen_by_engine(resolved: &Resolved, at: &Path) -> Result<HostPath, PinError> {
    let not_seen = || PinError::NotSeen(at.parent().unwrap_or(at).to_owned());
    let real = fs::canonicalize(at).map_err(|error| PinError::Failed("look at", at.to_owned(), error))?;
    match resolved.engine.resolve(real.to_str().ok_or_else(not_seen)?) {
        Ok(node) if node.seen.identity == resolved.identity => HostPath::parse(&node.name).ok_or_else(not_seen),
        Ok(_) | Err(Unresolved::NotThere) => Err(not_seen()),
        Err(error) => Err(error.into()),
    }
}

/// Takes a mount away, then the name it had; never what is below
fn remove(at: &Path) -> io::Result<()> {
    match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Nothing is mounted there, or nothing is there at all.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let removed = match unlinkat(CWD, at, AtFlags::REMOVEDIR) {
        Err(Errno::NOTDIR) => unlinkat(CWD, at, AtFlags::empty()),
        removed => removed,
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A name that was never used and never will be: containers of another boot may still know theirs
fn unique() -> io::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{PREFIX}{:032x}", u128::from_ne_bytes(random)))
}

fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn name_of(path: &HostPath) -> Option<&str> {
    path.as_str().rsplit('/').next()
}

const PREFIX: &str = "pin-";
