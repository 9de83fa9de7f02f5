//! Dockerfiles as engines read them, held against how `api::dockerfile` does: an engine builds each by its classic builder,
//! and a service of the test's own counts what it is asked for.
//!
//! Nothing here goes through sockwarden. Whatever an engine fetches must be listed, or the text refused. That each engine
//! fetches what it is said to fetch keeps the test from passing where nothing is fetched at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sockwarden::api::dockerfile::{Source, Taken, sources};

use self::cases::{Case, Listed};
use super::build::loopback::Loopback;
use super::http::{Framing, ask, request, send};
use super::setting::Engine;
use super::tar::tar;

mod cases;
mod drawn;

/// Plays those of a list; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let service = Loopback::saying("x");
    let failed = cases::CASES.iter().filter_map(|case| play(engine, &service, case).err());
    failed.chain(variables(engine, &service)).collect()
}

/// A base image that has a variable twice has the last word on it, whatever a stage says, so no variable of a stage is known
fn variables(engine: &Engine, service: &Loopback) -> Option<String> {
    let name = format!("swt-{}-dockerfiles", std::process::id());
    let create = r#"{"Image":"busybox:test","Env":["V=x","V=a"],"Cmd":["true"]}"#;
    let container = ask(&engine.socket, "POST", "/containers/create", create).json();
    let container = container["Id"].as_str().unwrap_or("none");
    ask(&engine.socket, "POST", &format!("/commit?container={container}&repo={name}"), "");
    let host = format!("127.0.0.1:{}", service.port());
    let text = format!("FROM {name}\nARG V=c\nENV V=b\nADD http://{host}/$V /x\n");
    let (fetched, end) = build(engine, service, &text, &[]);
    let (read, said) = names(&text, &[]);
    for there in [format!("/containers/{container}?force=1"), format!("/images/{name}")] {
        ask(&engine.socket, "DELETE", &there, "");
    }
    let holds = fetched.iter().eq(["a"]) && read.is_none();
    (!holds).then(|| format!("{text:?} fetched {fetched:?}, read as {read:?} {said}: {end}"))
}

/// Plays some that chance has bent; says what failed
///
/// `SOCKWARDEN_DOCKERFILES` is how many.
pub fn drawn(engine: &Engine) -> Vec<String> {
    let count = std::env::var("SOCKWARDEN_DOCKERFILES").map_or(60, |count| count.parse().unwrap());
    let service = Loopback::saying("x");
    let (mut failed, mut fetched_of_listed, mut fetched_of_refused) = (Vec::new(), 0, 0);
    for number in 0..count {
        let text = drawn::text(number).replace("HOST", &format!("127.0.0.1:{}", service.port()));
        let (read, _) = names(&text, drawn::ARGUMENTS);
        let (fetched, end) = build(engine, &service, &text, drawn::ARGUMENTS);
        match read {
            Some(read) if !fetched.is_subset(&read) => {
                failed.push(format!("number {number}: {text:?}\n  read: {read:?}\n  fetched: {fetched:?} {end}"));
            }
            Some(_) if !fetched.is_empty() => fetched_of_listed += 1,
            None if !fetched.is_empty() => fetched_of_refused += 1,
            Some(_) | None => {}
        }
    }
    if fetched_of_listed * 8 < count || fetched_of_refused == 0 {
        failed
            .push(format!("of {count}, {fetched_of_listed} listed and {fetched_of_refused} refused ones were fetched"));
    }
    failed
}

fn play(engine: &Engine, service: &Loopback, case: &Case) -> Result<(), String> {
    let Case { text, arguments, listed, fetched_by } = case;
    let text = text.replace("HOST", &format!("127.0.0.1:{}", service.port()));
    let (read, said) = names(&text, arguments);
    let (fetched, end) = build(engine, service, &text, arguments);
    let failed = |what: &str| format!("{what}: {text:?}\n  read: {read:?} {said}\n  fetched: {fetched:?} {end}");
    match (&read, listed) {
        (Some(read), _) if !fetched.is_subset(read) => return Err(failed("something is fetched that is not listed")),
        (Some(read), Listed::Names(names)) if !read.iter().eq(names.iter()) => {
            return Err(failed(&format!("it should be read as {names:?}")));
        }
        (None, Listed::Names(names)) => return Err(failed(&format!("it should be read as {names:?}"))),
        (Some(_), Listed::Refused) => return Err(failed("it should be refused")),
        (Some(_), Listed::Names(_)) | (None, Listed::Refused) => {}
    }
    if engine.is_among(fetched_by) == fetched.is_empty() {
        return Err(failed(&format!("it should be fetched by {fetched_by:?}")));
    }
    Ok(())
}

/// What `sources` lists of the service, by its name there, or why it refuses the text
fn names(text: &str, arguments: &[(&str, &str)]) -> (Option<BTreeSet<String>>, String) {
    let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
    let listed = match sources(text.as_bytes(), &arguments, "") {
        Ok(listed) => listed,
        Err(bad) => return (None, bad.to_string()),
    };
    let of_the_service = |source: &Source| match &source.what {
        Taken::Image(image) => {
            let image = image.to_string();
            let (host, name) = image.split_once('/').unwrap();
            host.starts_with("127.0.0.1:").then(|| name.trim_end_matches(":latest").to_owned())
        }
        Taken::Url(url) => {
            url.to_ascii_lowercase().strip_prefix("http://127.0.0.1:").and_then(|rest| name(&target(rest)))
        }
    };
    (Some(listed.iter().filter_map(of_the_service).collect()), String::new())
}

/// What is asked for by an address whose port stands first
fn target(address: &str) -> String {
    let path = address.split(['#', '?']).next().unwrap_or("").trim_start_matches(|c: char| c.is_ascii_digit());
    let coded = |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(coded).collect()
}

/// What an engine fetches for it, and how its build ends
fn build(engine: &Engine, service: &Loopback, text: &str, arguments: &[(&str, &str)]) -> (BTreeSet<String>, String) {
    let _ = service.take_asked();
    let arguments: BTreeMap<_, _> = arguments.iter().copied().collect();
    let query = format!(
        "buildargs={}&nocache=1&q=1&networkmode=none&forcerm=1",
        encoded(&serde_json::to_string(&arguments).unwrap())
    );
    let context = tar(&[("Dockerfile", text.as_bytes()), ("file", b"x")]);
    let headers = ["Content-Type: application/x-tar".to_owned()];
    let bytes = request("POST", &format!("/build?{query}"), &headers, &context, Framing::Length);
    let end = send(&engine.socket, &bytes, 1).remove(0).text();
    let last = end.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()).unwrap_or_default();
    let steps: Vec<_> = end.split(" ---\\u003e ").filter_map(|rest| rest.get(..12)).collect();
    let made = last["stream"].as_str().map(str::trim).filter(|image| image.starts_with("sha256:"));
    for image in steps
        .into_iter()
        .chain(made)
        .rev()
        .filter(|image| image.trim_start_matches("sha256:").bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        ask(&engine.socket, "DELETE", &format!("/images/{image}"), "");
    }
    let fetched = service.take_asked();
    (fetched.iter().filter_map(|target| name(target)).collect(), end)
}

/// What a target of the service stands for: `/v2/` is where every registry is asked first
fn name(target: &str) -> Option<String> {
    match target.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["v2"] | ["v2", ""] => None,
        ["v2", name, ..] | [name, ..] => Some((*name).to_owned()),
        [] => None,
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
