//! Rules: their operations and regular expressions.

use std::ops::Range;

use regex::Regex;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal};
use toml::Spanned;

use crate::policy::compile::grants::operations;
use crate::policy::compile::word;
use crate::policy::file;
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Effect, Fact, Rights, Rule};

/// Makes a rule of what was written
pub fn rule(written: &file::Rule, report: &mut Report) -> Option<Rule> {
    let file::Rule { span, id, allow, forbid, privileged, runtime, when, reason } = written;
    let effect = match (allow, forbid) {
        (Some(_), _) => Effect::Allow,
        (None, Some(_)) => Effect::Forbid,
        (None, None) => Effect::Change,
    };
    let words = allow.as_ref().or(forbid.as_ref()).map(|words| words.as_ref().0.as_slice()).unwrap_or_default();
    let mut named = Vec::new();
    for word in words {
        named.extend(operations(word, report).unwrap_or_default());
    }
    named.dedup();
    if effect == Effect::Change {
        named = vec![CHANGED];
    }
    let rights = privileged.as_ref().and_then(|written| word(written, RIGHTS, report));
    if let (Some(Rights::Allow), Some(written)) = (rights, privileged) {
        sandboxed(written, runtime.as_ref(), when, report);
    }
    let runtime = runtime.as_ref().and_then(|name| runtime_name(name, report));
    let when = when.iter().filter_map(|(fact, text)| Some((*fact, expression(text, effect, report)?))).collect();
    let reason = match (reason, effect) {
        (Some(reason), _) => reason.as_ref().clone(),
        (None, _) => format!("rule `{}`", id.as_ref()),
    };
    Some(Rule {
        id: id.as_ref().clone(),
        effect,
        operations: named,
        when,
        reason,
        privileged: rights,
        runtime,
        line: report.line(span),
    })
}

fn runtime_name(name: &Spanned<String>, report: &mut Report) -> Option<String> {
    if name.as_ref().is_empty() {
        let problem = Problem::new(Code::BadText, name.span(), "an empty value cannot be forced");
        report.push(problem.help("leave the key out"));
        return None;
    }
    Some(name.as_ref().clone())
}

/// What may be granted all rights is one image, in a runtime that keeps them from the host
fn sandboxed(
    written: &Spanned<String>,
    runtime: Option<&Spanned<String>>,
    when: &[(Fact, Spanned<String>)],
    report: &mut Report,
) {
    match runtime {
        None => {
            let problem = Problem::new(Code::OpenRights, written.span(), "all rights of the host are granted here");
            report.push(
                problem
                    .label("no `runtime` is forced")
                    .help("force one that keeps them from the host: runtime = \"sysbox-runc\""),
            );
        }
        Some(runtime) if PLAIN_RUNTIMES.contains(&runtime.as_ref().as_str()) => {
            let message = format!("`{}` gives a privileged container all rights of the host", runtime.as_ref());
            let problem = Problem::new(Code::OpenRights, runtime.span(), message);
            report.push(problem.help("force a runtime that keeps them from the host, as `sysbox-runc` or `kata`"));
        }
        Some(_) => {}
    }
    let pinned = |(fact, text): &&(Fact, Spanned<String>)| *fact == Fact::Image && is_pinned(text.as_ref());
    if !when.iter().any(|expression| pinned(&expression)) {
        let at = when.iter().find(|(fact, _)| *fact == Fact::Image).map_or(written.span(), |(_, text)| text.span());
        let problem = Problem::new(Code::OpenRights, at, "all rights are granted to an image that may change");
        report.push(problem.label("names no digest").help(
            r"end the image with its digest: when = { image = '^docker\.io/moby/buildkit:[^@]*@sha256:…$' }, all 64 digits",
        ));
    }
}

