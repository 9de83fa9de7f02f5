//! What real clients asked, read as the exchange reads it: each request is understood, or closed by a name that stands
//! here, and nothing that was said is lost on the way to the engine.
//!
//! The requests in `data/recorded` came from the clients themselves; `recorded/record` says how.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "recorded/request.rs"]
mod request;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use request::{Recorded, recorded};
use serde_json::Value;
use sockwarden::api::buildkit::session::{HEALTH_TIMEOUT, METHOD, NAME, SHARED_KEY, SessionHeaders, UUID};
use sockwarden::api::call::{Call, Outgoing, Unrouted};
use sockwarden::api::credentials::RegistryHeaders;
use sockwarden::api::operation::{ENDPOINTS, Operation};
use sockwarden::api::request::BodyKind;
use sockwarden::api::route::NoRoute;
use sockwarden::api::target::Target;
use sockwarden::api::version::ApiVersion;

/// What clients ask for that is closed, by its name in `api/closed.rs`, which says why
const CLOSED: &[&str] =
    &["config.list", "node.list", "plugin.inspect", "plugin.list", "secret.list", "service.list", "swarm.inspect"];

/// What is refused though a client asks for it: how the refusal begins, and why
const REFUSED: &[(&str, &str)] = &[
    ("body field ClusterVolumeSpec: unknown field", "cluster volumes belong to swarm, which is closed"),
    ("body field HostConfig.Isolation: unknown field", "Windows only; sent for --isolation alone"),
    ("query parameter `securityopt`: ", "Windows only; an engine on Linux refuses it too"),
];

/// What is dropped though it says something: no engine from API 1.24 on reads it
const DROPPED: &[&str] = &[
    // docker-py, for `docker tag --force` of old
    "force=1 became []",
    // docker-py, for a network without settings: a key that `NetworkingConfig` does not have, with `null`
    ".NetworkingConfig.swj-py: null",
];

