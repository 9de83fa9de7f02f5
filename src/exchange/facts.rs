//! Facts: what the objects that a request touches are, and whose.
//!
//! The full ids take the names' place, so that what was judged is what the engine acts on, however names move in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::answer::Refused;
use crate::api::image_ref::ImageRef;
use crate::api::operation::Operation;
use crate::audit::record::ObjectLine;
use crate::engine::{Engine, EngineError, Question};
use crate::owner::Owner;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::existing_volume;
use crate::policy::judge::{Facts, Pin, RealName};
use crate::policy::modify::OWNER_LABEL;
use crate::policy::references::{Reference, Referent, references};

/// What was found
#[derive(Debug, Default)]
pub struct Found {
    /// For the judge
    pub facts: Facts,
    /// For the record
    pub objects: Vec<ObjectLine>,
    /// Volumes that a container mounts and that do not exist yet
    pub new_volumes: Vec<String>,
    /// The answer that the engine would give, when an object does not exist; the call goes no further then
    pub missing: Option<Refused>,
}

/// The objects as the client named them
pub fn named(operation: &Operation) -> Vec<ObjectLine> {
    let line = |reference: Reference| ObjectLine { kind: kind(reference.object), name: reference.name, id: None };
    references(operation).into_iter().map(line).collect()
}

/// Looks up every object that the operation touches
///
/// # Errors
/// When the engine cannot be asked.
pub async fn gather(engine: &Engine, operation: &Operation, owner: &Owner) -> Result<Found, Refused> {
    let mut found = Found::of(owner);
    for reference in references(operation) {
        let kind = kind(reference.object);
        let Known { id, owner: its_owner, names, pin, asks } = match look_up(engine, &reference).await? {
            Looked::Found(known) => known,
            Looked::Absent(message) => {
                found.objects.push(ObjectLine { kind, name: reference.name.clone(), id: None });
                found.absent(operation, reference, message);
                continue;
            }
        };
        let subject = reference.is_subject();
        let Reference { object, name, field } = reference;
        let object = match object {
            Referent::Object(object) => object,
            Referent::Exec => Object::Container,
        };
        found.facts.asks.extend(asks);
        if !names.is_empty() {
            found.facts.names.push(RealName { object, field: field.clone(), given: name.clone(), names });
        }
        if let Some(id) = pin {
            found.facts.pins.push(Pin { object, name: name.clone(), id, subject });
        }
        found.objects.push(ObjectLine { kind, name: name.clone(), id });
        if object != Object::Image && its_owner.as_deref() != Some(owner.name()) {
            found.facts.foreign.push((object, name, field));
        }
    }
    Ok(found)
}

impl Found {
    /// Nothing but who owns what is made
    pub fn of(owner: &Owner) -> Self {
        let stamp = [(OWNER_LABEL.to_owned(), owner.to_string())].into();
        Self { facts: Facts { stamp, ..Facts::default() }, ..Self::default() }
    }

    fn absent(&mut self, operation: &Operation, reference: Reference, message: String) {
        match (reference.object, operation) {
            // A volume that is not there yet is made, by this call or with the container.
            (Referent::Object(Object::Volume), Operation::VolumeCreate(_)) => {}
            (Referent::Object(Object::Volume), Operation::ContainerCreate(_)) => self.new_volumes.push(reference.name),
            (Referent::Object(Object::Image), _) => self.missing = Some(Refused::Absent(message)),
            // The docker CLI takes 404, on create, for a missing image and pulls it.
            (_, Operation::ContainerCreate(_)) => self.missing = Some(Refused::Dangling(message)),
            _ => self.missing = Some(Refused::Absent(message)),
        }
    }
}

enum Looked {
    Found(Known),
    /// In the engine's own words
    Absent(String),
}

/// What is known of one object
#[derive(Default)]
struct Known {
    /// Full id
    id: Option<String>,
    /// Whose it is
    owner: Option<String>,
    /// What it is called; of an image only where the reference is its id
    names: Vec<String>,
    /// What to send in the reference's place
    pin: Option<String>,
    /// What it asks for to be used
    asks: Vec<Ask>,
}

