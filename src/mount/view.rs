//! A file system as one process sees it: its root and its mounts.
//!
//! Every look-up is confined to the root by the kernel (`openat2`), so that a link to `/etc` in the engine's root leads to
//! the engine's `/etc` and never to ours.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::api::bind::clean;
use crate::mount::TRIES;
use crate::mount::error::{Unresolved, Unseen};
use crate::mount::node::{Identity, Kind, Node, Seen, look};
use crate::mount::table::Table;

/// The root and the mounts of a process
#[derive(Debug)]
pub(super) struct View {
    root: OwnedFd,
    at_root: Seen,
    /// The process's directory in `/proc`: leads nowhere once the process is gone, also when its number is in use again
    process: OwnedFd,
}

impl View {
    /// The view of the process behind a socket, and our own; one and the same where both are
    pub(super) fn of_engine(socket: &Path) -> Result<(Arc<Self>, Arc<Self>), Unseen> {
        let own = Arc::new(Self::own()?);
        let pid = peer(socket)?;
        let process = match openat(CWD, format!("/proc/{pid}"), PATH | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Err(Unseen::Hidden),
            process => process.map_err(|error| Unseen::Proc(error.into()))?,
        };
        // The number could have changed hands in between: it still answers, so it is still the one.
        if peer(socket)? != pid {
            return Err(Unseen::Hidden);
        }
        let root = match openat(&process, "root", PATH | OFlags::DIRECTORY, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::ACCESS | Errno::PERM) => {
                let table = table(&process).map_err(|_| Unseen::Forbidden(pid))?;
                let own_table = table_of_own(&own)?;
                // The mount table is there for everybody, and a mount's number is unique in the whole system.
                let same = !own_table.roots().is_empty() && table.roots() == own_table.roots();
                return if same { Ok((Arc::clone(&own), own)) } else { Err(Unseen::Forbidden(pid)) };
            }
            Err(Errno::NOENT | Errno::SRCH) => return Err(Unseen::Hidden),
            Err(error) => return Err(Unseen::Proc(error.into())),
        };
        let at_root = look(&root).map_err(Unseen::Kernel)?;
        if at_root == own.at_root {
            return Ok((Arc::clone(&own), own));
        }
        Ok((Arc::new(Self { root, at_root, process }), own))
    }

    fn own() -> Result<Self, Unseen> {
        let proc = |error: Errno| Unseen::Proc(error.into());
        // Another process namespace's `/proc` would show us other processes under the numbers we know.
        let number = fs::read_link("/proc/self").map_err(Unseen::Proc)?;
        if number != Path::new(&std::process::id().to_string()) {
            return Err(Unseen::Proc(io::Error::other("it belongs to another process namespace")));
        }
        let process = openat(CWD, "/proc/self", PATH | OFlags::DIRECTORY, Mode::empty()).map_err(proc)?;
        let root = openat(CWD, "/", PATH | OFlags::DIRECTORY, Mode::empty()).map_err(proc)?;
        let at_root = look(&root).map_err(Unseen::Kernel)?;
        openat2(&root, "/", PATH, Mode::empty(), FOLLOW).map_err(Unseen::Kernel)?;
        Ok(Self { root, at_root, process })
    }

    /// The mounts, as they are now
    pub(super) fn table(&self) -> Result<Table, Unresolved> {
        table(&self.process)
    }

    /// Follows a path to its end, and finds the name of what is there
    pub(super) fn resolve(&self, path: &str) -> Result<Node, Unresolved> {
        for _ in 0..TRIES {
            let file = match openat2(&self.root, path, PATH, Mode::empty(), FOLLOW) {
                Ok(file) => file,
                // Something above was renamed while the kernel walked.
                Err(Errno::AGAIN) => continue,
                Err(Errno::LOOP) => return Err(self.why_loop(path)),
                Err(error) => return Err(error.into()),
            };
            if let Some(node) = self.name(file)? {
                return Ok(node);
            }
        }
        Err(Unresolved::Moving)
    }

    /// Opens a path without links, wherever it leads
    pub(super) fn open_plain(&self, path: &Path) -> Result<OwnedFd, Errno> {
        openat2(&self.root, path, PATH, Mode::empty(), PLAIN)
    }

    /// What has the name `name` in a directory, a link for itself
    pub(super) fn look_at(&self, directory: &Node, name: &str) -> Result<Kind, Errno> {
        let file = openat(&directory.file, name, PATH | OFlags::NOFOLLOW, Mode::empty())?;
        look(&file).map(|seen| seen.kind)
    }

    /// The directories above, up to the root, by the mounts and not by name
    pub(super) fn above(&self, node: &Node) -> Result<Vec<Identity>, Unresolved> {
        let mut above = Vec::new();
        let Some(parent) = &node.parent else { return Ok(above) };
        let mut at = openat(parent, ".", PATH, Mode::empty())?;
        for _ in 0..DEPTH {
            let seen = look(&at)?;
            above.push(seen.identity);
            if seen == self.at_root {
                return Ok(above);
            }
            at = openat(&at, "..", PATH | OFlags::DIRECTORY, Mode::empty())?;
        }
        // It was moved out of the root, and the walk ended at another one.
        Err(Unresolved::Moving)
    }

    /// Names in a directory; none when it cannot be read
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Ok(node) = self.resolve(path) else { return Vec::new() };
        let Ok(entries) = fs::read_dir(descriptor(&node.file)) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The name of a descriptor, seen to lead to the same thing without a link; `None` when it does not now
    fn name(&self, file: OwnedFd) -> Result<Option<Node>, Unresolved> {
        let seen = look(&file)?;
        let spelt = |file: &OwnedFd| fs::read_link(descriptor(file)).map_err(Unresolved::Failed);
        let (root, whole) = (spelt(&self.root)?, spelt(&file)?);
        // `/run/x (deleted)` and what was moved out of the root do not survive the second look.
        let Ok(below) = whole.strip_prefix(&root) else { return Ok(None) };
        let (Some(below), Some(whole_name)) = (below.to_str(), whole.to_str()) else { return Err(Unresolved::NotText) };
        let name = format!("/{below}");
        if clean(&name) != name {
            return Ok(None);
        }
        let whole_name = whole_name.to_owned();
        let Some((above, last)) = name.rsplit_once('/').filter(|(_, last)| !last.is_empty()) else {
            return Ok((seen == self.at_root).then_some(Node { file, seen, name, whole_name, parent: None }));
        };
        let above = if above.is_empty() { "/" } else { above };
        let again = openat2(&self.root, above, PATH | OFlags::DIRECTORY, Mode::empty(), PLAIN)
            .and_then(|parent| openat2(&parent, last, PATH, Mode::empty(), PLAIN_BELOW).map(|again| (parent, again)))
            .and_then(|(parent, again)| look(&again).map(|seen| (parent, seen)));
        match again {
            Ok((parent, again)) if again == seen => {
                Ok(Some(Node { file, seen, name, whole_name, parent: Some(parent) }))
            }
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::AGAIN | Errno::XDEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The kernel says the same of a ring of links and of a magic link that was forbidden
    ///
    /// Below a root it follows no magic link either way, but has another word for it where that was not asked.
    fn why_loop(&self, path: &str) -> Unresolved {
        match openat2(&self.root, path, PATH, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::XDEV) => Unresolved::MagicLink,
            _ => Unresolved::Loop,
        }
    }
}

