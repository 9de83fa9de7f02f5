//! What a container is given because its caller has it itself, and our socket in the place of an engine's.
//!
//! What a caller has is found by whoever knows it; here is what a policy says of it and what becomes of the request.

use crate::api::bind::HostPath;
use crate::api::names::VolumeName;
use crate::api::operation::Operation;
use crate::policy::ask::{Access, Ask, HostMount, Propagation, What};
use crate::policy::asks::asks;
use crate::policy::judge::Refusal;
use crate::policy::{Line, Policy};

/// What stands behind a host path of the request
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Field, as `HostConfig.Binds[0]` or `HostConfig.Mounts[0].Source`
    pub field: String,
    /// As the client named it
    pub asked: HostPath,
    /// What it is
    pub means: Means,
}

/// What a host path of the request means
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// An engine's socket: this one, ours, takes its place
    Socket(HostPath),
    /// A path inside one of the caller's own mounts; the host's name of it stands in the operation already
    Path {
        /// Whether the caller can write there
        writable: bool,
    },
    /// A volume that is mounted in the caller, or a part of it
    Volume {
        /// Its name
        name: VolumeName,
        /// The part; empty is all of it
        subpath: String,
        /// Whether the caller can write there
        writable: bool,
    },
}

impl Given {
    /// The line of the policy that gives it
    pub(super) fn line<'a>(&self, policy: &'a Policy) -> Option<&'a Line> {
        match self.means {
            Means::Socket(_) => policy.socket.as_ref(),
            Means::Path { .. } | Means::Volume { .. } => policy.caller.as_ref(),
        }
    }

    /// Whether the caller can write there
    fn writable(&self) -> bool {
        match self.means {
            Means::Socket(_) => true,
            Means::Path { writable } | Means::Volume { writable, .. } => writable,
        }
    }

    /// Whether it must be lowered to read-only: the caller cannot write there, and no line of the policy grants more
    pub(super) fn is_lowered(&self, policy: &Policy, operation: &Operation) -> bool {
        let this = |Ask { what, field }: Ask| match what {
            What::Mount(mount) if field == self.field => Some(mount),
            _ => None,
        };
        let by_line = |mount: &HostMount| policy.mounts.allow.iter().any(|(pattern, _)| pattern.grants(mount));
        let mount = asks(operation).into_iter().find_map(this);
        !self.writable() && mount.is_some_and(|mount| mount.access > Access::ReadOnly && !by_line(&mount))
    }
}

/// Every bind of an engine's socket by one of `names`, with `ours` to take its place
pub fn sockets(operation: &Operation, names: &[HostPath], ours: &HostPath) -> Vec<Given> {
    let named = operation.host_paths().into_iter().filter(|(_, path)| names.contains(path));
    named.map(|(field, asked)| Given { field, asked, means: Means::Socket(ours.clone()) }).collect()
}

/// What clients call the engine's socket, wherever it really is
pub fn usual_names() -> Vec<HostPath> {
    ["/var/run/docker.sock", "/run/docker.sock"].into_iter().filter_map(HostPath::parse).collect()
}

/// The word of a policy on a mount, once its lines were heard: what forbids it stays, what the caller has is granted
pub(super) fn granted(
    policy: &Policy,
    mount: &HostMount,
    given: Option<&Given>,
    has: Option<&str>,
    by_lines: Result<Line, Refusal>,
) -> Result<Line, Refusal> {
    let refused = |why: String| Refusal { line: None, why };
    match (by_lines, given) {
        // Nothing of the host is mounted, so no line about the host's paths is about this.
        (by_lines, Some(given @ Given { means: Means::Socket(_), .. })) => {
            given.line(policy).cloned().map_or(by_lines, Ok)
        }
        // The caller's own mounts are private unless somebody made them otherwise, which nobody tells us.
        (Err(Refusal { line: None, .. }), Some(_)) if mount.propagation > Propagation::Private => {
            Err(refused("the caller's own mount is private: leave the propagation out".to_owned()))
        }
        (Err(Refusal { line: None, why }), Some(given)) => given.line(policy).cloned().ok_or_else(|| refused(why)),
        (Err(Refusal { line: None, .. }), None) if has.is_some() => {
            let path = &mount.source;
            let has = has.unwrap_or_default();
            Err(refused(format!(
                "`{path}` is inside the job container's own file system, which the engine cannot mount; it has {has}"
            )))
        }
        (by_lines, _) => by_lines,
    }
}
