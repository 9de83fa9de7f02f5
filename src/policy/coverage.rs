//! The closed world as a table: every operation, parameter and field, and what becomes of it under a policy.
//!
//! Nothing is listed by hand: each field is given a value, read, and judged, and the asks it adds are what is printed. A
//! field that was added without a decision about it shows here as one that asks for nothing.

use crate::api::closed::CLOSED;
use crate::api::json::Json;
use crate::api::object::{Field, SAMPLE};
use crate::api::operation::{ENDPOINTS, Endpoint, METHODS, Operation};
use crate::api::query::Pairs;
use crate::api::request::{BodyKind, Content, Parts};
use crate::policy::Policy;
use crate::policy::ask::Ask;
use crate::policy::asks::asks;
use crate::policy::asks::buildkit::steps::{Own, brought};
use crate::policy::compile::compile;
use crate::policy::judge::{Facts, judge};
use crate::policy::modify::Change;
use crate::policy::references::references;

/// One line of the table
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Operation
    pub operation: &'static str,
    /// `` for the operation itself, `query.NAME`, or the path of a body field
    pub field: String,
    /// API version that brought it, as `1.43`; older ones say `1.24`
    pub since: String,
    /// What it makes: `asks cap_add`, `names an object`, `nothing`, `refused`, `closed`
    pub treatment: String,
    /// What the policy says of the value that was tried
    pub verdict: String,
}

/// The table under one policy
pub fn coverage(policy: &Policy) -> Vec<Row> {
    let mut rows: Vec<Row> = ENDPOINTS.iter().chain(METHODS).flat_map(|endpoint| of(policy, endpoint)).collect();
    rows.extend(CLOSED.iter().map(|closed| Row {
        operation: closed.name,
        field: String::new(),
        since: String::new(),
        treatment: "closed".to_owned(),
        verdict: closed.reason.to_owned(),
    }));
    rows
}

fn of(policy: &Policy, endpoint: &'static Endpoint) -> Vec<Row> {
    let body = base(endpoint, "");
    let plain = match endpoint.body {
        BodyKind::Message => called(endpoint, Vec::new()),
        BodyKind::Json | BodyKind::Stream => read(endpoint, base_query(endpoint), &body),
    };
    let row = |field: String, since: u8, treatment: String, verdict: String| Row {
        operation: endpoint.name,
        field,
        since: format!("1.{since}"),
        treatment,
        verdict,
    };
    let itself = plain.clone().map(|operation| verdict(policy, operation, 0));
    let mut rows = vec![row(String::new(), 24, "asks operation".to_owned(), itself.unwrap_or_default())];
    for (name, since) in endpoint.parameters {
        let tried = QUERY_SAMPLES.iter().find_map(|sample| {
            let mut query = base_query(endpoint);
            query.retain(|(key, _)| key != name);
            query.push(((*name).to_owned(), (*sample).to_owned()));
            read(endpoint, query, &body)
        });
        let (treatment, verdict) = treat(policy, plain.as_ref(), tried);
        rows.push(row(format!("query.{name}"), *since, treatment, verdict));
    }
    for field in (endpoint.fields)() {
        let (without, tried) = match endpoint.body {
            BodyKind::Message => (plain.clone(), called(endpoint, field.message)),
            BodyKind::Json | BodyKind::Stream => {
                let body = base(endpoint, &field.path);
                let without = read(endpoint, base_query(endpoint), &body);
                (without, read(endpoint, base_query(endpoint), &put(body, &field.path, sample(field.clone()))))
            }
        };
        let (treatment, verdict) = treat(policy, without.as_ref(), tried);
        rows.push(row(field.path, field.since, treatment, verdict));
    }
    rows
}

fn treat(policy: &Policy, without: Option<&Operation>, with: Option<Operation>) -> (String, String) {
    let Some(with) = with else { return ("refused".to_owned(), "refused".to_owned()) };
    let before: Vec<Ask> = without.map(asked).unwrap_or_default();
    let after = asked(&with);
    let added: Vec<&'static str> =
        after.iter().filter(|ask| !before.contains(ask)).map(|ask| ask.what.code()).collect();
    let treatment = match added.first() {
        Some(code) => format!("asks {code}"),
        None if without.map(references).unwrap_or_default() != references(&with) => "names an object".to_owned(),
        None if without.is_some_and(|without| limits(without) != limits(&with)) => "has a maximum".to_owned(),
        None => "nothing".to_owned(),
    };
    let known = before.iter().filter(|ask| after.contains(ask)).count();
    (treatment, verdict(policy, with, known))
}

/// All that an operation asks for, that of steps among it
fn asked(operation: &Operation) -> Vec<Ask> {
    let mut all = asks(operation);
    all.extend(brought(operation, Own::default()).asks);
    all
}

/// The verdict on a whole operation, of which the first `known` asks are not looked at
fn verdict(policy: &Policy, operation: Operation, known: usize) -> String {
    let (_, verdict) = judge(policy, operation, &Facts::default());
    let refusal = verdict.asks.iter().skip(known).find_map(|judged| judged.granted.as_ref().err());
    match (refusal, verdict.changes.first()) {
        (Some(refusal), _) => match &refusal.line {
            Some(line) => format!("refused by {line}"),
            None => "refused".to_owned(),
        },
        (None, Some(change)) if known > 0 => format!("changed: {} = {}", change.field, change.to),
        (None, _) => "allowed".to_owned(),
    }
}

