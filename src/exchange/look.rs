//! Look-ups: one name of a request, asked of the engine, and whose it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::Refused;
use crate::api::image_ref::{ImageRef, Meaning};
use crate::api::operation::Operation;
use crate::engine::{Engine, EngineError, Question, message};
use crate::exchange::own::{Kind, OwnIds};
use crate::exchange::sight::{Seen, Sight, Standing};
use crate::policy::Effect;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::existing_volume;
use crate::policy::images;
use crate::policy::modify::OWNER_LABEL;
use crate::policy::references::{Reference, Referent, is_predefined};
use crate::policy::view::{View, is_like_an_id, is_whole_id};

/// Where references are looked up, and for whom
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The engine
    pub engine: &'a Engine,
    /// Who looks, and under which policy
    pub sight: Sight<'a>,
    /// The owner's own names; none where names are everybody's
    pub view: Option<&'a View>,
    /// What need not be asked
    pub own: &'a OwnIds,
}

impl Look<'_> {
    /// Looks one reference up; at most one question by a name, and none by an id that is known to be the owner's own
    pub async fn up(&self, reference: &Reference, operation: &Operation) -> Result<Looked, Refused> {
        let Reference { object, name, field, .. } = reference;
        if let Some(known) = self.known(reference, operation) {
            return Ok(Looked::Found(known));
        }
        let object = match object {
            Referent::Object(Object::Image) => return look_up_image(self.engine, name).await,
            Referent::Exec => return self.exec(name).await,
            Referent::Object(other) => *other,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
            // With a slash it would be a link alias, a reference to somebody else's container.
            let what = What::Odd(object.as_str(), name.clone());
            return Ok(Looked::Odd(Ask { what, field: field.clone() }));
        }
        let mut looked = None;
        for by in self.candidates(object, name) {
            let found = self.object(object, &by, reference).await?;
            if matches!(&found, Looked::Found(known) if known.standing != Standing::Foreign) {
                return Ok(found);
            }
            // Somebody else's says no more than nothing, but stands on record.
            if looked.is_none() || matches!(&found, Looked::Found(_)) {
                looked = Some(found);
            }
        }
        Ok(looked.unwrap_or_else(|| Looked::Absent(missing(reference.object, name))))
    }

    /// Whether a blob belongs to a build of the owner's own
    pub fn owns_blob(&self, digest: &str) -> bool {
        self.own.knows_blob(digest, self.sight.who.owner.name())
    }

    /// Names to look for, in this order: the owner's own come first, as names do before beginnings of ids on the engine
    fn candidates(&self, object: Object, name: &str) -> Vec<String> {
        let Some(view) = self.view else { return vec![name.to_owned()] };
        let (given, full) = (name.to_owned(), view.full(name));
        match object {
            // No container of the owner's has such a name.
            Object::Container if is_like_an_id(name) && name.len() >= SHORT_ID => vec![given],
            _ if is_whole_id(name) => vec![given, full],
            Object::Container | Object::Network if is_like_an_id(name) => vec![full, given],
            _ if self.sight.may_be_borrowed(object, name) => vec![full, given],
            _ => vec![full],
        }
    }

    /// What need not be asked: an id that is known to be the owner's own, where nothing hangs on its name
    fn known(&self, reference: &Reference, operation: &Operation) -> Option<Known> {
        let kind = match reference.object {
            Referent::Object(Object::Container) => Kind::Container,
            Referent::Object(Object::Network) => Kind::Network,
            Referent::Exec => Kind::Exec,
            Referent::Object(Object::Volume | Object::Image) => return None,
        };
        let nameless = reference.is_subject()
            // What a rule changes are new containers, which no name leads to.
            && self.sight.policy.rules.iter().all(|rule| rule.effect == Effect::Change)
            && !matches!(operation, Operation::NetworkConnect(_));
        let id = reference.name.clone();
        let knows = || self.own.knows(kind, &id, self.sight.who.owner.name());
        if self.view.is_none() || !nameless || !knows() {
            return None;
        }
        let pin = (kind != Kind::Exec).then(|| id.clone());
        Some(Known { id: Some(id.clone()), pin, found: id, ..Known::whose(Standing::Own) })
    }

    fn learn(&self, kind: Kind, id: &str, standing: Standing) {
        if standing == Standing::Own {
            self.own.learn(kind, id, self.sight.who.owner.name());
        }
    }

    /// Whether a volume is made under a name of the owner's own, whatever else has the name that was given
    pub fn makes(&self, operation: &Operation, reference: &Reference, known: &Known) -> bool {
        let makes = matches!(operation, Operation::VolumeCreate(_) | Operation::ContainerCreate(_));
        let other = self.view.is_some_and(|view| known.found != view.full(&reference.name));
        makes && other && reference.object == Referent::Object(Object::Volume)
    }

    async fn object(&self, object: Object, by: &str, reference: &Reference) -> Result<Looked, Refused> {
        let question = match object {
            Object::Network => Question::Network(by),
            Object::Volume => Question::Volume(by),
            Object::Container | Object::Image => Question::Container(by),
        };
        let body = match ask(self.engine, question).await {
            Ok(Ok(body)) => body,
            Ok(Err(message)) => return Ok(Looked::Absent(self.words(message, reference))),
            // A beginning of several ids, of which the owner is told nothing.
            Err(Refused::Dangling(_)) if self.view.is_some() => {
                return Ok(Looked::Absent(missing(reference.object, &reference.name)));
            }
            Err(error) => return Err(error),
        };
        let Inspected { id, name, labels, config, driver, options, mounts, container: _ } = parse(&body)?;
        let name = name.map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned()).unwrap_or_default();
        let owner = Inspected { labels, config, ..Inspected::default() }.owner();
        let asks = match object {
            Object::Volume if !reference.is_subject() => existing_volume(&driver, &options, &reference.field),
            _ => Vec::new(),
        };
        let seen = Seen { object, id: id.as_deref().unwrap_or(&name), name: &name, owner: owner.as_deref() };
        let standing = self.sight.standing(seen);
        if let Some(id) = &id {
            match object {
                Object::Container => self.learn(Kind::Container, id, standing),
                Object::Network => self.learn(Kind::Network, id, standing),
                Object::Volume | Object::Image => {}
            }
        }
        let paths = mounts.into_iter().flatten().filter_map(|mount| mount.destination).collect();
        let pin = id.clone().or_else(|| (object == Object::Volume).then(|| name.clone()));
        let called = self.view.map_or(&*name, |view| view.short(&name)).to_owned();
        // The engine's own networks are known by their names only.
        let found = if object == Object::Network && is_predefined(&name) { name } else { by.to_owned() };
        let names = Some(called).filter(|name| !name.is_empty()).into_iter().collect();
        Ok(Looked::Found(Known { id, standing, names, pin, found, asks, paths, image: None }))
    }

    /// What is missing is told of by the name that the client gave
    fn words(&self, message: String, reference: &Reference) -> String {
        if self.view.is_some() { missing(reference.object, &reference.name) } else { message }
    }

    /// An exec's owner is its container's
    async fn exec(&self, id: &str) -> Result<Looked, Refused> {
        let absent = |message| Looked::Absent(if self.view.is_some() { missing(Referent::Exec, id) } else { message });
        let body = match ask(self.engine, Question::Exec(id)).await? {
            Ok(body) => body,
            Err(message) => return Ok(absent(message)),
        };
        let container = parse::<Inspected>(&body)?.container.unwrap_or_default();
        if self.view.is_some() && self.own.knows(Kind::Container, &container, self.sight.who.owner.name()) {
            self.learn(Kind::Exec, id, Standing::Own);
            return Ok(Looked::Found(Known::whose(Standing::Own)));
        }
        let owner = match ask(self.engine, Question::Container(&container)).await? {
            Ok(body) => parse::<Inspected>(&body)?.owner(),
            Err(message) => return Ok(absent(message)),
        };
        let seen = Seen { object: Object::Container, id: &container, name: "", owner: owner.as_deref() };
        let standing = self.sight.standing(seen);
        self.learn(Kind::Exec, id, standing);
        Ok(Looked::Found(Known::whose(standing)))
    }
}

