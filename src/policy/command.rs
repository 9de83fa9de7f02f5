//! A test's request: a `docker …` command line, read as the docker CLI reads it, or method, path and body.
//!
//! Only what the command asks of the engine matters here: each command is one line of a table (`table`) that says
//! which requests it makes, and each option says which field or parameter it sets. Nothing is looked up, so objects
//! that a command would make first are called `new`.

use std::ops::Range;

use hyper::Method;

use crate::api::call::{Call, Unrouted};
use crate::api::closed::Closed;
use crate::api::credentials::RegistryHeaders;
use crate::api::operation::Operation;
use crate::api::route::NoRoute;
use crate::policy::command::buildkit::with_buildkit;
use crate::policy::command::buildx::Words;
use crate::policy::command::draft::Draft;
use crate::policy::command::table::{BUILDX, Command, Operands, TABLES};
use crate::policy::command::words::{Word, split};
use crate::policy::file::Request;
use crate::policy::report::nearest;

mod buildkit;
mod buildx;
mod csv;
mod draft;
mod exec;
mod image;
mod mount;
mod network;
mod option;
mod publish;
mod run;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod words;

/// What one request of a test comes to
#[derive(Debug, Clone)]
pub enum Asked {
    /// An operation to judge
    Operation(Box<Operation>),
    /// A closed one
    Closed(&'static Closed),
}

/// Why a request is not understood
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// What is wrong
    pub what: String,
    /// The word of the command line it is about
    pub word: Option<Range<usize>>,
    /// What to do instead
    pub help: Option<String>,
}

impl BadRequest {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), word: None, help: None }
    }

    fn at(self, word: &Word) -> Self {
        Self { word: self.word.or(Some(word.span.clone())), ..self }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// One HTTP request
#[derive(Debug, Clone, PartialEq, Eq)]
struct Http {
    method: String,
    target: String,
    body: Vec<u8>,
}

/// The operations that a test's request comes to
///
/// # Errors
/// When the command, or a request, is not understood.
pub fn asked(request: &Request) -> Result<Vec<Asked>, BadRequest> {
    let (requests, buildkit) = match request {
        Request::Command(line) => command(line)?,
        Request::Http { method, path, body } => {
            let body = body.as_ref().map(|json| json.to_bytes()).unwrap_or_default();
            (vec![Http { method: method.clone(), target: path.clone(), body }], None)
        }
    };
    let asked: Vec<Asked> = requests.iter().map(read).collect::<Result<_, _>>()?;
    let Some(words) = buildkit else { return Ok(asked) };
    let asked: Vec<_> = asked.into_iter().map(|asked| with_buildkit(asked, &words)).collect::<Result<_, _>>()?;
    Ok(asked.into_iter().flatten().collect())
}

fn read(Http { method, target, body }: &Http) -> Result<Asked, BadRequest> {
    let wrong = |what: String| BadRequest::new(format!("`{method} {target}`: {what}"));
    let method: Method = method.parse().map_err(|_| wrong("this is no HTTP method".to_owned()))?;
    let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    match Call::read(&method, path, query, RegistryHeaders::default()) {
        Ok(call) => match call.operation(body) {
            Ok(operation) => Ok(Asked::Operation(Box::new(operation))),
            Err(error) => Err(wrong(error.to_string())),
        },
        Err(Unrouted::Route(NoRoute::Closed(closed))) => Ok(Asked::Closed(closed)),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The requests that a command line makes, and what it says to BuildKit where it wants that
fn command(line: &str) -> Result<(Vec<Http>, Option<Words>), BadRequest> {
    let words = split(line)?;
    let (buildkit, words) = environment(&words)?;
    let Some((docker, words)) = words.split_first().filter(|(first, _)| first.text == "docker") else {
        return Err(BadRequest::new("the command line must begin with `docker`"));
    };
    let Some((found, rest)) = find(words) else { return Err(unknown(words, docker)) };
    // Since Docker 23 one is the other.
    let command = if buildkit && found.names.contains(&"build") { &BUILDX } else { found };
    let mut draft = Draft::default();
    let operands = option::apply(command, rest, &mut draft)?;
    let is_buildx = command.names == BUILDX.names;
    let context = operands.first().map(|word| word.text.clone()).unwrap_or_default();
    let buildx = is_buildx.then(|| Words { notes: draft.notes.clone(), context });
    let whole = |error: BadRequest| error.at(words.first().unwrap_or(docker));
    let requests = match command.operands {
        Operands::None => match operands.first() {
            Some(word) => Err(BadRequest::new("this command takes no arguments").at(word)),
            None => Ok(draft.requests(command.steps, "")),
        },
        Operands::Each if operands.is_empty() => Err(whole(BadRequest::new("this command needs an argument"))),
        Operands::Each => Ok(operands.iter().flat_map(|word| draft.requests(command.steps, &word.text)).collect()),
        Operands::Custom(make) => make(draft, &operands).map_err(whole),
    };
    Ok((requests?, buildx))
}

/// `NAME=value` before the command; only `DOCKER_BUILDKIT` matters
fn environment(words: &[Word]) -> Result<(bool, &[Word]), BadRequest> {
    let mut rest = words;
    let mut buildkit = false;
    while let Some((word, after)) = rest.split_first() {
        let Some((name, value)) = word.text.split_once('=').filter(|(name, _)| !name.starts_with('-')) else { break };
        if name != "DOCKER_BUILDKIT" {
            return Err(BadRequest::new("this variable has no meaning here").at(word));
        }
        buildkit = value != "0";
        rest = after;
    }
    Ok((buildkit, rest))
}

/// The command with the longest name that the words begin with
fn find(words: &[Word]) -> Option<(&'static Command, &[Word])> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let begins = |name: &str| {
        let name: Vec<&str> = name.split(' ').collect();
        texts.starts_with(&name).then_some(name.len())
    };
    let commands = TABLES.iter().copied().flatten();
    let found =
        commands.filter_map(|command| Some((command, command.names.iter().filter_map(|name| begins(name)).max()?)));
    let (command, length) = found.max_by_key(|(_, length)| *length)?;
    Some((command, words.get(length..)?))
}

fn unknown(words: &[Word], docker: &Word) -> BadRequest {
    let Some(first) = words.first() else { return BadRequest::new("the command is missing").at(docker) };
    if first.text.starts_with('-') {
        return BadRequest::new("options of docker itself have no meaning here").at(first);
    }
    if first.text == "compose" {
        let problem = BadRequest::new("Compose makes many requests, which depend on its file").at(first);
        return problem.help("test the requests that matter, as `{ method = …, path = …, body = … }`");
    }
    if first.text == "buildx" && words.get(1).is_some_and(|second| second.text == "bake") {
        let problem = BadRequest::new("what bake builds depends on its file").at(first);
        return problem.help("test what its targets ask for, as `docker buildx build …`");
    }
    let two = words.get(1).map(|second| format!("{} {}", first.text, second.text));
    let names: Vec<&str> = TABLES.iter().copied().flatten().flat_map(|command| command.names).copied().collect();
    let near = two.iter().find_map(|two| nearest(two, names.iter().copied()).filter(|name| name.contains(' ')));
    let near = near.or_else(|| nearest(&first.text, names.iter().copied().filter(|name| !name.contains(' '))));
    let problem = BadRequest::new(format!("`docker {}` is not known here", first.text)).at(first);
    match near {
        Some(near) => problem.help(format!("did you mean `docker {near}`?")),
        None => problem.help("write the request as `{ method = …, path = …, body = … }`"),
    }
}