/// What a policy with every maximum changes
fn limits(operation: &Operation) -> Vec<Change> {
    let maxima = compile("maxima", MAXIMA).ok();
    maxima.map(|policy| judge(&policy, operation.clone(), &Facts::default()).1.changes).unwrap_or_default()
}

fn read(endpoint: &Endpoint, query: Vec<(String, String)>, body: &Json) -> Option<Operation> {
    let body = if body.is_zero() { Content::None } else { Content::Json(body.clone()) };
    let parts = Parts { name: Some(SAMPLE.to_owned()), query: Pairs(query), body, ..Parts::default() };
    (endpoint.read)(parts).ok()
}

fn called(endpoint: &Endpoint, message: Vec<u8>) -> Option<Operation> {
    let body = Content::Message(message.into());
    (endpoint.read)(Parts { name: Some(SAMPLE.to_owned()), body, ..Parts::default() }).ok()
}

/// What an operation cannot do without
fn base_query(endpoint: &Endpoint) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match endpoint.name {
        "image.pull" => vec![pair("fromImage", SAMPLE), pair("tag", "1")],
        "image.import" => vec![pair("fromSrc", "-")],
        _ => Vec::new(),
    }
}

/// A value that makes the field's ask, where the sample of its type would not
fn sample(field: Field) -> Json {
    let text = |text: &str| Json::Text(text.to_owned());
    match field.path.rsplit('.').next().unwrap_or_default() {
        "OomScoreAdj" => Json::Int(-1),
        "WorkingDir" => text("/proc/self/fd/3"),
        "Propagation" => text("rshared"),
        "HostPort" => text("80"),
        "Type" if field.path.contains("Mounts") => text("bind"),
        "Source" => text("/another"),
        "Image" => text("registry.example.com/sample"),
        "Memory" | "ShmSize" => Json::Int(i64::MAX.into()),
        _ => field.sample,
    }
}

/// The body around a field: an element of `Mounts` has a type that the field belongs to
fn base(endpoint: &Endpoint, field: &str) -> Json {
    let mut body = Json::Object(Vec::new());
    if endpoint.name == "container.create" {
        body = put(body, "Image", Json::Text(SAMPLE.to_owned()));
    }
    if field.starts_with("NetworkingConfig.EndpointsConfig.*.") {
        body = put(body, "NetworkingConfig.EndpointsConfig.*", Json::Null);
    }
    let mount = [
        ("VolumeOptions", "volume", ""),
        ("TmpfsOptions", "tmpfs", ""),
        ("ImageOptions", "image", SAMPLE),
        ("", "bind", "/host"),
    ];
    let rest = field.strip_prefix("HostConfig.Mounts[].");
    let fitting = rest.and_then(|rest| mount.iter().find(|(options, ..)| rest.starts_with(options)));
    if let (Some(rest), Some((_, kind, source))) = (rest, fitting) {
        body = put(body, "HostConfig.Mounts[].Type", Json::Text((*kind).to_owned()));
        body = put(body, "HostConfig.Mounts[].Source", Json::Text((*source).to_owned()));
        body = put(body, "HostConfig.Mounts[].ReadOnly", Json::Bool(rest.contains("ReadOnly") && rest != "ReadOnly"));
    }
    body
}

/// Puts a value at a path, in the first element of lists and under a sample key of maps
fn put(body: Json, path: &str, value: Json) -> Json {
    let Some((first, rest)) = path.split_once('.').map(|(first, rest)| (first, Some(rest))).or(Some((path, None)))
    else {
        return body;
    };
    let (key, lists) = (first.trim_end_matches("[]"), first.matches("[]").count());
    let key = if key == "*" { SAMPLE } else { key };
    let mut members = if let Json::Object(members) = body { members } else { Vec::new() };
    let old = members.iter().position(|(name, _)| name == key).map(|index| members.swap_remove(index).1);
    let old = (0..lists).fold(old, |old, _| match old {
        Some(Json::List(elements)) => elements.into_iter().next(),
        other => other,
    });
    let new = match rest {
        Some(rest) => put(old.unwrap_or(Json::Object(Vec::new())), rest, value),
        None => value,
    };
    members.push((key.to_owned(), (0..lists).fold(new, |value, _| Json::List(vec![value]))));
    Json::Object(members)
}

/// A policy that lets everything pass and has every maximum
const MAXIMA: &str = r#"
mode = "warn"
[limits]
memory = "6MiB"
cpus = 0.1
pids = 2
shm_size = "1MiB"
"#;

/// Values to try for a parameter, the first that is read counts
const QUERY_SAMPLES: &[&str] = &[
    "sample",
    "1",
    "[\"sample\"]",
    "{\"sample\":\"sample\"}",
    "[{\"Name\":\"nofile\",\"Soft\":1}]",
    "{\"label\":[\"a\"]}",
    "[{\"Type\":\"local\"}]",
];