/// The process that listens at a socket
///
/// In a thread of its own, as the caller may be inside a runtime already; tokio's credentials, as they alone know that the
/// number is 0 when the process is not in our process namespace.
fn peer(socket: &Path) -> Result<i32, Unseen> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            let stream = tokio::time::timeout(CONNECT_TIME, tokio::net::UnixStream::connect(socket)).await??;
            stream.peer_cred().map(|peer| peer.pid())
        })
    };
    let answer = std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, ask) {
        Ok(thread) => thread.join().unwrap_or_else(|_| Err(io::Error::other("the look-up broke off"))),
        Err(error) => Err(error),
    });
    let pid = answer.map_err(|error| Unseen::Unreachable(socket.to_owned(), error))?;
    pid.filter(|pid| *pid > 0).ok_or(Unseen::Hidden)
}

fn table(process: &OwnedFd) -> Result<Table, Unresolved> {
    let file = match openat(process, "mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        // A process that has ended, in its several stages.
        Err(Errno::NOENT | Errno::SRCH | Errno::INVAL) => return Err(Unresolved::Stale),
        file => file?,
    };
    let mut text = Vec::new();
    File::from(file).read_to_end(&mut text).map_err(Unresolved::Failed)?;
    let broken = || Unresolved::Failed(io::Error::new(io::ErrorKind::InvalidData, "the mount table cannot be read"));
    Table::parse(&text).ok_or_else(broken)
}

fn table_of_own(own: &View) -> Result<Table, Unseen> {
    own.table().map_err(|error| Unseen::Proc(io::Error::other(error)))
}

/// The name by which this process can reach a descriptor again
pub(super) fn descriptor(file: impl std::os::fd::AsFd) -> PathBuf {
    let file: BorrowedFd<'_> = file.as_fd();
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Opens nothing, only holds on to it
const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

const FOLLOW: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const PLAIN: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);
const PLAIN_BELOW: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);

/// Directories above one another: more than fit into the longest path
const DEPTH: usize = 4096;

/// How long the engine may take to be connected to
const CONNECT_TIME: std::time::Duration = std::time::Duration::from_secs(5);
