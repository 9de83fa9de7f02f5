//! A call's head: what makes it unreadable, and what of it goes on.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::answer::Refused;
use crate::config::Limits;
use crate::engine::channel::{BUILD_ID, Metadata, TIMEOUT};

/// Reads a call's head; `several` names the one header that may stand more than once, where there is one
///
/// # Errors
/// When it can be read in two ways, is larger than is read, or is not a gRPC call's.
pub fn read(parts: &Parts, limits: &Limits, several: Option<&str>) -> Result<Metadata, Refused> {
    let headers = &parts.headers;
    if headers.len() > limits.headers {
        return Err(Refused::HeadTooLarge);
    }
    if parts.method != Method::POST {
        return Err(Refused::Call("a gRPC call is a POST"));
    }
    let again = |name: &str| several.is_none_or(|several| !several.eq_ignore_ascii_case(name));
    if headers.keys().any(|name| again(name.as_str()) && headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Refused::Call("a header stands several times"));
    }
    if !is_grpc(headers) {
        return Err(Refused::Call("the content type is not application/grpc"));
    }
    for name in ["grpc-encoding", "content-encoding"] {
        if headers.get(name).is_some_and(|encoding| encoding.as_bytes() != b"identity") {
            return Err(Refused::Compressed);
        }
    }
    let timeout = headers.get(TIMEOUT).cloned();
    if !timeout.as_ref().is_none_or(is_time) {
        return Err(Refused::Call("`grpc-timeout` is no time"));
    }
    Ok(Metadata { timeout })
}

/// The target of a call, as it came
///
/// # Errors
/// When it is longer than is read.
pub fn target<'a>(parts: &'a Parts, limits: &Limits) -> Result<&'a str, Refused> {
    let limit = limits.target_bytes;
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > limit { Err(Refused::TargetTooLong { limit }) } else { Ok(target) }
}

/// The build that a call is about, as the client names it
pub fn build(parts: &Parts) -> Option<String> {
    parts.headers.get(BUILD_ID).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Whether the content type is gRPC's, with messages of protobuf
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    value.is_some_and(|value| matches!(value, b"application/grpc" | b"application/grpc+proto"))
}

/// At most eight digits and a unit
fn is_time(value: &HeaderValue) -> bool {
    let Some((unit, digits)) = value.as_bytes().split_last() else { return false };
    b"HMSmun".contains(unit) && matches!(digits.len(), 1..=8) && digits.iter().all(u8::is_ascii_digit)
}
