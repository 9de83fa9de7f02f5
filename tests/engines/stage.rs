//! The objects a case plays with: a victim's, made directly on the engine, and the caller's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{PATIENCE, ask, listed};

/// Objects of one test on one engine, all with one prefix; removed when dropped
pub struct Stage {
    engine: PathBuf,
    prefix: String,
    is_guest: bool,
    /// What the braces of a case stand for
    pub names: BTreeMap<String, String>,
}

/// What of a container's surroundings a case needs; what it does not need costs time
#[derive(Debug)]
pub struct Needs {
    /// A network of its own
    pub network: bool,
    /// To be running
    pub life: bool,
}

impl Needs {
    /// Everything
    pub fn all() -> Self {
        Self { network: true, life: true }
    }
}

impl Stage {
    /// Nothing yet, but for the names of what every stage has
    pub fn new(engine: &Path, prefix: &str) -> Self {
        clean(engine, prefix, &BTreeMap::new());
        let names = [("prefix", prefix)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { engine: engine.to_owned(), prefix: prefix.to_owned(), is_guest: false, names: names.into() }
    }

    /// Another set of objects with the same image, under `{name}` and a prefix that begins with ours; we remove them
    pub fn guest(&self, more: &str) -> Self {
        let prefix = format!("{}{more}", self.prefix);
        let mut names = self.names.clone();
        names.retain(|name, _| name.contains("image"));
        names.insert("prefix".to_owned(), prefix.clone());
        names.insert("name".to_owned(), format!("{prefix}it"));
        Self { engine: self.engine.clone(), prefix, is_guest: true, names }
    }

    /// `{image}`, `{image_id}` and `{foreign_image}`: an image that nothing else uses, so that all that comes of it is found
    ///
    /// Its containers inherit its labels; the one that names an owner must never be believed.
    pub fn image(&mut self) {
        let seed = format!("{}seed", self.prefix);
        let body = json!({"Image": "busybox:test", "Cmd": ["sleep", "10000"], "Labels": {"swt": self.prefix, "sockwarden.owner": "root"}});
        self.made("POST", &format!("/containers/create?name={seed}"), &body);
        let target = format!("/commit?container={seed}&repo={}image&tag=1", self.prefix);
        let made = self.made("POST", &target, &json!({}));
        self.name("image", format!("{}image:1", self.prefix));
        self.name("image_id", text(&made, "/Id"));
        ask(&self.engine, "DELETE", &format!("/containers/{seed}"), "");
        let foreign = format!("registry.example.com/{}image", self.prefix);
        let target = format!("/images/{}image:1/tag?repo={foreign}&tag=1", self.prefix);
        self.made("POST", &target, &Value::Null);
        self.name("foreign_image", format!("{foreign}:1"));
    }

    /// `{WHO}`, a container with a volume; with a network of its own, and alive with an exec that was not started, where needed
    pub fn player(&mut self, who: &str, through: &Path, needs: &Needs) {
        let (network, volume) = (format!("{}{who}net", self.prefix), format!("{}{who}vol", self.prefix));
        let make = |target: &str, body: Value| made(through, "POST", target, &body);
        if needs.network {
            let made = make("/networks/create", json!({"Name": network, "CheckDuplicate": true}));
            self.name(&format!("{who}_network_id"), text(&made, "/Id"));
        }
        make("/volumes/create", json!({"Name": volume}));
        let container = format!("{}{who}", self.prefix);
        let body = json!({
            "Image": self.names["image"],
            "Cmd": ["sleep", "10000"],
            "OpenStdin": true,
            "HostConfig": {"NetworkMode": if needs.network { network.as_str() } else { "bridge" }, "Binds": [format!("{volume}:/data")]},
        });
        let id = text(&make(&format!("/containers/create?name={container}"), body), "/Id");
        if needs.life {
            make(&format!("/containers/{container}/start"), Value::Null);
            let exec = json!({"Cmd": ["sleep", "10000"]});
            self.name(&format!("{who}_exec"), text(&make(&format!("/containers/{container}/exec"), exec), "/Id"));
        }
        self.name(&format!("{who}_short"), id[..12].to_owned());
        self.name(&format!("{who}_id"), id);
        self.name(&format!("{who}_network"), network);
        self.name(&format!("{who}_volume"), volume);
        self.name(who, container);
    }

    /// Everything on the engine that carries the prefix, and the victim in full, without what changes by itself
    pub fn snapshot(&self) -> BTreeMap<String, Value> {
        let mut seen = BTreeMap::new();
        for (target, list, parts) in LISTS {
            for object in objects(&self.engine, target, list, &self.prefix) {
                let kept: Vec<&Value> = parts.iter().filter_map(|part| object.pointer(part)).collect();
                seen.insert(key(target, kept[0].as_str().unwrap_or_default()), json!(kept));
            }
        }
        let (Some(victim), Some(exec)) = (self.names.get("victim_id"), self.names.get("victim_exec")) else {
            return seen;
        };
        let found = ask(&self.engine, "GET", &format!("/containers/{victim}/json"), "").json();
        for part in
            ["/Name", "/State/Status", "/State/Pid", "/RestartCount", "/HostConfig", "/Config", "/ExecIDs", "/Mounts"]
        {
            seen.insert(format!("victim {part}"), found.pointer(part).cloned().unwrap_or_default());
        }
        let networks = found.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
        seen.insert(
            "victim's networks".to_owned(),
            networks.map(|networks| networks.keys().cloned().collect()).unwrap_or_default(),
        );
        let changes = ask(&self.engine, "GET", &format!("/containers/{victim}/changes"), "").json();
        seen.insert("victim's files".to_owned(), changes);
        let exec = ask(&self.engine, "GET", &format!("/exec/{exec}/json"), "").json();
        seen.insert("victim's exec".to_owned(), exec["Running"].clone());
        seen
    }

    /// Removes what came since the snapshot `keep`
    pub fn clean(&self, keep: &BTreeMap<String, Value>) {
        clean(&self.engine, &self.prefix, keep);
    }

    fn name(&mut self, name: &str, value: String) {
        self.names.insert(name.to_owned(), value);
    }

    fn made(&self, method: &str, target: &str, body: &Value) -> Value {
        made(&self.engine, method, target, body)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.is_guest {
            return;
        }
        // What failed already must not be hidden by a second failure.
        match std::thread::panicking() {
            true => drop(remove(&self.engine, &self.prefix, &BTreeMap::new())),
            false => clean(&self.engine, &self.prefix, &BTreeMap::new()),
        }
    }
}

fn made(socket: &Path, method: &str, target: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(socket, method, target, &body);
    assert!(answer.is_success(), "{method} {target} {body}: {} {}", answer.status, answer.text());
    answer.json()
}

fn text(answer: &Value, pointer: &str) -> String {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {answer}")).to_owned()
}

/// Removes what has the prefix in its description and is not in `keep`, and the tags that a kept image has got since
///
/// A busy engine may say that a container it was to kill does not end, and leave it there; what is left would be seen as
/// the effect of the next case. So it is told until nothing is there.
fn clean(engine: &Path, prefix: &str, keep: &BTreeMap<String, Value>) {
    let begun = Instant::now();
    loop {
        let said = remove(engine, prefix, keep);
        if said.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "what begins with {prefix} is there still: {}", said.join("; "));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Tells the engine to remove it, and what the engine said where it did not
fn remove(engine: &Path, prefix: &str, keep: &BTreeMap<String, Value>) -> Vec<String> {
    let mut said = Vec::new();
    let mut delete = |target: &str| {
        let answer = ask(engine, "DELETE", target, "");
        // One that is gone already is as good as removed.
        if !answer.is_success() && answer.status != 404 {
            said.push(format!("DELETE {target}: {} {}", answer.status, answer.text()));
        }
    };
    for (target, list, parts) in LISTS {
        let kind = target.split(['/', '?']).nth(1).unwrap_or_default();
        let options = if kind == "containers" { "?force=1&v=1" } else { "?force=1" };
        for object in objects(engine, target, list, prefix) {
            let id = object.pointer(parts[0]).and_then(Value::as_str).unwrap_or_default();
            let Some(kept) = keep.get(&key(target, id)) else {
                delete(&format!("/{kind}/{id}{options}"));
                continue;
            };
            let tags = object.pointer("/RepoTags").and_then(Value::as_array).into_iter().flatten();
            for tag in tags.filter_map(Value::as_str).filter(|tag| !kept.to_string().contains(&format!("\"{tag}\""))) {
                delete(&format!("/images/{tag}"));
            }
        }
    }
    said
}

/// Of a list, what has the prefix in its description
fn objects(engine: &Path, target: &str, list: &str, prefix: &str) -> Vec<Value> {
    let all = listed(engine, target).json().pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    all.into_iter().filter(|object| object.to_string().contains(prefix)).collect()
}

fn key(target: &str, id: &str) -> String {
    format!("{target} {id}")
}

/// Lists, where the list is in the answer, and what of each object stays as it is when nobody touches it
const LISTS: &[(&str, &str, &[&str])] = &[
    ("/containers/json?all=1", "", &["/Id", "/Names", "/Image", "/State", "/Labels", "/HostConfig", "/Mounts"]),
    ("/networks", "", &["/Id", "/Name", "/Driver", "/Options", "/Labels"]),
    ("/volumes", "/Volumes", &["/Name", "/Driver", "/Options", "/Labels"]),
    ("/images/json", "", &["/Id", "/RepoTags", "/Labels"]),
];
