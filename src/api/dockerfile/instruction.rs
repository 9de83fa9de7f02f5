//! One logical line as an instruction: its name, its flags and its words.
//!
//! Engines read flags byte by byte, and escapes in them by `\` or, lately, by the escape character of the text; so a flag
//! is ASCII without either.

use super::why::{LONGEST, Why};
use crate::api::json::Json;

/// An instruction
#[derive(Debug)]
pub(super) struct Instruction<'a> {
    pub flags: Vec<String>,
    pub rest: &'a str,
}

/// The name of an instruction; of those that take nothing in, only that they do
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Add,
    Arg,
    Copy,
    From,
    Onbuild,
    Run,
    Other,
    /// A plain word that no engine knows: each reads all instructions before the first one counts, refuses the whole text
    /// (20.10 to 28.5), and says so in words that clients know
    Unknown,
}

impl Name {
    /// Reads the first word of a line
    ///
    /// Engines lower the case of any letter of Unicode: `ONBUİLD` is an instruction to them, and none here.
    pub fn of(line: &str) -> Result<Self, Why> {
        let word = line.trim().split([' ', '\t']).next().unwrap_or("");
        Ok(match word.to_ascii_uppercase().as_str() {
            "ADD" => Self::Add,
            "ARG" => Self::Arg,
            "COPY" => Self::Copy,
            "FROM" => Self::From,
            "ONBUILD" => Self::Onbuild,
            "RUN" => Self::Run,
            "CMD" | "ENTRYPOINT" | "ENV" | "EXPOSE" | "HEALTHCHECK" | "LABEL" | "MAINTAINER" | "SHELL"
            | "STOPSIGNAL" | "USER" | "VOLUME" | "WORKDIR" => Self::Other,
            other if !other.is_empty() && other.bytes().all(|byte| byte.is_ascii_alphabetic()) => Self::Unknown,
            _ => return Err(Why::Instruction(word.to_owned())),
        })
    }

    /// As it is written
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Copy => "COPY",
            Self::From => "FROM",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Other | Self::Unknown => "",
        }
    }
}

impl<'a> Instruction<'a> {
    /// Takes a line apart
    pub fn read(line: &'a str) -> Result<Self, Why> {
        let line = line.trim();
        let after = line.find([' ', '\t']).and_then(|at| line.get(at..)).unwrap_or("");
        let mut rest = after.trim_start_matches([' ', '\t']);
        let mut flags = Vec::new();
        while rest.starts_with("--") {
            let (flag, after) = flag(rest)?;
            rest = after.trim_start_matches([' ', '\t']);
            if flag == "--" {
                break;
            }
            flags.push(flag);
        }
        Ok(Self { flags, rest: rest.trim() })
    }

    /// The words of the rest, as `ADD`, `COPY` and `FROM` have them: engines part them at blanks, quoted or not
    pub fn words(&self) -> Vec<&'a str> {
        self.rest.split([' ', '\t']).filter(|word| !word.is_empty()).collect()
    }

    /// The words of the rest, or of its JSON form
    ///
    /// Up to 26.1 what follows the array is not heeded, since then it makes the whole plain words.
    pub fn words_or_json(&self) -> Result<Vec<String>, Why> {
        let inner = self.rest.strip_prefix('[').map(|inner| inner.trim_start_matches([' ', '\t']));
        if !inner.is_some_and(|inner| inner.starts_with('"')) {
            return Ok(self.words().into_iter().map(str::to_owned).collect());
        }
        let Ok(Json::List(elements)) = Json::parse(self.rest.as_bytes()) else { return Err(Why::Json) };
        let text = |element| if let Json::Text(text) = element { Ok(text) } else { Err(Why::Json) };
        elements.into_iter().map(text).collect()
    }
}

/// The words of a text, quotes and escapes still in them, parted at blanks outside of quotes
pub(super) fn quoted_words(text: &str, escape: char) -> Result<Vec<String>, Why> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, quote) if c == escape && quote != Some('\'') => {
                word.push(c);
                match chars.next() {
                    Some(escaped) => word.push(escaped),
                    None => return Err(Why::Open(word)),
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if quote.is_some() {
        return Err(Why::Open(word));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// The first flag, quotes taken off, and what follows it
fn flag(text: &str) -> Result<(String, &str), Why> {
    let (mut flag, mut quote) = (String::new(), None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (' ' | '\t', None) => return Ok((flag, text.get(at..).unwrap_or(""))),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\' | '`', _) => return Err(Why::Flag(flag)),
            (c, _) if !c.is_ascii() || flag.len() >= LONGEST => return Err(Why::Flag(flag)),
            (c, _) => flag.push(c),
        }
    }
    if quote.is_some() { Err(Why::Open(flag)) } else { Ok((flag, "")) }
}
