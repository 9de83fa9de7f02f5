//! Two owners on one engine: each has an engine of its own, and attacks on that come to nothing.
//!
//! What the engine itself shows counts: names, labels, and what is left of the other owner's and of the host's objects.

use std::path::Path;

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{Answer, ask};
use super::setting::Engine;
use super::stage::Stage;

/// Plays every scene on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut play = Play::open(engine);
    play.both_have_the_same_names();
    play.everybody_sees_their_own();
    play.a_filter_finds_what_it_would_find_on_an_engine_of_ones_own();
    play.what_is_anothers_is_answered_like_what_is_missing();
    play.no_name_is_anothers();
    play.no_filter_widens_a_list_or_a_prune();
    play.no_label_of_ours_is_a_clients_to_set();
    play.volumes_without_a_name_are_their_owners();
    play.events_are_of_ones_own();
    play.prunes_take_what_is_ones_own();
    play.failed
}

struct Play<'a> {
    engine: &'a Engine,
    a: Gate,
    b: Gate,
    /// What begins all names that the host gives
    prefix: String,
    /// What a and b both call theirs
    name: String,
    image: String,
    failed: Vec<String>,
    // Removes everything when dropped, last of all.
    _stage: Stage,
}

impl<'a> Play<'a> {
    fn open(engine: &'a Engine) -> Self {
        let prefix = format!("swt-{}-isolation-", std::process::id());
        let mut stage = Stage::new(&engine.socket, &prefix);
        stage.image();
        let image = stage.names["image"].clone();
        let [a, b] =
            ["a", "b"].map(|owner| Gate::with_owner(&engine.socket, "extends = 'ci'", &format!("{prefix}{owner}")));
        let name = format!("{prefix}web");
        let play = Self { engine, a, b, name, image, prefix, failed: Vec::new(), _stage: stage };
        // The host's own, which nobody may see.
        play.host("POST", "/networks/create", &json!({"Name": play.named("hostnet"), "CheckDuplicate": true}));
        play.host("POST", "/volumes/create", &json!({"Name": play.named("hostvol")}));
        let body = json!({"Image": play.image, "Cmd": ["sleep", "1000"], "Labels": {"swt": play.prefix}});
        play.host("POST", &format!("/containers/create?name={}", play.named("host")), &body);
        play
    }

    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn both_have_the_same_names(&mut self) {
        let name = self.name.clone();
        for gate in [&self.a, &self.b].map(Gate::socket) {
            for (target, body, status) in [
                ("/networks/create".to_owned(), json!({"Name": name, "CheckDuplicate": true}), 201),
                ("/volumes/create".to_owned(), json!({"Name": name}), 201),
                (
                    format!("/containers/create?name={name}"),
                    json!({"Image": self.image, "Cmd": ["sleep", "1000"], "HostConfig": {
                        "NetworkMode": name, "Binds": [format!("{name}:/data")],
                    }}),
                    201,
                ),
                (format!("/containers/{name}/start"), Value::Null, 204),
            ] {
                let answer = to(&gate, "POST", &target, &body);
                self.expect(&format!("both have the same names: {target}"), &answer, status, "");
            }
            let found = to(&gate, "GET", &format!("/containers/{name}/json"), &Value::Null).json();
            let shown = [
                ("/Name", format!("/{name}")),
                ("/HostConfig/NetworkMode", name.clone()),
                ("/HostConfig/Binds/0", format!("{name}:/data")),
                ("/Mounts/0/Name", name.clone()),
            ];
            for (at, expected) in shown {
                let shown = found.pointer(at).and_then(Value::as_str).unwrap_or_default();
                self.check(shown == expected, format!("{at} is shown as `{shown}`, not `{expected}`"));
            }
            let attached = found.pointer(&format!("/NetworkSettings/Networks/{name}"));
            self.check(attached.is_some(), format!("{name} is no network of the container: {found}"));
            // A neighbour finds it by that name; whether packets pass hangs on filters that all engines here share.
            let found = format!("ping -c 1 -W 1 {name} | grep -q '^PING {name} (' && exit");
            let ping = format!("for _ in 1 2 3 4 5; do {found}; sleep 1; done; exit 1");
            let body = json!({"Image": self.image, "Cmd": ["sh", "-c", ping], "HostConfig": {"NetworkMode": name}});
            let peer = to(&gate, "POST", "/containers/create", &body).json();
            let peer = peer["Id"].as_str().unwrap_or_default().to_owned();
            to(&gate, "POST", &format!("/containers/{peer}/start"), &Value::Null);
            let ended = to(&gate, "POST", &format!("/containers/{peer}/wait"), &Value::Null);
            self.expect("a neighbour finds a container by its owner's name for it", &ended, 200, "\"StatusCode\":0");
            to(&gate, "DELETE", &format!("/containers/{peer}?force=1&v=1"), &Value::Null);
        }
    }

