//! Maxima and forced values.

use toml::Spanned;

use crate::policy::asks::RESERVED_LABELS;
use crate::policy::compile::amount;
use crate::policy::file;
use crate::policy::file::value::Amount;
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Force, Limits, Line};

pub(super) fn add_limits(limits: &mut Limits, written: &file::Limits, report: &mut Report) {
    let file::Limits { caller, memory, cpus, pids, shm_size, ulimits } = written;
    for (slot, written, read) in [
        (&mut limits.memory, memory, amount::bytes as fn(&Amount) -> Result<i64, String>),
        (&mut limits.nano_cpus, cpus, amount::nano_cpus),
        (&mut limits.pids, pids, amount::count),
        (&mut limits.shm_size, shm_size, amount::bytes),
    ] {
        if let Some(written) = written {
            *slot = number(written, read, report).or(slot.take());
        }
    }
    if let Some(caller) = caller {
        limits.caller = caller.as_ref().then(|| report.line(&caller.span()));
    }
    for (name, most) in ulimits {
        if !ULIMITS.contains(&name.as_ref().as_str()) {
            let problem =
                Problem::new(Code::UnknownKey, name.span(), format!("no ulimit is called `{}`", name.as_ref()));
            report.push(problem.meant(name.as_ref(), ULIMITS.iter().copied()));
        } else if let Some(most) = number(most, amount::count, report) {
            limits.ulimits.insert(name.as_ref().clone(), most);
        }
    }
}

pub(super) fn number(
    written: &Spanned<Amount>,
    read: fn(&Amount) -> Result<i64, String>,
    report: &mut Report,
) -> Option<(i64, Line)> {
    match read(written.as_ref()) {
        Ok(number) => Some((number, report.line(&written.span()))),
        Err(what) => {
            report.push(Problem::new(Code::BadAmount, written.span(), "this amount cannot be used").label(what));
            None
        }
    }
}

pub(super) fn add_force(force: &mut Force, written: &file::Force, report: &mut Report) {
    let file::Force { labels, cgroup_parent, user, no_new_privileges, cap_drop, network, runtime } = written;
    for (name, value) in labels {
        if name.as_ref().to_ascii_lowercase().starts_with(RESERVED_LABELS) {
            let message = format!("labels that begin with `{RESERVED_LABELS}` are set by sockwarden itself");
            report.push(Problem::new(Code::BadText, name.span(), message));
        }
        force.labels.insert(name.as_ref().clone(), (value.as_ref().clone(), report.line(&name.span())));
    }
    for (slot, written) in [
        (&mut force.cgroup_parent, cgroup_parent),
        (&mut force.user, user),
        (&mut force.network, network),
        (&mut force.runtime, runtime),
    ] {
        let Some(written) = written else { continue };
        if written.as_ref().is_empty() {
            let problem = Problem::new(Code::BadText, written.span(), "an empty value cannot be forced");
            report.push(problem.help("leave the key out"));
        }
        *slot = Some((written.as_ref().clone(), report.line(&written.span())));
    }
    if let Some(yes) = no_new_privileges {
        force.no_new_privileges = yes.as_ref().then(|| report.line(&yes.span()));
    }
    for name in cap_drop.iter().flat_map(|names| names.as_ref()) {
        let upper = name.as_ref().to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            let problem = Problem::new(Code::BadText, name.span(), "this is no capability's name");
            report.push(problem.help("write it as docker does, such as `NET_RAW` or `ALL`"));
        } else {
            force.cap_drop.push((bare.to_owned(), report.line(&name.span())));
        }
    }
}

/// The names that the engine takes
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
