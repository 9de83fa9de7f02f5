//! A policy as written: the keys of the TOML file with their spans, not yet what they mean.
//!
//! Everything that is wrong with the shape of a file (TOML itself, unknown keys, types) is found here; what the words
//! mean is found by [`crate::policy::compile`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use crate::api::json::Json;
use crate::policy::Fact;
use crate::policy::ask::Flag;
use crate::policy::file::cleaning::Cleaning;
use crate::policy::file::section::Section;
use crate::policy::file::value::{Amount, Duty, Granted, Lists, MountSource, OneOrMore};
use crate::policy::quota::Resource;
use crate::policy::report::{Code, Problem, Report};

pub mod cleaning;
pub mod section;
pub mod value;

/// A policy file
#[derive(Debug, Clone, Default)]
pub struct File {
    /// The policy's own name
    pub name: Option<Spanned<String>>,
    /// The shipped policy it adds to
    pub extends: Option<Spanned<String>>,
    /// `enforce`, `warn` or `record`
    pub mode: Option<Spanned<String>>,
    /// Operations and groups
    pub operations: Lists<String>,
    /// Image patterns
    pub images: Lists<String>,
    /// Host paths
    pub mounts: Lists<MountSource>,
    /// Host ports
    pub publish: Option<Spanned<Granted>>,
    /// `mounts.caller`
    pub caller: Option<Spanned<bool>>,
    /// `mounts.socket`
    pub socket: Option<Spanned<bool>>,
    /// `mounts.pin`
    pub pin: Option<Spanned<bool>>,
    /// `mounts.resolve`
    pub resolve: Option<Spanned<String>>,
    /// `owner.isolate`
    pub isolate: Option<Spanned<bool>>,
    /// `images.visible`
    pub visible: Option<Spanned<String>>,
    /// `build.cache`
    pub cache: Option<Spanned<String>>,
    /// `owner.clean_up` and what belongs to it
    pub cleaning: Cleaning,
    /// `owner.share`
    pub share: Share,
    /// `build.frontends`
    pub frontends: Option<Spanned<Granted>>,
    /// Every other word of `docker run`
    pub flags: BTreeMap<Flag, Spanned<Granted>>,
    /// Maxima
    pub limits: Limits,
    /// Values put in place of the request's
    pub force: Force,
    /// What one owner may have
    pub quota: Quota,
    /// Rules
    pub rules: Vec<Rule>,
    /// Tests
    pub tests: Vec<Test>,
}

/// `owner.share`: what all may see and use
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// Networks by name
    pub networks: Vec<Spanned<String>>,
    /// Volumes by name
    pub volumes: Vec<Spanned<String>>,
    /// Images
    pub images: Vec<Spanned<String>>,
}

/// `[limits]`
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The limits of the calling container
    pub caller: Option<Spanned<bool>>,
    /// Bytes
    pub memory: Option<Spanned<Amount>>,
    /// CPUs
    pub cpus: Option<Spanned<Amount>>,
    /// Processes
    pub pids: Option<Spanned<Amount>>,
    /// Bytes
    pub shm_size: Option<Spanned<Amount>>,
    /// Hard limits by name
    pub ulimits: Vec<(Spanned<String>, Spanned<Amount>)>,
}

/// `[force]`
#[derive(Debug, Clone, Default)]
pub struct Force {
    /// By name
    pub labels: Vec<(Spanned<String>, Spanned<String>)>,
    /// Parent cgroup
    pub cgroup_parent: Option<Spanned<String>>,
    /// User
    pub user: Option<Spanned<String>>,
    /// No new privileges
    pub no_new_privileges: Option<Spanned<bool>>,
    /// Capabilities
    pub cap_drop: Option<Spanned<Vec<Spanned<String>>>>,
    /// Network where none was given
    pub network: Option<Spanned<String>>,
    /// OCI runtime
    pub runtime: Option<Spanned<String>>,
}

/// `[quota]`
#[derive(Debug, Clone, Default)]
pub struct Quota {
    /// The most of each resource
    pub most: Vec<(Resource, Spanned<Amount>)>,
    /// A cgroup for each owner
    pub cgroup: Option<Spanned<bool>>,
}

