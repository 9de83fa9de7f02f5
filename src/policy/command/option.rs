//! Options of a command line, read as the docker CLI does (pflag), and what each of them sets.

use serde_json::json;

use crate::policy::command::BadRequest;
use crate::policy::command::draft::Draft;
use crate::policy::command::table::Command;
use crate::policy::command::value;
use crate::policy::command::words::Word;
use crate::policy::report::nearest;

/// An option
#[derive(Debug)]
pub(super) struct Opt {
    /// Without dashes
    pub long: &'static str,
    /// One letter, or empty
    pub short: &'static str,
    /// What it sets: a field of the body, or a parameter as `?force`
    pub into: &'static str,
    /// How
    pub kind: Kind,
}

/// How an option's value is taken
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// No value; sets true
    Switch,
    /// No value; of no concern to the engine
    SwitchNote,
    /// Of no concern to the engine
    Note,
    /// As it is
    Text,
    /// One of a list
    List,
    /// `key=value`, of a map
    Map,
    /// An integer
    Int,
    /// A size
    Bytes,
    /// A number of CPUs
    Cpus,
    /// A duration in nanoseconds
    Duration,
    /// Something of its own
    Special(fn(&mut Draft, &str) -> Result<(), BadRequest>),
    /// Names a file that is not read here
    File,
}

pub(super) const fn opt(long: &'static str, short: &'static str, into: &'static str, kind: Kind) -> Opt {
    Opt { long, short, into, kind }
}

/// Applies all options and returns the operands
pub(super) fn apply(command: &Command, words: &[Word], draft: &mut Draft) -> Result<Vec<Word>, BadRequest> {
    let options: Vec<&Opt> = command.options.iter().copied().flatten().collect();
    let mut operands = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        if text == "--" {
            operands.extend(words.cloned());
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            let (name, given) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(option) = options.iter().find(|option| option.long == name) else {
                return Err(unknown(name, &options).at(word));
            };
            let value = match given {
                Some(value) => value.to_owned(),
                None if option.kind.takes_value() => next(&mut words, word)?,
                None => "true".to_owned(),
            };
            set(option, &value, draft).map_err(|error| error.at(word))?;
        } else if text.len() > 1 && text.starts_with('-') {
            shorts(text, word, &options, &mut words, draft)?;
        } else {
            operands.push(word.clone());
            if command.stops_at_operand {
                operands.extend(words.cloned());
                break;
            }
        }
    }
    Ok(operands)
}

/// `-it`, `-p80:80`, `-p 80:80`, `-p=80:80`
fn shorts<'a>(
    text: &str,
    word: &Word,
    options: &[&Opt],
    words: &mut impl Iterator<Item = &'a Word>,
    draft: &mut Draft,
) -> Result<(), BadRequest> {
    let mut letters = text.chars();
    letters.next();
    while let Some(letter) = letters.next() {
        let name = letter.to_string();
        let Some(option) = options.iter().find(|option| option.short == name) else {
            return Err(BadRequest::new(format!("this command has no option `-{letter}`")).at(word));
        };
        let rest = letters.as_str();
        let (value, last) = match rest.strip_prefix('=') {
            Some(value) => (value.to_owned(), true),
            None if !option.kind.takes_value() => ("true".to_owned(), false),
            None if rest.is_empty() => (next(words, word)?, true),
            None => (rest.to_owned(), true),
        };
        set(option, &value, draft).map_err(|error| error.at(word))?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

fn next<'a>(words: &mut impl Iterator<Item = &'a Word>, option: &Word) -> Result<String, BadRequest> {
    let missing = || BadRequest::new(format!("`{}` needs a value", option.text)).at(option);
    words.next().map(|word| word.text.clone()).ok_or_else(missing)
}

fn unknown(name: &str, options: &[&Opt]) -> BadRequest {
    let problem = BadRequest::new(format!("this command has no option `--{name}`"));
    match nearest(name, options.iter().map(|option| option.long)) {
        Some(near) => problem.help(format!("did you mean `--{}`?", near.replace('_', "-"))),
        None => problem,
    }
}

fn set(option: &Opt, text: &str, draft: &mut Draft) -> Result<(), BadRequest> {
    let number = |number: Result<i64, String>| number.map_err(BadRequest::new);
    let json = match option.kind {
        Kind::Switch | Kind::SwitchNote => match text {
            "true" | "1" => json!(true),
            "false" | "0" => return Ok(()),
            _ => return Err(BadRequest::new(format!("`--{}` takes true or false", option.long))),
        },
        Kind::Note | Kind::Text | Kind::List | Kind::Map => json!(text),
        Kind::Int => json!(number(text.parse().map_err(|_| format!("`{text}` is no whole number")))?),
        Kind::Bytes if text == "-1" => json!(-1),
        Kind::Bytes => json!(number(value::bytes(text))?),
        Kind::Cpus => json!(number(value::nano_cpus(text))?),
        Kind::Duration => json!(number(value::nanoseconds(text))?),
        Kind::Special(special) => return special(draft, text),
        Kind::File => {
            let problem = BadRequest::new(format!("the file of `--{}` is not read here", option.long));
            return Err(problem.help("write what is in it"));
        }
    };
    match (option.kind, option.into.strip_prefix('?')) {
        (Kind::SwitchNote | Kind::Note, _) => draft.notes.push((option.long, text.to_owned())),
        (Kind::Switch, Some(param)) => draft.param(param, "1"),
        (_, Some(param)) => draft.param(param, json.as_str().map_or_else(|| json.to_string(), str::to_owned)),
        (Kind::List, None) => draft.push(option.into, json),
        (Kind::Map, None) => {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            *draft.entry(option.into, key) = json!(value);
        }
        (_, None) => *draft.slot(option.into) = json,
    }
    Ok(())
}

impl Kind {
    fn takes_value(self) -> bool {
        !matches!(self, Self::Switch | Self::SwitchNote)
    }
}