    fn everybody_sees_their_own(&mut self) {
        for (gate, other) in
            [(&self.a, &self.b), (&self.b, &self.a)].map(|(gate, other)| (gate.socket(), other.suffix()))
        {
            for target in [
                "/containers/json?all=1",
                "/networks",
                "/volumes",
                "/system/df",
                "/networks/bridge",
                "/v1.24/networks",
                "/v1.24/containers/json?all=1&size=1",
            ] {
                let text = to(&gate, "GET", target, &Value::Null).text();
                for hidden in [&other, &self.a.suffix(), &self.b.suffix(), &self.named("host")] {
                    self.check(!text.contains(hidden.as_str()), format!("{target} shows `{hidden}`: {text:.2000}"));
                }
                let own = text.matches(&format!("{}\"", self.name)).count();
                let there = target == "/networks/bridge" || own > 0;
                self.check(there, format!("{target} does not show one's own: {text:.2000}"));
            }
            let list = to(&gate, "GET", "/containers/json?all=1", &Value::Null).json();
            self.check(
                list.as_array().is_some_and(|all| all.len() == 1),
                format!("one container is one's own: {list}"),
            );
            let info = to(&gate, "GET", "/info", &Value::Null).json();
            let figures = ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped"];
            let figures: Vec<_> = figures.iter().map(|key| info[*key].as_i64().unwrap_or(-1)).collect();
            self.check(figures == [1, 1, 0, 0], format!("info counts {figures:?}"));
        }
    }

