//! From method and decoded path to one named operation, or to a refusal that says which one it was.

use hyper::Method;
use thiserror::Error;

use crate::api::buildkit::GRPC;
use crate::api::closed::{CLOSED, Closed};
use crate::api::operation::{ENDPOINTS, Endpoint};
use crate::api::target::Target;

/// A route: the operation and the text its placeholder stands for
#[derive(Debug)]
pub struct Route {
    /// The operation
    pub endpoint: &'static Endpoint,
    /// Text of the placeholder
    pub name: Option<String>,
}

/// Why there is no route
#[derive(Debug, Clone, Error)]
pub enum NoRoute {
    /// Known and closed
    #[error("operation `{}` is closed: {}", .0.name, .0.reason)]
    Closed(&'static Closed),
    /// Not an operation of the Engine API
    #[error("no operation `{method} {path}` is known", path = path.escape_debug())]
    Unknown {
        /// As the client sent it
        method: String,
        /// Decoded
        path: String,
    },
}

/// Finds the operation for a request
///
/// # Errors
/// When the operation is closed or unknown.
pub fn route(method: &Method, target: &Target) -> Result<Route, NoRoute> {
    let segments: Vec<&str> = target.segments.iter().map(String::as_str).collect();
    let matching = |endpoint: &&Endpoint| endpoint.method == *method && matches(endpoint.path, &segments).is_some();
    if let Some(endpoint) = ENDPOINTS.iter().find(matching) {
        let endpoint = if endpoint.name == "image.pull" { pull_or_import(endpoint, target) } else { endpoint };
        return Ok(Route { endpoint, name: matches(endpoint.path, &segments).flatten() });
    }
    let closed = CLOSED.iter().find(|closed| {
        closed.method != GRPC
            && (closed.method == "*" || closed.method == method.as_str())
            && matches(closed.path, &segments).is_some()
    });
    Err(match closed {
        Some(closed) => NoRoute::Closed(closed),
        None => NoRoute::Unknown { method: method.to_string(), path: format!("/{}", target.segments.join("/")) },
    })
}

/// Two operations share `POST /images/create`; the engine pulls when `fromImage` is not empty
fn pull_or_import(pull: &'static Endpoint, target: &Target) -> &'static Endpoint {
    if target.query.iter().any(|(key, value)| key == "fromImage" && !value.is_empty()) {
        return pull;
    }
    ENDPOINTS.iter().find(|endpoint| endpoint.name == "image.import").unwrap_or(pull)
}

/// Matches a path; `Some` holds the text of the first placeholder
fn matches(pattern: &str, segments: &[&str]) -> Option<Option<String>> {
    let pattern: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    let Some(at) = pattern.iter().position(|part| part.starts_with('{')) else {
        return (pattern == segments).then_some(None);
    };
    let (before, after) = (pattern.get(..at)?, pattern.get(at + 1..)?);
    let rest = segments.strip_prefix(before)?;
    if pattern.get(at)?.ends_with("..}") {
        let name = rest.strip_suffix(after)?;
        return (!name.is_empty()).then(|| Some(name.join("/")));
    }
    let (name, rest) = rest.split_first()?;
    let same =
        rest.len() == after.len() && rest.iter().zip(after).all(|(text, part)| part.starts_with('{') || text == part);
    same.then(|| Some((*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> String {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let target = Target::read(path, query).unwrap();
        match route(&method.parse().unwrap(), &target) {
            Ok(route) => format!("{} {}", route.endpoint.name, route.name.unwrap_or_default()).trim().to_owned(),
            Err(NoRoute::Closed(closed)) => format!("closed {}", closed.name),
            Err(NoRoute::Unknown { .. }) => "unknown".to_owned(),
        }
    }

    #[test]
    fn routes_are_matched_as_the_engine_does() {
        for (method, path, expected) in [
            ("GET", "/v1.41/containers/json", "container.list"),
            ("GET", "/containers/json/json", "container.inspect json"),
            ("GET", "/images/get/json", "image.inspect get"),
            ("GET", "/images/127.0.0.1:5000/a/b:1/json", "image.inspect 127.0.0.1:5000/a/b:1"),
            ("GET", "/images/a%2Fb/json", "image.inspect a/b"),
            ("GET", "/images/get", "image.export.many"),
            ("GET", "/volumes/create", "volume.inspect create"),
            ("GET", "/networks/", "network.list"),
            ("DELETE", "/networks/prune", "network.remove prune"),
            ("POST", "/images/create?fromImage=a", "image.pull"),
            ("POST", "/images/create?fromImage=&fromSrc=-", "image.import"),
            ("POST", "/containers/a/exec/b/start", "unknown"),
            ("GET", "/containers/parent/alias/json", "unknown"),
            ("HEAD", "/info", "unknown"),
            ("get", "/info", "unknown"),
            ("POST", "/grpc", "build.grpc"),
            ("POST", "/moby.buildkit.v1.Control/Solve", "unknown"),
            ("POST", "/v1.41/libpod/containers/create", "closed libpod"),
            ("GET", "/debug/pprof/heap", "closed debug.profile_by_name"),
            ("DELETE", "/containers/a/checkpoints/b", "closed checkpoint.delete"),
            ("OPTIONS", "/anything/at/all", "closed system.options"),
        ] {
            assert_eq!(name(method, path), expected, "{method} {path}");
        }
    }
}
