//! Lists of what is granted and forbidden: operations, patterns, host paths.

use std::ops::Range;

use toml::Spanned;

use crate::policy::ask::{Access, Propagation};
use crate::policy::compile::overlap::{self, Covers, Own};
use crate::policy::compile::pattern::{self, BadPattern};
use crate::policy::compile::word;
use crate::policy::file::value::{Granted, Lists, MountSource};
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Grants, MountPattern, OperationPattern, group};

pub(super) fn add_operations(grants: &mut Grants<OperationPattern>, words: &Lists<String>, report: &mut Report) {
    overlap::operations(grants, words, report);
    for (list, words) in [(&mut grants.allow, &words.allow), (&mut grants.forbid, &words.forbid)] {
        for word in words {
            let line = report.line(&word.span());
            let names = operations(word, report).unwrap_or_default();
            list.extend(names.into_iter().map(|name| (OperationPattern(name), line.clone())));
        }
    }
}

/// The operations that a word of the file stands for
pub(super) fn operations(word: &Spanned<String>, report: &mut Report) -> Option<Vec<&'static str>> {
    let text = word.as_ref();
    if let Some(names) = group::operations(text) {
        return Some(names);
    }
    if let Some(closed) = group::closed(text) {
        let problem =
            Problem::new(Code::ClosedOperation, word.span(), format!("`{text}` is closed whatever a policy says"));
        report.push(problem.label(closed.reason));
        return None;
    }
    let problem = Problem::new(Code::UnknownOperation, word.span(), format!("`{text}` is no operation and no group"));
    report.push(match group::meant(text).as_slice() {
        [] => problem.help("operations and groups are listed in docs/policy.md"),
        near => problem.help(format!(
            "did you mean {}?",
            near.iter().map(|near| format!("`{near}`")).collect::<Vec<_>>().join(" or ")
        )),
    });
    None
}

/// What stands for a flag: everything, nothing of what was inherited, or more patterns
pub(super) fn add_granted<P>(
    grants: &mut Grants<P>,
    granted: &Spanned<Granted>,
    code: Code,
    read: impl Fn(&Spanned<String>) -> Result<P, BadPattern>,
    covers: Covers<P>,
    report: &mut Report,
) {
    match granted.as_ref() {
        Granted::All => {
            let everything = read(&Spanned::new(granted.span(), "*".to_owned()));
            grants.allow.extend(everything.ok().map(|pattern| (pattern, report.line(&granted.span()))));
        }
        Granted::Nothing => grants.allow.clear(),
        Granted::Lists(lists) => add_patterns(grants, lists, code, read, covers, report),
    }
}

pub(super) fn add_patterns<P>(
    grants: &mut Grants<P>,
    lists: &Lists<String>,
    code: Code,
    read: impl Fn(&Spanned<String>) -> Result<P, BadPattern>,
    covers: Covers<P>,
    report: &mut Report,
) {
    let mut own = |words: &[Spanned<String>]| -> Vec<Own<P>> {
        let mut list = Vec::new();
        for word in words {
            match read(word) {
                Ok(pattern) => list.push(Own { span: word.span(), text: word.as_ref().clone(), pattern }),
                Err(bad) => report.push(unusable(code, word.span(), bad)),
            }
        }
        list
    };
    let (allow, forbid) = (own(&lists.allow), own(&lists.forbid));
    add_own(grants, allow, forbid, covers, report);
}

/// Adds patterns of what all may use; there is nothing to forbid
pub(super) fn add_shared<P>(
    shared: &mut Vec<P>,
    words: &[Spanned<String>],
    code: Code,
    read: impl Fn(&Spanned<String>) -> Result<P, BadPattern>,
    report: &mut Report,
) {
    for word in words {
        match read(word) {
            Ok(pattern) => shared.push(pattern),
            Err(bad) => report.push(unusable(code, word.span(), bad)),
        }
    }
}

fn add_own<P>(grants: &mut Grants<P>, allow: Vec<Own<P>>, forbid: Vec<Own<P>>, covers: Covers<P>, report: &mut Report) {
    overlap::patterns(grants, &allow, &forbid, covers, report);
    for (list, own) in [(&mut grants.allow, allow), (&mut grants.forbid, forbid)] {
        list.extend(own.into_iter().map(|own| (own.pattern, report.line(&own.span))));
    }
}

pub(super) fn unusable(code: Code, span: Range<usize>, bad: BadPattern) -> Problem {
    let problem = Problem::new(code, span, "this pattern cannot be used").label(bad.what);
    match bad.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

pub(super) fn add_mounts(grants: &mut Grants<MountPattern>, lists: &Lists<MountSource>, report: &mut Report) {
    let allow = lists.allow.iter().filter_map(|source| mount(source, Side::Allow, report)).collect();
    for MountSource { access, propagation, .. } in lists.forbid.iter().map(Spanned::as_ref) {
        for word in access.iter().chain(propagation) {
            let problem = Problem::new(Code::UnknownKey, word.span(), "a forbidden path is forbidden in every way");
            report.push(problem.help("leave `access` and `propagation` out"));
        }
    }
    let forbid = lists.forbid.iter().filter_map(|source| mount(source, Side::Forbid, report)).collect();
    add_own(grants, allow, forbid, overlap::mounts, report);
}

/// The list a host path stands in
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What is not said is not granted
    Allow,
    /// What is not said is forbidden, and so is everything below the path
    Forbid,
}

fn mount(written: &Spanned<MountSource>, side: Side, report: &mut Report) -> Option<Own<MountPattern>> {
    let MountSource { source, access, propagation } = written.as_ref();
    let (access, propagation) = match side {
        Side::Allow => (
            access.as_ref().map_or(Some(Access::ReadOnly), |access| word(access, ACCESS, report)),
            propagation.as_ref().map_or(Some(Propagation::Private), |mode| word(mode, PROPAGATION, report)),
        ),
        Side::Forbid => (Some(Access::ReadWrite), Some(Propagation::Shared)),
    };
    let below = side == Side::Forbid && source.as_ref().starts_with('/') && !source.as_ref().ends_with('/');
    let pattern = match source.as_ref().as_str() {
        "/" if side == Side::Forbid => "/**".to_owned(),
        path if below && !path.ends_with("/**") => format!("{path}/**"),
        path => path.to_owned(),
    };
    match pattern::path(&pattern) {
        Ok((paths, above)) => {
            let pattern = MountPattern { source: paths, above, access: access?, propagation: propagation? };
            Some(Own { span: source.span(), text: source.as_ref().clone(), pattern })
        }
        Err(bad) => {
            report.push(unusable(Code::PathPattern, source.span(), bad));
            None
        }
    }
}

const ACCESS: &[(&str, Access)] = &[("ro", Access::ReadOnly), ("rw", Access::ReadWrite)];
const PROPAGATION: &[(&str, Propagation)] = &[
    ("rprivate", Propagation::Private),
    ("private", Propagation::Private),
    ("rslave", Propagation::Slave),
    ("slave", Propagation::Slave),
    ("rshared", Propagation::Shared),
    ("shared", Propagation::Shared),
];
