//! Facts: what the objects that a request touches are, and whose.
//!
//! Looked up only when the policy isolates. The full ids take the names' place, so that what was judged is what the
//! engine acts on, however names move in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::answer::Refused;
use crate::api::operation::Operation;
use crate::audit::record::ObjectLine;
use crate::engine::{Engine, EngineError, Question};
use crate::policy::ask::Object;
use crate::policy::judge::{Facts, Pin};
use crate::policy::modify::OWNER_LABEL;
use crate::policy::references::{PATH, Reference, Referent, references};

/// What was found
#[derive(Debug, Default)]
pub struct Found {
    /// For the judge
    pub facts: Facts,
    /// For the record
    pub objects: Vec<ObjectLine>,
    /// Volumes that a container mounts and that do not exist yet
    pub new_volumes: Vec<String>,
}

/// Only names the objects, where nothing depends on whose they are
pub fn named_only(operation: &Operation, owner: &str) -> Found {
    let line = |reference: Reference| ObjectLine { kind: kind(reference.object), name: reference.name, id: None };
    let objects = references(operation).into_iter().map(line).collect();
    Found { facts: Facts { owner: Some(owner.to_owned()), ..Facts::default() }, objects, new_volumes: Vec::new() }
}

/// Looks up every object that the operation touches
///
/// # Errors
/// When one does not exist, in the engine's own words, or the engine cannot be asked.
pub async fn gather(engine: &Engine, operation: &Operation, owner: &str) -> Result<Found, Refused> {
    let mut found = Found::default();
    found.facts.owner = Some(owner.to_owned());
    for Reference { object, name, field } in references(operation) {
        let subject = field == PATH;
        let (id, its_owner) = match look_up(engine, object, &name).await? {
            Looked::Found { id, owner } => (id, owner),
            // A volume that is not there yet is made with the container.
            Looked::Absent(_) if object == Referent::Object(Object::Volume) && !subject => {
                found.new_volumes.push(name.clone());
                (None, Some(owner.to_owned()))
            }
            Looked::Absent(message) if subject => return Err(Refused::Absent(message)),
            Looked::Absent(message) => return Err(Refused::Dangling(message)),
        };
        let kind = kind(object);
        let object = match object {
            Referent::Object(object) => object,
            Referent::Exec => Object::Container,
        };
        if let Some(id) = &id {
            found.facts.pins.push(Pin { object, name: name.clone(), id: id.clone(), subject });
        }
        found.objects.push(ObjectLine { kind, name: name.clone(), id });
        if its_owner.as_deref() != Some(owner) {
            found.facts.foreign.push((object, name, field));
        }
    }
    Ok(found)
}

enum Looked {
    Found { id: Option<String>, owner: Option<String> },
    Absent(String),
}

async fn look_up(engine: &Engine, object: Referent, name: &str) -> Result<Looked, Refused> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Ok(Looked::Found { id: None, owner: None });
    }
    match object {
        Referent::Object(Object::Container) => inspect(engine, Question::Container(name)).await,
        Referent::Object(Object::Network) => inspect(engine, Question::Network(name)).await,
        Referent::Object(Object::Volume) => inspect(engine, Question::Volume(name)).await,
        Referent::Exec => {
            let (status, body) = engine.question(Question::Exec(name)).await?;
            if status != StatusCode::OK {
                return Ok(Looked::Absent(message(&body)));
            }
            let Exec { container } = parse(&body)?;
            match inspect(engine, Question::Container(&container)).await? {
                Looked::Found { owner, .. } => Ok(Looked::Found { id: None, owner }),
                absent @ Looked::Absent(_) => Ok(absent),
            }
        }
    }
}

async fn inspect(engine: &Engine, question: Question<'_>) -> Result<Looked, Refused> {
    let (status, body) = engine.question(question).await?;
    match status {
        StatusCode::OK => {
            let Inspected { id, labels, config } = parse(&body)?;
            let labels = config.map_or(labels, |config| config.labels);
            Ok(Looked::Found { id, owner: labels.unwrap_or_default().remove(OWNER_LABEL) })
        }
        StatusCode::NOT_FOUND => Ok(Looked::Absent(message(&body))),
        _ => Err(EngineError::Broken(message(&body)).into()),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| EngineError::Broken(error.to_string()).into())
}

fn message(body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let said = serde_json::from_slice(body).map(|Message { message }| message);
    said.unwrap_or_else(|_| "the engine gave no reason".to_owned())
}

/// What is read of the engine's answers
#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "Id")]
    id: Option<String>,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "Config")]
    config: Option<InspectedConfig>,
}

#[derive(Deserialize)]
struct InspectedConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(rename = "ContainerID")]
    container: String,
}

fn kind(object: Referent) -> &'static str {
    match object {
        Referent::Object(object) => object.as_str(),
        Referent::Exec => "exec",
    }
}
