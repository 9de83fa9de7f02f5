//! What the configuration depends on besides file and flags: the user, a few environment variables, the list of groups.
//!
//! A value of its own, so that a test can be anybody anywhere. Everything is read once, at the start.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use rustix::process::{Gid, geteuid};

use crate::config::error::ConfigError;
use crate::config::value::Group;

/// Where a process finds itself
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Effective user; 0 has system-wide defaults
    pub uid: u32,
    /// What relative paths of flags are relative to
    pub directory: PathBuf,
    /// The configuration that may exist
    pub default_file: PathBuf,
    /// `/etc/group`
    pub groups: PathBuf,
    /// `DOCKER_HOST`
    pub docker_host: Option<OsString>,
    /// `XDG_RUNTIME_DIR`
    pub runtime_directory: Option<OsString>,
    /// `XDG_STATE_HOME`
    pub state_home: Option<OsString>,
    /// `HOME`
    pub home: Option<OsString>,
    /// Any other, by its name
    pub variable: fn(&str) -> Option<OsString>,
}

impl Surroundings {
    /// Those of this process
    pub fn of_process() -> Result<Self, ConfigError> {
        Ok(Self {
            uid: geteuid().as_raw(),
            directory: std::env::current_dir().map_err(ConfigError::WorkingDirectory)?,
            default_file: super::DEFAULT_PATH.into(),
            groups: "/etc/group".into(),
            docker_host: std::env::var_os("DOCKER_HOST"),
            runtime_directory: std::env::var_os("XDG_RUNTIME_DIR"),
            state_home: std::env::var_os("XDG_STATE_HOME"),
            home: std::env::var_os("HOME"),
            variable: |name| std::env::var_os(name),
        })
    }

    /// The socket we serve if nobody says otherwise
    pub(super) fn default_listener(&self) -> PathBuf {
        if self.uid == 0 {
            return "/run/sockwarden/docker.sock".into();
        }
        match absolute(&self.runtime_directory) {
            Some(directory) => directory.join("sockwarden/docker.sock"),
            // Claiming the socket checks that nobody else made this directory.
            None => format!("/tmp/sockwarden-{}/docker.sock", self.uid).into(),
        }
    }

    /// The audit file if nobody says otherwise
    pub(super) fn default_audit(&self) -> Result<PathBuf, ConfigError> {
        if self.uid == 0 {
            return Ok("/var/log/sockwarden/audit.jsonl".into());
        }
        Ok(self.state("the audit file", "--audit")?.join("audit.jsonl"))
    }

    /// The directory of what is remembered if nobody says otherwise
    pub(super) fn default_state(&self) -> Result<PathBuf, ConfigError> {
        if self.uid == 0 {
            return Ok("/var/lib/sockwarden".into());
        }
        self.state("what is remembered", "state")
    }

    /// Our part of the user's state directory
    fn state(&self, what: &'static str, key: &'static str) -> Result<PathBuf, ConfigError> {
        let state = absolute(&self.state_home).or_else(|| Some(absolute(&self.home)?.join(".local/state")));
        Ok(state.ok_or(ConfigError::NoPlace(what, "XDG_STATE_HOME", key))?.join("sockwarden"))
    }

    /// The number of a group; only the file is asked, as a static binary has no name service
    pub(super) fn gid(&self, group: &Group, key: &'static str) -> Result<Gid, ConfigError> {
        let name = match group {
            Group::Id(gid) => return Ok(*gid),
            Group::Name(name) => name,
        };
        let text = fs::read_to_string(&self.groups).map_err(|source| ConfigError::Groups {
            key,
            name: name.clone(),
            source,
        })?;
        text.lines()
            .find_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
                [found, _, gid, ..] if found == name => Group::id(gid),
                _ => None,
            })
            .ok_or_else(|| ConfigError::NoGroup { key, name: name.clone(), file: self.groups.clone() })
    }
}

/// The XDG specification has relative paths ignored
fn absolute(variable: &Option<OsString>) -> Option<PathBuf> {
    variable.as_ref().map(PathBuf::from).filter(|path| path.is_absolute())
}