/// `[[rule]]`
#[derive(Debug, Clone)]
pub struct Rule {
    /// Where it begins
    pub span: Range<usize>,
    /// Its name
    pub id: Spanned<String>,
    /// Operations it grants
    pub allow: Option<Spanned<OneOrMore>>,
    /// Operations it refuses
    pub forbid: Option<Spanned<OneOrMore>>,
    /// `strip`: made without
    pub privileged: Option<Spanned<String>>,
    /// The runtime to use
    pub runtime: Option<Spanned<String>>,
    /// Expressions by fact
    pub when: Vec<(Fact, Spanned<String>)>,
    /// Shown to who is refused
    pub reason: Option<Spanned<String>>,
}

/// `[[test]]`
#[derive(Debug, Clone)]
pub struct Test {
    /// What is asked
    pub request: Spanned<Request>,
    /// `allow`, `modify` or `deny`
    pub expect: Spanned<String>,
    /// Code or text of a refused ask, or a changed field
    pub because: Option<Spanned<String>>,
}

/// The request of a test
#[derive(Debug, Clone)]
pub enum Request {
    /// A `docker …` command line
    Command(String),
    /// As it stands in HTTP
    Http {
        /// Method
        method: String,
        /// Path and query
        path: String,
        /// JSON body
        body: Option<Json>,
    },
}

/// Reads a file; its shape's mistakes are in the report
pub fn read(name: &str, text: &str) -> (File, Report) {
    let mut report = Report::new(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut lines = BTreeSet::new();
    let mut readable = true;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        // A repeated key leaves the rest readable; after anything else the parser guesses, one guess a line.
        readable &= error.message() == "duplicate key";
        if lines.insert(report.line(&span).line) {
            report.push(Problem::new(Code::Syntax, span, error.message()));
        }
    }
    let file = if readable { read_document(Section::root(&document), &mut report) } else { File::default() };
    (file, report)
}

fn read_document(mut root: Section<'_>, report: &mut Report) -> File {
    if let Some(version) = root.take::<i64>("version", report).filter(|version| *version.as_ref() != 1) {
        let problem = Problem::new(Code::UnknownWord, version.span(), "this version of policy files is not known");
        report.push(problem.label("expected 1"));
    }
    let mut file = File {
        name: root.take("name", report),
        extends: root.take("extends", report),
        mode: root.take("mode", report),
        operations: Lists::take(&mut root, report),
        ..File::default()
    };
    if let Some(mut images) = root.section("images", report) {
        file.images = Lists::take(&mut images, report);
        file.visible = images.take("visible", report);
        images.close(report);
    }
    if let Some(mut mounts) = root.section("mounts", report) {
        file.mounts = Lists::take(&mut mounts, report);
        file.resolve = mounts.take("resolve", report);
        file.pin = mounts.take("pin", report);
        file.caller = mounts.take("caller", report);
        file.socket = mounts.take("socket", report);
        mounts.close(report);
    }
    if let Some(mut owner) = root.section("owner", report) {
        file.isolate = owner.take("isolate", report);
        file.cleaning = Cleaning::take(&mut owner, report);
        if let Some(share) = owner.section("share", report) {
            file.share = read_share(share, report);
        }
        owner.close(report);
    }
    if let Some(section) = root.section("limits", report) {
        file.limits = read_limits(section, report);
    }
    if let Some(section) = root.section("force", report) {
        file.force = read_force(section, report);
    }
    if let Some(section) = root.section("quota", report) {
        file.quota = read_quota(section, report);
    }
    for name in FLAG_SECTIONS {
        let Some(mut section) = root.section(name, report) else { continue };
        if *name == "run" {
            file.publish = section.take_granted("publish", Duty::Patterns, report);
        }
        if *name == "build" {
            file.cache = section.take("cache", report);
            file.frontends = section.take_granted("frontends", Duty::Patterns, report);
        }
        for flag in Flag::ALL.iter().filter(|flag| flag.section() == *name) {
            let granted = section.take_granted(flag.key(), flag.grant().into(), report);
            file.flags.extend(granted.map(|granted| (*flag, granted)));
        }
        section.close(report);
    }
    file.rules = root.sections("rule", report).into_iter().filter_map(|rule| read_rule(rule, report)).collect();
    file.tests = root.sections("test", report).into_iter().filter_map(|test| read_test(test, report)).collect();
    root.close(report);
    file
}

