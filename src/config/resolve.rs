//! From the configuration as written to the one that is used: flags over file over defaults, paths made absolute, groups
//! looked up, and what only the whole can show (two listeners in one place, a loop).

use std::path::{self, Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::api::bind::HostPath;
use crate::audit::file::Rotation;
use crate::caller::job::JobLabels;
use crate::config::error::ConfigError;
use crate::config::surroundings::Surroundings;
use crate::config::value::{Engine, Group, Mode, Name, Owner, Value};
use crate::config::written::{self, Level, Written};
use crate::config::{Audit, Config, Flags, Limits, Listener, Log, PolicyRef};
use crate::owner::rule::Rule;

/// Makes the configuration; `base` is the directory of the file
pub fn resolve(written: Written, base: &Path, flags: Flags, around: &Surroundings) -> Result<Config, ConfigError> {
    let Written { engine, pins, state, listener, caller: written::Caller { job_labels }, audit, limits, log } = written;
    let Flags { engine: engine_flag, listen, policy, mode, group, audit: audit_flag } = flags;

    let docker_host = around.docker_host.as_ref().filter(|host| !host.is_empty()).map(|host| host.to_string_lossy());
    let engine = match (engine_flag, engine, docker_host) {
        (Some(flag), _, _) => value::<Engine>("--engine", &flag)?.0,
        (None, Some(engine), _) => engine.0.0,
        (None, None, Some(host)) => value::<Engine>("DOCKER_HOST", &host)?.0,
        (None, None, None) => PathBuf::from("/var/run/docker.sock"),
    };

    let pins = match pins {
        Some(path) => file("pins", base, &path)?,
        None => PathBuf::from("/run/sockwarden/pins"),
    };

    let mode = mode.map(|mode| value::<Mode>("--mode", &mode)).transpose()?;
    let group = group.map(|group| value::<Group>("--group", &group)).transpose()?;
    let by_flags = listen.is_some() || policy.is_some();
    if !by_flags && !listener.is_empty() && (mode.is_some() || group.is_some()) {
        return Err(ConfigError::StrayFlag);
    }
    let listeners = if by_flags || listener.is_empty() {
        let policy = policy.map(|policy| value::<Name>("--policy", &policy)).transpose()?;
        let draft = Draft { path: listen, host_path: None, mode, group, policy, owner: None, name: None, keys: FLAGS };
        vec![draft.listener(&around.directory, around)?]
    } else {
        listener.into_iter().map(|one| Draft::from(one).listener(base, around)).collect::<Result<_, _>>()?
    };
    apart(&listeners, &engine)?;

    let audit_given = match (audit_flag, audit.path) {
        (Some(flag), _) => Some(file("--audit", &around.directory, &flag)?),
        (None, Some(path)) => Some(file("audit.path", base, &path)?),
        (None, None) => None,
    };
    let given = audit_given.is_some();
    let audit_path = match audit_given {
        Some(path) => path,
        None => around.default_audit()?,
    };
    let state = match state {
        Some(path) => file("state", base, &path)?,
        // Who has a place for the one has a place for the other, and apart from any other sockwarden's.
        None if given => audit_path.with_file_name("state"),
        None => around.default_state()?,
    };
    let rotation = Rotation {
        size: audit.rotate_size.map_or(Some(100 << 20), |size| size.0.0.map(|size| size.0)),
        age: audit.rotate_age.map_or(Some(Duration::from_secs(24 * 3600)), |age| age.0.0.map(|age| age.0)),
        keep: audit.keep.map_or(10, |keep| keep.0.0 as usize),
    };
    let audit = Audit { path: audit_path, rotation, sync: audit.sync.unwrap_or(false) };
    let job_labels = match job_labels {
        Some(keys) => JobLabels::of_keys(keys.into_iter().map(|key| key.0.0)),
        None => JobLabels::default(),
    };
    Ok(Config { engine, pins, state, listeners, job_labels, audit, limits: limits.into(), log: self::log(log, base)? })
}

/// A listener before its defaults
struct Draft {
    path: Option<PathBuf>,
    host_path: Option<HostPath>,
    mode: Option<Mode>,
    group: Option<Group>,
    policy: Option<Name>,
    owner: Option<Owner>,
    name: Option<Name>,
    keys: Keys,
}

/// What path and group are called where they were written
struct Keys {
    path: &'static str,
    group: &'static str,
}

const FLAGS: Keys = Keys { path: "--listen", group: "--group" };

const FILE: Keys = Keys { path: "listener.path", group: "listener.group" };

impl From<written::Listener> for Draft {
    fn from(written: written::Listener) -> Self {
        let written::Listener { path, host_path, mode, group, policy, owner, name } = written;
        Self {
            path,
            host_path: host_path.map(|path| path.0),
            mode: mode.map(|mode| mode.0),
            group: group.map(|group| group.0),
            policy: policy.map(|policy| policy.0),
            owner: owner.map(|owner| owner.0),
            name: name.map(|name| name.0),
            keys: FILE,
        }
    }
}

impl Draft {
    fn listener(self, base: &Path, around: &Surroundings) -> Result<Listener, ConfigError> {
        let path = match self.path {
            Some(path) => file(self.keys.path, base, &path)?,
            None => around.default_listener(),
        };
        let shown = path.display().to_string();
        Ok(Listener {
            name: self.name.map_or(shown, |name| name.0),
            mode: self.mode.map_or(0o660, |mode| mode.0),
            group: self.group.map(|group| around.gid(&group, self.keys.group)).transpose()?,
            policy: policy_ref(self.policy.map_or_else(|| "ci".into(), |policy| policy.0), base),
            owner: owner(self.owner, around)?,
            host_path: self.host_path,
            path,
        })
    }
}

/// The rule by which owners are named; a variable is read once, at the start
fn owner(written: Option<Owner>, around: &Surroundings) -> Result<Rule, ConfigError> {
    let variable = match written {
        None => return Ok(Rule::default()),
        Some(Owner::Rule(rule)) => return Ok(rule),
        Some(Owner::Variable(variable)) => variable,
    };
    let Some(value) = (around.variable)(&variable).filter(|value| !value.is_empty()) else {
        return Err(ConfigError::NoVariable(variable));
    };
    let name = value.to_str().and_then(Name::read).and_then(|Name(name)| Rule::fixed(&name));
    name.ok_or(ConfigError::OddVariable(variable))
}

/// A policy's name is a plain word, so a file beside the configuration is written with its `.toml` or with `./`
fn policy_ref(text: String, base: &Path) -> PolicyRef {
    let word = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if word { PolicyRef::Shipped(text) } else { PolicyRef::File(settled(base, Path::new(&text))) }
}

/// Each listener has a path and a name of its own, and none is the engine's
fn apart(listeners: &[Listener], engine: &Path) -> Result<(), ConfigError> {
    for (index, one) in listeners.iter().enumerate() {
        for other in listeners.iter().skip(index + 1) {
            if one.path == other.path {
                return Err(ConfigError::Twice("path", one.path.display().to_string()));
            }
            if one.name == other.name {
                return Err(ConfigError::Twice("name", one.name.clone()));
            }
        }
        if one.path == engine {
            return Err(ConfigError::Loop(one.path.clone()));
        }
    }
    Ok(())
}

impl From<written::Limits> for Limits {
    fn from(written: written::Limits) -> Self {
        #[rustfmt::skip]
        let written::Limits {
            header_bytes, headers, target_bytes, body_bytes, bodies_bytes, head_time, body_time, connections,
            connections_per_listener, requests_per_owner, engine_connect, engine_answer, idle, grace,
        } = written;
        let seconds = Duration::from_secs;
        Self {
            header_bytes: header_bytes.map_or(64 << 10, |size| size.0.0 as usize),
            headers: headers.map_or(100, |count| count.0.0 as usize),
            target_bytes: target_bytes.map_or(16 << 10, |size| size.0.0 as usize),
            body_bytes: body_bytes.map_or(4 << 20, |size| size.0.0 as usize),
            bodies_bytes: bodies_bytes.map_or(64 << 20, |size| size.0.0 as usize),
            head_time: head_time.map_or(seconds(30), |time| time.0.0),
            body_time: body_time.map_or(seconds(60), |time| time.0.0),
            connections: connections.map_or(8192, |count| count.0.0 as usize),
            connections_per_listener: connections_per_listener.map_or(8192, |count| count.0.0 as usize),
            requests_per_owner: requests_per_owner.map_or(512, |count| count.0.0 as usize),
            engine_connect: engine_connect.map_or(seconds(5), |time| time.0.0),
            engine_answer: engine_answer.map_or(seconds(120), |time| time.0.0),
            idle: idle.and_then(|idle| idle.0.0).map(|time| time.0),
            grace: grace.map_or(seconds(10), |time| time.0.0),
        }
    }
}

fn log(written: written::Log, base: &Path) -> Result<Log, ConfigError> {
    let written::Log { format, level, path } = written;
    let level = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let path = if path.as_os_str().is_empty() { None } else { Some(file("log.path", base, &path)?) };
    Ok(Log { format, level, path })
}

/// The path of a file, fit to be shown in a record
fn file(key: &'static str, base: &Path, written: &Path) -> Result<PathBuf, ConfigError> {
    let named = written.to_str().filter(|text| !text.ends_with('/') && !text.contains(char::is_control));
    match named.and(written.file_name()) {
        Some(_) => Ok(settled(base, written)),
        None => Err(ConfigError::Value {
            key,
            value: written.display().to_string().escape_debug().to_string(),
            expected: "the path of a file".into(),
        }),
    }
}

/// An absolute path in one spelling, without asking the file system: `.` and doubled slashes go, `..` stays
fn settled(base: &Path, written: &Path) -> PathBuf {
    let joined = base.join(written);
    path::absolute(&joined).unwrap_or(joined)
}

fn value<T: Value>(key: &'static str, text: &str) -> Result<T, ConfigError> {
    T::read(text).ok_or_else(|| ConfigError::Value { key, value: text.to_owned(), expected: T::expected() })
}