/// Whether all that an expression matches ends with one of a few digests in full
fn is_pinned(source: &str) -> bool {
    let Ok(hir) = regex_syntax::parse(source) else { return false };
    let ends = Extractor::new().kind(ExtractKind::Suffix).extract(&hir);
    let is_digest = |end: &Literal| {
        let text = str::from_utf8(end.as_bytes()).unwrap_or_default();
        let digits = text.rsplit_once("sha256:").filter(|(before, _)| before.is_empty() || before.ends_with('@'));
        digits.is_some_and(|(_, digits)| {
            digits.len() == DIGEST && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    ends.literals().is_some_and(|ends| !ends.is_empty() && ends.iter().all(is_digest))
}

/// Digits of a digest
const DIGEST: usize = 64;
/// Words for what becomes of `--privileged`
const RIGHTS: &[(&str, Rights)] = &[("strip", Rights::Strip), ("allow", Rights::Allow)];
/// Runtimes that keep nothing from the host
const PLAIN_RUNTIMES: &[&str] =
    &["runc", "crun", "youki", "io.containerd.runc.v1", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"];

/// The one operation that rules change
const CHANGED: &str = "container.create";

fn expression(text: &Spanned<String>, effect: Effect, report: &mut Report) -> Option<Regex> {
    let source = text.as_ref();
    let parsed = regex_syntax::parse(source);
    let hir = match parsed {
        Ok(hir) => hir,
        Err(error) => {
            let (what, at) = describe(&error);
            let span = within(text, at, report);
            report.push(Problem::new(Code::BadRegex, span, "this is no regular expression").label(what));
            return None;
        }
    };
    let looks = hir.properties();
    let anchored = looks.look_set_prefix().contains(Look::Start) && looks.look_set_suffix().contains(Look::End);
    if effect != Effect::Forbid && !anchored {
        let message = match effect {
            Effect::Change => "a rule that changes must match the whole value",
            Effect::Allow | Effect::Forbid => "a rule that allows must match the whole value",
        };
        let problem = Problem::new(Code::UnanchoredRegex, text.span(), message).label("matches any part of it");
        report.push(problem.help(format!("write '{}'", anchor(source))));
        return None;
    }
    match Regex::new(source) {
        Ok(regex) => Some(regex),
        Err(error) => {
            report.push(
                Problem::new(Code::BadRegex, text.span(), "this is no regular expression").label(error.to_string()),
            );
            None
        }
    }
}

/// The expression with both anchors
fn anchor(source: &str) -> String {
    let inner = source.strip_prefix('^').unwrap_or(source);
    let inner = inner.strip_suffix('$').filter(|rest| !rest.ends_with('\\')).unwrap_or(inner);
    if inner.contains('|') { format!("^(?:{inner})$") } else { format!("^{inner}$") }
}

fn describe(error: &regex_syntax::Error) -> (String, Range<usize>) {
    match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), range(error.span())),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), range(error.span())),
        other => (other.to_string(), 0..0),
    }
}

fn range(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// The place of a part of a string, if it stands in the file as it is; else the whole string
fn within(text: &Spanned<String>, part: Range<usize>, report: &Report) -> Range<usize> {
    let whole = text.span();
    match report.source(&whole).find(text.as_ref()).filter(|_| !text.as_ref().is_empty()) {
        Some(begin) if !part.is_empty() => whole.start + begin + part.start..whole.start + begin + part.end,
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn only_an_expression_whose_every_match_ends_with_a_digest_in_full_is_pinned() {
        for pinned in [
            "^moby/buildkit@DIGEST$",
            "^moby/buildkit:[^@]*@DIGEST$",
            "^(?:a|b):.*@DIGEST$",
            "^(?:a@DIGEST|b:.*@DIGEST)$",
            "^DIGEST$",
        ] {
            assert!(is_pinned(&pinned.replace("DIGEST", DIGEST)), "{pinned}");
        }
        for open in [
            "^moby/buildkit:.*$",
            "^moby/buildkit@sha256:[0-9a-f]{64}$",
            "^moby/buildkit@sha256:.*$",
            "^(?:a@DIGEST|b)$",
            "^a(?:@DIGEST)?$",
            "^aDIGEST$",
            "^a@DIGEST.*$",
            "^(?i)a@DIGEST$",
            "^a@DIGEST0$",
            "",
            "(",
        ] {
            assert!(!is_pinned(&open.replace("DIGEST", DIGEST)), "{open}");
        }
    }
}
