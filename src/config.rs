//! sockwarden's own configuration, as used: plain values, every default filled in, every path absolute.
//!
//! `written` is the file as written and [`value`] reads single values, so that what is here cannot be wrong. Flags beat
//! the file. Policies are only named here; what is in them is not known.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Gid;
use tracing::level_filters::LevelFilter;

use crate::api::bind::HostPath;
use crate::audit::file::Rotation;
use crate::caller::job::JobLabels;
use crate::config::error::ConfigError;
use crate::config::surroundings::Surroundings;
use crate::config::written::Written;
use crate::owner::rule::Rule;

pub mod error;
mod resolve;
pub mod surroundings;
pub mod value;
mod written;

/// Everything `serve` needs to know
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The engine's socket
    pub engine: PathBuf,
    /// Directory of pins, for policies with `pin = true`; default `/run/sockwarden/pins`
    ///
    /// On a shared mount that the engine has by the same name. Ours alone; it is made when it is not there.
    pub pins: PathBuf,
    /// Directory of what is remembered over a restart, one for each sockwarden; it is made when it is not there
    ///
    /// Default `state` beside the record where a place for that was given, else `/var/lib/sockwarden` or in the user's
    /// state directory.
    pub state: PathBuf,
    /// The sockets to serve, at least one, no two with the same path or name
    pub listeners: Vec<Listener>,
    /// Labels of a caller's container that name its CI job; default those of the usual runners
    pub job_labels: JobLabels,
    /// The record
    pub audit: Audit,
    /// Limits on what clients and the engine can make us do
    pub limits: Limits,
    /// The operational log
    pub log: Log,
}

/// One socket to serve
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name in records and of systemd's `FileDescriptorName=`; the path if none was given
    pub name: String,
    /// Where the socket is
    pub path: PathBuf,
    /// What the engine calls the socket, where that is another name; for callers that bind it into their containers
    pub host_path: Option<HostPath>,
    /// Permission bits of the socket; default 0660
    pub mode: u32,
    /// Group of the socket; `None` leaves it as it comes
    pub group: Option<Gid>,
    /// The policy its callers are judged by; default `ci`
    pub policy: PolicyRef,
    /// How the owner of what is created through it is named; default `container`
    pub owner: Rule,
}

/// Which policy is meant
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyRef {
    /// A shipped one, by a name that need not exist
    Shipped(String),
    /// A file, by its absolute path
    File(PathBuf),
}

/// The record
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The current file; older ones lie beside it
    pub path: PathBuf,
    /// When a new file is begun, and how many are kept
    pub rotation: Rotation,
    /// Whether each line is on disk before the call goes on; default no
    pub sync: bool,
}

/// Limits on what clients and the engine can make us do
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head, request line included; 8KiB to 1MiB, default 64KiB
    pub header_bytes: usize,
    /// Header fields of a request; 10 to 1000, default 100
    pub headers: usize,
    /// Bytes of a request's path and query; 1KiB to 1MiB, default 16KiB
    pub target_bytes: usize,
    /// Bytes of a body that is read as a whole (JSON, a message of BuildKit's); 64KiB to 64MiB, default 4MiB
    ///
    /// Streams have no limit.
    pub body_bytes: usize,
    /// Bytes of all such bodies at a time, each beyond its first 16KiB; 1MiB to 16GiB, default 64MiB
    pub bodies_bytes: usize,
    /// Time a client has to send a whole head; 1s to 1h, default 30s
    pub head_time: Duration,
    /// Time a client has to send a body that is read as a whole; 1s to 1h, default 60s
    pub body_time: Duration,
    /// Connections at a time through all listeners; 1 to 1000000, default 8192; fewer where open files are fewer
    pub connections: usize,
    /// Connections at a time through one listener; 1 to 1000000, default 8192
    pub connections_per_listener: usize,
    /// Requests of one owner at a time through all listeners, streams and tunnels included; 1 to 1000000, default 512
    ///
    /// One connection has one request at a time, by HTTP/1.1: what a client sends behind it waits unread. Each call of a build
    /// counts, as does the connection it came on: a build has three or four at a time.
    pub requests_per_owner: usize,
    /// Time to connect to the engine; 100ms to 10m, default 5s
    pub engine_connect: Duration,
    /// Time to the first byte of the engine's answer to an operation that does not wait; 1s to 1d, default 120s
    pub engine_answer: Duration,
    /// Time without a byte either way after which a stream is cut; default off, as builds and logs may be silent for hours
    pub idle: Option<Duration>,
    /// Time that running requests and streams get when sockwarden ends; at most 1h, default 10s
    pub grace: Duration,
}

/// The operational log
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks; default text
    pub format: LogFormat,
    /// What is worth a line; default info
    pub level: LevelFilter,
    /// A file to append to; `None` is standard error
    pub path: Option<PathBuf>,
}

/// How a line of the operational log looks
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For machines: one JSON object a line
    Json,
}

/// What the command line says; each beats the file
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--engine unix://SOCKET`
    pub engine: Option<String>,
    /// `--listen PATH`
    pub listen: Option<PathBuf>,
    /// `--policy NAME|FILE`
    pub policy: Option<String>,
    /// `--mode OCTAL`
    pub mode: Option<String>,
    /// `--group NAME|GID`
    pub group: Option<String>,
    /// `--audit FILE`
    pub audit: Option<PathBuf>,
}

impl Config {
    /// The configuration of this process; `path` must exist, [`DEFAULT_PATH`] may
    pub fn load(path: Option<&Path>, flags: Flags) -> Result<Self, ConfigError> {
        Self::load_in(path, flags, &Surroundings::of_process()?)
    }

    /// Like [`Config::load`], in given surroundings
    pub fn load_in(path: Option<&Path>, flags: Flags, around: &Surroundings) -> Result<Self, ConfigError> {
        let must_exist = path.is_some();
        let path = around.directory.join(path.unwrap_or(&around.default_file));
        let written = match read(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| ConfigError::Written(path.clone(), Box::new(error)))?,
            Err(ConfigError::Read(_, error)) if error.kind() == ErrorKind::NotFound && !must_exist => {
                Written::default()
            }
            Err(error) => return Err(error),
        };
        resolve::resolve(written, path.parent().unwrap_or(&around.directory), flags, around)
    }
}

/// The text of a configuration file of at most [`MAX_FILE`] bytes
fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::Read(path.to_owned(), error);
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE { Err(ConfigError::TooLarge(path.to_owned())) } else { Ok(text) }
}

/// Read when no other file is named
pub const DEFAULT_PATH: &str = "/etc/sockwarden/sockwarden.toml";

/// Bytes of a configuration file
pub const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests;