#[derive(Debug)]
enum Outcome {
    Understood(Box<Operation>, ApiVersion),
    Closed(&'static str),
    Refused(String),
}

fn read(method: &str, target: &str, headers: RegistryHeaders, body: &[u8]) -> Outcome {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = match Call::read(&method.parse().unwrap(), path, query, headers) {
        Ok(call) => call,
        Err(Unrouted::Route(NoRoute::Closed(closed))) => return Outcome::Closed(closed.name),
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let version = call.version.unwrap_or(ApiVersion::MAX);
    let body = if call.route.endpoint.body == BodyKind::Stream { &[] } else { body };
    match call.operation(body) {
        Ok(operation) => Outcome::Understood(Box::new(operation), version),
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

fn outcome(request: &Recorded) -> Outcome {
    let (auth, config) = (request.header("X-Registry-Auth"), request.header("X-Registry-Config"));
    let methods = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(METHOD));
    let session = session(|name| request.header(name), methods.map(|(_, value)| value.clone()).collect());
    read(&request.method, &request.target, RegistryHeaders { auth, config, session }, &request.body)
}

fn session(header: impl Fn(&str) -> Option<String>, methods: Vec<String>) -> SessionHeaders {
    SessionHeaders {
        uuid: header(UUID),
        name: header(NAME),
        shared_key: header(SHARED_KEY),
        methods,
        health_timeout: header(HEALTH_TIMEOUT),
    }
}

/// Every request that is understood, with what came of it
fn understood() -> Vec<(Recorded, Operation, Outgoing)> {
    let all = recorded().into_iter().filter_map(|request| match outcome(&request) {
        Outcome::Understood(operation, version) => {
            let outgoing = Outgoing::write(&operation, version);
            Some((request, *operation, outgoing))
        }
        Outcome::Closed(_) | Outcome::Refused(_) => None,
    });
    all.collect()
}

#[test]
fn every_client_is_there_and_asks_enough() {
    let clients: BTreeSet<_> = recorded().into_iter().map(|request| request.client).collect();
    let expected = [
        "bollard",
        "compose-2.26",
        "compose-2.40",
        "docker-20.10",
        "docker-26.1",
        "docker-28.5",
        "docker-py",
        "dockerode",
        "testcontainers-node",
        "testcontainers-python",
        "testcontainers-rust",
    ];
    assert_eq!(clients.iter().map(String::as_str).collect::<Vec<_>>(), expected);

    let asked: BTreeSet<_> = understood().iter().map(|(_, operation, _)| operation.endpoint().name).collect();
    let unasked: BTreeSet<_> =
        ENDPOINTS.iter().map(|endpoint| endpoint.name).filter(|name| !asked.contains(name)).collect();
    assert!(unasked.is_empty(), "no client asks for {unasked:?}");
}

#[test]
fn every_request_is_understood_or_closed_by_name() {
    let mut closed = BTreeSet::new();
    let mut refused = BTreeSet::new();
    let mut surprises = Vec::new();
    for request in recorded() {
        match outcome(&request) {
            Outcome::Understood(..) => {}
            Outcome::Closed(name) if CLOSED.contains(&name) => {
                closed.insert(name);
            }
            outcome => match REFUSED
                .iter()
                .find(|(why, _)| matches!(&outcome, Outcome::Refused(said) if said.starts_with(why)))
            {
                Some(expected) => {
                    refused.insert(expected);
                }
                None => surprises.push(format!("{request}\n    {outcome:?}")),
            },
        }
    }
    assert!(surprises.is_empty(), "{} were not understood:\n{}", surprises.len(), surprises.join("\n"));
    assert_eq!(closed, CLOSED.iter().copied().collect(), "what is listed as closed is not what is asked for");
    assert_eq!(refused.len(), REFUSED.len(), "of what is listed only this is refused: {refused:?}");
}

#[test]
fn what_is_written_says_the_same() {
    for (request, operation, outgoing) in understood() {
        let header = |name: &str| outgoing.header(name).map(str::to_owned);
        let methods = outgoing.headers.iter().filter(|(name, _)| *name == METHOD);
        let headers = RegistryHeaders {
            auth: header("X-Registry-Auth"),
            config: header("X-Registry-Config"),
            session: session(header, methods.map(|(_, value)| value.clone()).collect()),
        };
        let body = outgoing.body.clone().unwrap_or_default();
        let Outcome::Understood(again, version) = read(outgoing.method.as_str(), &outgoing.target, headers, &body)
        else {
            panic!("what is written for this is not understood: {request}\n{outgoing:?}")
        };
        assert_eq!(*again, operation, "{request}");
        assert_eq!(Outgoing::write(&again, version), outgoing, "{request}");
    }
}

#[test]
fn nothing_that_was_said_is_lost() {
    let (mut lost, mut dropped) = (Vec::new(), BTreeSet::<&str>::new());
    for (request, operation, outgoing) in understood() {
        let mut here = Vec::new();
        if operation.endpoint().body == BodyKind::Json {
            let [mut said, sent]: [Value; 2] = [&request.body, &outgoing.body.clone().unwrap_or_default()]
                .map(|body| serde_json::from_slice(body).unwrap_or_default());
            if let Value::Object(members) = &mut said {
                members.retain(|key, value| !says_it_too(&request, key, value));
            }
            missing("", &said, &sent, &mut here);
        }
        missing_in_query(&request, &outgoing, &mut here);
        for name in ["X-Registry-Auth", "X-Registry-Config"] {
            let Some(said) = request.header(name).map(|value| credentials(&value)) else { continue };
            let sent = outgoing.header(name).map(credentials);
            missing(name, &said, &sent.unwrap_or_default(), &mut here);
        }
        dropped.extend(DROPPED.iter().filter(|expected| here.iter().any(|what| what == *expected)));
        here.retain(|what| !DROPPED.contains(&what.as_str()));
        if !here.is_empty() {
            lost.push(format!("{request}\n    {}", here.join("\n    ")));
        }
    }
    assert!(lost.is_empty(), "{} lost something:\n{}", lost.len(), lost.join("\n"));
    assert_eq!(dropped.len(), DROPPED.len(), "of what is listed only this is dropped: {dropped:?}");
}

#[test]
fn every_request_is_a_seed_of_the_fuzz_target() {
    let directory = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/seeds");
    assert!(Command::new(script).arg(directory.path()).status().unwrap().success());
    let seeds: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert_eq!(seeds.len(), recorded().len());
    for seed in seeds {
        sockwarden::fuzzing::call(&std::fs::read(seed).unwrap());
    }
}

/// What of `said` is not in `sent`; a field that says nothing may be left out, an entry of a map may not
fn missing(at: &str, said: &Value, sent: &Value, lost: &mut Vec<String>) {
    match (said, sent) {
        (Value::Object(said), Value::Object(sent)) => {
            for (key, value) in said {
                let field = key.starts_with(|c: char| c.is_ascii_uppercase());
                match sent.get(key) {
                    Some(sent) => missing(&format!("{at}.{key}"), value, sent, lost),
                    None if field && is_zero(value) => {}
                    None => lost.push(format!("{at}.{key}: {value}")),
                }
            }
        }
        (Value::Array(said), Value::Array(sent)) if said.len() == sent.len() => {
            for (said, sent) in said.iter().zip(sent) {
                missing(&format!("{at}[]"), said, sent, lost);
            }
        }
        _ if said == sent || (is_zero(said) && is_zero(sent)) => {}
        _ => lost.push(format!("{at}: {said} became {sent}")),
    }
}

/// Whether a member of the body is a repetition of the query, or an option of the client to itself
///
/// dockerode sends all its options in both places; the engine reads each in one.
fn says_it_too(request: &Recorded, key: &str, value: &Value) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let repeated = key.starts_with(|c: char| c.is_ascii_lowercase())
        && query(&request.target).iter().any(|(name, said)| name == key && (*said == text || value.is_object()));
    repeated || OWN_OPTIONS.contains(&key)
}

const OWN_OPTIONS: &[&str] = &["hijack", "stdin"];

fn query(target: &str) -> Vec<(String, String)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Target::read(path, Some(query)).unwrap().query
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.values().all(is_zero),
    }
}

