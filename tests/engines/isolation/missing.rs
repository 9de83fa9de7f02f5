//! What is another's, by every name and in every call: answered like what is not there.

use std::path::Path;

use serde_json::{Value, json};

use super::{Play, escaped, filtered, to};
use crate::engines::http::ask;

impl Play<'_> {
    pub(super) fn what_is_anothers_is_answered_like_what_is_missing(&mut self) {
        let gate = self.b.socket();
        let a = self.a.socket();
        let id = |gate: &Path, target: &str| {
            to(gate, "GET", target, &Value::Null).json()["Id"].as_str().unwrap_or_default().to_owned()
        };
        let container = id(&a, &format!("/containers/{}/json", self.name));
        let network = id(&a, &format!("/networks/{}", self.name));
        let exec = to(&a, "POST", &format!("/containers/{container}/exec"), &json!({"Cmd": ["true"]})).json();
        let exec = exec["Id"].as_str().unwrap_or_default().to_owned();
        let (suffix, short) = (self.a.suffix(), container[..12].to_owned());
        let full = format!("{}{suffix}", self.name);
        let host_container = id(&self.engine.socket, &format!("/containers/{}/json", self.named("host")));
        let host_network = id(&self.engine.socket, &format!("/networks/{}", self.named("hostnet")));

        let named = [container.as_str(), &short, &full, &self.named("host"), &host_container];
        for name in named.map(str::to_owned) {
            for (method, rest, body) in CONTAINER {
                self.as_missing(&gate, method, "/containers/{}", rest, &name, body);
            }
            for (host, begin) in [
                ("VolumesFrom", ""),
                ("Links", ""),
                ("NetworkMode", "container:"),
                ("PidMode", "container:"),
                ("IpcMode", "container:"),
            ] {
                let value = format!("{begin}{name}");
                let value = if host.ends_with("Mode") { json!(value) } else { json!([value]) };
                let answer =
                    to(&gate, "POST", "/containers/create", &json!({"Image": self.image, "HostConfig": {host: value}}));
                let refused = [400, 403, 404].contains(&answer.status) && !answer.text().contains("another owner");
                self.check(refused, format!("{host} {name}: {} {}", answer.status, answer.text()));
            }
            for key in ["since", "before"] {
                let target = filtered("/containers/json", &json!({key: [name]}));
                self.alike(&gate, "GET", &target, &name, &Value::Null);
            }
            self.alike(&gate, "POST", &format!("/commit?container={name}&repo={}", self.named("c")), &name, &json!({}));
            self.alike(&gate, "POST", &format!("/networks/{}/connect", self.name), &name, &json!({"Container": name}));
        }
        for name in [network, full.clone(), self.named("hostnet"), host_network] {
            for (method, rest, body) in
                [("GET", "", ""), ("DELETE", "", ""), ("POST", "/connect", "self"), ("POST", "/disconnect", "self")]
            {
                let body = if body == "self" { json!({"Container": self.name}) } else { Value::Null };
                self.alike(&gate, method, &format!("/networks/{name}{rest}"), &name, &body);
            }
            let body = json!({"Image": self.image, "HostConfig": {"NetworkMode": name}});
            self.alike(&gate, "POST", "/containers/create", &name, &body);
            let body =
                json!({"Image": self.image, "NetworkingConfig": {"EndpointsConfig": {"x": {"NetworkID": name}}}});
            let answer = to(&gate, "POST", "/containers/create", &body);
            self.check(
                [400, 403].contains(&answer.status),
                format!("NetworkID {name}: {} {}", answer.status, answer.text()),
            );
        }
        for name in [full, self.named("hostvol")] {
            for method in ["GET", "DELETE"] {
                self.alike(&gate, method, &format!("/volumes/{name}"), &name, &Value::Null);
            }
        }
        for (method, rest) in [("GET", "/json"), ("POST", "/start"), ("POST", "/resize?h=1&w=1")] {
            self.alike(&gate, method, &format!("/exec/{exec}{rest}"), &exec, &json!({}));
        }
        let foreign = self.b.record().matches("\"ask\":\"foreign\"").count();
        self.check(foreign > 50, format!("{foreign} refused asks on record are about what is another's"));
        // And nothing happened to it.
        let text = to(&a, "GET", &format!("/containers/{}/json", self.name), &Value::Null).json();
        self.check(
            text.pointer("/State/Running") == Some(&json!(true)),
            format!("a's container is not as it was: {text}"),
        );
    }

    /// Says that an answer about `name` is that of the bare engine about something missing
    fn as_missing(&mut self, gate: &Path, method: &str, path: &str, rest: &str, name: &str, body: &str) {
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        let missing = "nowhere-at-all";
        let target = |name: &str| format!("{}{rest}", path.replace("{}", name));
        let ours = to(gate, method, &target(name), &body);
        let bare = to(&self.engine.socket, method, &target(missing), &body);
        let same = ours.status == bare.status && ours.text().replace(name, missing) == bare.text();
        self.check(
            same,
            format!("{method} {}: {} {}, bare {} {}", target(name), ours.status, ours.text(), bare.status, bare.text()),
        );
    }

    /// Says that an answer about `name` is that about something missing
    fn alike(&mut self, gate: &Path, method: &str, target: &str, name: &str, body: &Value) {
        let missing = "nowhere-at-all";
        let (ours, there) = (to(gate, method, target, body), body.to_string().replace(name, missing));
        let absent = target.replace(&escaped(name), &escaped(missing)).replace(name, missing);
        let other = ask(gate, method, &absent, if body.is_null() { "" } else { &there });
        // Whoever reserves names says so in other words, and of every such name.
        let reserved = ours.status == 403 && ours.text().contains("write it plainly");
        let same = ours.status == other.status && ours.text().replace(name, missing) == other.text();
        let shown = format!(
            "{method} {target} {body}: {} {}, missing: {} {}",
            ours.status,
            ours.text(),
            other.status,
            other.text()
        );
        self.check(ours.status >= 400 && (same || reserved), shown);
    }

    pub(super) fn no_name_is_anothers(&mut self) {
        let (gate, a) = (self.b.socket(), self.a.suffix());
        let full = format!("{}{a}", self.name);
        for (target, body) in [
            (format!("/containers/create?name={full}"), json!({"Image": self.image})),
            (format!("/containers/create?name=x{full}y"), json!({"Image": self.image})),
            (format!("/containers/{}/rename?name={full}", self.name), Value::Null),
            ("/networks/create".to_owned(), json!({"Name": full})),
            ("/volumes/create".to_owned(), json!({"Name": full})),
            (
                "/containers/create".to_owned(),
                json!({"Image": self.image, "HostConfig": {"Binds": [format!("{full}:/x")]}}),
            ),
            (
                "/containers/create".to_owned(),
                json!({"Image": self.image, "HostConfig": {"Mounts": [{"Type": "volume", "Source": full, "Target": "/x"}]}}),
            ),
        ] {
            let answer = to(&gate, "POST", &target, &body);
            self.expect(&format!("a name with a suffix is refused: {target} {body}"), &answer, 403, "write it plainly");
        }
        // A name like another's id finds one's own, and never that.
        let id = to(&self.a.socket(), "GET", &format!("/networks/{}", self.name), &Value::Null).json();
        let id = id["Id"].as_str().unwrap_or_default().to_owned();
        let made = to(&gate, "POST", "/networks/create", &json!({"Name": id, "Labels": {"swt": self.prefix}}));
        self.expect("a network may be called like another's id", &made, 201, "");
        let found = to(&gate, "GET", &format!("/networks/{id}"), &Value::Null).json();
        self.check(found["Id"] == made.json()["Id"], format!("a name like another's id finds {found}"));
        let gone = to(&gate, "DELETE", &format!("/networks/{id}"), &Value::Null);
        self.expect("and is removed in its place", &gone, 204, "");
        let still = to(&self.a.socket(), "GET", &format!("/networks/{}", self.name), &Value::Null);
        self.expect("while the other's stays", &still, 200, &id);
        // Renamed, it is still one's own, and found by the new name alone.
        let new = self.named("renamed");
        for (from, to_name) in [(self.name.clone(), new.clone()), (new, self.name.clone())] {
            let renamed = to(&gate, "POST", &format!("/containers/{from}/rename?name={to_name}"), &Value::Null);
            self.expect("a container is renamed", &renamed, 204, "");
            let old = to(&gate, "GET", &format!("/containers/{from}/json"), &Value::Null);
            self.expect("and its old name is free", &old, 404, "No such container");
            let full = format!("/containers/{to_name}{}/json", self.b.suffix());
            let there = to(&self.engine.socket, "GET", &full, &Value::Null);
            self.expect("with the suffix on the engine", &there, 200, "");
        }
    }
}

/// Everything that is asked about a container, with bodies
const CONTAINER: &[(&str, &str, &str)] = &[
    ("GET", "/json", ""),
    ("GET", "/logs?stdout=1", ""),
    ("GET", "/top", ""),
    ("GET", "/stats?stream=0", ""),
    ("GET", "/changes", ""),
    ("GET", "/export", ""),
    ("POST", "/start", ""),
    ("POST", "/stop", ""),
    ("POST", "/restart", ""),
    ("POST", "/kill", ""),
    ("POST", "/pause", ""),
    ("POST", "/unpause", ""),
    ("POST", "/wait", ""),
    ("POST", "/resize?h=1&w=1", ""),
    ("POST", "/rename?name=other", ""),
    ("POST", "/exec", r#"{"Cmd":["true"]}"#),
    ("DELETE", "?force=1", ""),
];