/// What the engine says of an object that does not exist (20.10 to 28.5)
pub fn missing(object: Referent, name: &str) -> String {
    match object {
        Referent::Object(Object::Container) => format!("No such container: {name}"),
        Referent::Object(Object::Network) => format!("network {name} not found"),
        Referent::Object(Object::Volume) => format!("get {name}: no such volume"),
        Referent::Object(Object::Image) => format!("No such image: {name}"),
        Referent::Exec => format!("No such exec instance: {name}"),
    }
}

/// The same of a blob, as BuildKit says it (26.1 to 28.5)
pub fn missing_blob(digest: &str) -> String {
    format!("rpc error: code = NotFound desc = content digest {digest}: not found")
}

/// What came of a look-up
pub enum Looked {
    /// It is there
    Found(Known),
    /// In the engine's own words
    Absent(String),
    /// What the engine might take for something else
    Odd(Ask),
}

/// What is known of one object
pub struct Known {
    /// Full id
    pub id: Option<String>,
    /// Whose it is
    pub standing: Standing,
    /// What its owner calls it; of an image only where the reference is its id
    pub names: Vec<String>,
    /// What to send in the reference's place
    pub pin: Option<String>,
    /// The name or id by which it was found
    pub found: String,
    /// What it asks for to be used
    pub asks: Vec<Ask>,
    /// Paths in a container: its mounts, or the volumes that an image declares
    pub paths: Vec<String>,
    /// If it is an image
    pub image: Option<Box<SeenImage>>,
}

