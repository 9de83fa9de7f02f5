//! One of the two worlds a request is played in: the caller's objects and somebody else's, and what a request did to them.
//!
//! Two worlds on one engine have names of the same length, so that a request bent in one is bent alike in the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::base::Base;
use super::oracle::Ground;
use crate::engines::http::{Answer, PATIENCE, ask, removed, send_again};
use crate::engines::setting::Engine;
use crate::engines::stage::Stage;

/// Objects of one side
pub struct World {
    pub(super) engine: PathBuf,
    pub(super) maker: PathBuf,
    pub(super) prefix: String,
    /// What ends the names of the caller's own on the engine
    pub(super) suffix: String,
    pub(super) subnets: (String, usize),
    pub(super) names: BTreeMap<String, String>,
    pub(super) ids: BTreeMap<&'static str, String>,
    pub(super) pristine: BTreeMap<&'static str, Value>,
    pub(super) images: Vec<Value>,
    // Removes everything when dropped.
    _stage: Stage,
}

/// Which of two worlds
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The engine itself
    Bare,
    /// Through sockwarden
    Gated,
}

/// What a request did to one object
#[derive(Debug)]
pub struct Effect {
    /// The object
    pub what: String,
    /// What of it the policy does not grant
    pub wrong: Vec<String>,
    /// What it is, without what differs from one object to the next
    pub essence: Value,
}

