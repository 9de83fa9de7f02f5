//! Words as the builder expands them: quotes and escapes gone, variables put in.
//!
//! What is read exactly is `$name`, `${name}`, `${name-word}`, `${name:-word}`, `${name+word}` and `${name:+word}` (20.10
//! knows those with a colon only, and fails at the others). The rest is refused.

use std::iter::Peekable;
use std::str::Chars;

use super::why::{DEEPEST, LONGEST, Why};

/// What a variable is
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    Set(String),
    Unset,
    /// Only the engine can know
    Unknown,
}

/// What became of a word
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// All of it
    Whole(String),
    /// What stands before the first variable that is not known
    Begins(String),
}

/// Expands one word
pub(super) fn expand(word: &str, escape: char, look: &dyn Fn(&str) -> Result<Variable, Why>) -> Result<Expanded, Why> {
    let mut text = String::new();
    let mut lexer = Lexer { word, chars: word.chars().peekable(), escape, look };
    match lexer.until(None, 0, &mut text) {
        Ok(()) => Ok(Expanded::Whole(text)),
        Err(Stop::Unknown) => Ok(Expanded::Begins(text)),
        Err(Stop::Refused(why)) => Err(why),
    }
}

enum Stop {
    Unknown,
    Refused(Why),
}

impl From<Why> for Stop {
    fn from(why: Why) -> Self {
        Self::Refused(why)
    }
}

struct Lexer<'a> {
    word: &'a str,
    chars: Peekable<Chars<'a>>,
    escape: char,
    look: &'a dyn Fn(&str) -> Result<Variable, Why>,
}

impl Lexer<'_> {
    /// Up to `end`, which is taken, or to the end of the word
    fn until(&mut self, end: Option<char>, depth: usize, text: &mut String) -> Result<(), Stop> {
        while let Some(next) = self.chars.next() {
            match next {
                c if Some(c) == end => return Ok(()),
                '\'' => self.single(text)?,
                '"' => self.double(depth, text)?,
                '$' => self.dollar(depth, text)?,
                c if c == self.escape => match self.chars.next() {
                    Some(escaped) => text.push(escaped),
                    None => return Err(self.open()),
                },
                c => text.push(c),
            }
            if text.len() > LONGEST {
                return Err(Why::Long.into());
            }
        }
        if end.is_some() { Err(self.open()) } else { Ok(()) }
    }

    fn single(&mut self, text: &mut String) -> Result<(), Stop> {
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(()),
                Some(c) => text.push(c),
                None => return Err(self.open()),
            }
        }
    }

    fn double(&mut self, depth: usize, text: &mut String) -> Result<(), Stop> {
        loop {
            match self.chars.next() {
                Some('"') => return Ok(()),
                Some('$') => self.dollar(depth, text)?,
                // An escape stays before what needs none.
                Some(c) if c == self.escape => match self.chars.peek().copied() {
                    Some(escaped) if matches!(escaped, '"' | '$') || escaped == self.escape => {
                        self.chars.next();
                        text.push(escaped);
                    }
                    Some(_) => text.push(c),
                    None => return Err(self.open()),
                },
                Some(c) => text.push(c),
                None => return Err(self.open()),
            }
            if text.len() > LONGEST {
                return Err(Why::Long.into());
            }
        }
    }

    /// What follows a `$`
    fn dollar(&mut self, depth: usize, text: &mut String) -> Result<(), Stop> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name()?;
            return self.put(&name, text);
        }
        let name = self.name()?;
        let (colon, operator) = match self.chars.next() {
            Some('}') => return self.put(&name, text),
            Some(':') => (true, self.chars.next()),
            other => (false, other),
        };
        let minus = match operator {
            Some('-') => true,
            Some('+') => false,
            Some(_) => return Err(self.form()),
            None => return Err(self.open()),
        };
        if depth >= DEEPEST {
            return Err(Why::Long.into());
        }
        let variable = (self.look)(&name)?;
        if variable == Variable::Unknown {
            return Err(Stop::Unknown);
        }
        let mut word = String::new();
        self.until(Some('}'), depth + 1, &mut word)?;
        let value = match variable {
            Variable::Set(value) if !(colon && value.is_empty()) => Some(value),
            Variable::Set(_) | Variable::Unset | Variable::Unknown => None,
        };
        match (minus, value) {
            (true, Some(value)) => add(&value, text),
            (true, None) | (false, Some(_)) => add(&word, text),
            (false, None) => Ok(()),
        }
    }

    fn put(&self, name: &str, text: &mut String) -> Result<(), Stop> {
        match (self.look)(name)? {
            Variable::Set(value) => add(&value, text),
            Variable::Unset => Ok(()),
            Variable::Unknown => Err(Stop::Unknown),
        }
    }

    /// A plain name; engines know others, as `$1`, `$@` and letters of all alphabets
    fn name(&mut self) -> Result<String, Stop> {
        let mut name = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let ends = self.chars.peek().is_none_or(char::is_ascii);
        if plain && ends { Ok(name) } else { Err(self.form()) }
    }

    fn form(&self) -> Stop {
        Why::Form(self.word.to_owned()).into()
    }

    fn open(&self) -> Stop {
        Why::Open(self.word.to_owned()).into()
    }
}

fn add(value: &str, text: &mut String) -> Result<(), Stop> {
    if text.len() + value.len() > LONGEST {
        return Err(Why::Long.into());
    }
    text.push_str(value);
    Ok(())
}
