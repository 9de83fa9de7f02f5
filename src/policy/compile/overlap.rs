//! Warnings about grants that change nothing: contained in another one, or forbidden altogether.

use std::ops::Range;

use toml::Spanned;

use crate::api::image_ref::ImageRef;
use crate::policy::file::value::Lists;
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Grants, ImagePattern, Line, MountPattern, OperationPattern, PublishPattern, TextPattern, group};

/// A pattern of the file: where it stands, as it is written, and what it means
#[derive(Debug)]
pub struct Own<P> {
    pub span: Range<usize>,
    pub text: String,
    pub pattern: P,
}

/// Whether the first pattern matches whatever the second one, also given as it is written, matches
pub type Covers<P> = fn(&P, &str, &P) -> bool;

/// Warns about the file's own patterns, given those it inherits
pub fn patterns<P>(inherited: &Grants<P>, allow: &[Own<P>], forbid: &[Own<P>], covers: Covers<P>, report: &mut Report) {
    for (index, own) in allow.iter().enumerate() {
        let within = |other: &P| covers(other, &own.text, &own.pattern);
        let around = |(at, other): &(usize, &Own<P>)| {
            // Of two that are the same, the later one is superfluous.
            *at != index
                && within(&other.pattern)
                && (*at < index || !covers(&own.pattern, &other.text, &other.pattern))
        };
        if let Some(forbid) = forbid.iter().find(|forbid| within(&forbid.pattern)) {
            report.push(cancelled(own, report.line(&forbid.span)));
        } else if let Some((_, line)) = inherited.forbid.iter().find(|(pattern, _)| within(pattern)) {
            report.push(cancelled(own, line.clone()));
        } else if let Some((_, line)) = inherited.allow.iter().find(|(pattern, _)| within(pattern)) {
            report.push(covered(own).label(format!("by {line}")));
        } else if let Some((_, other)) = allow.iter().enumerate().find(around) {
            report.push(covered(own).also(other.span.clone(), "by this"));
        }
    }
}

/// The same for operations and groups
pub fn operations(inherited: &Grants<OperationPattern>, words: &Lists<String>, report: &mut Report) {
    let read = |words: &[Spanned<String>]| -> Vec<Own<Vec<&'static str>>> {
        let own = |word: &Spanned<String>| {
            let pattern = group::operations(word.as_ref())?;
            Some(Own { span: word.span(), text: word.as_ref().clone(), pattern })
        };
        words.iter().filter_map(own).collect()
    };
    // What is inherited was a word once; all of one line stand for it.
    let lines = |list: &[(OperationPattern, Line)]| {
        let mut lines: Vec<(Vec<&'static str>, Line)> = Vec::new();
        for (OperationPattern(name), line) in list {
            match lines.iter_mut().find(|(_, known)| known == line) {
                Some((names, _)) => names.push(name),
                None => lines.push((vec![name], line.clone())),
            }
        }
        lines
    };
    let inherited = Grants { allow: lines(&inherited.allow), forbid: lines(&inherited.forbid) };
    let covers: Covers<Vec<&'static str>> = |wider, _, names| names.iter().all(|name| wider.contains(name));
    patterns(&inherited, &read(&words.allow), &read(&words.forbid), covers, report);
}

/// Whatever matches the stars of a text as they stand matches everything they stand for
pub fn texts(wider: &TextPattern, text: &str, _: &TextPattern) -> bool {
    wider.0.is_match(text)
}

/// Images are compared by samples: one and many segments for `**`, with and without a digest
pub fn images(wider: &ImagePattern, text: &str, pattern: &ImagePattern) -> bool {
    let bare = ["q7", "q7/q8/q9"].iter().filter_map(|many| {
        let text = text.replace("**", many).replace('*', "7");
        Some(ImageRef::read(&text).ok()?.to_string())
    });
    let digest = format!("@sha256:{}", "0".repeat(64));
    let samples = bare.flat_map(|sample| [format!("{sample}{digest}"), sample]);
    let mut samples = samples.filter(|sample| pattern.matches(sample)).peekable();
    let same_kind = pattern.nameless || !wider.nameless;
    same_kind && samples.peek().is_some() && samples.all(|sample| wider.matches(&sample))
}

/// Paths are compared by samples, too
pub fn mounts(wider: &MountPattern, text: &str, pattern: &MountPattern) -> bool {
    let samples = ["q7", "q7/q8/q9"].map(|many| text.replace("**", many).replace('*', "q7"));
    let directory = text.strip_suffix("/**").map(|directory| directory.replace('*', "q7"));
    let mut samples = samples.into_iter().chain(directory);
    wider.access >= pattern.access
        && wider.propagation >= pattern.propagation
        && samples.all(|sample| wider.source.is_match(sample))
}

/// Ports are compared as numbers
pub fn ports(wider: &PublishPattern, _: &str, pattern: &PublishPattern) -> bool {
    let address = wider.address.is_none() || wider.address == pattern.address;
    address && wider.ports.0 <= pattern.ports.0 && pattern.ports.1 <= wider.ports.1
}

fn covered<P>(own: &Own<P>) -> Problem {
    Problem::new(Code::Covered, own.span.clone(), format!("`{}` is allowed already", own.text))
}

fn cancelled<P>(own: &Own<P>, line: Line) -> Problem {
    let message = format!("`{}` is allowed here and forbidden altogether", own.text);
    let problem = Problem::new(Code::Cancelled, own.span.clone(), message).label(format!("forbidden by {line}"));
    problem.help("forbid wins over allow, in any order")
}