/// The same for query parameters; JSON in them may be spelled otherwise, and so may a truth
fn missing_in_query(request: &Recorded, outgoing: &Outgoing, lost: &mut Vec<String>) {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let sent = query(&outgoing.target);
    for (key, said) in query(&request.target) {
        let repeats_body = key.starts_with(|c: char| c.is_ascii_uppercase()) && body.get(&key).is_some();
        if repeats_body || key == "hijack" {
            continue;
        }
        let values: Vec<_> = sent.iter().filter(|(sent, _)| *sent == key).map(|(_, value)| value.as_str()).collect();
        let json = |text: &str| serde_json::from_str::<Value>(text).ok().filter(|v| v.is_object() || v.is_array());
        let nothing = ["", "0", "false", "False", "null", "[]", "{}"].contains(&said.as_str());
        let truth = |text: &str| ["1", "true", "True"].contains(&text);
        let same = |sent: &&str| match (json(&said), json(sent)) {
            (Some(said), Some(sent)) => {
                let mut lost = Vec::new();
                missing("", &filters(said), &filters(sent), &mut lost);
                lost.is_empty()
            }
            _ => said == **sent || (truth(&said) && truth(sent)),
        };
        if !nothing && !values.iter().any(same) {
            lost.push(format!("{key}={said} became {values:?}"));
        }
    }
}

/// Filters are written as sets, and older clients write lists: `{"a":["b"]}` is `{"a":{"b":true}}`
fn filters(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let one = |value: Value| match value {
        Value::Array(values) => {
            values.into_iter().map(|value| (value.as_str().unwrap_or_default().to_owned(), Value::Bool(true))).collect()
        }
        other => other,
    };
    Value::Object(members.into_iter().map(|(key, value)| (key, one(value))).collect())
}

/// Keys come in any case, which the engine does not mind
fn credentials(header: &str) -> Value {
    let json = CODEC.decode(header).unwrap();
    lower(serde_json::from_slice(&json).unwrap_or_default())
}

fn lower(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), lower(value)))
            .filter(|(_, value)| !is_zero(value))
            .collect(),
        other => other,
    }
}

const CODEC: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);
