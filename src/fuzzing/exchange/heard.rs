//! What may reach an engine: requests in one spelling, of open operations, each on record before it came.

use std::collections::BTreeSet;

use hyper::Method;

use super::fake::Heard;
use crate::api::call::{Call, Outgoing};
use crate::api::credentials::RegistryHeaders;
use crate::api::operation::ENDPOINTS;
use crate::api::request::BodyKind;

/// Holds what was heard against the record; `asks` says that sockwarden has questions of its own
pub fn check(heard: &[Heard], record: &[u8], asks: bool) {
    // What sockwarden may also ask for itself cannot be told from what the client did.
    let ours = |method: &str, operation: &str| asks && (method == "GET" || operation == "volume.create");
    let mut sent = Vec::new();
    for one in heard {
        assert!(!one.malformed, "a malformed body: {one:?}");
        let (method, operation) = read(one, asks);
        if operation != PING && !ours(&method, operation) {
            sent.push(operation);
            let before = record.get(..usize::try_from(one.recorded).unwrap_or(usize::MAX)).unwrap_or_default();
            let known = allowed(before, &ours).len();
            assert!(known >= sent.len(), "not on record when it came: {one:?}");
        }
    }
    let allowed = allowed(record, &ours);
    let mut rest = allowed.iter();
    let in_order = sent.iter().all(|operation| rest.any(|allowed| allowed == operation));
    assert!(in_order, "the engine heard {sent:?}, on record is {allowed:?}");
}

/// Operations that the record lets pass, in order
fn allowed(record: &[u8], ours: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
    let mut allowed = Vec::new();
    for line in record.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(line) = serde_json::from_slice::<serde_json::Value>(line) else {
            assert!(line.is_empty(), "no record: {}", line.escape_ascii());
            continue;
        };
        let text = |field: &str| line.get(field).and_then(serde_json::Value::as_str).unwrap_or("").to_owned();
        let (operation, request) = (text("operation"), text("request"));
        let passes = text("event") == "request" && ["allow", "modify", "warn"].contains(&text("verdict").as_str());
        if passes && !ours(request.split(' ').next().unwrap_or(""), &operation) {
            allowed.push(operation);
        }
    }
    allowed
}

/// Reads a request as strictly as can be; its method and operation
fn read(heard: &Heard, asks: bool) -> (String, &'static str) {
    let mut lines = heard.head.strip_suffix("\r\n\r\n").unwrap_or("").split("\r\n");
    let line = lines.next().unwrap_or("");
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts.as_slice() else {
        assert!(line.is_empty(), "no request line: {line:?}");
        return (String::new(), PING);
    };
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
    let headers: Vec<(String, &str)> = lines.map(header).collect();
    let names: BTreeSet<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), headers.len(), "a header stands twice: {heard:?}");
    assert!(names.iter().all(|name| HEADERS.contains(name)), "a header that nobody makes: {heard:?}");
    let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let lengths = ["content-length", "transfer-encoding"].iter().filter(|name| value(name).is_some()).count();
    assert!(lengths <= 1, "two lengths: {heard:?}");
    // Our own first question, from which the version of all others comes.
    if (*method, *target) == ("GET", "/_ping") {
        return ((*method).to_owned(), PING);
    }

    let (path, query) = target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
    let text = |name| value(name).map(str::to_owned);
    let (auth, config) = (text("x-registry-auth"), text("x-registry-config"));
    let headers = RegistryHeaders { auth, config, ..RegistryHeaders::default() };
    let call =
        Method::from_bytes(method.as_bytes()).ok().and_then(|method| Call::read(&method, path, query, headers).ok());
    let Some(call) = call else {
        assert!(path.is_empty(), "no open operation: {heard:?}");
        return (String::new(), PING);
    };
    let name = call.route.endpoint.name;
    assert!(ENDPOINTS.iter().any(|endpoint| endpoint.name == name), "{name} is in no table");
    assert!(call.version.is_some(), "no version: {heard:?}");
    let streams = call.route.endpoint.body == BodyKind::Stream;
    let (Some(version), Some(body)) = (call.version, &heard.body) else { return ((*method).to_owned(), name) };
    let operation = call.operation(if streams { &[] } else { body });
    let written = operation.map(|operation| Outgoing::write(&operation, version));
    assert!(written.is_ok(), "no operation: {written:?} {heard:?}");
    // A volume for a container is made in words of its own.
    if let Some(written) = written.ok().filter(|_| !(asks && name == "volume.create")) {
        assert_eq!(written.target, *target);
        if !streams {
            assert_eq!(written.body.unwrap_or_default(), *body, "{heard:?}");
        }
    }
    ((*method).to_owned(), name)
}

fn header(line: &str) -> (String, &str) {
    let (name, value) = line.split_once(": ").unwrap_or(("", line));
    assert!(!name.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "no header: {line:?}");
    (name.to_ascii_lowercase(), value)
}

/// What the engine's version is asked with
const PING: &str = "";
/// Headers that sockwarden makes
const HEADERS: &[&str] = &[
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "x-registry-auth",
    "x-registry-config",
];
