//! Why a Dockerfile was refused: the line, the instruction, what is wrong, and the way out, in one line.

use std::fmt;

use thiserror::Error;

use super::stages::MOST;
use crate::api::names::BadName;

/// A Dockerfile that cannot be known from its text
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDockerfile {
    /// Where the instruction begins, from 1
    pub line: u32,
    /// The instruction, as `ADD` or `ONBUILD ADD`; empty where none could be read
    pub instruction: &'static str,
    /// What is wrong
    pub why: Why,
}

/// What is wrong
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Why {
    /// Bytes that are no text
    #[error("it is not UTF-8 text")]
    NotText,
    /// A character that engines drop, or read in their own ways
    #[error("the character U+{:04X} is read differently by engines; take it out", u32::from(*.0))]
    Character(char),
    /// A parser directive that some engines know and others do not
    #[error("engines read the directives at the top differently; leave `escape` out, or make it the first line")]
    Directive,
    /// A word where an instruction should be
    #[error("`{}` is no instruction", shown(.0))]
    Instruction(String),
    /// `<<`, which begins a document for some engines
    #[error("`<<` may begin a here-document, which the classic builder has not")]
    Heredoc,
    /// A flag with an escape or another character that engines read in their own ways
    #[error("flag `{}` is not plain text; write it without escapes and variables", shown(.0))]
    Flag(String),
    /// `FROM` without an image, or with something after it
    #[error("it takes an image, or an image, `AS` and a name")]
    From,
    /// The name of a stage
    #[error("`{}` is no name of a stage: a letter, then letters, digits, `-`, `_` and `.`", shown(.0))]
    Stage(String),
    /// The name of a build argument
    #[error("`{}` is not a plain name of an argument", shown(.0))]
    Argument(String),
    /// Something like JSON
    #[error("its JSON form is not an array of strings and nothing else")]
    Json,
    /// A quote, a brace or an escape without its end
    #[error("a quote, brace or escape in `{}` has no end", shown(.0))]
    Open(String),
    /// A kind of `$` that is not expanded here
    #[error("a variable in `{}` is in a form that not all engines read alike; use `${{name}}` or `${{name:-default}}`", shown(.0))]
    Form(String),
    /// An argument that some engines know without `ARG`
    #[error("`{}` is an argument that some engines know without `ARG`; declare it before the first FROM", shown(.0))]
    Undeclared(String),
    /// A variable of a stage where an address could come of it
    #[error(
        "`{}` could be an address by what the base image says of its variable; copy files of the context with COPY",
        shown(.0)
    )]
    MayBeAddress(String),
    /// A variable of a stage within an address
    #[error("what `{}` fetches is up to a variable that the base image may set; write it out", shown(.0))]
    Address(String),
    /// What stands for an image is none
    #[error("{0}")]
    Image(BadName),
    /// An instruction that no trigger may hold
    #[error("it cannot be an `ONBUILD` trigger")]
    Trigger,
    /// A trigger that is not one instruction
    #[error("a trigger is one instruction")]
    Triggers,
    /// Variables that grow
    #[error("its variables come to more than {LONGEST} bytes, or nest deeper than {DEEPEST}")]
    Long,
    /// More than anybody's Dockerfile has
    #[error("there are more than {MOST} stages, arguments, or things to fetch")]
    Many,
}

/// Longest value of a variable or word, in bytes
pub const LONGEST: usize = 4096;

/// Most braces within braces
pub const DEEPEST: usize = 8;

impl fmt::Display for BadDockerfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, instruction, why } = self;
        write!(f, "line {line}: ")?;
        if !instruction.is_empty() {
            write!(f, "{instruction}: ")?;
        }
        why.fmt(f)
    }
}

impl std::error::Error for BadDockerfile {}

/// As much of somebody's text as fits a line
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
