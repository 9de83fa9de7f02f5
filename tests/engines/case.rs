//! Cases as data: `tests/cases/*.toml`, one file a family, each case a claim.
//!
//! A case says how to see in the engine that the attack worked. Behind sockwarden that must not be seen; the same bytes
//! on the bare engine must show it (`works_on`), so that no case is about nothing. In `everyday` it is the reverse:
//! what is allowed must be seen to work.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::http::{Framing, request};
use super::stage::Needs;

/// One file
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: Written,
    case: Vec<Written>,
}

/// A case as written; what it leaves out is taken from `[default]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The claim
    #[serde(default)]
    name: String,
    /// Method and target
    request: Option<String>,
    /// More header lines
    #[serde(default)]
    headers: Vec<String>,
    /// The `HostConfig` of a container create
    host: Option<String>,
    /// Body in full
    body: Option<String>,
    /// The bytes of the whole connection; `{length}` counts what follows the first head, up to `{end}`
    raw: Option<String>,
    /// Send the body in chunks
    chunked: Option<bool>,
    /// Expected status
    status: Option<u16>,
    /// Expected statuses, where one connection brings several answers
    answers: Option<Vec<u16>>,
    /// Part of the last answer
    message: Option<String>,
    /// Shipped policy
    policy: Option<String>,
    /// One case for each value of `{each}`
    each: Option<Vec<String>>,
    /// How to see that it worked
    effect: Option<Effect>,
    /// Whether the bare engine is asked too; `false` where that would hurt others or needs what no test machine has
    direct: Option<bool>,
    /// Engines that do it when asked directly, by their generation or name; all by default
    works_on: Option<Vec<String>>,
}

/// Where to look in the engine
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// A target; without more, that it is there is the effect
    pub get: String,
    /// JSON pointer into the answer
    pub at: Option<String>,
    /// The value there
    pub is: Option<Value>,
    /// Text that the value there contains, as JSON
    pub has: Option<String>,
    /// Text that the value there no longer contains
    pub lacks: Option<String>,
    /// That it is gone is the effect
    #[serde(default)]
    pub gone: bool,
}

/// A case ready to run
#[derive(Debug, Clone)]
pub struct Case {
    /// The claim, with the value of `{each}`
    pub name: String,
    /// Shipped policy
    pub policy: String,
    /// Expected statuses, in order
    pub answers: Vec<u16>,
    /// Part of the last answer
    pub message: Option<String>,
    /// How to see that it worked
    pub effect: Option<Effect>,
    /// Whether the bare engine is asked too
    pub direct: bool,
    /// Engines that do it when asked directly; `None` for all
    pub works_on: Option<Vec<String>>,
    written: Written,
    each: String,
}

/// Every case of a file
pub fn cases(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let File { default, case } = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    case.into_iter().flat_map(|written| ready(&default, written)).collect()
}

fn ready(default: &Written, mut written: Written) -> Vec<Case> {
    assert!(!written.name.is_empty(), "a case without a name: {written:?}");
    written.request = written.request.or_else(|| default.request.clone());
    let status = written.status.or(default.status).unwrap_or(403);
    let each = written.each.clone().unwrap_or_else(|| vec![String::new()]);
    let case = |each: String| Case {
        name: if each.is_empty() { written.name.clone() } else { format!("{}: {each}", written.name) },
        policy: written.policy.clone().or_else(|| default.policy.clone()).unwrap_or_else(|| "ci".to_owned()),
        answers: written.answers.clone().unwrap_or_else(|| vec![status]),
        message: written.message.clone().or_else(|| default.message.clone()).map(|text| text.replace("{each}", &each)),
        effect: written.effect.clone().or_else(|| default.effect.clone()),
        direct: written.direct.or(default.direct).unwrap_or(true),
        works_on: written.works_on.clone().or_else(|| default.works_on.clone()),
        written: written.clone(),
        each,
    };
    each.into_iter().map(case).collect()
}

impl Case {
    /// Whether the case is about something that must not happen
    pub fn is_attack(&self) -> bool {
        self.answers.iter().any(|status| *status >= 400)
    }

    /// Whether it speaks of the object `{NAME…}`
    pub fn mentions(&self, name: &str) -> bool {
        let Written { request, headers, host, body, raw, .. } = &self.written;
        let get = self.effect.as_ref().map(|effect| &effect.get);
        let texts = [request, host, body, raw].into_iter().flatten().chain(headers).chain(get);
        let begin = format!("{{{name}");
        texts.into_iter().any(|text| text.contains(&begin)) || self.each.contains(&begin)
    }

    /// What the containers it speaks of must have; most attacks need them only to be there
    pub fn needs(&self) -> Needs {
        let Written { request, host, body, raw, .. } = &self.written;
        let says = |words: &[&str]| {
            let texts = [request, host, body].into_iter().flatten();
            texts.chain([&self.each]).any(|text| words.iter().any(|word| text.contains(word)))
        };
        Needs {
            network: says(&["/networks/", "_network"]),
            life: raw.is_some() || says(&["/exec", "/kill", "/pause", "_exec"]),
        }
    }

    /// Puts the names in the place of the braces
    pub fn fill(&self, text: &str, names: &BTreeMap<String, String>) -> String {
        let text = text.replace("{each}", &self.each);
        names.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// The bytes to send
    pub fn bytes(&self, names: &BTreeMap<String, String>) -> Vec<u8> {
        let Written { request: line, headers, host, body, raw, chunked, .. } = &self.written;
        if let Some(raw) = raw {
            return raw_bytes(&self.fill(raw, names));
        }
        let line = line.as_deref().unwrap_or_else(|| panic!("{}: no request", self.name));
        let line = self.fill(line, names);
        let (method, target) = line.split_once(' ').unwrap_or_else(|| panic!("{}: {line}", self.name));
        let body = match (host, body) {
            (Some(host), None) => format!(r#"{{"Image":"{{image}}","HostConfig":{host}}}"#),
            (None, body) => body.clone().unwrap_or_default(),
            (Some(_), Some(_)) => panic!("{}: both host and body", self.name),
        };
        let body = self.fill(&body, names).replace("{nul}", "\0").replace("{bom}", "\u{feff}");
        let headers: Vec<String> = headers.iter().map(|header| self.fill(header, names)).collect();
        let framing = if *chunked == Some(true) { Framing::Chunked } else { Framing::Length };
        request(method, target, &headers, body.as_bytes(), framing)
    }
}

fn raw_bytes(text: &str) -> Vec<u8> {
    let mut text = text.replace('\n', "\r\n").replace("{lf}", "\n");
    if let Some((before, chunk)) = text.split_once("{chunked}") {
        text = format!("{before}{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
    }
    if let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let length = rest.find("{end}").unwrap_or(rest.len());
        let head = head.replace("{length}", &length.to_string());
        text = format!("{head}\r\n\r\n{}", rest.replacen("{end}", "", 1));
    }
    text.into_bytes()
}
