//! Policies as they are used: grants, maxima and forced values, each with the line it came from.
//!
//! [`mod@file`] is a policy as written, [`compile`] makes one of these from it or a [`report`] of everything wrong with it,
//! [`judge`] decides. Nothing here does I/O, reads a clock, or waits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use crate::api::build::Build;
use crate::policy::ask::{Access, Flag, Propagation};
use crate::policy::cache::Cache;
use crate::policy::cleaning::Cleaning;
use crate::policy::quota::Quota;
use crate::policy::report::Report;

pub mod amend;
pub mod ask;
pub mod asks;
pub mod cache;
pub mod check;
pub mod cleaning;
pub mod command;
pub mod compile;
pub mod coverage;
pub mod facts;
pub mod file;
pub mod given;
pub mod grant;
pub mod group;
pub mod ids;
pub mod images;
pub mod judge;
pub mod modify;
pub mod quota;
pub mod references;
pub mod remote;
pub mod report;
pub mod shipped;
pub mod view;

/// A policy, ready to judge
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its own name
    pub name: String,
    /// Whether a refusal refuses
    pub mode: Mode,
    /// Operations, by name or group
    pub operations: Grants<OperationPattern>,
    /// Images
    pub images: Grants<ImagePattern>,
    /// Images that may decide how something is built; none for BuildKit's own reading of Dockerfiles
    pub frontends: Grants<ImagePattern>,
    /// Host paths
    pub mounts: Grants<MountPattern>,
    /// Host ports
    pub publish: Grants<PublishPattern>,
    /// Everything else, by flag; a flag that is absent grants nothing
    pub flags: BTreeMap<Flag, Grants<TextPattern>>,
    /// Whether callers touch only what is their own
    pub isolate: Option<Line>,
    /// What of others all may see and use
    pub share: Share,
    /// Whether an owner sees only images that it has pulled or made itself
    pub own_images: Option<Line>,
    /// With whom an owner's builds share what is kept between builds
    pub cache: Cache,
    /// What becomes of an owner's objects when it ends
    pub cleaning: Cleaning,
    /// Whether host paths may be judged by their names where the engine's files cannot be seen
    pub lexical: Option<Line>,
    /// Whether callers may mount what they have themselves
    pub caller: Option<Line>,
    /// Whether whoever binds an engine's socket gets ours in its place
    pub socket: Option<Line>,
    /// Whether all that is mounted is pinned: mounted at a name of its own, which no job can turn elsewhere
    pub pin: Option<Line>,
    /// Whether nothing is pinned; without this and `pin`, host paths that callers have themselves are
    pub unpinned: Option<Line>,
    /// Maxima, which lower a request
    pub limits: Limits,
    /// Values put in place of the request's
    pub force: Force,
    /// What one owner may have at a time
    pub quota: Quota,
    /// Rules over named facts
    pub rules: Vec<Rule>,
    /// What is odd about the file, though it can be used
    pub warnings: Report,
}

impl Policy {
    /// Whether every owner has an engine of its own: names, lists, and nothing of others
    ///
    /// Not with `warn`, which lets pass what would be refused.
    pub fn gives_views(&self) -> bool {
        self.isolate.is_some() && self.mode == Mode::Enforce
    }

    /// Whether what is in the context of a build is judged: the classic builder's, where that is the body
    ///
    /// What is read elsewhere passes only where a policy merely warns.
    pub fn judges_context(&self, build: &Build) -> bool {
        self.mode != Mode::Record && build.remote.is_empty() && build.version != "2"
    }
}

/// What all may see and use, whoever made it; nobody may change or remove it
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// Networks, by name
    pub networks: Vec<TextPattern>,
    /// Volumes, by name
    pub volumes: Vec<TextPattern>,
    /// Images
    pub images: Vec<ImagePattern>,
}

/// What happens to a refused request
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is refused
    Enforce,
    /// It passes, and the record says what would have been refused
    Warn,
    /// Nothing is judged (`unrestricted`)
    Record,
}

/// A line of a policy file
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File or shipped policy, as `ci`
    pub file: Arc<str>,
    /// Line, from 1
    pub line: usize,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is granted and what is forbidden; forbid wins
#[derive(Debug, Clone)]
pub struct Grants<P> {
    /// Granted
    pub allow: Vec<(P, Line)>,
    /// Forbidden
    pub forbid: Vec<(P, Line)>,
}

