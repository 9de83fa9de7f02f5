//! From a policy as written to one that judges, or to a report of everything that is wrong with it.

use toml::Spanned;

use crate::policy::file::{self, File};
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Force, Grants, Limits, Mode, Policy, shipped};

pub mod amount;
mod fixed;
mod grants;
pub mod image;
mod overlap;
pub mod pattern;
mod rule;

/// Makes a policy of a file's text; `file` is the name shown in messages
///
/// # Errors
/// Everything that is wrong with the file. What is only odd is in the policy's `warnings`.
pub fn compile(file: &str, text: &str) -> Result<Policy, Report> {
    let (written, report) = file::read(file, text);
    build(file, &written, report)
}

/// Makes a policy of a file that was read
///
/// # Errors
/// As [`compile`].
pub fn build(file: &str, written: &File, mut report: Report) -> Result<Policy, Report> {
    let parent = written.extends.as_ref().and_then(|name| parent(name, &mut report));
    let mut policy = parent.unwrap_or_else(|| empty(file));
    add(&mut policy, written, &mut report);
    if report.errors() > 0 {
        return Err(report);
    }
    policy.warnings = report;
    Ok(policy)
}

/// A policy that grants nothing, named after its file
fn empty(file: &str) -> Policy {
    let stem = std::path::Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy());
    Policy {
        name: stem.into_owned(),
        mode: Mode::Enforce,
        operations: Grants::default(),
        images: Grants::default(),
        mounts: Grants::default(),
        publish: Grants::default(),
        flags: std::collections::BTreeMap::new(),
        isolate: None,
        limits: Limits::default(),
        force: Force::default(),
        rules: Vec::new(),
        warnings: Report::new(file, ""),
    }
}

fn parent(name: &Spanned<String>, report: &mut Report) -> Option<Policy> {
    let names = shipped::ALL.iter().map(|(name, _)| *name);
    let Some(text) = shipped::text(name.as_ref()) else {
        let problem = Problem::new(Code::UnknownWord, name.span(), format!("no policy `{}` is shipped", name.as_ref()));
        let all = format!("shipped are {}", names.clone().collect::<Vec<_>>().join(", "));
        report.push(problem.meant(name.as_ref(), names).help(all));
        return None;
    };
    match compile(name.as_ref(), text) {
        Ok(policy) => Some(policy),
        Err(inner) => {
            let lines: Vec<String> = inner.lines().collect();
            report.push(Problem::new(Code::BadText, name.span(), lines.join("; ")));
            None
        }
    }
}

/// Adds a file to a policy: lists are added, single values replace
fn add(policy: &mut Policy, written: &File, report: &mut Report) {
    let File {
        name,
        extends: _,
        mode,
        operations: words,
        images,
        mounts,
        publish,
        isolate,
        flags,
        limits,
        force,
        rules,
        tests: _,
    } = written;
    if let Some(name) = name {
        policy.name.clone_from(name.as_ref());
    }
    if let Some(mode) = mode {
        policy.mode = word(mode, MODES, report).unwrap_or(policy.mode);
    }
    grants::add_operations(&mut policy.operations, words, report);
    let read = |word: &Spanned<String>| image::image(word.as_ref());
    grants::add_patterns(&mut policy.images, images, Code::ImagePattern, read, overlap::images, report);
    grants::add_mounts(&mut policy.mounts, mounts, report);
    if let Some(publish) = publish {
        let read = |word: &Spanned<String>| pattern::publish(word.as_ref());
        grants::add_granted(&mut policy.publish, publish, Code::PortPattern, read, overlap::ports, report);
    }
    for (flag, granted) in flags {
        let grants = policy.flags.entry(*flag).or_default();
        let read = |word: &Spanned<String>| pattern::text(word.as_ref());
        grants::add_granted(grants, granted, Code::BadText, read, overlap::texts, report);
    }
    if let Some(isolate) = isolate {
        policy.isolate = isolate.as_ref().then(|| report.line(&isolate.span()));
    }
    fixed::add_limits(&mut policy.limits, limits, report);
    fixed::add_force(&mut policy.force, force, report);
    for written in rules {
        if let Some(same) = policy.rules.iter().find(|rule| rule.id == *written.id.as_ref()) {
            let message = format!("a second rule has the id `{}`", same.id);
            let problem = Problem::new(Code::SameId, written.id.span(), message);
            report.push(problem.label(format!("the first one stands at {}", same.line)));
        }
        policy.rules.extend(rule::rule(written, report));
    }
}

/// One of a few words
fn word<T: Copy>(written: &Spanned<String>, known: &[(&'static str, T)], report: &mut Report) -> Option<T> {
    let found = known.iter().find(|(word, _)| word == written.as_ref()).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let problem =
            Problem::new(Code::UnknownWord, written.span(), format!("`{}` is not known here", written.as_ref()));
        report.push(problem.label(format!("expected {}", words.join(", "))).meant(written.as_ref(), words));
    }
    found
}

const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("warn", Mode::Warn), ("record", Mode::Record)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_policies_compile_without_a_warning() {
        for (name, text) in shipped::ALL {
            match compile(name, text) {
                Ok(policy) => {
                    assert!(policy.warnings.is_empty(), "{}", policy.warnings);
                    assert_eq!(policy.name, *name);
                }
                Err(report) => panic!("{report}"),
            }
        }
    }
}
