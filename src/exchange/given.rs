//! What of a request's host paths the caller has itself, and which of them name an engine's socket.
//!
//! Told from names alone, before the engine is asked or a file is looked at; [`super::paths`] then sees what they lead to.

use std::path::{Path, PathBuf};

use crate::api::bind::HostPath;
use crate::api::names::{Name as _, VolumeName};
use crate::api::operation::Operation;
use crate::api::version::ApiVersion;
use crate::caller::mounts::{Within, in_words, within};
use crate::caller::{Caller, CallerLimits, CallerMount, Container};
use crate::mount::{Host, Pin};
use crate::policy::given::{Given, Means, sockets, usual_names};
use crate::policy::judge::{Facts, Most};
use crate::policy::{Mode, Policy};

/// The socket that callers of one listener have
#[derive(Debug, Clone, Default)]
pub struct OwnSocket {
    /// Where it is
    pub path: PathBuf,
    /// What the engine calls it, where that is configured
    pub host_path: Option<HostPath>,
}

/// Host paths of one request that are given to it
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Field by field
    pub(super) fields: Vec<Planned>,
    /// Where our own socket may be found, by the engine's names
    pub(super) socket: Option<SocketPlan>,
}

/// Our own socket, and by what names the engine may have it
#[derive(Debug, Clone)]
pub(super) struct SocketPlan {
    own: OwnSocket,
    /// A socket's own name first, then directories it may lie in
    names: Vec<HostPath>,
}

/// One host path that is given
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// What is given
    pub(super) given: Given,
    /// The host's name of it; absent for a socket, and for a volume that lies out of sight
    pub(super) at: Option<At>,
}

/// A place inside one of the caller's mounts, by the host's names
#[derive(Debug, Clone)]
pub(super) struct At {
    /// What is mounted in the caller
    pub(super) root: HostPath,
    /// The place itself
    pub(super) path: HostPath,
    /// Protected things in which the root lies, and that are not held against it
    pub(super) pardoned: &'static [&'static str],
}

impl Plan {
    /// Looks at the names of an operation's host paths
    pub fn of(
        policy: &Policy,
        operation: &Operation,
        caller: &Caller,
        version: ApiVersion,
        sockets: &Sockets<'_>,
    ) -> Self {
        let mut plan = Self::default();
        if policy.mode == Mode::Record {
            return plan;
        }
        if policy.socket.is_some() {
            plan.socket = Some(SocketPlan::of(sockets.own, caller.mounts()));
            plan.fields = sockets.named(operation);
        }
        if policy.caller.is_some() {
            for (field, asked) in operation.host_paths() {
                if !plan.fields.iter().any(|planned| planned.given.field == field) {
                    plan.fields.extend(caller_has(caller.mounts(), version, field, asked));
                }
            }
        }
        plan
    }

    /// What names alone tell the judge
    pub fn facts(&self, policy: &Policy, caller: &Caller) -> Facts {
        let in_container = caller.container.is_some() && policy.caller.is_some() && policy.mode != Mode::Record;
        Facts {
            given: self.fields.iter().map(|planned| planned.given.clone()).collect(),
            has: in_container.then(|| in_words(caller.mounts())),
            most: most(caller.container.as_ref()),
            ..Facts::default()
        }
    }

    /// Whether nothing is given
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn field(&self, field: &str) -> Option<&Planned> {
        self.fields.iter().find(|planned| planned.given.field == field)
    }
}

/// The names by which a listener's callers may know an engine's socket
#[derive(Debug)]
pub struct Sockets<'a> {
    /// Our own
    pub own: &'a OwnSocket,
    /// The engine's
    pub engine: &'a Path,
}

impl Sockets<'_> {
    fn named(&self, operation: &Operation) -> Vec<Planned> {
        let OwnSocket { path, host_path } = self.own;
        let configured = [self.engine, path].into_iter().filter_map(|path| HostPath::parse(path.to_str()?));
        let names: Vec<_> = usual_names().into_iter().chain(configured).chain(host_path.clone()).collect();
        // Which one takes their place is seen later.
        let any = HostPath::default();
        sockets(operation, &names, &any).into_iter().map(|given| Planned { given, at: None }).collect()
    }
}

