//! What of an object is the request's doing: without names, ids and the owner that sockwarden adds.

use serde_json::{Value, json};

use super::granted::real;
use super::world::World;

impl World {
    /// What two containers of the same request have in common
    pub(super) fn essence(&self, container: &Value) -> Value {
        let mut config = container["Config"].clone();
        config["Hostname"] = Value::Null;
        let mut host = container["HostConfig"].clone();
        // 20.10 fills in its default only where the request has a `HostConfig`, and what sockwarden sends always has one.
        if host["Runtime"].is_null() || host["Runtime"] == "runc" {
            host["Runtime"] = "runc".into();
        }
        real_sources(&mut host);
        without_unnamed(&mut host);
        let networks: Vec<&String> =
            container["NetworkSettings"]["Networks"].as_object().into_iter().flat_map(|all| all.keys()).collect();
        let mut mounts: Vec<Value> = container["Mounts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|mount| {
                json!([mount["Type"], mount["Destination"], mount["RW"], mount["Driver"], mount["Propagation"]])
            })
            .collect();
        mounts.sort_by_key(Value::to_string);
        self.common(json!({"Config": config, "HostConfig": host, "Networks": networks, "Mounts": mounts}))
    }

    /// Without the names of this world and the owner's label
    pub(super) fn common(&self, mut essence: Value) -> Value {
        disown(&mut essence);
        let mut text = essence.to_string().replace(&self.prefix, "PREFIX-").replace(&self.names["image_id"], "IMAGE");
        if !self.suffix.is_empty() {
            text = text.replace(&self.suffix, "");
        }
        for (name, id) in &self.ids {
            text = text.replace(id, &name.to_uppercase());
        }
        serde_json::from_str(&text).unwrap()
    }
}

/// Volumes without a name are asked for in another way, to have labels; as mounts they are still compared
fn without_unnamed(host: &mut Value) {
    let unnamed = |mount: &Value| mount["Type"] == "volume" && mount["Source"].as_str().unwrap_or("").is_empty();
    for (list, drops) in [
        ("Mounts", &unnamed as &dyn Fn(&Value) -> bool),
        ("Binds", &|bind: &Value| !bind.as_str().unwrap_or(":").contains(':')),
    ] {
        if let Some(elements) = host[list].as_array_mut() {
            elements.retain(|element| !drops(element));
            if elements.is_empty() {
                host[list] = Value::Null;
            }
        }
        // Absent where the engine says nothing of an empty list.
        if host[list].is_null() {
            host.as_object_mut().unwrap().remove(list);
        }
    }
}

/// Host paths as what they lead to, which is what sockwarden sends
fn real_sources(host: &mut Value) {
    for bind in host["Binds"].as_array_mut().into_iter().flatten() {
        let text = bind.as_str().unwrap_or("").to_owned();
        if let Some((source, rest)) = text.split_once(':').filter(|(source, _)| source.starts_with('/')) {
            *bind = format!("{}:{rest}", real(source)).into();
        }
    }
    for mount in host["Mounts"].as_array_mut().into_iter().flatten().filter(|mount| mount["Type"] == "bind") {
        mount["Source"] = real(mount["Source"].as_str().unwrap_or("")).into();
    }
}

/// Takes away the owner's label, and what was there only to hold it
fn disown(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(disown);
            let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
            members.retain(|key, value| {
                let holder = ["Labels", "VolumeOptions"].contains(&key.as_str());
                !key.starts_with("sockwarden.") && !(holder && (empty(value) || value.is_null()))
            });
        }
        Value::Array(elements) => elements.iter_mut().for_each(disown),
        _ => {}
    }
}
