//! The configuration as written in TOML: every key, its type and its bounds, no defaults.
//!
//! An unknown key is an error. The doc comments of [`super::Config`] say what the keys mean.

use std::path::PathBuf;

use serde::Deserialize;

use crate::api::bind::HostPath;
use crate::config::LogFormat;
use crate::config::value::{Count, Engine, Given, Group, LabelKey, Mode, Name, OrOff, Owner, Size, Time};

/// A whole file
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    pub engine: Option<Given<Engine>>,
    pub pins: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub listener: Vec<Listener>,
    pub caller: Caller,
    pub audit: Audit,
    pub limits: Limits,
    pub log: Log,
}

/// `[[listener]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    pub path: Option<PathBuf>,
    pub host_path: Option<Given<HostPath>>,
    pub mode: Option<Given<Mode>>,
    pub group: Option<Given<Group>>,
    pub policy: Option<Given<Name>>,
    pub owner: Option<Given<Owner>>,
    pub name: Option<Given<Name>>,
}

/// `[caller]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    pub job_labels: Option<Vec<Given<LabelKey>>>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    pub path: Option<PathBuf>,
    pub rotate_size: Option<Given<OrOff<Size<KIB, { 1024 * GIB }>>>>,
    pub rotate_age: Option<Given<OrOff<Time<MINUTE, { 366 * DAY }>>>>,
    pub keep: Option<Given<Count<0, 100_000>>>,
    pub sync: Option<bool>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    // hyper panics below 8 KiB.
    pub header_bytes: Option<Given<Size<{ 8 * KIB }, MIB>>>,
    pub headers: Option<Given<Count<10, 1000>>>,
    pub target_bytes: Option<Given<Size<KIB, MIB>>>,
    pub body_bytes: Option<Given<Size<{ 64 * KIB }, { 64 * MIB }>>>,
    pub bodies_bytes: Option<Given<Size<MIB, { 16 * GIB }>>>,
    pub head_time: Option<Given<Time<SECOND, HOUR>>>,
    pub body_time: Option<Given<Time<SECOND, HOUR>>>,
    pub connections: Option<Given<Count<1, 1_000_000>>>,
    pub connections_per_listener: Option<Given<Count<1, 1_000_000>>>,
    pub requests_per_owner: Option<Given<Count<1, 1_000_000>>>,
    pub engine_connect: Option<Given<Time<100, { 10 * MINUTE }>>>,
    pub engine_answer: Option<Given<Time<SECOND, DAY>>>,
    pub idle: Option<Given<OrOff<Time<SECOND, { 366 * DAY }>>>>,
    pub grace: Option<Given<Time<0, HOUR>>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    pub level: Level,
    pub path: PathBuf,
}

/// `log.level`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
