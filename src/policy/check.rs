//! Checks a policy file: everything wrong with it, and its own tests run against it.

use std::ops::Range;

use toml::Spanned;

use crate::api::bind::HostPath;
use crate::api::operation::Operation;
use crate::policy::Policy;
use crate::policy::command::{Asked, BadRequest, asked};
use crate::policy::compile::build;
use crate::policy::file::{self, Request, Test};
use crate::policy::given::{sockets, usual_names};
use crate::policy::judge::{Decision, Facts, Verdict, judge};
use crate::policy::report::{Code, Problem, Report};

/// What came of checking one file
#[derive(Debug, Clone)]
pub struct Checked {
    /// Everything found, failed tests included
    pub report: Report,
    /// How many tests were run
    pub tests: usize,
}

/// Checks a file's text; `file` is the name shown in messages
pub fn check(file: &str, text: &str) -> Checked {
    let (written, report) = file::read(file, text);
    let policy = match build(file, &written, report) {
        Ok(policy) => policy,
        Err(mut report) => {
            // Without a policy the tests cannot be run, but what is wrong with them can be said.
            for test in &written.tests {
                understood(test, &mut report);
            }
            return Checked { report, tests: 0 };
        }
    };
    let mut report = policy.warnings.clone();
    for test in &written.tests {
        run(&policy, test, &mut report);
    }
    Checked { report, tests: written.tests.len() }
}

/// What the requests of one test come to: the strictest verdict, and everything that was said on the way
#[derive(Debug)]
struct Outcome {
    decision: Decision,
    /// Refused asks or changed fields: the words a test may name each by, and how it is shown
    reasons: Vec<(Vec<String>, String)>,
}

/// What a test expects, and the operations its request comes to; none if that is not understood
fn understood(test: &Test, report: &mut Report) -> Option<(Decision, Vec<Asked>)> {
    let Test { request, expect, because: _ } = test;
    let wanted = WORDS.iter().find(|(word, _)| word == expect.as_ref()).map(|(_, decision)| *decision);
    if wanted.is_none() {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        let problem = Problem::new(Code::UnknownWord, expect.span(), format!("`{}` is no verdict", expect.as_ref()));
        let problem = problem.label(format!("expected {}", words.join(", ")));
        report.push(problem.meant(expect.as_ref(), words));
    }
    match asked(request.as_ref()) {
        Ok(asked) => Some((wanted?, asked)),
        Err(bad) => {
            report.push(not_understood(request, bad, report));
            None
        }
    }
}

fn run(policy: &Policy, test: &Test, report: &mut Report) {
    let Some((wanted, asked)) = understood(test, report) else { return };
    let outcome = judge_all(policy, asked);
    let Test { request, expect, because } = test;
    let shown = outcome.reasons.iter().map(|(_, shown)| shown.clone());
    if outcome.decision != wanted {
        let message = format!("the test expects `{}`, the verdict is `{}`", name(wanted), name(outcome.decision));
        let problem = Problem::new(Code::TestFailed, request.span(), message).label(verdict(outcome.decision));
        let problem = problem.also(expect.span(), "expected this");
        return report.push(shown.fold(problem, Problem::note));
    }
    let Some(because) = because else { return };
    if !outcome.reasons.iter().any(|(words, _)| words.contains(because.as_ref())) {
        let message = format!("`{}` is not what it comes from", because.as_ref());
        let problem = Problem::new(Code::TestFailed, because.span(), message);
        let problem =
            problem.meant(because.as_ref(), outcome.reasons.iter().flat_map(|(words, _)| words).map(String::as_str));
        let problem =
            if outcome.reasons.is_empty() { problem.note("nothing is refused and nothing changed") } else { problem };
        report.push(shown.fold(problem, Problem::note));
    }
}

fn judge_all(policy: &Policy, asked: Vec<Asked>) -> Outcome {
    let mut outcome = Outcome { decision: Decision::Allow, reasons: Vec::new() };
    for asked in asked {
        let decision = match asked {
            Asked::Closed(closed) => {
                let words = vec![closed.name.to_owned(), "operation".to_owned(), "closed".to_owned()];
                outcome.reasons.push((words, format!("`{}` is closed: {}", closed.name, closed.reason)));
                Decision::Deny
            }
            Asked::Operation(operation) => {
                let facts = facts(policy, &operation);
                let (_, verdict) = judge(policy, *operation, &facts);
                collect(&verdict, &mut outcome);
                verdict.decision
            }
        };
        if strictness(decision) > strictness(outcome.decision) {
            outcome.decision = decision;
        }
    }
    outcome
}

/// What is known without an engine and a caller: an engine's socket by its usual names, and by which name ours is
fn facts(policy: &Policy, operation: &Operation) -> Facts {
    let ours = HostPath::parse(SOCKET).filter(|_| policy.socket.is_some());
    let given = ours.map(|ours| sockets(operation, &usual_names(), &ours)).unwrap_or_default();
    Facts { given, ..Facts::default() }
}

/// Where our own socket is by default
const SOCKET: &str = "/run/sockwarden/docker.sock";

fn collect(verdict: &Verdict, outcome: &mut Outcome) {
    for (ask, refusal) in verdict.refused() {
        let mut words = vec![ask.what.code().to_owned(), ask.what.to_string(), ask.field.clone()];
        words.extend(ask.field.strip_prefix("rule ").map(str::to_owned));
        let line = refusal.line.as_ref().map(|line| format!(" by {line}")).unwrap_or_default();
        outcome.reasons.push((words, format!("refused{line}: {} ({}): {}", ask.what, ask.field, refusal.why)));
    }
    for change in &verdict.changes {
        let last = change.field.rsplit('.').next().unwrap_or_default().to_owned();
        let shown = format!("changed: {} from `{}` to `{}`", change.field, change.from, change.to);
        outcome.reasons.push((vec![change.field.clone(), last], shown));
    }
}

fn not_understood(request: &Spanned<Request>, bad: BadRequest, report: &Report) -> Problem {
    let BadRequest { what, word, help } = bad;
    let span = word.map_or(request.span(), |word| within(request, word, report));
    let problem = Problem::new(Code::BadRequest, span, "this request is not understood").label(what);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The place of a word of the command line, if the line stands in the file as it is
fn within(request: &Spanned<Request>, word: Range<usize>, report: &Report) -> Range<usize> {
    let whole = request.span();
    let Request::Command(line) = request.as_ref() else { return whole };
    match report.source(&whole).find(line.as_str()) {
        Some(begin) => whole.start + begin + word.start..whole.start + begin + word.end,
        None => whole,
    }
}

fn strictness(decision: Decision) -> u8 {
    match decision {
        Decision::Allow => 0,
        Decision::Modify => 1,
        Decision::Deny => 2,
    }
}

fn name(decision: Decision) -> &'static str {
    WORDS.iter().find(|(_, word)| *word == decision).map_or("", |(name, _)| name)
}

fn verdict(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "passes as it is",
        Decision::Modify => "passes with changes",
        Decision::Deny => "is refused",
    }
}

const WORDS: &[(&str, Decision)] =
    &[("allow", Decision::Allow), ("modify", Decision::Modify), ("deny", Decision::Deny)];