fn read_share(mut section: Section<'_>, report: &mut Report) -> Share {
    let mut list = |key| section.take(key, report).map(Spanned::into_inner).unwrap_or_default();
    let share = Share { networks: list("networks"), volumes: list("volumes"), images: list("images") };
    section.close(report);
    share
}

fn read_limits(mut section: Section<'_>, report: &mut Report) -> Limits {
    let limits = Limits {
        caller: section.take("caller", report),
        memory: section.take("memory", report),
        cpus: section.take("cpus", report),
        pids: section.take("pids", report),
        shm_size: section.take("shm_size", report),
        ulimits: section.section("ulimits", report).map(|ulimits| ulimits.pairs(report)).unwrap_or_default(),
    };
    section.close(report);
    limits
}

fn read_force(mut section: Section<'_>, report: &mut Report) -> Force {
    let force = Force {
        labels: section.section("labels", report).map(|labels| labels.pairs(report)).unwrap_or_default(),
        cgroup_parent: section.take("cgroup_parent", report),
        user: section.take("user", report),
        no_new_privileges: section.take("no_new_privileges", report),
        cap_drop: section.take("cap_drop", report),
        network: section.take("network", report),
        runtime: section.take("runtime", report),
    };
    section.close(report);
    force
}

fn read_quota(mut section: Section<'_>, report: &mut Report) -> Quota {
    let most = |resource: &Resource| Some((*resource, section.take(resource.key(), report)?));
    let most = Resource::ALL.iter().filter_map(most).collect();
    let quota = Quota { most, cgroup: section.take("cgroup", report) };
    section.close(report);
    quota
}

fn read_rule(mut section: Section<'_>, report: &mut Report) -> Option<Rule> {
    let id = section.need("id", report);
    let (allow, forbid) = (section.take("allow", report), section.take("forbid", report));
    let (privileged, runtime) = (section.take("privileged", report), section.take("runtime", report));
    let when = section.section("when", report).map(|mut when| {
        let facts = Fact::ALL.iter().filter_map(|(key, fact)| Some((*fact, when.take(key, report)?))).collect();
        when.close(report);
        facts
    });
    let reason = section.take("reason", report);
    let span = section.span();
    section.close(report);
    let changes = privileged.is_some() || runtime.is_some();
    let message = match (allow.is_some(), forbid.is_some(), changes) {
        (true, true, _) => "the rule has both `allow` and `forbid`",
        (true, _, true) | (_, true, true) => "the rule has both an operation and a change",
        (false, false, false) => "the rule has no effect",
        (true, false, false) | (false, true, false) | (false, false, true) => {
            return Some(Rule {
                span,
                id: id?,
                allow,
                forbid,
                privileged,
                runtime,
                when: when.unwrap_or_default(),
                reason,
            });
        }
    };
    let problem = Problem::new(Code::MissingKey, span, message);
    report.push(problem.help(
        "give `forbid` or `allow` with an operation or a group, or a change: `privileged = \"strip\"`, `runtime`",
    ));
    None
}

fn read_test(mut section: Section<'_>, report: &mut Report) -> Option<Test> {
    let request = section.need("request", report);
    let expect = section.need("expect", report);
    let because = section.take("because", report);
    section.close(report);
    Some(Test { request: request?, expect: expect?, because })
}

/// Sections whose keys are those of [`Flag::ALL`]
const FLAG_SECTIONS: &[&str] = &["run", "exec", "container", "network", "build"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_stands_in_a_section_that_is_read() {
        for flag in Flag::ALL {
            assert!(FLAG_SECTIONS.contains(&flag.section()), "{flag:?}");
        }
    }
}