impl World {
    /// Makes what is the caller's through the `maker`, and what is not on the engine itself
    pub fn open(engine: &Engine, maker: PathBuf, side: Side, granted: &str, suffix: String) -> Self {
        let (pid, number) = (std::process::id(), engine.number() * 64);
        let (prefix, net) = match side {
            Side::Bare => (format!("swd{pid}b-"), 214),
            Side::Gated => (format!("swd{pid}g-"), 215),
        };
        // Two engines may share the host's routes, and two runs an engine.
        let subnets = (format!("10.{net}.{}", pid & 255), number + (pid as usize >> 8 & 3) * 16);
        let mut stage = Stage::new(&engine.socket, &prefix);
        stage.image();
        let mut names = stage.names.clone();
        for name in OBJECTS {
            names.insert((*name).to_owned(), format!("{prefix}{name}"));
        }
        names.insert("granted".to_owned(), granted.to_owned());
        names.insert("number".to_owned(), number.to_string());
        let (ids, pristine, images, engine) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), engine.socket.clone());
        // The image that is somebody else's is a name of ours, tagged by the stage.
        names.insert("foreign_image".to_owned(), stage.names["foreign_image"].clone());
        let mut world = Self { engine, maker, prefix, suffix, subnets, names, ids, pristine, images, _stage: stage };
        OBJECTS.iter().for_each(|name| world.make(name));
        world.images = world.listed_images();
        world
    }

    /// What an object is called on the engine
    pub(super) fn there(&self, name: &str) -> String {
        let suffix = if is_foreign(name) { "" } else { &self.suffix };
        format!("{}{suffix}", self.names[name])
    }

    /// A network's addresses
    pub(super) fn subnet(&self, name: &str) -> String {
        let (net, first) = &self.subnets;
        format!("{net}.{}/29", first + if is_foreign(name) { 0 } else { 8 })
    }

    /// What is somebody else's here
    pub fn foreign(&self) -> Vec<String> {
        let names = OBJECTS.iter().filter(|name| is_foreign(name)).map(|name| self.names[*name].clone());
        names.chain(self.ids.iter().filter(|(name, _)| is_foreign(name)).map(|(_, id)| id.clone())).collect()
    }

    /// The owner that what is made here carries
    pub fn owner(&self) -> Option<String> {
        self.pristine["own"]["Labels"]["sockwarden.owner"].as_str().map(str::to_owned)
    }

    /// Names for a request
    pub fn names(&self, number: usize) -> BTreeMap<String, String> {
        let mut names = self.names.clone();
        names.insert("name".to_owned(), format!("{}{number}x", self.prefix));
        names.insert("octet".to_owned(), (number % 250).to_string());
        for (name, id) in &self.ids {
            names.insert(format!("{name}_id"), id.clone());
            names.insert(format!("{name}_short"), id.chars().take(12).collect());
        }
        names
    }

    /// Sends bytes
    pub fn send(&self, bytes: &[u8]) -> Vec<Answer> {
        send_again(&self.maker, bytes, 1)
    }

    /// What was done to the objects that a request is about, and what was made; afterwards all is as before
    pub fn look(&mut self, base: &Base, answers: &[Answer], ground: &Ground) -> Vec<Effect> {
        let mut effects = self.made(answers, ground);
        for name in OBJECTS.iter().filter(|name| base.mentions(name)) {
            effects.extend(self.changed(name, ground));
        }
        let said = answers.first().is_some_and(|answer| answer.status == 200 && !answer.body.is_empty());
        if said && base.name.starts_with("GET") {
            effects.push(Effect { what: "read".to_owned(), wrong: vec![base.name.clone()], essence: Value::Null });
        }
        effects
    }

    /// What changed of all objects
    pub fn look_around(&mut self, ground: &Ground) -> Vec<Effect> {
        OBJECTS.iter().filter_map(|name| self.changed(name, ground)).collect()
    }

    fn made(&mut self, answers: &[Answer], ground: &Ground) -> Vec<Effect> {
        let mut effects = Vec::new();
        let filter = |key: &str, value: &str| format!("filters=%7B%22{key}%22%3A%5B%22{value}%22%5D%7D");
        let listed = |target: String| self.get(&target);
        let known: Vec<String> = OBJECTS.iter().map(|name| self.there(name)).collect();
        let own = |id: &str| self.ids.values().chain(&known).any(|known| known == id);
        let said: Vec<String> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .flat_map(|answer| ["Id", "Name"].map(|field| answer.json()[field].as_str().unwrap_or("").to_owned()))
            .filter(|id| !id.is_empty())
            .collect();
        let new = |list: &Value, key: &str| -> Vec<String> {
            let ids =
                list.as_array().into_iter().flatten().filter_map(|object| object[key].as_str().map(str::to_owned));
            let mut ids: Vec<String> = ids.chain(said.clone()).filter(|id| !own(id)).collect();
            ids.sort();
            ids.dedup();
            ids
        };

        let containers =
            listed(format!("/containers/json?all=1&{}", filter("label", &format!("swt%3D{}", self.prefix))));
        for id in new(&containers, "Id") {
            let container = self.get(&format!("/containers/{id}/json"));
            if container.is_null() {
                continue;
            }
            let mounts = container["Mounts"].as_array().cloned().unwrap_or_default();
            let volumes: Vec<Value> = mounts
                .iter()
                .filter_map(|mount| mount["Name"].as_str())
                .map(|name| self.get(&format!("/volumes/{name}")))
                .filter(|volume| !volume.is_null() && !own(volume["Name"].as_str().unwrap_or("")))
                .collect();
            let wrong = ground.container(&container, &volumes);
            effects.push(Effect { what: "container".to_owned(), wrong, essence: self.essence(&container) });
            self.delete(&format!("/containers/{id}?force=1&v=1"));
        }
        for name in new(&listed(format!("/volumes?{}", filter("name", &self.prefix)))["Volumes"], "Name") {
            let volume = self.get(&format!("/volumes/{name}"));
            if volume.is_null() {
                continue;
            }
            let essence = self
                .common(json!({"Driver": volume["Driver"], "Options": volume["Options"], "Labels": volume["Labels"]}));
            effects.push(Effect { what: "volume".to_owned(), wrong: ground.volume(&volume), essence });
            self.delete(&format!("/volumes/{name}?force=1"));
        }
        for id in new(&listed(format!("/networks?{}", filter("name", &self.prefix))), "Id") {
            let network = self.get(&format!("/networks/{id}"));
            if network.is_null() {
                continue;
            }
            let parts = [
                "Driver",
                "Options",
                "Labels",
                "Internal",
                "Attachable",
                "Ingress",
                "EnableIPv6",
                "ConfigOnly",
                "Scope",
            ];
            let essence = self.common(parts.iter().map(|part| ((*part).to_owned(), network[*part].clone())).collect());
            effects.push(Effect { what: "network".to_owned(), wrong: ground.network(&network), essence });
            self.delete(&format!("/networks/{id}"));
        }
        effects.extend(self.made_images(ground));
        effects
    }

    /// New images, and new names of images
    fn made_images(&self, ground: &Ground) -> Vec<Effect> {
        let mut effects = Vec::new();
        for mut image in self.listed_images() {
            let known = self.images.iter().find(|known| known["Id"] == image["Id"]);
            let old = known.map(|known| known["RepoTags"].clone()).unwrap_or_default();
            let tags: Vec<String> = image["RepoTags"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect();
            let new: Vec<String> =
                tags.into_iter().filter(|tag| !old.as_array().into_iter().flatten().any(|old| old == tag)).collect();
            if known.is_some() && new.is_empty() {
                continue;
            }
            image["RepoTags"] = json!(new);
            if known.is_some() {
                // A new name changes nothing of what an image says of itself.
                image["Labels"] = Value::Null;
            }
            let essence = self.common(json!({"RepoTags": new, "Labels": image["Labels"]}));
            effects.push(Effect { what: "image".to_owned(), wrong: ground.image(&image), essence });
            for tag in new.iter().filter(|tag| *tag != "<none>:<none>") {
                self.delete(&format!("/images/{tag}?force=1"));
            }
            if known.is_none() {
                self.delete(&format!("/images/{}?force=1", image["Id"].as_str().unwrap_or("")));
            }
        }
        effects
    }

    fn listed_images(&self) -> Vec<Value> {
        let listed = self.get(&format!("/images/json?filters=%7B%22label%22%3A%5B%22swt%3D{}%22%5D%7D", self.prefix));
        listed.as_array().cloned().unwrap_or_default()
    }

    /// What was done to one object, which is made anew if it was
    fn changed(&mut self, name: &'static str, ground: &Ground) -> Option<Effect> {
        let (before, now) = (self.pristine[name].clone(), self.state(name));
        if before == now {
            return None;
        }
        let differing = |field: &str| before[field] != now[field];
        let execs: Vec<Value> = now["Execs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|id| !before["Execs"].as_array().into_iter().flatten().any(|old| old == *id))
            .cloned()
            .collect();
        let fields = ["Id", "Name", "Status", "HostConfig", "Networks", "Files"];
        let nothing_else = !now.is_null() && !now["Name"].is_null() && !fields.into_iter().any(differing);
        if nothing_else && execs.is_empty() {
            // The engine has forgotten old ones.
            self.pristine.insert(name, now);
            return None;
        }
        let mut wrong = Vec::new();
        let mut essence = json!({"gone": now.is_null()});
        if is_foreign(name) {
            wrong.push(format!("CHANGED {name}: {before} -> {now}"));
        } else if !now.is_null() {
            for field in ["HostConfig", "Status"].iter().filter(|field| differing(field)) {
                wrong.push(format!("{field} of {name}: {} -> {}", before[field], now[field]));
            }
            wrong.extend(ground.endpoints(&now["Networks"]));
        }
        for exec in &execs {
            let found = self.get(&format!("/exec/{}/json", exec.as_str().unwrap_or("")));
            if found["ProcessConfig"]["privileged"] != false {
                wrong.push(format!("exec {}", found["ProcessConfig"]));
            }
            essence["exec"] = found["ProcessConfig"].clone();
        }
        if nothing_else && differing("Execs") {
            self.pristine.insert(name, now);
        } else {
            self.remake(name);
        }
        Some(Effect { what: name.to_owned(), wrong, essence })
    }

    pub(super) fn get(&self, target: &str) -> Value {
        let begun = Instant::now();
        loop {
            let answer = ask(&self.engine, "GET", target, "");
            if answer.is_success() {
                return answer.json();
            }
            // What a busy engine cannot tell is not gone.
            if answer.status < 500 || begun.elapsed() > PATIENCE {
                return Value::Null;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn delete(&self, target: &str) {
        removed(&self.engine, target);
    }
}

/// Whether an object is somebody else's
pub(super) fn is_foreign(name: &str) -> bool {
    !name.starts_with("own") && name != "mine"
}

/// What a world has; `victim` and `own` are containers that do not run, `runner` and `mine` such that do
const OBJECTS: &[&str] = &[
    "victim_volume",
    "victim_network",
    "victim",
    "runner",
    "spare_volume",
    "spare_network",
    "foreign_image",
    "own_volume",
    "own_network",
    "own",
    "mine",
];
