//! What a client had written for its mounts, kept in a label of the container, and given back when it inspects.
//!
//! The engine is told other paths: translated, followed, pinned. A client that compares what it asked for with what it has,
//! as Compose does, must find its own words.

use serde_json::{Map, Value, json};

use crate::answer::Refused;
use crate::api::bind::{Bind, BindSource, HostPath, clean};
use crate::api::create::Create;
use crate::api::object::Value as _;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::asks::RESERVED_LABELS;

/// The label that keeps what was asked; empty where the engine was told just that
///
/// Always there: a label of the image, or of the container it was committed from, would take its place.
pub const ASKED_LABEL: &str = "sockwarden.asked";

/// The mounts of a create call as the client wrote them
#[derive(Debug)]
pub struct Asked {
    paths: Vec<(String, HostPath)>,
    text: String,
}

impl Asked {
    /// Those of a create call; other operations have none
    pub fn of(operation: &Operation) -> Option<Self> {
        let Operation::ContainerCreate(Request { body: JsonBody(Create { host_config, .. }), .. }) = operation else {
            return None;
        };
        let settings = host_config.as_ref().map(|host| &host.settings);
        let binds = settings.map(|settings| settings.binds.write().to_string());
        let mounts = settings.map(|settings| settings.mounts.write().to_string());
        let [binds, mounts] = [binds, mounts].map(|written| written.unwrap_or_else(|| "null".to_owned()));
        Some(Self { paths: operation.host_paths(), text: format!("{{\"Binds\":{binds},\"Mounts\":{mounts}}}") })
    }

    /// The label's text, once it is known what the engine is told
    ///
    /// # Errors
    /// When it is longer than is kept.
    pub fn label(self, told: &[(String, HostPath)], is_given: bool) -> Result<String, Refused> {
        match self {
            Self { paths, .. } if !is_given && paths == told => Ok(String::new()),
            Self { text, .. } if text.len() > MAX_ASKED => Err(Refused::Unkept { limit: MAX_ASKED }),
            Self { text, .. } => Ok(text),
        }
    }
}

/// Puts what was asked back into the answer of `GET /containers/{id}/json`, and takes our labels out
pub fn give_back(answer: &mut Value) {
    let Some(labels) = answer.pointer_mut("/Config/Labels").and_then(Value::as_object_mut) else { return };
    let asked = labels.get(ASKED_LABEL).and_then(Value::as_str).and_then(|asked| serde_json::from_str(asked).ok());
    labels.retain(|key, _| !key.starts_with(RESERVED_LABELS));
    let Some(Value::Object(asked)) = asked else { return };
    let points = points(&asked);
    let Some(answer) = answer.as_object_mut() else { return };
    if let Some(host) = answer.get_mut("HostConfig").and_then(Value::as_object_mut) {
        host.insert("Binds".to_owned(), asked.get("Binds").cloned().unwrap_or_default());
        match asked.get("Mounts").filter(|mounts| mounts.is_array()) {
            Some(mounts) => drop(host.insert("Mounts".to_owned(), mounts.clone())),
            // The engine leaves an empty list out.
            None => drop(host.shift_remove("Mounts")),
        }
    }
    for shown in answer.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(shown) = shown.as_object_mut() else { continue };
        let at = shown.get("Destination").and_then(Value::as_str).map(clean);
        if let Some(point) = points.iter().find(|point| Some(&point.target) == at.as_ref()) {
            point.show(shown);
        }
    }
}

/// A host path that was asked for, and where
struct Point {
    target: String,
    source: String,
    mode: String,
}

impl Point {
    /// Shows a mount as the bind that was asked for; what was lowered to read-only stays so
    fn show(&self, shown: &mut Map<String, Value>) {
        let is_bind = shown.get("Type").and_then(Value::as_str) == Some("bind");
        if is_bind {
            shown.insert("Source".to_owned(), json!(self.source));
            shown.insert("Mode".to_owned(), json!(self.mode));
            return;
        }
        let writable = shown.get("RW").cloned().unwrap_or_default();
        let entries = [
            ("Type", json!("bind")),
            ("Source", json!(self.source)),
            ("Destination", json!(self.target)),
            ("Mode", json!(self.mode)),
            ("RW", writable),
            ("Propagation", json!("rprivate")),
        ];
        *shown = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    }
}

fn points(asked: &Map<String, Value>) -> Vec<Point> {
    let list = |key| asked.get(key).and_then(Value::as_array).into_iter().flatten();
    let binds = list("Binds").filter_map(|bind| match Bind::parse(bind.as_str()?) {
        Ok(Bind { source: BindSource::Host(source), target, mode }) => {
            Some(Point { target: clean(&target), source: source.to_string(), mode: mode.join(",") })
        }
        Ok(Bind { source: BindSource::Anonymous | BindSource::Volume(_), .. }) | Err(_) => None,
    });
    let mounts = list("Mounts").filter_map(|mount| {
        let word = |key| mount.get(key).and_then(Value::as_str);
        let (target, source) = (clean(word("Target")?), word("Source")?.to_owned());
        (word("Type") == Some("bind")).then_some(Point { target, source, mode: String::new() })
    });
    binds.chain(mounts).collect()
}

/// Longest text that is kept, in bytes
const MAX_ASKED: usize = 64 << 10;
