//! What is not open is refused by name, and the engine hears nothing of it: operations, routes, methods, parameters.

use sockwarden::api::closed::CLOSED;
use sockwarden::api::operation::{ENDPOINTS, Endpoint};

use crate::engine::Engine;
use crate::proxy::{Proxy, json, plain};

/// A path of the pattern, with `x` in the place of names
fn path(pattern: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn every_closed_operation_is_refused_by_its_name() {
    let (engine, methods) = (Engine::start(), ["GET", "POST", "PUT", "DELETE"]);
    let proxy = Proxy::start(&engine);
    for closed in CLOSED {
        for method in methods.iter().filter(|method| closed.method == "*" || closed.method == **method) {
            for prefix in ["", "/v1.24", "/v1.41", "/v1.51"] {
                let answer = proxy.ask(plain(method, &format!("{prefix}{}", path(closed.path))));
                // `docker inspect` asks for a plugin last and must hear that there is none.
                let status = if *method == "GET" && closed.name == "plugin.inspect" { 404 } else { 403 };
                assert_eq!(answer.status(), status, "{method} {prefix}{} {answer:?}", closed.path);
                let said = answer.said();
                // A path of one pattern may also be one of another: `/plugins/privileges` and `/plugins/{name..}`.
                assert!(said.contains(" is closed: "), "{said}");
                if !closed.path.contains("..") {
                    assert!(said.contains(&format!("`{}`", closed.name)), "{} {said}", closed.name);
                }
            }
        }
    }
    engine.has_heard_nothing();
    for line in proxy.stop().records {
        let denied = line["verdict"] == "deny" && line["status"] == 403;
        assert!(denied || line["verdict"] == "error" && line["status"] == 404, "{line}");
        let named = format!("operation `{}` is closed", line["operation"].as_str().unwrap());
        assert!(line["message"].as_str().unwrap().contains(&named), "{line}");
    }
}

#[test]
fn every_other_method_of_every_route_is_refused() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let open = |method: &str, path: &str| {
        // A name at the end also takes words that begin another path: `DELETE /containers/json`.
        let takes = |other: &str| {
            let named = other.strip_suffix('}').and_then(|other| other.split_once('{'));
            named.is_some_and(|(start, name)| {
                path.strip_prefix(start).is_some_and(|rest| name.ends_with("..") || !rest.contains('/'))
            })
        };
        let same = |endpoint: &&Endpoint| endpoint.path == path || takes(endpoint.path);
        ENDPOINTS.iter().filter(|endpoint| endpoint.method == method).any(|endpoint| same(&endpoint))
    };
    let mut asked = 0;
    for endpoint in ENDPOINTS {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "LINK", "get", "GET2"] {
            if open(method, endpoint.path) {
                continue;
            }
            let mut client = proxy.connect();
            let head = client.send(plain(method, &format!("/v1.41{}", path(endpoint.path)))).head();
            let status = head.split(' ').nth(1).unwrap();
            assert!(["403", "404"].contains(&status), "{method} {} {head}", endpoint.path);
            asked += 1;
        }
    }
    assert!(asked > 400, "{asked}");
    engine.has_heard_nothing();
}

#[test]
fn routes_that_nobody_knows_are_refused_by_their_path() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for (method, target) in [
        ("GET", "/v1.41/nothing"),
        ("GET", "/v1.41/containers"),
        ("GET", "/v1.41/containers/x/y/json"),
        ("POST", "/v1.41/containers/x/exec/y"),
        ("GET", "/v1.41/Info"),
        ("GET", "/V1.41/info"),
        ("GET", "/v1.41/v1.41/info"),
        ("GET", "/v1.41/info/x"),
        ("POST", "/v1.41/_ping"),
        ("GET", "/proc/self/environ"),
    ] {
        let answer = proxy.refuses(&engine, plain(method, target));
        assert_eq!(answer.status(), 404, "{target} {answer:?}");
        let path = target.strip_prefix("/v1.41").unwrap_or(target);
        assert!(answer.said().contains(&format!("`{method} {path}`")), "{target} {answer:?}");
    }
}

#[test]
fn every_unknown_parameter_of_every_operation_is_refused_by_its_name() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method != "HEAD") {
        let mut unknown = vec!["nosuch".to_owned(), "__proto__".to_owned(), "x-\u{fc}".to_owned()];
        // Parameters are matched exactly; another spelling is another parameter.
        unknown.extend(endpoint.parameters.iter().map(|(name, _)| name.to_uppercase()));
        for name in unknown {
            let escaped = name.replace('\u{fc}', "%C3%BC");
            let answer = proxy.ask(request(endpoint, &format!("{escaped}=1")));
            assert_eq!(answer.status(), 400, "{} {name} {answer:?}", endpoint.name);
            assert!(
                answer.said().contains(&format!("query parameter `{name}`: unknown")),
                "{} {answer:?}",
                endpoint.name
            );
        }
    }
    engine.has_heard_nothing();
}

#[test]
fn a_parameter_given_twice_is_refused_by_its_name() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method != "HEAD") {
        for (name, _) in endpoint.parameters.iter().filter(|(name, _)| !LISTS.contains(name) && *name != FIRST) {
            for pairs in [format!("{name}=1&{name}=1"), format!("{name}=&%{:02X}{}=", name.as_bytes()[0], &name[1..])] {
                let vacant = pairs.contains("=&") && VACANT.contains(name);
                if vacant {
                    continue;
                }
                let answer = proxy.ask(request(endpoint, &pairs));
                assert_eq!(answer.status(), 400, "{} {pairs} {answer:?}", endpoint.name);
                assert!(answer.said().contains(&format!("query parameter `{name}`: ")), "{} {answer:?}", endpoint.name);
            }
        }
    }
    engine.has_heard_nothing();
}

#[test]
fn a_list_keeps_all_its_values_in_order() {
    let engine = Engine::start();
    let proxy = Proxy::start(&engine);
    let heard = proxy.passes(&engine, plain("GET", "/v1.41/images/get?names=a&names=b%26c&names=a"));
    assert!(heard.head.starts_with("GET /v1.41/images/get?names=a&names=b%26c&names=a HTTP/1.1\r\n"), "{heard:?}");
}

fn request(endpoint: &Endpoint, pairs: &str) -> Vec<u8> {
    let needed =
        if endpoint.name == "image.pull" && !pairs.starts_with("fromImage") { "fromImage=busybox&" } else { "" };
    json(endpoint.method.as_str(), &format!("/v1.41{}?{needed}{pairs}", path(endpoint.path)), "")
}

/// The one parameter that a client is known to give twice, of which the first counts
const FIRST: &str = "dockerfile";
/// Parameters of which the engine reads every value
const LISTS: &[&str] = &["names", "t", "extrahosts", "changes", "type", "platforms"];

/// Parameters that may stand there without a value, however often
const VACANT: &[&str] = &[
    "fromSrc",
    "repo",
    "message",
    "fromImage",
    "checkpoint",
    "checkpoint-dir",
    "filter",
    "securityopt",
    "outputs",
    "session",
    "isolation",
];