/// What the caller has at a path, as the engine is to be told
fn caller_has(mounts: &[CallerMount], version: ApiVersion, field: String, asked: HostPath) -> Option<Planned> {
    let within = within(mounts, &asked)?;
    let Within { mount, .. } = &within;
    let CallerMount { source, volume, writable, .. } = mount;
    let at = match source {
        Some(_) => Some(At { root: mount.root()?, path: within.host_path()?, pardoned: pardoned(mount) }),
        None => None,
    };
    let writable = *writable;
    let volume = volume.as_deref().and_then(|name| VolumeName::parse(name).ok());
    let subpath = within.subpath();
    let means = match volume {
        // A part of a volume has a name of its own from 1.45 on, which the engine follows without leaving the volume.
        Some(name) if subpath.is_empty() || version >= SUBPATH => Means::Volume { name, subpath, writable },
        _ if at.is_some() => Means::Path { writable },
        _ => return None,
    };
    Some(Planned { given: Given { field, asked, means }, at })
}

fn pardoned(mount: &CallerMount) -> &'static [&'static str] {
    match (&mount.volume, &mount.source) {
        (Some(_), _) => &["the engine's data", "Podman's data"],
        // What was judged and pinned for the caller, perhaps a part of a volume; no job can make a name that is like a pin's.
        (None, Some(source)) if Pin::is_name(source) => &["sockwarden's pins", "the engine's data", "Podman's data"],
        (None, _) => &[],
    }
}

fn most(container: Option<&Container>) -> Most {
    let CallerLimits { memory, nano_cpus, pids } = container.map(|container| container.limits).unwrap_or_default();
    Most { memory, nano_cpus, pids }
}

impl SocketPlan {
    fn of(own: &OwnSocket, mounts: &[CallerMount]) -> Self {
        let listener = own.path.to_str().and_then(HostPath::parse);
        let names = match &own.host_path {
            Some(host_path) => vec![host_path.clone()],
            None => {
                let roots: Vec<HostPath> = mounts.iter().filter_map(CallerMount::root).collect();
                let name = own.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let inside = roots.iter().filter_map(|root| HostPath::parse(&format!("{root}/{name}")));
                listener.into_iter().chain(roots.iter().cloned()).chain(inside.collect::<Vec<_>>()).collect()
            }
        };
        Self { own: own.clone(), names }
    }

    /// The engine's name of our socket, seen to lead to it
    ///
    /// # Errors
    /// When none does.
    pub(super) fn find(&self, host: &Host) -> Result<HostPath, String> {
        let Some((ours, _)) = host.own(&self.own.path) else {
            return Err(format!("sockwarden's own socket `{}` is not there", self.own.path.display()));
        };
        let leads_there = |name: &HostPath| host.resolve(name).ok().filter(|found| found.identity() == ours);
        let found = self.names.iter().find_map(leads_there);
        // A colon would end the source of a bind.
        let found = found.map(|found| found.path().clone()).filter(|path| !path.as_str().contains(':'));
        found.ok_or_else(|| {
            let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "the engine does not have sockwarden's socket at {}: set `host_path` of the listener",
                names.join(", ")
            )
        })
    }

    /// The same where the engine's files cannot be seen: only what an operator wrote counts
    ///
    /// # Errors
    /// When nothing was written: another socket may have our name there, even the engine's.
    pub(super) fn unseen(&self) -> Result<HostPath, String> {
        let why = "the engine's files cannot be seen from here: set `host_path` of the listener";
        self.own.host_path.clone().ok_or_else(|| why.to_owned())
    }

    /// Whether something is our own socket
    pub(super) fn is(&self, host: &Host, found: &crate::mount::Resolved) -> bool {
        host.own(&self.own.path).is_some_and(|(ours, _)| ours == found.identity())
    }
}

/// The first version in which a part of a volume can be mounted
const SUBPATH: ApiVersion = match ApiVersion::new(45) {
    Some(version) => version,
    None => ApiVersion::MAX,
};
