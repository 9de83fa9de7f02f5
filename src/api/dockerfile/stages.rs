//! The instructions in their order: arguments before the first stage, the stages, and what each takes.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::{Expanded, Variable, expand};
use super::instruction::{Instruction, Name, quoted_words};
use super::lines::Lines;
use super::why::{BadDockerfile, Why};
use super::{Source, Taken};
use crate::api::image_ref::ImageRef;

/// Most stages of a Dockerfile, arguments before them, and things they take
pub const MOST: usize = 1024;

pub(super) fn read(
    text: &[u8],
    build_args: &BTreeMap<String, Option<String>>,
    target: &str,
) -> Result<Vec<Source>, BadDockerfile> {
    let lines = Lines::read(text)?;
    let mut file = File {
        escape: lines.escape,
        build_args,
        target: target.to_ascii_lowercase(),
        is_past: false,
        arguments: BTreeMap::new(),
        stages: BTreeSet::new(),
        begun: 0,
        current: None,
        found: Vec::new(),
    };
    for line in lines {
        let bad = |instruction, why| BadDockerfile { line: line.number, instruction, why };
        let name = Name::of(&line.text).map_err(|why| bad("", why))?;
        if name == Name::Onbuild {
            let after = line.text.trim_start().get(Name::Onbuild.as_str().len()..).unwrap_or("");
            trigger(after, line.number, &mut file.found)?;
        } else {
            file.instruction(&line.text, name, line.number).map_err(|why| bad(name.as_str(), why))?;
        }
    }
    Ok(file.found)
}

/// A trigger is read when it fires, as a text of its own; its words are expanded with the escape character of the
/// Dockerfile that makes it fire, whichever that is
pub(super) fn trigger(text: &str, line: u32, found: &mut Vec<Source>) -> Result<(), BadDockerfile> {
    let bad = |instruction, why| BadDockerfile { line, instruction, why };
    let mut lines = Lines::read(text.as_bytes()).map_err(|inner| bad("ONBUILD", inner.why))?;
    let (Some(only), None) = (lines.next(), lines.next()) else { return Err(bad("ONBUILD", Why::Triggers)) };
    let name = Name::of(&only.text).map_err(|why| bad("ONBUILD", why))?;
    let instruction = match name {
        // It would be found out when it fires only.
        Name::Unknown => return Err(bad("ONBUILD", Why::Instruction(only.text.trim().to_owned()))),
        Name::Add => "ONBUILD ADD",
        Name::Copy => "ONBUILD COPY --from",
        Name::Arg | Name::Run | Name::Other => "ONBUILD",
        Name::From | Name::Onbuild => return Err(bad("ONBUILD", Why::Trigger)),
    };
    let taken = || {
        let read = plain(&only.text, name)?;
        match name {
            Name::Add => {
                let mut taken = addresses(&read, '\\')?;
                for what in addresses(&read, '`')? {
                    if !taken.contains(&what) {
                        taken.push(what);
                    }
                }
                Ok(taken)
            }
            // The stages will be those of another text.
            Name::Copy => images(&read, &BTreeSet::new()),
            Name::Arg | Name::From | Name::Onbuild | Name::Run | Name::Other | Name::Unknown => Ok(Vec::new()),
        }
    };
    for what in taken().map_err(|why| bad(instruction, why))? {
        let source = Source { what, line, instruction, platform: None, is_built: true };
        keep(found, source).map_err(|why| bad(instruction, why))?;
    }
    Ok(())
}

struct File<'a> {
    escape: char,
    build_args: &'a BTreeMap<String, Option<String>>,
    /// The last stage that is built, in lower case
    target: String,
    /// Whether that one is done
    is_past: bool,
    /// Those before the first stage, with their defaults
    arguments: BTreeMap<String, Option<String>>,
    /// The names of the stages that are done, in lower case
    stages: BTreeSet<String>,
    /// How many stages have begun
    begun: usize,
    /// The name of the last of them
    current: Option<String>,
    found: Vec<Source>,
}