impl Known {
    /// Nothing but whose it is
    fn whose(standing: Standing) -> Self {
        let (id, names, pin, found) = (None, Vec::new(), None, String::new());
        Self { id, standing, names, pin, found, asks: Vec::new(), paths: Vec::new(), image: None }
    }
}

/// A name by which the engine knows the image stays, in full where it could be taken for an id as well: it is judged as
/// that name, whatever it leads to. What the engine found by its id is judged by all its names, and sent as that id.
async fn look_up_image(engine: &Engine, name: &str) -> Result<Looked, Refused> {
    // What is no reference is refused by its ask.
    let Ok(given) = ImageRef::read(name) else { return Ok(Looked::Found(Known::whose(Standing::Own))) };
    let body = match ask(engine, Question::Image(name)).await? {
        Ok(body) => body,
        Err(message) => {
            // To this question 20.10 says it twice, to all others once.
            let once = message.rfind("No such image: ").and_then(|last| message.get(last..)).unwrap_or(&message);
            return Ok(Looked::Absent(once.to_owned()));
        }
    };
    let mut inspected: InspectedImage = parse(&body)?;
    let id = inspected.id.clone();
    let volumes = inspected.config.as_mut().and_then(|config| config.volumes.take()).unwrap_or_default();
    let names = inspected.tags.iter().chain(&inspected.digests).flatten().filter_map(|name| ImageRef::read(name).ok());
    let names: Vec<ImageRef> = names.collect();
    let image = Some(Box::new(inspected.seen(name, &given)));
    let known = if given.is_one_of(&names) {
        Known { pin: given.may_be_id().then(|| given.to_string()), ..Known::whose(Standing::Own) }
    } else {
        let names = names.iter().map(ImageRef::to_string).chain([id.clone()]).collect();
        Known { names, pin: Some(id.clone()), ..Known::whose(Standing::Own) }
    };
    Ok(Looked::Found(Known { id: Some(id), paths: volumes.into_keys().collect(), image, ..known }))
}