    fn a_filter_finds_what_it_would_find_on_an_engine_of_ones_own(&mut self) {
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

    fn what_is_anothers_is_answered_like_what_is_missing(&mut self) {
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

    fn no_name_is_anothers(&mut self) {
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

    fn no_filter_widens_a_list_or_a_prune(&mut self) {
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

    fn no_label_of_ours_is_a_clients_to_set(&mut self) {
        let gate = self.b.socket();
        for key in
            ["sockwarden.owner", "Sockwarden.Owner", "SOCKWARDEN.owner", " sockwarden.owner", "sockwarden.anything"]
        {
            let labels = json!({key: "x"});
            for (target, body) in [
                ("/containers/create", json!({"Image": self.image, "Labels": labels})),
                ("/networks/create", json!({"Name": self.named("l"), "Labels": labels})),
                ("/volumes/create", json!({"Name": self.named("l"), "Labels": labels})),
                (
                    "/containers/create",
                    json!({"Image": self.image, "HostConfig": {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Labels": labels}}]}}),
                ),
            ] {
                let answer = to(&gate, "POST", target, &body);
                self.expect(&format!("{target} {body}"), &answer, 403, "label");
            }
            let query = escaped(&labels.to_string());
            let answer = to(&gate, "POST", &format!("/build?labels={query}"), &Value::Null);
            self.expect(&format!("build with {key}"), &answer, 403, "label");
            let commit = format!("/commit?container={}&repo={}", self.name, self.named("l"));
            let answer = to(&gate, "POST", &commit, &json!({"Labels": labels}));
            self.expect(&format!("commit with {key}"), &answer, 403, "label");
            let answer =
                to(&gate, "POST", &format!("{commit}&changes={}", escaped(&format!("LABEL \"{key}\"=x"))), &json!({}));
            self.expect(&format!("commit with changes of {key}"), &answer, 403, "label");
        }
    }

    fn volumes_without_a_name_are_their_owners(&mut self) {
        let gate = self.b.socket();
        let name = self.named("anonymous");
        let body = json!({"Image": self.image, "Cmd": ["true"], "Volumes": {"/declared": {}}, "HostConfig": {
            "Binds": ["/bound", format!("{}:/named", self.name)],
            "Mounts": [{"Type": "volume", "Target": "/mounted"}],
            "Tmpfs": {"/tmp": ""},
        }});
        let made = to(&gate, "POST", &format!("/containers/create?name={name}"), &body);
        self.expect("a container with volumes without names", &made, 201, "");
        let found = to(&gate, "GET", &format!("/containers/{name}/json"), &Value::Null).json();
        let mounts = found["Mounts"].as_array().cloned().unwrap_or_default();
        self.check(mounts.len() == 4, format!("four volumes are mounted: {mounts:?}"));
        for mount in &mounts {
            let volume = mount["Name"].as_str().unwrap_or_default().to_owned();
            let own = to(&gate, "GET", &format!("/volumes/{volume}"), &Value::Null);
            self.expect("a volume without a name is seen", &own, 200, "sockwarden.owner");
            if volume != self.name {
                let other = to(&self.a.socket(), "GET", &format!("/volumes/{volume}"), &Value::Null);
                self.expect("and not by another", &other, 404, "no such volume");
            }
        }
        // Prunes tell them from others by this label, from 23.0 on.
        let labelled =
            mounts.iter().filter(|mount| mount["Destination"] == "/declared" || mount["Destination"] == "/bound");
        for mount in labelled {
            let volume = mount["Name"].as_str().unwrap_or_default().to_owned();
            let own = to(&gate, "GET", &format!("/volumes/{volume}"), &Value::Null);
            self.expect("a volume without a name is known as such", &own, 200, "com.docker.volume.anonymous");
        }
        let gone = to(&gate, "DELETE", &format!("/containers/{name}?v=1"), &Value::Null);
        self.expect("it is removed with its volumes", &gone, 204, "");
        for mount in &mounts {
            let volume = mount["Name"].as_str().unwrap_or_default().to_owned();
            let left = to(&gate, "GET", &format!("/volumes/{volume}"), &Value::Null);
            let expected = if volume == self.name { 200 } else { 404 };
            self.expect(&format!("{} after the container", mount["Destination"]), &left, expected, "");
        }
    }

    fn events_are_of_ones_own(&mut self) {
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
        made(&gate_a, &name_a);
        made(&gate_b, &name_b);
        made(&self.engine.socket, &name_host);
        let window = format!("/events?since={begun}&until={}", now());
        let bare = to(&self.engine.socket, "GET", &window, &Value::Null).text();
        for filters in [json!({}), json!({"type": ["container"]}), json!({"type": ["network", "volume", "container"]})]
        {
            let target = filtered(&window, &filters);
            let seen = to(&gate_a, "GET", &target, &Value::Null).text();
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
        for (key, name, expected) in [
            ("container", &name_a, true),
            ("volume", &name_a, true),
            ("network", &name_a, true),
            ("container", &name_b, false),
        ] {
            let seen = to(&gate_a, "GET", &filtered(&window, &json!({key: [name]})), &Value::Null).text();
            self.check(seen.is_empty() != expected, format!("events of {key} {name}: {seen}"));
        }
    }

    /// `docker rm -f $(docker ps -aq)` and `docker system prune -af --volumes`
    fn prunes_take_what_is_ones_own(&mut self) {
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

    /// Every object of the play that the engine has, by kind and name
    fn all(&self) -> Vec<String> {
        let list = |target: &str, at: &str, name: &str| -> Vec<String> {
            let answer = to(&self.engine.socket, "GET", target, &Value::Null).json();
            let list = answer.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
            let names = list.iter().filter_map(|one| one.pointer(name)).filter_map(Value::as_str).map(str::to_owned);
            names.filter(|name| name.contains(&self.prefix)).map(|name| format!("{target} {name}")).collect()
        };
        let mut all = list("/containers/json?all=1", "", "/Names/0");
        all.extend(list("/networks", "", "/Name"));
        all.extend(list("/volumes", "/Volumes", "/Name"));
        all.extend(list("/images/json", "", "/RepoTags/0"));
        all
    }

    fn host(&self, method: &str, target: &str, body: &Value) {
        let answer = to(&self.engine.socket, method, target, body);
        assert!(answer.is_success(), "{method} {target} {body}: {} {}", answer.status, answer.text());
    }

    fn expect(&mut self, what: &str, answer: &Answer, status: u16, said: &str) {
        let as_expected = answer.status == status && answer.text().contains(said);
        self.check(
            as_expected,
            format!("{what}: expected {status} {said}, got {} {:.600}", answer.status, answer.text()),
        );
    }

    fn check(&mut self, holds: bool, what: String) {
        if !holds {
            self.failed.push(what);
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

fn to(socket: &Path, method: &str, target: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(socket, method, target, &body)
}

fn filtered(target: &str, filters: &Value) -> String {
    let begin = if target.contains('?') { '&' } else { '?' };
    format!("{target}{begin}filters={}", escaped(&filters.to_string()))
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
