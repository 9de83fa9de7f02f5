//! Facts: what the objects that a request touches are, and whose.
//!
//! The full ids take the names' place, so that what was judged is what the engine acts on, however names move in between.

use crate::answer::Refused;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::audit::record::ObjectLine;
use crate::engine::EngineError;
use crate::exchange::look::{Known, Look, Looked, SeenImage, missing, missing_blob};
use crate::exchange::sight::Standing;
use crate::owner::Owner;
use crate::policy::ask::Object;
use crate::policy::ids::ids;
use crate::policy::judge::{Facts, Pin, RealName};
use crate::policy::modify::OWNER_LABEL;
use crate::policy::references::{Purpose, Reference, Referent, references};
use crate::policy::view::View;

/// What was found
#[derive(Debug, Default)]
pub struct Found {
    /// For the judge
    pub facts: Facts,
    /// For the record
    pub objects: Vec<ObjectLine>,
    /// The images among them
    pub images: Vec<SeenImage>,
    /// Volumes that a container mounts and that do not exist yet
    pub new_volumes: Vec<String>,
    /// The answer that the engine would give, when an object does not exist; the call goes no further then
    pub missing: Option<Refused>,
}

/// The objects as the client named them
pub fn named(operation: &Operation) -> Vec<ObjectLine> {
    let line = |kind, name| ObjectLine { kind, name, id: None };
    let objects = references(operation).into_iter().map(|reference| line(kind(reference.object), reference.name));
    let builds = ids(operation).into_iter().map(|id| line(id.of.as_str(), id.id));
    let blob = blob(operation).map(|digest| line("blob", digest.to_owned()));
    objects.chain(builds).chain(blob).collect()
}

/// Looks up every object that the operation touches
///
/// # Errors
/// When the engine cannot be asked.
pub async fn gather(look: Look<'_>, operation: &Operation) -> Result<Found, Refused> {
    let mut found = Found::of(&look.sight.who.owner);
    let view = look.view;
    for reference in references(operation) {
        if reference.purpose == Purpose::Inspect && view.is_none() {
            continue;
        }
        let kind = kind(reference.object);
        let known = match look.up(&reference, operation).await? {
            // A name of digits that is another's volume is free on the owner's own engine.
            Looked::Found(known)
                if known.standing == Standing::Foreign && look.makes(operation, &reference, &known) =>
            {
                found.absent(operation, &reference, String::new(), view);
                continue;
            }
            Looked::Found(known) => known,
            Looked::Absent(message) => {
                let message = words(look, operation, &reference, message).await?;
                found.objects.push(ObjectLine { kind, name: reference.name.clone(), id: None });
                found.absent(operation, &reference, message, view);
                continue;
            }
            Looked::Odd(ask) => {
                found.objects.push(ObjectLine { kind, name: reference.name, id: None });
                found.facts.asks.push(ask);
                continue;
            }
        };
        let Known { id, standing, names, pin, found: by, asks, paths, image } = known;
        found.images.extend(image.map(|image| SeenImage { field: reference.field.clone(), ..*image }));
        let subject = reference.is_subject();
        let object = match reference.object {
            Referent::Object(object) => object,
            Referent::Exec => Object::Container,
        };
        // Nothing of it may show but on record.
        if standing == Standing::Foreign && view.is_some() {
            let message = words(look, operation, &reference, missing(reference.object, &reference.name)).await?;
            found.absent(operation, &reference, message, view);
            found.objects.push(ObjectLine { kind, name: reference.name.clone(), id });
            found.facts.foreign.push((object, reference.name, reference.field));
            continue;
        }
        let Reference { name, field, purpose, object: _ } = reference;
        found.facts.asks.extend(asks);
        match field.as_str() {
            "Image" => found.facts.image_volumes = paths,
            "HostConfig.VolumesFrom" => found.facts.taken.extend(paths),
            _ => {}
        }
        if !names.is_empty() {
            found.facts.names.push(RealName { object, field: field.clone(), given: name.clone(), names });
        }
        if let Some(id) = pin {
            found.facts.pins.push(Pin { object, name: name.clone(), id, found: by, subject });
        }
        found.objects.push(ObjectLine { kind, name: name.clone(), id });
        match standing {
            Standing::Foreign => found.facts.foreign.push((object, name, field)),
            Standing::Borrowed(most) if purpose > most => found.facts.borrowed.push((object, name, field)),
            Standing::Borrowed(_) | Standing::Own => {}
        }
    }
    found.facts.view = view.cloned();
    if let Some(digest) = blob(operation).filter(|digest| view.is_some() && !look.owns_blob(digest)) {
        found.missing = Some(Refused::Absent(missing_blob(digest)));
    }
    Ok(found)
}

/// The engine's words for a missing object, to which a kill adds some of its own (20.10 to 28.5)
async fn words(
    look: Look<'_>,
    operation: &Operation,
    reference: &Reference,
    message: String,
) -> Result<String, EngineError> {
    if !matches!(operation, Operation::ContainerKill(_)) {
        return Ok(message);
    }
    let cannot = if look.engine.version().await?.minor() < LOWER_CASE { "Cannot" } else { "cannot" };
    Ok(format!("{cannot} kill container: {}: {message}", reference.name))
}

/// Minor of the API version since which the engine begins such words in lower case
const LOWER_CASE: u8 = 44;

impl Found {
    /// Nothing but who owns what is made
    pub fn of(owner: &Owner) -> Self {
        let stamp = [(OWNER_LABEL.to_owned(), owner.to_string())].into();
        Self { facts: Facts { stamp, ..Facts::default() }, ..Self::default() }
    }

    fn absent(&mut self, operation: &Operation, reference: &Reference, message: String, view: Option<&View>) {
        let name = &reference.name;
        match (reference.object, operation) {
            // A volume that is not there yet is made, by this call or with the container.
            (Referent::Object(Object::Volume), Operation::VolumeCreate(_) | Operation::ContainerCreate(_)) => {
                let full = view.map_or_else(|| name.clone(), |view| view.full(name));
                if matches!(operation, Operation::ContainerCreate(_)) {
                    self.new_volumes.push(full.clone());
                }
                let (object, name, id) = (Object::Volume, name.clone(), full.clone());
                self.facts.pins.push(Pin { object, name, id, found: full, subject: false });
            }
            (Referent::Object(Object::Image), _) => self.missing = Some(Refused::Absent(message)),
            // The docker CLI takes 404, on create, for a missing image and pulls it.
            (_, Operation::ContainerCreate(_)) => self.missing = Some(Refused::Dangling(message)),
            _ => self.missing = Some(Refused::Absent(message)),
        }
    }
}

/// The blob that is asked for
fn blob(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::ContentInfo(Request { body: Protobuf(info), .. }) => Some(&info.digest),
        Operation::ContentRead(Request { body: Protobuf(read), .. }) => Some(&read.digest),
        _ => None,
    }
}

fn kind(object: Referent) -> &'static str {
    match object {
        Referent::Object(object) => object.as_str(),
        Referent::Exec => "exec",
    }
}
