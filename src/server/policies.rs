//! The policies of all listeners: loaded all or nothing, and again on SIGHUP or when a file changed.
//!
//! Files are looked at once a second rather than watched: a watch does not survive the renames by which editors and
//! Kubernetes put new contents in place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use crate::config::PolicyRef;
use crate::policy::Policy;
use crate::policy::cleaning::CleanUp;
use crate::policy::compile::compile;
use crate::policy::report::Report;
use crate::policy::shipped;

/// Why a policy was not loaded
#[derive(Debug, Error)]
pub enum PolicyError {
    /// No policy of that name is shipped
    #[error("no policy `{0}` is shipped; there are {known}, and files by their path", known = names())]
    Unknown(String),
    /// The file cannot be read
    #[error("cannot read policy `{}`: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// Something is wrong with it
    #[error("{0}")]
    Wrong(Box<Report>),
}

/// The policies in use, one for each listener
#[derive(Debug)]
pub struct Policies {
    slots: Vec<Slot>,
    /// The files as they were loaded
    seen: Looked,
    /// The files at the last look
    last: Looked,
}

#[derive(Debug)]
struct Slot {
    source: PolicyRef,
    policy: watch::Sender<Arc<Policy>>,
}

/// What tells one state of a file from another
type Seen = (u64, u64, u64, i64, i64);
type Looked = BTreeMap<PathBuf, Option<Seen>>;

impl Policies {
    /// Loads the policy of each listener
    ///
    /// # Errors
    /// When any of them cannot be used.
    pub fn load(sources: impl IntoIterator<Item = PolicyRef>) -> Result<Self, PolicyError> {
        let slot = |source: PolicyRef| Ok(Slot { policy: watch::Sender::new(Arc::new(load(&source)?)), source });
        let slots = sources.into_iter().map(slot).collect::<Result<_, PolicyError>>()?;
        let mut policies = Self { slots, seen: Looked::new(), last: Looked::new() };
        policies.seen = policies.look();
        Ok(policies)
    }

    /// The policy of listener `index`, as last loaded
    pub fn subscribe(&self, index: usize) -> Option<watch::Receiver<Arc<Policy>>> {
        self.slots.get(index).map(|slot| slot.policy.subscribe())
    }

    /// Loads all policies again; running streams keep theirs
    ///
    /// # Errors
    /// When any of them cannot be used; then all stay as they are.
    pub fn reload(&mut self) -> Result<(), PolicyError> {
        self.seen = self.look();
        let loaded = self.slots.iter().map(|slot| load(&slot.source)).collect::<Result<Vec<_>, _>>()?;
        for (slot, policy) in self.slots.iter().zip(loaded) {
            slot.policy.send_replace(Arc::new(policy));
        }
        Ok(())
    }

    /// Has everything removed when sockwarden ends, and nothing before, whatever the policies say
    pub fn end_with_sockwarden(&mut self, images: bool) {
        for slot in &self.slots {
            slot.policy.send_modify(|policy| {
                let cleaning = &mut Arc::make_mut(policy).cleaning;
                (cleaning.when, cleaning.lease) = (CleanUp::WhenSockwardenEnds, None);
                cleaning.images |= images;
            });
        }
    }

    /// Whether any of them grants a path of the host
    pub fn grant_host_paths(&self) -> bool {
        let grants = |policy: &Policy| !policy.mounts.allow.is_empty() || policy.caller.is_some();
        self.slots.iter().any(|slot| grants(&slot.policy.borrow()))
    }

    /// Whether any of them wants a cgroup for each owner
    pub fn want_cgroups(&self) -> bool {
        self.slots.iter().any(|slot| slot.policy.borrow().quota.cgroup.is_some())
    }

    /// Whether a file is no longer what it was when it was last loaded, but as it was when this was last asked
    ///
    /// One that is just being written is left alone: the first half of a policy may grant what the second forbids.
    pub fn changed(&mut self) -> bool {
        let now = self.look();
        let last = std::mem::replace(&mut self.last, now);
        self.last == last && self.last != self.seen
    }

    fn look(&self) -> Looked {
        let files = self.slots.iter().filter_map(|slot| match &slot.source {
            PolicyRef::File(path) => Some(path),
            PolicyRef::Shipped(_) => None,
        });
        files.map(|path| (path.clone(), seen(path))).collect()
    }
}

/// Time between two looks at the files
pub const LOOK: Duration = Duration::from_secs(1);

/// Loads one policy; its warnings go to the log
///
/// # Errors
/// When it cannot be used.
pub fn load(source: &PolicyRef) -> Result<Policy, PolicyError> {
    let (name, text) = match source {
        PolicyRef::Shipped(name) => {
            (name.clone(), shipped::text(name).ok_or_else(|| PolicyError::Unknown(name.clone()))?.to_owned())
        }
        PolicyRef::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| PolicyError::Read(path.clone(), error))?;
            (path.display().to_string(), text)
        }
    };
    let policy = compile(&name, &text).map_err(|report| PolicyError::Wrong(Box::new(report)))?;
    for warning in policy.warnings.lines() {
        tracing::warn!(policy = name, "{warning}");
    }
    Ok(policy)
}

fn seen(path: &Path) -> Option<Seen> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

fn names() -> String {
    shipped::ALL.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_just_being_written_is_not_loaded() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("policy.toml");
        fs::write(&path, "allow = ['system']\n").unwrap();
        let mut policies = Policies::load([PolicyRef::File(path.clone())]).unwrap();
        assert!(!policies.changed() && !policies.changed());
        for written in ["", "allow = ['*']\n", "allow = ['*']\n[images]\nallow = []\n"] {
            fs::write(&path, written).unwrap();
            assert!(!policies.changed(), "{written:?}");
        }
        assert!(policies.changed(), "it stays so");
        policies.reload().unwrap();
        assert!(!policies.changed() && !policies.changed());
        fs::remove_file(&path).unwrap();
        assert!(!policies.changed() && policies.changed());
    }
}
