//! Who is on the other end of a connection: the kernel's word on the peer, and the engine's on the peer's container.
//!
//! Nothing that a client sends is in here. Looked up once a connection and kept as long as it, never by process id.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::bind::HostPath;

pub mod cgroup;
pub mod inspected;
pub mod job;
pub mod mountinfo;
pub mod mounts;
pub mod peer;
mod pinned;

/// Who called, and what it has itself
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// User
    pub uid: u32,
    /// Group
    pub gid: u32,
    /// Process, as seen from here; absent when it cannot be
    pub pid: Option<i32>,
    /// The container it runs in
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Outside of containers: the control group of a container that the engine does not know, such as a pod's
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// On the host: the systemd unit
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// On the host: the systemd slice
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// The CI job, from those labels of its container that name one
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub job: BTreeMap<String, String>,
    /// The project of that job, as one text, where nobody but who made the container can have said it; not in the record
    #[serde(skip)]
    pub project: Option<String>,
    /// What it may give of its own where it runs in no container; not in the record
    #[serde(skip)]
    pub mounts: Vec<CallerMount>,
}

/// The caller's container, in the engine's words
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Full id
    pub id: String,
    /// Name without the slash
    pub name: String,
    /// Image as it was named when the container was made
    pub image: String,
    /// Its labels; not in the record
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    /// What is mounted in it
    #[serde(skip)]
    pub mounts: Vec<CallerMount>,
    /// Networks it is attached to: name and full id
    #[serde(skip)]
    pub networks: Vec<(String, String)>,
    /// Its limits
    #[serde(skip)]
    pub limits: CallerLimits,
}

/// One mount of the caller's container
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerMount {
    /// Path in the container, cleaned
    pub destination: HostPath,
    /// Path on the host; of a volume its mountpoint
    pub source: Option<HostPath>,
    /// The volume's name, if it is one
    pub volume: Option<String>,
    /// The part of the volume that is mounted, without a slash at its ends; empty is all of it
    ///
    /// The engine's `Mounts` do not say it: it is in `HostConfig.Mounts`.
    pub subpath: String,
    /// Whether it can be written
    pub writable: bool,
}

/// The limits of the caller's container; none is no limit
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Bytes
    pub memory: Option<i64>,
    /// CPUs in units of 10⁻⁹
    pub nano_cpus: Option<i64>,
    /// Processes
    pub pids: Option<i64>,
}

impl Caller {
    /// What it has itself, and so may give to its containers: its own container's mounts
    pub fn mounts(&self) -> &[CallerMount] {
        self.container.as_ref().map_or(&self.mounts, |container| &container.mounts)
    }
}
