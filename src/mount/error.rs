//! Why a path, or the whole file system of the engine, cannot be judged as what it is.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;

use crate::mount::Missing;

/// Why the engine's file system cannot be seen
#[derive(Debug, Error)]
pub enum Unseen {
    /// Nobody answers at the socket
    #[error("the engine does not answer at `{}`: {}", .0.display(), .1)]
    Unreachable(PathBuf, #[source] io::Error),
    /// The process lives where we do not see it
    #[error(
        "the engine's process is not visible from here: run sockwarden on the engine's host, or in a container with the host's process namespace (`--pid=host`)"
    )]
    Hidden,
    /// The process is visible, its files are not, and they may be others than ours
    #[error(
        "the files of the engine's process {0} cannot be seen: run sockwarden in the host's mount namespace, as root or as the user the engine runs as"
    )]
    Forbidden(i32),
    /// The kernel is too old, or a filter is too strict
    #[error("the kernel does not resolve paths below a root here (openat2, statx: Linux 5.8): {0}")]
    Kernel(#[source] Errno),
    /// The proc file system is not as it should be
    #[error("cannot read `/proc`: {0}")]
    Proc(#[source] io::Error),
}

/// Why a path was not resolved
#[derive(Debug, Error)]
pub enum Unresolved {
    /// Nothing is there
    #[error("it does not exist: there is no `{}` in `{}`", .0.rest, .0.parent.path())]
    Missing(Box<Missing>),
    /// The end of a link is missing
    #[error("`{0}` is a link that leads nowhere")]
    Dangling(String),
    /// Through `/proc`, to where a process is and not to where the path says
    #[error("it leads through a magic link of `/proc`")]
    MagicLink,
    /// A ring of links, or too many
    #[error("its links form a loop, or there are too many")]
    Loop,
    /// A link leads out of the directory in which it must lie
    #[error("a link in it leads out of the directory that was given")]
    Outside,
    /// A file where a directory is needed
    #[error("a part of it is not a directory")]
    NotADirectory,
    /// We may not look
    #[error("sockwarden may not look there")]
    Denied,
    /// Renamed or removed while we looked
    #[error("it changes while it is looked at")]
    Moving,
    /// Not UTF-8: no request can name it
    #[error("its real name is not UTF-8")]
    NotText,
    /// On a mount that neither the engine's list nor ours has
    #[error("it lies on a mount that is not listed")]
    Unlisted,
    /// The engine's process ended: the host must be opened again
    #[error("the engine's process has ended")]
    Stale,
    /// Everything else that a file system can answer
    #[error("it cannot be looked at: {0}")]
    Failed(#[source] io::Error),
    /// Nothing is there, and nobody asked how far it exists
    #[error("it does not exist")]
    NotThere,
}

impl From<Errno> for Unresolved {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::NotThere,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::SRCH => Self::Stale,
            error => Self::Failed(error.into()),
        }
    }
}
