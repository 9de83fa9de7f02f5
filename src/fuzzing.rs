//! What the fuzz targets call, and what a stable test calls on their seeds: any bytes are refused or read, never a panic,
//! and what was read reads back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::Method;

use crate::api::archive::{ImageArchive, Named};
use crate::api::bind::{Bind, BindSource};
use crate::api::buildkit::bridge::Solved;
use crate::api::buildkit::op::{self, Op};
use crate::api::call::{Call, Outgoing};
use crate::api::context::BuildContext;
use crate::api::credentials::RegistryHeaders;
use crate::api::dockerfile::sources;
use crate::api::image_ref::ImageRef;
use crate::api::json::Json;
use crate::api::message::{read_message, write_message};
use crate::api::names::{ContainerRef, ExecId, Name, NetworkRef, VolumeName};
use crate::api::object::{At, Value};
use crate::api::operation::Operation;
use crate::api::query::{Filters, Pairs, Param};
use crate::api::request::BodyKind;
use crate::api::target::{Target, push_pair};
use crate::api::version::ApiVersion;
use crate::policy::compile::compile;
use crate::policy::judge::found::{answered, judge_steps};
use crate::policy::judge::{Decision, Facts};
use crate::policy::view::View;
use crate::policy::{Policy, shipped};

mod dockerfile;
mod exchange;
mod grpc;

pub use self::dockerfile::dockerfile;
pub use self::exchange::exchange;
pub use self::grpc::grpc;

/// A whole request: `METHOD target`, a line with `X-Registry-Auth`, a line with `X-Registry-Config`, the body
pub fn call(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("");
    let (head, auth, config) = (line(), line(), line());
    let body = parts.next().unwrap_or(b"");
    let Some((method, target)) = head.split_once(' ') else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let header = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let headers = RegistryHeaders { auth: header(auth), config: header(config), ..RegistryHeaders::default() };
    let Some((operation, version)) = read(&method, target, headers, body) else { return };

    let outgoing = Outgoing::write(&operation, version);
    let header =
        |wanted: &str| outgoing.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
    let (auth, config) = (header("X-Registry-Auth"), header("X-Registry-Config"));
    let headers = RegistryHeaders { auth, config, ..RegistryHeaders::default() };
    let body = outgoing.body.clone().unwrap_or_default();
    let again = read(&outgoing.method, &outgoing.target, headers, &body);
    assert_eq!(again, Some((operation, version)), "{outgoing:?}");
}

fn read(method: &Method, target: &str, headers: RegistryHeaders, body: &[u8]) -> Option<(Operation, ApiVersion)> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call::read(method, path, query, headers).ok()?;
    let version = call.version.unwrap_or(ApiVersion::MAX);
    let body = if call.route.endpoint.body == BodyKind::Stream { &[] } else { body };
    Some((call.operation(body).ok()?, version))
}

/// A byte for the length of the pieces, and an image archive in them
pub fn archive(data: &[u8]) {
    let [length, archive @ ..] = data else { return };
    let Some((written, names)) = read_archive(archive, usize::from(*length) + 1) else { return };
    let again = read_archive(&written, written.len().max(1));
    assert_eq!(again, Some((written, names)), "{}", archive.escape_ascii());
}

fn read_archive(bytes: &[u8], length: usize) -> Option<(Vec<u8>, Vec<Named>)> {
    let (mut archive, mut written) = (ImageArchive::new(1 << 16), Vec::new());
    bytes.chunks(length).try_for_each(|piece| archive.push(piece, &mut written)).ok()?;
    archive.finish(&mut written).ok()?;
    Some((written, archive.names()))
}

/// A byte for the length of the pieces, and a build context in them
pub fn context(data: &[u8]) {
    let [length, context @ ..] = data else { return };
    let Some((passed, last, dockerfile)) = read_context(context, usize::from(*length) + 1) else { return };
    assert!(passed.is_empty() || passed.starts_with(b"PaxHeader\0"), "its first bytes are somebody else's");
    let again = read_context(&[&*passed, &[0; 1024]].concat(), passed.len().max(1));
    assert_eq!(again.as_ref(), Some(&(passed, last, dockerfile.clone())), "{}", context.escape_ascii());
    let Ok(sources) = sources(&dockerfile, &BTreeMap::new(), "") else { return };
    assert!(sources.iter().all(|source| source.line > 0));
}

/// What goes on, what follows at the end, and the Dockerfile
fn read_context(bytes: &[u8], length: usize) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut context = BuildContext::new("", 1 << 16).ok()?;
    let (mut passed, mut last) = (Vec::new(), Vec::new());
    let mut told = None;
    for piece in bytes.chunks(length) {
        context.push(piece, &mut passed).ok()?;
        told = told.or_else(|| context.dockerfile());
    }
    context.finish(&mut last).ok()?;
    Some((passed, last, told.or_else(|| context.dockerfile())?))
}