async fn look_up(engine: &Engine, reference: &Reference) -> Result<Looked, Refused> {
    let Reference { object, name, field } = reference;
    let object = match object {
        Referent::Object(Object::Image) => return look_up_image(engine, name).await,
        other => *other,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        // With a slash it would be a link alias, a reference to somebody else's container.
        let what = What::Odd(kind(object), name.clone());
        return Ok(Looked::Found(Known { asks: vec![Ask { what, field: field.clone() }], ..Known::default() }));
    }
    let question = match object {
        Referent::Object(Object::Network) => Question::Network(name),
        Referent::Object(Object::Volume) => Question::Volume(name),
        Referent::Object(_) => Question::Container(name),
        Referent::Exec => Question::Exec(name),
    };
    let body = match ask(engine, question).await? {
        Ok(body) => body,
        Err(message) => return Ok(Looked::Absent(message)),
    };
    let Inspected { id, name: real, labels, config, driver, options, container } = parse(&body)?;
    if let Some(container) = container.filter(|_| object == Referent::Exec) {
        return Ok(match ask(engine, Question::Container(&container)).await? {
            Ok(body) => Looked::Found(Known { owner: parse::<Inspected>(&body)?.owner(), ..Known::default() }),
            Err(message) => Looked::Absent(message),
        });
    }
    let real = real.map(|real| real.strip_prefix('/').unwrap_or(&real).to_owned());
    let asks = match object {
        Referent::Object(Object::Volume) if !reference.is_subject() => existing_volume(&driver, &options, field),
        _ => Vec::new(),
    };
    let owner = Inspected { labels, config, ..Inspected::default() }.owner();
    Ok(Looked::Found(Known { pin: id.clone(), id, owner, names: real.into_iter().collect(), asks }))
}

/// A name by which the engine knows the image stays, in full where it could be taken for an id as well: it is judged as
/// that name, whatever it leads to. What the engine found by its id is judged by all its names, and sent as that id.
async fn look_up_image(engine: &Engine, name: &str) -> Result<Looked, Refused> {
    // What is no reference is refused by its ask.
    let Ok(given) = ImageRef::read(name) else { return Ok(Looked::Found(Known::default())) };
    let body = match ask(engine, Question::Image(name)).await? {
        Ok(body) => body,
        Err(message) => {
            // To this question 20.10 says it twice, to all others once.
            let once = message.rfind("No such image: ").and_then(|last| message.get(last..)).unwrap_or(&message);
            return Ok(Looked::Absent(once.to_owned()));
        }
    };
    let InspectedImage { id, tags, digests } = parse(&body)?;
    let names = tags.into_iter().chain(digests).flatten().filter_map(|name| ImageRef::read(&name).ok());
    let names: Vec<ImageRef> = names.collect();
    let known = if given.is_one_of(&names) {
        Known { pin: given.may_be_id().then(|| given.to_string()), ..Known::default() }
    } else {
        let names = names.iter().map(ImageRef::to_string).chain([id.clone()]).collect();
        Known { names, pin: Some(id.clone()), ..Known::default() }
    };
    Ok(Looked::Found(Known { id: Some(id), ..known }))
}

/// The body of the answer, or the engine's own words when there is no such object
async fn ask(engine: &Engine, question: Question<'_>) -> Result<Result<Bytes, String>, Refused> {
    let (status, body) = engine.question(question).await?;
    match status {
        StatusCode::OK => Ok(Ok(body)),
        StatusCode::NOT_FOUND => Ok(Err(message(&body))),
        // A beginning of several ids, say.
        status if status.is_client_error() => Err(Refused::Dangling(message(&body))),
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

/// What is read of the engine's answers about containers, networks, volumes and execs
#[derive(Default, Deserialize)]
struct Inspected {
    #[serde(rename = "Id")]
    id: Option<String>,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    /// Where a container has its labels
    #[serde(rename = "Config")]
    config: Option<InspectedConfig>,
    /// A container's is that of its layers
    #[serde(rename = "Driver", default)]
    driver: String,
    #[serde(rename = "Options")]
    options: Option<BTreeMap<String, String>>,
    /// Of an exec
    #[serde(rename = "ContainerID")]
    container: Option<String>,
}

impl Inspected {
    fn owner(self) -> Option<String> {
        let labels = self.config.map_or(self.labels, |config| config.labels);
        labels.unwrap_or_default().remove(OWNER_LABEL)
    }
}

#[derive(Deserialize)]
struct InspectedConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct InspectedImage {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "RepoDigests")]
    digests: Option<Vec<String>>,
}

fn kind(object: Referent) -> &'static str {
    match object {
        Referent::Object(object) => object.as_str(),
        Referent::Exec => "exec",
    }
}
