//! Rules: their operations and regular expressions.

use std::ops::Range;

use regex::Regex;
use regex_syntax::hir::Look;
use toml::Spanned;

use crate::policy::compile::grants::operations;
use crate::policy::compile::word;
use crate::policy::file;
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Effect, Rule};

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
    let strip = privileged.as_ref().and_then(|written| word(written, &[("strip", true)], report)).unwrap_or_default();
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
        strip_privileged: strip,
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
