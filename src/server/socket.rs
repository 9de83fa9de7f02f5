//! The socket file: made with its rights before anybody can connect, claimed by one instance, removed by nobody else.
//!
//! A claim is a lock on a file beside the socket, as a socket itself cannot be locked and one that is bound cannot be told
//! from one that is left over without connecting to it. A socket that answers is never replaced, also when no lock is
//! held: it may be the engine's.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tracing::warn;

pub use self::inherited::inherited;

mod inherited;

/// Why a socket is not served
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another sockwarden serves it
    #[error("`{}` is served by another sockwarden", .0.display())]
    Served(PathBuf),
    /// Somebody answers there
    #[error("`{}` is in use: something answers there, and it is not replaced", .0.display())]
    Live(PathBuf),
    /// A file, a directory or a link is in the way
    #[error("`{}` is not a socket, and it is not replaced", .0.display())]
    NotASocket(PathBuf),
    /// Somebody else made the directory where everybody may
    #[error("the directory `{}` is not ours: anybody can make names in the one it is in, and somebody did", .0.display())]
    Foreign(PathBuf),
    /// The kernel takes 107 bytes, five of them are for the name it has before it is ready
    #[error("`{}` is too long for a socket: at most {} bytes", .0.display(), MAX_PATH)]
    TooLong(PathBuf),
    /// An inherited descriptor is not what a listener needs
    #[error("the inherited descriptor `{0}` is not a listening Unix socket")]
    NotAListener(String),
    /// The system said no
    #[error("cannot {} `{}`: {}", .0, .1.display(), .2)]
    Failed(&'static str, PathBuf, #[source] io::Error),
}

/// The right to serve a path; the socket goes away with it
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    lock_path: PathBuf,
    /// Keeps the inode's number from being given to another file
    socket: OwnedFd,
    /// Held until the end
    _lock: OwnedFd,
}

impl Claim {
    /// Makes a listening, non-blocking socket at `path`; a stale one is replaced, and there is no moment without one
    pub fn take(path: &Path, mode: u32, group: Option<Gid>) -> Result<(UnixListener, Self), SocketError> {
        let name = path.file_name().ok_or_else(|| SocketError::NotASocket(path.to_owned()))?;
        let sibling =
            |end: &str| path.with_file_name([".".as_ref(), name, end.as_ref()].into_iter().collect::<OsString>());
        let (lock_path, draft) = (sibling(".lock"), sibling(".new"));
        if draft.as_os_str().len() > MAX_PATH + 5 {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        prepare_directory(path)?;
        let lock = lock(&lock_path, path)?;
        let socket = make(path, &draft, mode, group);
        match socket {
            Ok((listener, socket)) => Ok((listener, Self { path: path.to_owned(), lock_path, socket, _lock: lock })),
            Err(error) => {
                // The lock goes last, so that nobody else is at this draft meanwhile.
                discard_draft(&draft);
                discard(&lock_path);
                Err(error)
            }
        }
    }

    /// Removes the socket, so that nobody connects any more; who is connected stays so
    pub fn release(self) {}
}

impl Drop for Claim {
    fn drop(&mut self) {
        // INVARIANT: we hold the lock until after both are gone, so whoever comes next begins with a new lock file.
        if leads_to(&self.path, &self.socket).unwrap_or(false) {
            discard(&self.path);
        }
        discard(&self.lock_path);
    }
}

fn discard(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => warn!(path = %path.display(), %error, "cannot remove"),
    }
}

/// Under the lock the draft's name is ours, but only a socket can be one
fn discard_draft(draft: &Path) {
    if fs::symlink_metadata(draft).is_ok_and(|there| there.file_type().is_socket()) {
        discard(draft);
    }
}

