//! A text as logical lines: comments gone, continued lines joined, the escape character known.
//!
//! From 0.8 to 0.25 the parser agrees on where a line ends, but for characters that are refused here, and for
//! here-documents, which [`super::stages`] refuses. Which directives it knows has changed.

use std::iter::Enumerate;
use std::str::Split;

use super::why::{BadDockerfile, Why};

/// The logical lines of a text
#[derive(Debug)]
pub(super) struct Lines<'a> {
    /// The escape character
    pub escape: char,
    rest: Enumerate<Physical<'a>>,
}

/// An instruction with all that continues it
#[derive(Debug)]
pub(super) struct Line {
    /// Where it begins, from 1
    pub number: u32,
    /// What it says
    pub text: String,
}

impl<'a> Lines<'a> {
    pub fn read(text: &'a [u8]) -> Result<Self, BadDockerfile> {
        let text = std::str::from_utf8(text).map_err(|error| {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            bad(before.iter().filter(|byte| **byte == b'\n').count(), Why::NotText)
        })?;
        let physical = Physical(text.strip_prefix(MARK).unwrap_or(text).split('\n'));
        for (index, line) in physical.clone().enumerate() {
            if let Some(odd) = line.chars().find(|c| *c == MARK || c.is_control() && *c != '\t') {
                return Err(bad(index, Why::Character(odd)));
            }
        }
        Ok(Self { escape: escape(&physical)?, rest: physical.enumerate() })
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let (index, first) =
            self.rest.by_ref().map(|(index, line)| (index, line.trim_start())).find(|(_, line)| says(line))?;
        let (piece, mut goes_on) = continued(first, self.escape);
        let mut text = piece.to_owned();
        while goes_on {
            // White space at its beginning stays.
            let Some((_, next)) = self.rest.by_ref().find(|(_, line)| says(line.trim_start())) else { break };
            let (piece, more) = continued(next, self.escape);
            text.push_str(piece);
            goes_on = more;
        }
        Some(Line { number: number(index), text })
    }
}

/// The lines as they stand in the text, without their ends
#[derive(Debug, Clone)]
struct Physical<'a>(Split<'a, char>);

impl<'a> Iterator for Physical<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next().map(|line| line.strip_suffix('\r').unwrap_or(line))
    }
}

/// Whether there is more in a line than a comment
fn says(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

/// What a line adds, and whether another follows: it ends in one escape character, blanks after it aside
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        Some(_) | None => (line, false),
    }
}

fn escape(physical: &Physical<'_>) -> Result<char, BadDockerfile> {
    let mut agreed = None;
    for check in [Check::Unknown, Check::Known] {
        for space in [Space::Ascii, Space::Any] {
            let read = directives(physical, check, space)?;
            if *agreed.get_or_insert(read) != read {
                return Err(bad(0, Why::Directive));
            }
        }
    }
    Ok(agreed.unwrap_or('\\'))
}

/// Whether `check` is a directive: since 0.15
#[derive(Clone, Copy, PartialEq)]
enum Check {
    Unknown,
    Known,
}

/// What may stand before a directive's name: since 0.26 any white space
#[derive(Clone, Copy)]
enum Space {
    Ascii,
    Any,
}

/// The escape character by the comments at the top, up to the first that is no directive
fn directives(physical: &Physical<'_>, check: Check, space: Space) -> Result<char, BadDockerfile> {
    let (mut escape, mut seen) = ('\\', Vec::new());
    for (index, line) in physical.clone().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix('#') else { break };
        let rest = match space {
            Space::Ascii => rest.trim_start_matches([' ', '\t']),
            Space::Any => rest.trim_start(),
        };
        let Some((name, value)) = rest.split_once('=') else { break };
        let name = name.trim_end_matches([' ', '\t']).to_ascii_lowercase();
        let known = matches!(name.as_str(), "escape" | "syntax") || name == "check" && check == Check::Known;
        if !known || value.is_empty() {
            break;
        }
        match value.trim_matches([' ', '\t']) {
            _ if seen.contains(&name) => return Err(bad(index, Why::Directive)),
            "\\" if name == "escape" => escape = '\\',
            "`" if name == "escape" => escape = '`',
            _ if name == "escape" => return Err(bad(index, Why::Directive)),
            _ => {}
        }
        seen.push(name);
    }
    Ok(escape)
}

fn bad(index: usize, why: Why) -> BadDockerfile {
    BadDockerfile { line: number(index), instruction: "", why }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1))
}

/// The byte order mark: dropped before the first line, and before any word that is expanded
const MARK: char = '\u{feff}';
