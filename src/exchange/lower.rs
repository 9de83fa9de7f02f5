//! What the engine says of itself, lowered to what is modelled here, so that newer clients negotiate down.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use serde_json::Value;

use crate::api::version::ApiVersion;
use crate::engine::API_VERSION;

/// The engine's headers without those that are about its own connection
///
/// Clients without BuildKit, as `builds` says, then choose the classic builder by themselves.
pub fn headers(mut headers: HeaderMap, builds: bool) -> HeaderMap {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    for name in [CONNECTION, KEEP_ALIVE, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    let newest = headers.get(API_VERSION).and_then(|value| value.to_str().ok()).and_then(ApiVersion::lowered);
    if let Some(value) = newest.and_then(|newest| HeaderValue::try_from(newest.to_string()).ok()) {
        headers.insert(API_VERSION, value);
    }
    if !builds && headers.contains_key(BUILDER_VERSION) {
        headers.insert(BUILDER_VERSION, HeaderValue::from_static("1"));
    }
    headers
}

/// Lowers the API versions in the answer of `GET /version`
pub fn version(answer: &mut Value) {
    answer.as_object_mut().map(lower);
    for component in answer.get_mut("Components").and_then(Value::as_array_mut).into_iter().flatten() {
        component.get_mut("Details").and_then(Value::as_object_mut).map(lower);
    }
}

fn lower(versions: &mut serde_json::Map<String, Value>) {
    if let Some(newest) = versions.get("ApiVersion").and_then(Value::as_str).and_then(ApiVersion::lowered) {
        versions.insert("ApiVersion".to_owned(), newest.to_string().into());
    }
    if let Some(oldest) = versions.get("MinAPIVersion").and_then(Value::as_str) {
        let oldest = ApiVersion::parse(oldest).unwrap_or(ApiVersion::MIN);
        versions.insert("MinAPIVersion".to_owned(), oldest.to_string().into());
    }
}

const BUILDER_VERSION: &str = "builder-version";