impl File<'_> {
    fn instruction(&mut self, text: &str, name: Name, line: u32) -> Result<(), Why> {
        let read = plain(text, name)?;
        let mut platform = None;
        let (taken, instruction) = match name {
            Name::From => {
                let image = self.from(&read)?;
                platform = self.platform(&read)?;
                (image.into_iter().map(Taken::Image).collect(), "FROM")
            }
            Name::Copy => (images(&read, &self.stages)?, "COPY --from"),
            Name::Add => (addresses(&read, self.escape)?, "ADD"),
            Name::Arg if self.begun == 0 => return self.argument(&read),
            Name::Arg | Name::Onbuild | Name::Run | Name::Other | Name::Unknown => return Ok(()),
        };
        let (platform, is_built) = (&platform, !self.is_past);
        taken.into_iter().try_for_each(|what| {
            keep(&mut self.found, Source { what, line, instruction, platform: platform.clone(), is_built })
        })
    }

    /// `ARG` before the first stage
    fn argument(&mut self, read: &Instruction<'_>) -> Result<(), Why> {
        let mut arguments = Vec::new();
        for word in quoted_words(read.rest, self.escape)? {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.is_empty() || !name.chars().all(plain) {
                return Err(Why::Argument(name.to_owned()));
            }
            let value = value.map(|value| self.expand(value)).transpose()?;
            arguments.push((name.to_owned(), value));
        }
        // None of them sees another of the same line.
        self.arguments.extend(arguments);
        if self.arguments.len() > MOST { Err(Why::Many) } else { Ok(()) }
    }

    /// `FROM`; the image, unless it is an earlier stage or none
    fn from(&mut self, read: &Instruction<'_>) -> Result<Option<ImageRef>, Why> {
        let words = read.words();
        let (base, name) = match words.as_slice() {
            [base] => (*base, None),
            [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => (*base, Some(stage(name)?)),
            _ => return Err(Why::From),
        };
        self.begun += 1;
        if self.begun > MOST {
            return Err(Why::Many);
        }
        let done = std::mem::replace(&mut self.current, name);
        // The first of a name is the target; of another alphabet's, which engines fold as well, there is no stage here.
        self.is_past |= done.as_ref() == Some(&self.target);
        self.stages.extend(done);
        let base = self.expand(base)?;
        match base.as_str() {
            "" => Err(Why::From),
            "scratch" => Ok(None),
            base if is_stage(&self.stages, base) => Ok(None),
            base => ImageRef::read(base).map(Some).map_err(Why::Image),
        }
    }

    /// What `FROM` says of the platform
    fn platform(&self, read: &Instruction<'_>) -> Result<Option<String>, Why> {
        let said = read.flags.iter().rev().find_map(|flag| flag.strip_prefix("--platform="));
        said.map(|said| self.expand(said)).transpose()
    }

    fn expand(&self, word: &str) -> Result<String, Why> {
        match expand(word, self.escape, &|name| self.look(name))? {
            Expanded::Whole(text) => Ok(text),
            Expanded::Begins(_) => Err(Why::Form(word.to_owned())),
        }
    }

    /// An argument before the first stage: what the client gives for it, or its default
    fn look(&self, name: &str) -> Result<Variable, Why> {
        let given = self.build_args.get(name).and_then(Option::as_deref);
        match (self.arguments.get(name), given) {
            (Some(_), Some(given)) => Ok(Variable::Set(given.to_owned())),
            (Some(Some(default)), None) => Ok(Variable::Set(default.clone())),
            // 20.10 knows fewer of these than later engines.
            (None, Some(_)) if PROXIES.contains(&name.to_ascii_lowercase().as_str()) => {
                Err(Why::Undeclared(name.to_owned()))
            }
            (Some(None), None) | (None, _) => Ok(Variable::Unset),
        }
    }
}

/// Takes an instruction apart that holds no document of its own
fn plain(text: &str, name: Name) -> Result<Instruction<'_>, Why> {
    let read = Instruction::read(text)?;
    if matches!(name, Name::Add | Name::Copy | Name::Run) && may_begin_a_document(text) {
        return Err(Why::Heredoc);
    }
    Ok(read)
}

/// `COPY --from`
///
/// A number is a stage or an error, never an image.
fn images(read: &Instruction<'_>, stages: &BTreeSet<String>) -> Result<Vec<Taken>, Why> {
    let mut taken = Vec::new();
    for flag in &read.flags {
        let Some(from) = flag.strip_prefix("--from=") else { continue };
        if from.contains('$') {
            return Err(Why::Flag(flag.clone()));
        }
        let number = from.parse::<i32>().is_ok() && from.bytes().all(|byte| byte.is_ascii_digit());
        if !from.is_empty() && !number && !is_stage(stages, from) {
            taken.push(Taken::Image(ImageRef::read(from).map_err(Why::Image)?));
        }
    }
    Ok(taken)
}

/// `ADD`: every source that is an address
fn addresses(read: &Instruction<'_>, escape: char) -> Result<Vec<Taken>, Why> {
    let mut words = read.words_or_json()?;
    words.pop();
    let mut taken = Vec::new();
    for word in words {
        match expand(&word, escape, &|_| Ok(Variable::Unknown))? {
            Expanded::Whole(text) if is_address(&text) => taken.push(Taken::Url(text)),
            Expanded::Begins(text) if is_address(&text) => return Err(Why::Address(word)),
            Expanded::Begins(text) if SCHEMES.iter().any(|scheme| scheme.starts_with(&text.to_ascii_lowercase())) => {
                return Err(Why::MayBeAddress(word));
            }
            Expanded::Whole(_) | Expanded::Begins(_) => {}
        }
    }
    Ok(taken)
}

fn keep(found: &mut Vec<Source>, source: Source) -> Result<(), Why> {
    if found.len() >= MOST {
        return Err(Why::Many);
    }
    found.push(source);
    Ok(())
}

fn stage(name: &str) -> Result<String, Why> {
    let lower = name.to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = lower.starts_with(|c: char| c.is_ascii_lowercase()) && lower.chars().all(plain);
    if good { Ok(lower) } else { Err(Why::Stage(name.to_owned())) }
}

fn is_stage(stages: &BTreeSet<String>, name: &str) -> bool {
    stages.contains(&name.to_ascii_lowercase())
}

/// The engine compares the case as well; a context has no file of such a name
fn is_address(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// Whether some engine may find a here-document: `<<` where a word begins, digits and escapes aside
fn may_begin_a_document(text: &str) -> bool {
    let text = text.replace(['\\', '`'], "");
    text.match_indices("<<").any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or(""), text.get(at + 2..).unwrap_or(""));
        let word = before.trim_end_matches(|c: char| c.is_ascii_digit());
        !before.ends_with('<') && !after.starts_with('<') && (word.is_empty() || word.ends_with(char::is_whitespace))
    })
}

const SCHEMES: [&str; 2] = ["http://", "https://"];

const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
