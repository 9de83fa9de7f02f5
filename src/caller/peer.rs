//! The peer of a connection: what the kernel says of the process that made it, read once, while it is held.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::PathBuf;

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Caller;
use super::cgroup::Cgroups;
use super::mountinfo;
use super::pinned::Hold;

/// The process on the other end of a connection
#[derive(Debug, Clone)]
pub struct Peer {
    caller: Caller,
    sight: Sight,
}

/// What can be seen of it
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: it is in a namespace of processes that is not seen from here
    Unseen,
    /// Nothing any more: it was gone before it could be looked at, or may not be looked at
    Gone,
    /// It is in no container
    Host,
    /// It may be in a container
    Contained(Process),
}

/// Where the kernel has a process that may be in a container
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// In control groups that name containers
    Grouped(Cgroups),
    /// In none of those, with the files of container `id` at its `/etc`
    Mounted {
        /// The container
        id: String,
        /// The process's mount namespace
        namespace: PathBuf,
    },
}

impl Peer {
    /// The peer of a connection that was just accepted
    ///
    /// # Errors
    /// When the kernel does not say who it is.
    pub async fn of(stream: &UnixStream) -> io::Result<Self> {
        let hold = Hold::of(stream.as_fd())?;
        let credentials = stream.peer_cred()?;
        // 0 stands for a process in a namespace that cannot be seen from here.
        let pid = credentials.pid().filter(|pid| *pid != 0);
        let mut caller = Caller { uid: credentials.uid(), gid: credentials.gid(), pid, ..Caller::default() };
        let sight = match (pid, hold) {
            (None, _) => Sight::Unseen,
            (Some(_), None) => Sight::Gone,
            (Some(pid), Some(hold)) => look(pid, hold, &mut caller).await.unwrap_or(Sight::Gone),
        };
        Ok(Self { caller, sight })
    }

    /// A process of the host, by what is known of it
    pub fn of_caller(caller: Caller) -> Self {
        Self { caller, sight: Sight::Host }
    }

    /// What can be seen of it
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// The caller, as far as the kernel knows it
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Looks where the kernel has a process, while it is held
async fn look(pid: i32, hold: Hold, caller: &mut Caller) -> io::Result<Sight> {
    let cgroups = hold.read(pid, || Ok(Cgroups::parse(&text(pid, "cgroup", MOST_OF_CGROUP)?)))?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    caller.cgroup = owned(cgroups.outermost());
    if caller.cgroup.is_none() {
        (caller.unit, caller.slice) = (owned(cgroups.unit()), owned(cgroups.slice()));
    }
    if !cgroups.containers().is_empty() {
        return Ok(Sight::Contained(Process::Grouped(cgroups)));
    }
    // Not everybody may read these of everybody; who shares our mounts is in no container but ours.
    let Some(namespace) = mounts(pid).filter(|theirs| fs::read_link("/proc/self/ns/mnt").ok().as_ref() != Some(theirs))
    else {
        return Ok(Sight::Host);
    };
    // A file system that hangs may hold up whoever reads about mounts, and so a few at a time.
    let _reading = READERS.acquire().await;
    let read = move || {
        let id = text(pid, "mountinfo", MOST_OF_MOUNTS).ok();
        Ok(id.as_deref().and_then(mountinfo::container).map(str::to_owned))
    };
    let id = spawn_blocking(move || hold.read(pid, read)).await.map_err(io::Error::other)??;
    Ok(id.map_or(Sight::Host, |id| Sight::Contained(Process::Mounted { id, namespace })))
}

impl Process {
    /// Ids of containers in which it may be, the outermost first
    pub fn containers(&self) -> Vec<&str> {
        match self {
            Self::Grouped(cgroups) => cgroups.containers().into_iter().take(MOST_CONTAINERS).collect(),
            Self::Mounted { id, .. } => vec![id],
        }
    }

    /// Whether it is in container `id`, whose first process the engine says is `first`
    ///
    /// From inside another namespace of processes the engine's numbers mean nothing, and the control groups' word stands
    /// alone.
    pub fn is_in(&self, id: &str, first: i32) -> bool {
        match self {
            Self::Grouped(_) if !sees_all_processes() => true,
            Self::Grouped(cgroups) => text(first, "cgroup", MOST_OF_CGROUP)
                .is_ok_and(|text| cgroups.share_container(id, &Cgroups::parse(&text))),
            Self::Mounted { namespace, .. } => sees_all_processes() && mounts(first).as_ref() == Some(namespace),
        }
    }
}

/// Whether every process of this machine can be seen from here
///
/// The first namespace of processes has a number of its own in every kernel.
pub fn sees_all_processes() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// A mount namespace, as the kernel names it
fn mounts(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

fn text(pid: i32, file: &str, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{file}"))?.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Those who read about mounts at a time
static READERS: Semaphore = Semaphore::const_new(8);
/// Containers that the engine is asked about for one caller
const MOST_CONTAINERS: usize = 8;
/// Bytes that are read of `/proc/PID/cgroup`
const MOST_OF_CGROUP: u64 = 64 << 10;
/// Bytes that are read of `/proc/PID/mountinfo`
const MOST_OF_MOUNTS: u64 = 1 << 20;
