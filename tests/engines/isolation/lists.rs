//! Lists, prunes and events, whatever they are filtered by.

use std::path::Path;

use serde_json::{Value, json};

use super::{Play, escaped, filtered, to};
use crate::engines::http::{open, until};

impl Play<'_> {
    pub(super) fn a_filter_finds_what_it_would_find_on_an_engine_of_ones_own(&mut self) {
        let (name, gate) = (self.name.clone(), self.a.socket());
        let tag = self.a.suffix().trim_start_matches("--sw").to_owned();
        let count = |target: &str, key: &str, value: &str| {
            let answer = to(&gate, "GET", &filtered(target, &json!({key: [value]})), &Value::Null).json();
            let list = if target == "/volumes" { answer["Volumes"].clone() } else { answer };
            list.as_array().map_or(0, Vec::len)
        };
        let mut wrong = Vec::new();
        for target in ["/containers/json?all=1", "/networks", "/volumes"] {
            for (value, expected) in [
                (name.clone(), 1),
                (format!("^{name}$"), 1),
                (format!("^{name}"), 1),
                (format!("{name}$"), 1),
                (name[1..].to_owned(), 1),
                (format!("^{}$", &name[1..]), 0),
                (tag.clone(), 0),
                ("--sw".to_owned(), 0),
                (format!("{}$", &tag[4..]), 0),
                (self.named("host"), 0),
            ] {
                let found = count(target, "name", &value);
                if found != expected {
                    wrong.push(format!("{target} name={value} finds {found}, not {expected}"));
                }
            }
        }
        for (key, value, expected) in [
            ("network", name.as_str(), 1),
            ("volume", name.as_str(), 1),
            ("volume", "/data", 1),
            ("network", "host", 0),
            ("status", "running", 1),
        ] {
            let found = count("/containers/json?all=1", key, value);
            if found != expected {
                wrong.push(format!("{key}={value} finds {found}, not {expected}"));
            }
        }
        for key in ["since", "before"] {
            let answer = to(&gate, "GET", &filtered("/containers/json?all=1", &json!({key: [name]})), &Value::Null);
            if answer.status != 200 || answer.json() != json!([]) {
                wrong.push(format!("{key}={name}: {} {}", answer.status, answer.text()));
            }
        }
        self.failed.extend(wrong);
    }

    pub(super) fn no_filter_widens_a_list_or_a_prune(&mut self) {
        let gate = self.b.socket();
        let a = self.a.suffix();
        let other = format!("sockwarden.owner={}", self.a.owner());
        let forms = [
            "null".to_owned(),
            "{}".to_owned(),
            r#"{"label":null}"#.to_owned(),
            r#"{"label":[]}"#.to_owned(),
            r#"{"label":{}}"#.to_owned(),
            json!({"label": [other]}).to_string(),
            json!({"label": {&other: true}}).to_string(),
            json!({"label": {&other: false}}).to_string(),
            json!({"label!": [format!("sockwarden.owner={}", self.b.owner())]}).to_string(),
            json!({"label!": ["sockwarden.owner"]}).to_string(),
            format!(r#"{{"label":["{other}"],"label":["swt"]}}"#),
            format!(r#"{{"LABEL":["{other}"]}}"#),
            json!({"name": [".*"], "label": ["sockwarden.owner"]}).to_string(),
            json!({"name": [a]}).to_string(),
            json!({"dangling": ["true"]}).to_string(),
            json!({"until": ["0s"]}).to_string(),
        ];
        let before = self.all();
        for form in &forms {
            let form = escaped(form);
            for target in
                ["/containers/json?all=1&", "/networks?", "/volumes?", "/events?since=0&until=1&", "/v1.24/networks?"]
            {
                let text = to(&gate, "GET", &format!("{target}filters={form}"), &Value::Null).text();
                let hidden = [a.clone(), self.named("host")];
                self.check(
                    hidden.iter().all(|word| !text.contains(word.as_str())),
                    format!("{target}filters={form} shows {text:.1000}"),
                );
            }
        }
        // Twice the same parameter has two readings.
        let twice = to(&gate, "GET", "/containers/json?filters={}&filters={}", &Value::Null);
        self.check(twice.status == 400, format!("filters twice: {} {}", twice.status, twice.text()));
        for form in forms.iter().filter(|form| form.contains("label") && !form.contains("label!")) {
            for kind in ["containers", "networks", "volumes", "images", "build"] {
                to(&gate, "POST", &format!("/{kind}/prune?filters={}", escaped(form)), &Value::Null);
            }
        }
        let after = self.all();
        // What is b's own may be gone.
        let gone: Vec<_> =
            before.iter().filter(|name| !after.contains(name) && !name.contains(&self.b.suffix())).collect();
        self.check(gone.is_empty(), format!("prunes took away {gone:?}"));
    }

    pub(super) fn events_are_of_ones_own(&mut self) {
        let made = |gate: &Path, name: &str| {
            to(
                gate,
                "POST",
                &format!("/containers/create?name={name}"),
                &json!({"Image": self.image, "Cmd": ["true"]}),
            );
            to(gate, "POST", "/volumes/create", &json!({"Name": name}));
            to(gate, "POST", "/networks/create", &json!({"Name": name, "CheckDuplicate": true}));
            to(gate, "POST", &format!("/containers/{name}/start"), &Value::Null);
            to(gate, "POST", &format!("/containers/{name}/wait"), &Value::Null);
            for kind in ["containers", "volumes", "networks"] {
                to(gate, "DELETE", &format!("/{kind}/{name}"), &Value::Null);
            }
        };
        let now = || {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
        };
        let begun = now();
        let (gate_a, gate_b) = (self.a.socket(), self.b.socket());
        let (name_a, name_b, name_host) = (self.named("eva"), self.named("evb"), self.named("evh"));
        // Listened to while it happens: an engine remembers few, and other tests make many.
        let listen = |socket: &Path, filters: Value| {
            let target = filtered(&format!("/events?since={begun}"), &filters);
            (open(socket, &target), target)
        };
        let (bare, _) = listen(&self.engine.socket, json!({}));
        let seen = [json!({}), json!({"type": ["container"]}), json!({"type": ["network", "volume", "container"]})]
            .map(|filters| listen(&gate_a, filters));
        let named = [("container", &name_a), ("volume", &name_a), ("network", &name_a)]
            .map(|(key, name)| (key, listen(&gate_a, json!({key: [name]})).0));
        made(&gate_b, &name_b);
        made(&self.engine.socket, &name_host);
        made(&gate_a, &name_a);
        let window = format!("/events?since={begun}&until={}", now());
        // The last of them.
        let last = self.named("evz");
        made(&gate_a, &last);
        let is_gone = |told: &str| told.lines().any(|line| line.contains(&last) && line.contains("\"destroy\""));
        let bare = until(bare, is_gone);
        for (stream, target) in seen {
            let seen = until(stream, is_gone);
            for other in [&name_b, &name_host, &self.a.suffix()] {
                self.check(bare.contains(other.as_str()), format!("the bare engine tells nothing of {other}"));
                self.check(!seen.contains(other.as_str()), format!("{target} tells of {other}: {seen}"));
            }
            let actions: Vec<String> = seen
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .map(|event| {
                    format!("{} {}", event["Type"].as_str().unwrap_or("?"), event["Action"].as_str().unwrap_or("?"))
                })
                .collect();
            let mut wanted = vec!["container create", "container start", "container die", "container destroy"];
            if !target.contains("%5B%22container%22%5D") {
                wanted.extend([
                    "volume create",
                    "volume destroy",
                    "network create",
                    "network connect",
                    "network disconnect",
                    "network destroy",
                ]);
            }
            for wanted in wanted {
                self.check(
                    actions.iter().any(|action| action == wanted),
                    format!("{target} tells nothing of `{wanted}`: {actions:?}"),
                );
            }
        }
        // By one's own names, and by nobody else's.
        for (key, stream) in named {
            until(stream, |told| told.lines().any(|line| line.contains(&format!("\"Type\":\"{key}\""))));
        }
        let seen = to(&gate_a, "GET", &filtered(&window, &json!({"container": [name_b]})), &Value::Null).text();
        self.check(seen.is_empty(), format!("events of {name_b}: {seen}"));
    }

    /// `docker rm -f $(docker ps -aq)` and `docker system prune -af --volumes`
    pub(super) fn prunes_take_what_is_ones_own(&mut self) {
        let (gate, b) = (self.a.socket(), self.b.socket());
        to(&b, "POST", &format!("/containers/{}/kill", self.name), &Value::Null);
        let before = self.all();
        let ids = to(&gate, "GET", "/containers/json?all=1", &Value::Null).json();
        for id in ids.as_array().into_iter().flatten().filter_map(|container| container["Id"].as_str()) {
            let gone = to(&gate, "DELETE", &format!("/containers/{id}?force=1"), &Value::Null);
            self.expect("one's own container is removed", &gone, 204, "");
        }
        let all = escaped(r#"{"all":["true"]}"#);
        for target in [
            "/containers/prune",
            "/networks/prune",
            "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D",
            "/build/prune?all=1",
        ] {
            let answer = to(&gate, "POST", target, &Value::Null);
            self.expect(target, &answer, 200, "");
        }
        // Below 1.42 named volumes are pruned as well, from then on with `all`.
        let volumes = if self.engine.name == "bookworm" {
            "/v1.41/volumes/prune".to_owned()
        } else {
            format!("/volumes/prune?filters={all}")
        };
        let answer = to(&gate, "POST", &volumes, &Value::Null);
        self.expect("one's own volumes are pruned, by one's own names", &answer, 200, &format!("\"{}\"", self.name));
        let after = self.all();
        let gone: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
        self.check(
            gone.iter().all(|name| name.contains(&self.a.suffix())),
            format!("what is gone is not a's alone: {gone:?}"),
        );
        self.check(gone.len() == 3, format!("container, network and volume are gone: {gone:?}"));
    }
}
