//! The objects of a world: made, looked at, and made anew after a request has done something to them.

use serde_json::{Value, json};

use super::oracle::FOREIGN_LABEL;
use super::world::{World, is_foreign};
use crate::engines::http::ask;

impl World {
    pub(super) fn remake(&mut self, name: &'static str) {
        // The containers on a network go with it.
        let also: &[&'static str] = match name {
            "victim_network" => &["victim"],
            "victim_volume" => &["victim"],
            _ => &[],
        };
        for name in also.iter().chain([&name]) {
            if let Some(id) = self.ids.get(name) {
                self.delete(&format!("/containers/{id}?force=1"));
            }
        }
        if name.ends_with("volume") {
            self.delete(&format!("/volumes/{}?force=1", self.there(name)));
        }
        if name.ends_with("network") {
            for container in ["victim", "own"] {
                let body = json!({"Container": self.there(container), "Force": true}).to_string();
                ask(&self.engine, "POST", &format!("/networks/{}/disconnect", self.there(name)), &body);
            }
            self.delete(&format!("/networks/{}", self.there(name)));
        }
        for name in [&name].into_iter().chain(also) {
            self.make(name);
        }
    }

    pub(super) fn make(&mut self, name: &'static str) {
        let maker = if is_foreign(name) { &self.engine } else { &self.maker };
        let called = self.names[name].clone();
        let made = |target: &str, body: Value| {
            let answer = ask(maker, "POST", target, &body.to_string());
            assert!(answer.is_success(), "{target} {body}: {} {}", answer.status, answer.text());
            answer.json()
        };
        match name {
            "foreign_image" => {
                let repo = called.rsplit_once(':').unwrap().0;
                let target = format!("/images/{}/tag?repo={repo}&tag=1", self.names["image"]);
                let answer = ask(&self.engine, "POST", &target, "");
                assert!(answer.is_success(), "{target}: {}", answer.text());
            }
            name if name.ends_with("volume") => drop(made("/volumes/create", json!({"Name": called}))),
            name if name.ends_with("network") => {
                // The engines' own pools are small and for everybody, so only what is made through sockwarden, where no
                // subnet may be chosen, is from them.
                let mut body = json!({"Name": called, "CheckDuplicate": true});
                match name {
                    "spare_network" => body["ConfigOnly"] = true.into(),
                    "own_network" if self.maker != self.engine => {}
                    name => body["IPAM"] = json!({"Config": [{"Subnet": self.subnet(name)}]}),
                }
                let made = made("/networks/create", body);
                self.ids.insert(name, made["Id"].as_str().unwrap().to_owned());
            }
            name => {
                let runs = matches!(name, "runner" | "mine");
                let host = match name {
                    "victim" => {
                        json!({"NetworkMode": self.names["victim_network"], "Binds": [format!("{}:/v", self.names["victim_volume"])]})
                    }
                    _ if runs => json!({"NetworkMode": "none"}),
                    _ => json!({}),
                };
                let mut labels = json!({"swt": self.prefix});
                if is_foreign(name) {
                    labels[FOREIGN_LABEL] = json!("1");
                }
                let body = json!({"Image": self.names["image"], "Cmd": ["sh", "-c", "echo secret; exec sleep 100000"], "Labels": labels, "HostConfig": host});
                let id = made(&format!("/containers/create?name={called}"), body)["Id"].as_str().unwrap().to_owned();
                if runs {
                    made(&format!("/containers/{id}/start"), json!({}));
                }
                self.ids.insert(name, id);
            }
        }
        let state = self.state(name);
        assert!(!state.is_null(), "{name} is not there after it was made");
        self.pristine.insert(name, state);
    }

    /// What of an object stays as it is when nobody touches it; null when it is gone
    pub(super) fn state(&self, name: &str) -> Value {
        let called = self.there(name);
        if name == "foreign_image" {
            return self.get(&format!("/images/{called}/json"))["Id"].clone();
        }
        let kind = ["volume", "network"].into_iter().find(|kind| name.ends_with(kind));
        let Some(kind) = kind else {
            let found = self.get(&format!("/containers/{called}/json"));
            if found.is_null() {
                return found;
            }
            let networks = found["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
            let networks: serde_json::Map<String, Value> = networks
                .map(|(name, endpoint)| {
                    (name.clone(), json!({"IPAMConfig": endpoint["IPAMConfig"], "DriverOpts": endpoint["DriverOpts"]}))
                })
                .collect();
            let files = if name == "victim" { self.get(&format!("/containers/{called}/changes")) } else { Value::Null };
            return json!({
                "Id": found["Id"], "Name": found["Name"], "Status": found["State"]["Status"], "HostConfig": found["HostConfig"],
                "Labels": found["Config"]["Labels"], "Execs": found["ExecIDs"], "Networks": networks, "Files": files,
            });
        };
        let found = self.get(&format!("/{kind}s/{called}"));
        if found.is_null() {
            return found;
        }
        json!({"Driver": found["Driver"], "Options": found["Options"], "Labels": found["Labels"], "Id": found["Id"]})
    }
}