/// What the engine answers to `LLBBridge/Solve`, with every step of a build
pub fn steps(data: &[u8]) {
    static POLICY: LazyLock<Option<Policy>> = LazyLock::new(|| compile("ci", shipped::text("ci")?).ok());
    let (Ok(solved), Some(policy)) = (read_message::<Solved>(Bytes::copy_from_slice(data)), &*POLICY) else { return };
    assert_eq!(read_message(write_message(&solved).into()).as_ref(), Ok(&solved));
    let definitions = solved.result.iter().filter_map(|result| result.reference.as_ref()?.definition.as_ref());
    for step in definitions.flat_map(op::steps).flatten() {
        assert_eq!(Op::read(write_message(&step).into()).as_ref(), Ok(&step));
    }
    let facts = Facts { view: Some(View::new("a", "0123456789ab", "x")), ..Facts::default() };
    let facts = Facts { cache: Some("0123456789ab".to_owned()), ..facts };
    let found = answered(policy, &solved, &facts);
    let asked = found.asks.len();
    let verdict = judge_steps(policy, found, Vec::new());
    assert_eq!(verdict.asks.len(), asked);
    assert_eq!(verdict.decision == Decision::Deny, verdict.refused().next().is_some());
}

/// A JSON document
pub fn json(data: &[u8]) {
    let Ok(document) = Json::parse(data) else { return };
    // No field takes a fraction or exponent, so none is ever written; reading one rounds.
    if has_float(&document) {
        return;
    }
    let written = document.to_bytes();
    assert_eq!(Json::parse(&written).map(|again| again.to_bytes()).as_ref(), Ok(&written));
}

fn has_float(document: &Json) -> bool {
    match document {
        Json::Float(_) => true,
        Json::List(elements) => elements.iter().any(has_float),
        Json::Object(members) => members.iter().any(|(_, value)| has_float(value)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Text(_) => false,
    }
}

/// A query, and each of its values as filters
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(Target { query, .. }) = Target::read("/x", Some(text)) else { return };
    let mut written = String::new();
    for (key, value) in &query {
        push_pair(&mut written, key, value);
    }
    let again = Target::read("/x", Some(&written)).map(|target| target.query);
    assert_eq!(again.as_ref(), Ok(&query), "{written}");
    for (_, value) in Pairs(query).0 {
        let Ok(filters) = Filters::read(vec![value]) else { continue };
        let said = Filters(
            filters.0.iter().filter(|(_, values)| !values.is_empty()).map(|(k, v)| (k.clone(), v.clone())).collect(),
        );
        assert_eq!(Filters::read(filters.write()).as_ref(), Ok(&said));
    }
}

/// A reference in any of the places that have one: a name, an image, a bind
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(image) = ImageRef::read(text) {
        let normal = image.to_string();
        let again = ImageRef::read(&normal).map(|image| image.to_string());
        assert_eq!(again.as_deref().ok(), Some(normal.as_str()), "{text}");
    }
    name::<ContainerRef>(text);
    name::<NetworkRef>(text);
    name::<VolumeName>(text);
    name::<ExecId>(text);
    bind(text);
}

/// A name of an object: one segment of a path, whoever splits it
fn name<T: Name + PartialEq + std::fmt::Debug>(text: &str) {
    for read in [T::parse(text), T::parse_param(text)] {
        let Ok(name) = read else { continue };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        assert!(name.as_str().bytes().all(plain) && !name.as_str().starts_with('.'), "{text:?} is {name:?}");
        assert_eq!(T::parse(name.as_str()).as_ref(), Ok(&name));
    }
}

/// An element of `Binds`: what it mounts is a clean path or a name, and it has no second meaning
fn bind(text: &str) {
    let quoted = Json::Text(text.to_owned());
    let Ok(bind) = <Bind as Value>::read(quoted, &At::Body) else { return };
    if let BindSource::Host(path) = &bind.source {
        let path = path.as_str();
        let clean = path == "/" || path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        assert!(path.starts_with('/') && clean, "{text:?} mounts {path:?}");
    }
    let again = <Bind as Value>::read(Json::Text(bind.to_string()), &At::Body);
    assert_eq!(again.ok(), Some(bind), "{text:?}");
}

/// Any text as a policy: compiled or reported
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(report) = compile("fuzz.toml", text) {
        assert!(!report.to_string().is_empty(), "a policy was refused without a reason");
    }
}