impl<P> Default for Grants<P> {
    fn default() -> Self {
        Self { allow: Vec::new(), forbid: Vec::new() }
    }
}

/// One operation by name; groups are spelled out when a policy is compiled
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationPattern(pub &'static str);

/// A pattern of images
#[derive(Debug, Clone)]
pub struct ImagePattern {
    /// Over the whole of `registry/repository:tag@digest`
    pub reference: Regex,
    /// Over `registry/repository`, for who asks for all of its tags
    pub repository: Regex,
    /// Over the registry alone
    pub registry: Regex,
    /// Whether it is about ids of images that have no name
    pub nameless: bool,
}

/// Host paths by glob, with an access and a propagation
#[derive(Debug, Clone)]
pub struct MountPattern {
    /// Absolute; `dir/**` is the directory and all below it
    pub source: globset::GlobMatcher,
    /// The directories in which such a path may lie
    pub above: globset::GlobMatcher,
    /// The most that is granted; the least that is forbidden
    pub access: Access,
    /// The most that is granted; the least that is forbidden
    pub propagation: Propagation,
}

/// Host ports on an address
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPattern {
    /// Address; `None` is any
    pub address: Option<String>,
    /// First and last; 0 is an ephemeral port
    pub ports: (u16, u16),
}

/// Text in which `*` stands for any text
#[derive(Debug, Clone)]
pub struct TextPattern(pub Regex);

/// Maxima; a request above one, or without a limit, gets the maximum
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Whether the caller's own limits are maxima as well
    pub caller: Option<Line>,
    /// Bytes
    pub memory: Option<(i64, Line)>,
    /// CPUs in units of 10⁻⁹
    pub nano_cpus: Option<(i64, Line)>,
    /// Processes
    pub pids: Option<(i64, Line)>,
    /// Bytes of `/dev/shm`
    pub shm_size: Option<(i64, Line)>,
    /// Hard limits by name
    pub ulimits: BTreeMap<String, (i64, Line)>,
}

/// Values put in place of the request's
#[derive(Debug, Clone, Default)]
pub struct Force {
    /// Added to whatever is created
    pub labels: BTreeMap<String, (String, Line)>,
    /// `HostConfig.CgroupParent`
    pub cgroup_parent: Option<(String, Line)>,
    /// `Config.User`
    pub user: Option<(String, Line)>,
    /// `SecurityOpt` `no-new-privileges`
    pub no_new_privileges: Option<Line>,
    /// Added to `CapDrop`
    pub cap_drop: Vec<(String, Line)>,
    /// `HostConfig.NetworkMode` where none was given
    pub network: Option<(String, Line)>,
    /// `HostConfig.Runtime`
    pub runtime: Option<(String, Line)>,
}

/// A rule: an operation and regular expressions over named facts
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, for messages and the record
    pub id: String,
    /// What it does when it matches
    pub effect: Effect,
    /// The operations it is about
    pub operations: Vec<&'static str>,
    /// All must match; a fact with several values matches if one of them does
    pub when: Vec<(Fact, Regex)>,
    /// Shown to who is refused
    pub reason: String,
    /// What becomes of a container's `Privileged`
    pub privileged: Option<Rights>,
    /// The runtime a container is made with
    pub runtime: Option<String>,
    /// Where it stands
    pub line: Line,
}

/// What a rule does with `--privileged`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The container is made without it
    Strip,
    /// It is granted, in the runtime that the same rule forces
    Allow,
}

/// What a matching rule does
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Grants the operation itself
    Allow,
    /// Refuses the request
    Forbid,
    /// Changes it
    Change,
}

/// A named fact about a request, for rules
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// Normalised image reference
    Image,
    /// Name given to the new object
    Name,
    /// Container, network, volume or exec the request is about, as the client named it
    Target,
    /// User of a container or exec
    User,
    /// Words of the command and entry point, joined by spaces
    Command,
    /// `NAME=value`
    Env,
    /// `key=value`
    Label,
    /// Host path of a mount
    Mount,
    /// Network or mode
    Network,
    /// Path inside a container (archive)
    Path,
}

impl Fact {
    /// Every fact with its name in `when`
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("image", Self::Image),
        ("name", Self::Name),
        ("target", Self::Target),
        ("user", Self::User),
        ("command", Self::Command),
        ("env", Self::Env),
        ("label", Self::Label),
        ("mount", Self::Mount),
        ("network", Self::Network),
        ("path", Self::Path),
    ];
}
