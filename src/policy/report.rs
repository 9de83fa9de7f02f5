//! Diagnostics of a policy file: all of its mistakes in one go, each with its line, what is wrong and the way out.
//!
//! A [`Report`] belongs to one file and its text. Every [`Problem`] has a stable [`Code`], explained in `docs/codes.md`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::policy::Line;
pub use crate::policy::report::code::{Code, Severity};

mod code;

/// Everything that was found in one file
#[derive(Debug, Clone)]
pub struct Report {
    file: Arc<str>,
    text: Arc<str>,
    problems: Vec<Problem>,
}

/// One thing that was found
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    message: String,
    span: Range<usize>,
    label: Option<String>,
    also: Option<(Range<usize>, String)>,
    notes: Vec<String>,
    help: Vec<String>,
}

/// Whether a report is rendered with colours
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only
    Plain,
    /// With terminal colours
    Colour,
}

impl Report {
    /// An empty report about a file
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), problems: Vec::new() }
    }

    /// Adds a problem
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Problems that keep the file from being used
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.code.severity() == Severity::Error).count()
    }

    /// Problems that do not
    pub fn warnings(&self) -> usize {
        self.problems.len() - self.errors()
    }

    /// Whether nothing was found
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Each problem in one line, `file:line: message`, for a log
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.sorted().into_iter().map(|problem| {
            let help = problem.help.first().map(|help| format!("; {help}")).unwrap_or_default();
            format!("{}: {}{help}", self.line(&problem.span), problem.message)
        })
    }

    /// The line a span begins on
    pub fn line(&self, span: &Range<usize>) -> Line {
        let before = self.text.bytes().take(span.start);
        Line { file: self.file.clone(), line: before.filter(|byte| *byte == b'\n').count() + 1 }
    }

    /// The text of a span
    pub fn source(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// All problems as the Rust compiler would show them, in the order of the file
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colour => Renderer::styled(),
        };
        let mut out = String::new();
        for problem in self.sorted() {
            let Problem { code, message, span, label, also, notes, help } = problem;
            let level = match code.severity() {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let primary = AnnotationKind::Primary.span(self.clamp(span)).label(label.as_deref());
            let mut snippet = Snippet::source(&*self.text).path(&*self.file).annotation(primary);
            if let Some((span, label)) = also {
                snippet = snippet.annotation(AnnotationKind::Context.span(self.clamp(span)).label(&**label));
            }
            let mut group = level.primary_title(&**message).id(code.as_str()).element(snippet);
            for note in notes {
                group = group.element(Level::NOTE.message(&**note));
            }
            for help in help {
                group = group.element(Level::HELP.message(&**help));
            }
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&renderer.render(&[group]));
        }
        out
    }

    fn sorted(&self) -> Vec<&Problem> {
        let mut problems: Vec<&Problem> = self.problems.iter().collect();
        problems.sort_by_key(|problem| (problem.span.start, problem.code));
        problems
    }

    /// A span that surely lies in the text, on character boundaries
    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |at: usize| (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let start = floor(span.start).unwrap_or(0);
        start..floor(span.end).unwrap_or(0).max(start)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Report {}

impl Problem {
    /// A problem at a span of the text
    pub fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span, label: None, also: None, notes: Vec::new(), help: Vec::new() }
    }

    /// Says something right at the span
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Points at a second place of the same file
    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    /// Says what else has to do with it
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do instead
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Names what was probably meant, when something known is near
    #[must_use]
    pub fn meant<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// The known word that `word` was probably meant to be
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let wanted = plain(word);
    let far = wanted.chars().count().max(3) / 3;
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&wanted, &plain(known)), known))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["cap_add", "privileged", "pid", "network"];
        for (word, expected) in [
            ("cap-add", Some("cap_add")),
            ("CapAdd", Some("cap_add")),
            ("priviledged", Some("privileged")),
            ("netwrok", Some("network")),
            ("volumes", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn spans_outside_the_text_do_not_harm() {
        let mut report = Report::new("p.toml", "ä = 1\n");
        report.push(Problem::new(Code::Syntax, 1..900, "bad"));
        report.push(Problem::new(Code::Syntax, Range { start: 500, end: 3 }, "bad"));
        assert_eq!(report.errors(), 2);
        assert!(report.to_string().contains("p.toml:1"), "{report}");
    }
}
