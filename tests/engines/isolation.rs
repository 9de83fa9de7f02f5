//! Two owners on one engine: each has an engine of its own, and attacks on that come to nothing.
//!
//! What the engine itself shows counts: names, labels, and what is left of the other owner's and of the host's objects.

use std::path::Path;

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{Answer, ask, listed};
use super::setting::Engine;
use super::stage::Stage;

mod lists;
mod missing;

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
        let body = json!({"Image": play.image, "Cmd": ["sleep", "10000"], "Labels": {"swt": play.prefix}});
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
                    json!({"Image": self.image, "Cmd": ["sleep", "10000"], "HostConfig": {
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
            let ping = format!("for _ in $(seq 60); do {found}; sleep 1; done; exit 1");
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

    /// Every object of the play that the engine has, by kind and name
    fn all(&self) -> Vec<String> {
        let list = |target: &str, at: &str, name: &str| -> Vec<String> {
            let answer = listed(&self.engine.socket, target).json();
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
