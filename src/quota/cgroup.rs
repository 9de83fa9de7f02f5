//! A cgroup for each owner, which carries the sums of a quota as real limits.
//!
//! With the engine's `cgroupfs` driver it is made here, `/sockwarden-<engine>/<tag>` in every hierarchy that matters; with
//! the `systemd` driver it is a slice, `sockwarden-<engine>-<tag>.slice`, and systemd sets its limits. Engines of one host
//! have cgroups of their own, also for an owner that has the same name on both. Only short words stand in the path, so
//! that nobody can take a part of it for a container's id. All calls block.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use self::files::Step;
use self::mounts::Hierarchies;

mod files;
mod mounts;
mod namespace;
mod slice;

/// What a cgroup carries; nothing is no limit
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes, and as many of swap again
    pub memory: Option<i64>,
    /// CPUs in units of 10⁻⁹
    pub nano_cpus: Option<i64>,
    /// Processes
    pub pids: Option<i64>,
}

/// What the engine says of its cgroups
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// `cgroupfs`, `systemd` or `none`
    pub driver: String,
    /// `1` or `2`
    pub version: String,
    /// Whether it runs without root
    pub rootless: bool,
    /// What tells it from other engines
    pub id: String,
}

/// Where owners' cgroups are made
#[derive(Debug)]
pub struct Ground {
    /// The cgroup above all owners of this engine
    ours: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In the hierarchies of version 1
    V1(Hierarchies),
    /// Below the root of version 2
    V2(PathBuf),
    /// By systemd
    Systemd(slice::Systemd),
}

/// Why no cgroup can be made here
#[derive(Debug, Error)]
pub enum NoGround {
    /// Only root can
    #[error("sockwarden is not root")]
    NotRoot,
    /// An engine without root has no cgroups that it could give away
    #[error("the engine runs without root")]
    Rootless,
    /// The engine's driver
    #[error("the engine's cgroup driver is `{0}`")]
    Driver(String),
    /// Its process is on another host, or in a namespace of its own
    #[error("the engine's cgroups are not ours: {0}")]
    Elsewhere(String),
    /// A hierarchy is not mounted, or only a part of it
    #[error("no whole cgroup hierarchy for {0} is mounted here")]
    NotMounted(&'static str),
    /// Reading what is mounted
    #[error("cannot make a cgroup: {0}")]
    Io(#[from] io::Error),
}

/// A cgroup could not be made or limited, where it should have been
#[derive(Debug, Error)]
#[error("the owner's cgroup cannot be made: {place}: {error}")]
pub struct CgroupError {
    place: String,
    error: io::Error,
}

impl Ground {
    /// Finds out where the cgroups of the engine behind a socket are made
    ///
    /// # Errors
    /// Why they cannot be made from here, in words for an operator.
    pub fn find(told: &Told, engine: &Path) -> Result<Self, NoGround> {
        if told.rootless {
            return Err(NoGround::Rootless);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(NoGround::NotRoot);
        }
        namespace::shared_with(engine)?;
        let ground = Self { ours: ours(&told.id)?, place: Place::find(told)? };
        // Mounted read-only it is none.
        files::carry_out(&ground.first_steps())?;
        Ok(ground)
    }

    /// The owner's cgroup in the words of `--cgroup-parent`
    pub fn parent(&self, tag: &str) -> String {
        match self.place {
            Place::V1(_) | Place::V2(_) => format!("/{}/{tag}", self.ours),
            Place::Systemd(_) => slice::name(&self.ours, tag),
        }
    }

    /// Makes the owner's cgroup, or sees to it that it is as it should be
    ///
    /// # Errors
    /// When it is not; then nothing may start in it.
    pub fn make(&self, tag: &str, sums: &Sums) -> Result<(), CgroupError> {
        let made = match &self.place {
            Place::V1(hierarchies) => files::carry_out(&hierarchies.steps(&self.ours, tag, sums)),
            Place::V2(root) => files::carry_out(&files::unified(root, &self.ours, tag, sums)),
            Place::Systemd(systemd) => systemd.limit(&slice::name(&self.ours, tag), sums),
        };
        made.map_err(|error| CgroupError { place: self.parent(tag), error })
    }

    /// Tags of the cgroups that there are
    pub fn tags(&self) -> Vec<String> {
        match &self.place {
            Place::V1(hierarchies) => hierarchies.tags(&self.ours),
            Place::V2(root) => files::tags(&root.join(&self.ours)),
            Place::Systemd(systemd) => systemd.tags(&self.ours),
        }
    }

    /// Takes an owner's cgroup away; one with something in it stays
    ///
    /// # Errors
    /// When it stays.
    pub fn remove(&self, tag: &str) -> io::Result<()> {
        match &self.place {
            Place::V1(hierarchies) => hierarchies.remove(&self.ours, tag),
            Place::V2(root) => files::remove(&root.join(&self.ours).join(tag)),
            Place::Systemd(systemd) => systemd.remove(&slice::name(&self.ours, tag)),
        }
    }

    fn first_steps(&self) -> Vec<Step> {
        match &self.place {
            Place::V1(hierarchies) => hierarchies.first_steps(&self.ours),
            Place::V2(root) => files::unified_first(root, &self.ours),
            Place::Systemd(_) => Vec::new(),
        }
    }
}

impl Place {
    fn find(told: &Told) -> Result<Self, NoGround> {
        match told.driver.as_str() {
            "systemd" => Ok(Self::Systemd(slice::Systemd::running()?)),
            "cgroupfs" => {
                let mounted = mounts::read(&std::fs::read_to_string("/proc/self/mountinfo")?);
                match told.version.as_str() {
                    "2" => mounted.unified.map(Self::V2).ok_or(NoGround::NotMounted("cgroup version 2")),
                    // Engines that do not say so know the first only.
                    _ => Hierarchies::of(mounted).map(Self::V1),
                }
            }
            other => Err(NoGround::Driver(other.to_owned())),
        }
    }
}

/// The cgroup above all owners of an engine
fn ours(engine: &str) -> Result<String, NoGround> {
    if engine.is_empty() {
        return Err(NoGround::Elsewhere("it does not say who it is".to_owned()));
    }
    let digest = Sha256::digest(engine);
    let word: String = digest.iter().take(ENGINE_BYTES).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sockwarden-{word}"))
}

/// Whether a word is a tag
fn is_tag(word: &str) -> bool {
    word.len() == 12 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Bytes of the digest that stand for an engine
const ENGINE_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_one_host_have_cgroups_of_their_own() {
        let [one, other] = ["AXSA:LGDY", "b8f3d6a3-eff7"].map(|id| ours(id).unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), ours("AXSA:LGDY").unwrap()), ("sockwarden-12345678".len(), one));
        assert!(ours("").is_err());
    }
}