/// One image, if it is there
///
/// # Errors
/// When the engine cannot be asked.
pub async fn image(engine: &Engine, name: &str, field: &str) -> Result<Option<SeenImage>, Refused> {
    Ok(match look_up_image(engine, name).await? {
        Looked::Found(Known { image, .. }) => image.map(|image| SeenImage { field: field.to_owned(), ..*image }),
        Looked::Absent(_) | Looked::Odd(_) => None,
    })
}

/// An image that was looked up
#[derive(Debug, Clone, Default)]
pub struct SeenImage {
    /// As the client named it
    pub given: String,
    /// Where
    pub field: String,
    /// The name by which the engine found it; none where that was its id
    pub found_as: Option<String>,
    /// Full id
    pub id: String,
    /// Its names with tags, in full
    pub tags: Vec<String>,
    /// Its names with digests, in full
    pub digests: Vec<String>,
    /// What its label says of its owner
    pub owner: Option<String>,
    /// Instructions that a build begins with which is made of it
    pub triggers: Vec<String>,
    /// As `linux/arm64/v8`
    pub platform: String,
}

impl SeenImage {
    /// Its digest in the repository of one of its names, in full, if it was ever there
    pub fn digest_of(&self, name: &str) -> Option<String> {
        let repository = |name: &str| match ImageRef::read(name).ok()?.meaning() {
            Meaning::Named(named) => Some(named.repository.clone()),
            Meaning::Id(_) => None,
        };
        let wanted = repository(name)?;
        self.digests.iter().find(|digest| repository(digest).as_ref() == Some(&wanted)).cloned()
    }

    /// Whether engines take it for one of the platform that is wanted, if any; of what is short for one that is not known
    pub fn is_of(&self, wanted: &str) -> bool {
        // They take both for one.
        let full =
            |platform: &str| platform.strip_suffix("arm64/v8").map_or(platform.into(), |os| format!("{os}arm64"));
        wanted.is_empty() || full(wanted) == full(&self.platform)
    }
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
    /// Of a container
    #[serde(rename = "Mounts")]
    mounts: Option<Vec<InspectedMount>>,
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
    #[serde(rename = "Config")]
    config: Option<ImageConfig>,
    #[serde(rename = "Os", default)]
    os: String,
    #[serde(rename = "Architecture", default)]
    architecture: String,
    #[serde(rename = "Variant", default)]
    variant: String,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "Volumes")]
    volumes: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "OnBuild")]
    triggers: Option<Vec<String>>,
}

impl InspectedImage {
    fn seen(self, name: &str, given: &ImageRef) -> SeenImage {
        let Self { id, tags, digests, config, os, architecture, variant } = self;
        let platform = [os, architecture, variant].join("/").trim_end_matches('/').to_owned();
        let read = |names: Option<Vec<String>>| -> Vec<ImageRef> {
            names.into_iter().flatten().filter_map(|name| ImageRef::read(&name).ok()).collect()
        };
        let full = |images: &[ImageRef]| images.iter().map(images::name).collect();
        let (tags, digests) = (read(tags), read(digests));
        let (labels, triggers) = config.map(|config| (config.labels, config.triggers)).unwrap_or_default();
        SeenImage {
            given: name.to_owned(),
            field: String::new(),
            found_as: given.is_one_of(tags.iter().chain(&digests)).then(|| images::name(given)),
            id,
            tags: full(&tags),
            digests: full(&digests),
            owner: labels.and_then(|mut labels| labels.remove(OWNER_LABEL)),
            triggers: triggers.unwrap_or_default(),
            platform,
        }
    }
}

#[derive(Deserialize)]
struct InspectedMount {
    #[serde(rename = "Destination")]
    destination: Option<String>,
}

/// Digits of an id as lists show it; a container's name that long is never like one
const SHORT_ID: usize = 12;