/// Makes the directory if it is missing, and refuses one that was made by somebody else in a place like `/tmp`
fn prepare_directory(path: &Path) -> Result<(), SocketError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    let failed = |error: io::Error| SocketError::Failed("make the directory", directory.to_owned(), error);
    let uid = rustix::process::geteuid().as_raw();
    if !directory.exists() {
        let mode = if uid == 0 { 0o755 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(directory).map_err(failed)?;
    }
    let Some(above) = directory.parent() else { return Ok(()) };
    let sticky = fs::metadata(above).map_err(failed)?.mode() & 0o1002 == 0o1002;
    let made = fs::symlink_metadata(directory).map_err(failed)?;
    let ours = made.is_dir() && (made.uid() == uid || made.uid() == 0);
    if sticky && !ours { Err(SocketError::Foreign(directory.to_owned())) } else { Ok(()) }
}

/// Locks the file beside the socket, without waiting
fn lock(lock_path: &Path, path: &Path) -> Result<OwnedFd, SocketError> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for _ in 0..LOCK_ATTEMPTS {
        let held = rustix::fs::open(lock_path, flags, Mode::RUSR | Mode::WUSR).and_then(|file| hold(file, lock_path));
        match held {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(Errno::WOULDBLOCK) => return Err(SocketError::Served(path.to_owned())),
            Err(errno) => return Err(SocketError::Failed("lock", lock_path.to_owned(), errno.into())),
        }
    }
    Err(SocketError::Served(path.to_owned()))
}

/// Locks an open file, if it is still there: between open and lock its holder may have removed it, and another may have
/// made and locked a new one
fn hold(file: OwnedFd, lock_path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(leads_to(lock_path, &file)?.then_some(file))
}

/// Whether a path is that of an open file
fn leads_to(path: &Path, file: &OwnedFd) -> rustix::io::Result<bool> {
    let ours = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Makes the socket under another name, and gives it its own when it is ready
fn make(path: &Path, draft: &Path, mode: u32, group: Option<Gid>) -> Result<(UnixListener, OwnedFd), SocketError> {
    let failed = |what| move |errno: Errno| SocketError::Failed(what, path.to_owned(), errno.into());
    let place = occupied(path)?;
    discard_draft(draft);
    let address = SocketAddrUnix::new(draft).map_err(|_| SocketError::TooLong(path.to_owned()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed("make a socket for"))?;
    rustix::net::bind(&listener, &address).map_err(failed("make"))?;
    // Its rights are still those of the umask; nobody gets in, because it does not listen yet.
    if group.is_some() {
        rustix::fs::chownat(CWD, draft, None, group, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the group of"))?;
    }
    fs::set_permissions(draft, fs::Permissions::from_mode(mode))
        .map_err(|error| SocketError::Failed("set the mode of", path.to_owned(), error))?;
    let socket = rustix::fs::open(draft, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open"))?;
    rustix::net::listen(&listener, BACKLOG).map_err(failed("listen on"))?;
    match place {
        Place::Stale => rustix::fs::rename(draft, path),
        Place::Free => match rustix::fs::renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(draft, path),
            renamed => renamed,
        },
    }
    .map_err(failed("put in place"))?;
    Ok((UnixListener::from(listener), socket))
}

enum Place {
    Free,
    Stale,
}

/// Looks at what is at the path, and answers only if it may be replaced
fn occupied(path: &Path) -> Result<Place, SocketError> {
    let failed = |error| SocketError::Failed("look at", path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_) => return Err(SocketError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Free),
        Err(error) => return Err(failed(error)),
    }
    let address = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
    // Without waiting: a server whose queue is full is alive, and connecting to it would hang.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|errno| failed(errno.into()))?;
    match rustix::net::connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => Ok(Place::Stale),
        Err(Errno::NOENT) => Ok(Place::Free),
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(SocketError::Live(path.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Bytes of a listener's path
pub const MAX_PATH: usize = 102;

/// Connections that wait to be accepted
const BACKLOG: i32 = 1024;

/// How often a lock file may vanish under us
const LOCK_ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests;
