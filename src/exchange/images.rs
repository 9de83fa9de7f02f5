//! Images: whose the named ones are, and what becomes of the names that a request makes, pulls or takes away.
//!
//! The ledger knows names, the engine knows ids and labels; here they meet. A label counts only for an image without a tag,
//! where the ledger has nothing to say: an image that was pulled may carry any.

mod errors;
mod hold;
mod list;
mod parts;

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;

pub use self::hold::Hold;
pub use self::list::{List, inspected, tells_of_containers};
use crate::answer::Refused;
use crate::api::buildkit::control::Solve;
use crate::api::image_ref::{ImageRef, Meaning, Named};
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::engine::{Engine, EngineError, Question};
use crate::exchange::facts::Found;
use crate::exchange::look::{self, SeenImage};
use crate::owner::Owner;
use crate::owner::images::{Building, Kept, Ledger, Standing, Taken};
use crate::policy::Policy;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::images::{looked_at, made, missing, name, not_found, pulled, pushed, removed, resolved};
use crate::policy::judge::Pin;

/// The images of one engine, as one owner may see and change them
#[derive(Debug, Clone)]
pub struct Images {
    /// The engine
    pub engine: Arc<Engine>,
    /// Who made and pulled what
    pub ledger: Arc<Ledger>,
    /// What is shared, and what is seen
    pub policy: Arc<Policy>,
    /// The owner
    pub owner: Owner,
}

/// Forgets the names that the engine does not have any more
///
/// # Errors
/// When the engine cannot be asked; nothing is forgotten then.
pub async fn forget_gone_names(ledger: &Ledger, engine: &Engine) -> Result<(), EngineError> {
    if ledger.is_empty() {
        return Ok(());
    }
    let mark = ledger.mark();
    let (status, body) = engine.question(Question::Images).await?;
    let listed: Vec<Listed> = match serde_json::from_slice(&body) {
        Ok(listed) if status.is_success() => listed,
        _ => return Err(EngineError::Broken(format!("its list of images has status {status}"))),
    };
    let names = listed.into_iter().flat_map(|image| image.tags.into_iter().chain(image.digests)).flatten();
    let there: BTreeSet<String> =
        names.filter_map(|text| ImageRef::read(&text).ok()).map(|image| name(&image)).collect();
    ledger.sweep(mark, |name| there.contains(name));
    Ok(())
}

impl Images {
    /// Whether an answer that is a success has to be followed, or filtered, to its end
    pub fn follows(operation: &Operation, hold: &Hold) -> bool {
        matches!(operation, Operation::ImageList(_)) || !matches!(hold, Hold::Nothing)
    }

    /// Whether what is another's is not to be seen, and not only recorded
    pub fn hides(&self) -> bool {
        self.policy.gives_views()
    }

    /// Adds what it means to an owner that an operation touches these images; claims the names that it makes
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn look(&self, operation: &Operation, found: &mut Found) -> Result<Hold, Refused> {
        let mut unseen: Vec<(String, String)> = Vec::new();
        for image in found.images.iter().filter(|image| !self.sees(image)) {
            unseen.push((image.given.clone(), image.field.clone()));
        }
        for (given, field) in looked_at(operation) {
            let Some(image) = look::image(&self.engine, &given, &field).await? else { continue };
            if !self.sees(&image) {
                unseen.push((given, field));
            } else if let (Operation::ImageInspect(_) | Operation::ImageHistory(_), None) = (operation, &image.found_as)
            {
                let (object, id) = (Object::Image, image.id);
                found.facts.pins.push(Pin { object, name: given, found: id.clone(), id, subject: true });
            }
        }
        for (given, field) in unseen {
            if self.policy.gives_views() {
                let said = missing(&given);
                // Until 22 the engine says it twice to who inspects.
                let twice =
                    matches!(operation, Operation::ImageInspect(_)) && self.engine.version().await?.minor() <= 41;
                let said = if twice { format!("no such image: {given}: {said}") } else { said };
                found.missing = Some(Refused::Absent(said));
            }
            found.facts.foreign.push((Object::Image, given, field));
        }
        for (image, field) in resolved(operation) {
            if self.is_hidden(&image, false).await? {
                found.missing = self.policy.gives_views().then(|| Refused::Absent(not_found(&image)));
                found.facts.foreign.push((Object::Image, image.given().to_owned(), field));
            }
        }
        if let Some(image) = pushed(operation) {
            self.push(&image, found).await?;
        }
        if let Some(image) = pulled(operation) {
            return self.pull(&image, found).await;
        }
        // With containerd's store the parts go out of every image that has them, whatever it is called (28.5).
        if let Operation::ImageRemove(Request { subject, query, .. }) = operation
            && !query.platforms.is_empty()
        {
            let what = What::Borrowed(Object::Image, subject.given().to_owned());
            found.facts.asks.push(Ask { what, field: "query.platforms".to_owned() });
        }
        if let Some(subject) = removed(operation) {
            return Ok(self.remove(subject, found));
        }
        match self.make(made(operation)).await? {
            Ok(hold) => Ok(hold),
            Err(asks) => {
                found.facts.asks.extend(asks);
                Ok(Hold::Nothing)
            }
        }
    }

    /// Begins the build of a call that is one
    pub fn building(&self, operation: &Operation) -> Option<Building> {
        match operation {
            Operation::BuildSolve(Request { body: Protobuf(Solve { reference, .. }), .. }) => {
                Some(self.ledger.begin_build(&self.owner, reference, Kept::FromOthers))
            }
            _ => None,
        }
    }

    /// Of the images that a build will be made of, those that are not there for this owner, as they are judged
    ///
    /// A name without a digest is looked up once more when the build runs. Frontends leave it so only where the engine has the
    /// image (20.10 to 28.5), so one that it does not have is none, and the others are kept for the build.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn unseen(
        &self,
        build: &str,
        sources: &[(ImageRef, String)],
    ) -> Result<Vec<(Object, String, String)>, Refused> {
        let mut unseen = Vec::new();
        for (image, field) in sources {
            let moves = matches!(image.meaning(), Meaning::Named(Named { digest: None, .. }));
            let is_kept = !moves || self.ledger.build_on(&self.owner, build, &name(image));
            if !is_kept || self.is_hidden(image, moves).await? {
                unseen.push((Object::Image, image.given().to_owned(), field.clone()));
            }
        }
        Ok(unseen)
    }

    /// Whether an image is another's, or not there where it has to be; else its registry is asked, which answers for itself
    async fn is_hidden(&self, image: &ImageRef, has_to_be_there: bool) -> Result<bool, Refused> {
        let there = look::image(&self.engine, image.given(), "").await?;
        Ok(there.map_or(has_to_be_there, |there| !self.sees(&there)))
    }

    /// Claims names, or says which of them are not to be had
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn make(&self, names: Vec<(String, String)>) -> Result<Result<Hold, Vec<Ask>>, Refused> {
        let field = |name: &str| names.iter().find(|(known, _)| known == name).map(|(_, field)| field.clone());
        let ask = |name: &str, why: String| taken(name, why, field(name).unwrap_or_default());
        if names.is_empty() {
            return Ok(Ok(Hold::Nothing));
        }
        let wanted: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
        let made = match self.ledger.make(&self.owner, &wanted) {
            Err(_) if self.forget_ended(&wanted).await? => self.ledger.make(&self.owner, &wanted),
            made => made,
        };
        let mut making = match made {
            Ok(making) => making,
            Err(taken) => return Ok(Err(taken.iter().map(|(name, why)| ask(name, why.to_string())).collect())),
        };
        let mut asks = Vec::new();
        for claimed in making.names() {
            claimed.before = self.id(&claimed.name).await?;
            // Asked after the engine: another call of the owner may have made it meanwhile, or be just making it.
            if claimed.before.is_some() && !self.ledger.knows(&claimed.name) {
                asks.push(ask(&claimed.name, "it exists already, and this job did not make it".to_owned()));
            }
        }
        Ok(if asks.is_empty() { Ok(Hold::Making(making)) } else { Err(asks) })
    }

    /// Ends the owners of names that were containers and run no more, which nobody may have said; whether there were any
    async fn forget_ended(&self, names: &[String]) -> Result<bool, Refused> {
        let mut ended = false;
        for maker in self.ledger.makers(names) {
            let is_container = maker.len() == 64 && maker.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if !is_container || maker == **self.owner.name() {
                continue;
            }
            let (status, body) = self.engine.question(Question::Container(&maker)).await?;
            let runs = match serde_json::from_slice::<Run>(&body) {
                Ok(run) if status == StatusCode::OK => run.state.runs,
                _ => status != StatusCode::NOT_FOUND,
            };
            if !runs {
                self.ledger.forget(&Owner::new(&maker));
                ended = true;
            }
        }
        Ok(ended)
    }

    /// The id of the image that has a name, if there is one
    async fn id(&self, name: &str) -> Result<Option<String>, Refused> {
        Ok(self.named(name).await?.map(|image| image.id))
    }

    /// The image that has a name, if there is one
    async fn named(&self, name: &str) -> Result<Option<SeenImage>, Refused> {
        let image = look::image(&self.engine, name, "").await?;
        Ok(image.filter(|image| image.found_as.is_some()))
    }

    async fn pull(&self, image: &ImageRef, found: &mut Found) -> Result<Hold, Refused> {
        let name = name(image);
        let field = || "query.fromImage".to_owned();
        if let Some(repository) = name.strip_suffix('*') {
            // Which tags come is known to the registry alone.
            if self.ledger.has_foreign(&self.owner, repository) {
                let why = "another owner made, or builds on, some of its tags: pull those you need".to_owned();
                found.facts.asks.push(taken(&name, why, field()));
            }
            return Ok(Hold::Nothing);
        }
        let there = self.named(&name).await?;
        let mut pulling = self.ledger.pull(&self.owner, &name, there.is_some());
        // It stays what a build has looked at that runs; that it is there for this caller as well the registry says.
        if let (Err(Taken::InUse), Some(digest)) = (&pulling, there.and_then(|image| image.digest_of(&name))) {
            pulling = self.ledger.pull_as_it_is(&self.owner, &name);
            found.facts.pulls_as = Some(digest);
        }
        Ok(match pulling {
            Ok(pulling) => Hold::Pulling(pulling),
            Err(why) => {
                found.facts.asks.push(taken(&name, why.to_string(), field()));
                Hold::Nothing
            }
        })
    }

    /// A push without a tag sends all that the repository has
    async fn push(&self, image: &ImageRef, found: &mut Found) -> Result<(), Refused> {
        let name = name(image);
        let Some(repository) = name.strip_suffix(":*") else {
            let image = look::image(&self.engine, &name, "path.name").await?;
            if image.is_some_and(|image| !self.sees(&image)) {
                // The engine says of a missing one that there is none, in a stream of its own shape.
                found.missing = self.policy.gives_views().then(|| Refused::Absent(missing(&name)));
                found.facts.foreign.push((Object::Image, name, "path.name".to_owned()));
            }
            return Ok(());
        };
        let (status, body) = self.engine.question(Question::ImagesOf(repository)).await?;
        let listed: Vec<Listed> = match serde_json::from_slice(&body) {
            Ok(listed) if status.is_success() => listed,
            _ => {
                return Err(EngineError::Broken(format!("its list of images has status {status}")).into());
            }
        };
        let prefix = format!("{repository}:");
        for Listed { tags, .. } in listed {
            for tag in tags.iter().flatten().filter_map(|tag| ImageRef::read(tag).ok()).map(|tag| tag.to_string()) {
                if tag.starts_with(&prefix) && !self.sees_name(&tag) {
                    let why = "it is not this job's: push one tag at a time".to_owned();
                    found.facts.asks.push(taken(&tag, why, "path.name".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// What an owner may take away: what it made, and what it alone has pulled; by an id only all names at once
    fn remove(&self, subject: &ImageRef, found: &mut Found) -> Hold {
        let Some(image) = found.images.iter().find(|image| image.given == subject.given()) else {
            return Hold::Nothing;
        };
        if !self.sees(image) {
            return Hold::Nothing;
        }
        let by_tag = image.found_as.as_ref().filter(|name| !name.contains('@'));
        let tags: Vec<String> = by_tag.map_or_else(|| image.tags.clone(), |tag| vec![tag.clone()]);
        let refused: Vec<Ask> = tags.iter().filter_map(|tag| self.cannot_remove(tag)).collect();
        let nameless = tags.is_empty() && image.owner.as_deref() != Some(self.owner.name());
        // Of what was pulled by its digest alone, that is the name.
        let by_digest = |digest: &String| self.ledger.removable(&self.owner, digest).is_ok();
        if nameless && !(image.digests.iter().any(by_digest) && image.digests.iter().all(by_digest)) {
            let why = "it has no name, and this job did not build it".to_owned();
            found.facts.asks.push(taken(subject.given(), why, image.field.clone()));
            return Hold::Nothing;
        }
        if !refused.is_empty() {
            found.facts.asks.extend(refused);
            return Hold::Nothing;
        }
        let digests = if by_tag.is_some() { Vec::new() } else { image.digests.clone() };
        Hold::Removing { ledger: Arc::clone(&self.ledger), names: tags.into_iter().chain(digests).collect() }
    }

    fn cannot_remove(&self, tag: &str) -> Option<Ask> {
        let why = match self.ledger.removable(&self.owner, tag) {
            Ok(()) => return None,
            Err(Taken::Shared) => "it is there for others as well, who made or pulled it".to_owned(),
            Err(why) => why.to_string(),
        };
        Some(taken(tag, why, "path.name".to_owned()))
    }

    /// Whether an image is there for this owner, by the reference that it was given
    pub fn sees(&self, image: &SeenImage) -> bool {
        let SeenImage { found_as, tags, digests, owner, .. } = image;
        match found_as {
            Some(tag) if !tag.contains('@') => self.sees_name(tag),
            _ => self.sees_any(tags, digests, owner.as_deref()),
        }
    }

    /// Whether one of an image's names is to be seen; one without a name goes by its label
    fn sees_any(&self, tags: &[String], digests: &[String], label: Option<&str>) -> bool {
        if tags.is_empty() && digests.is_empty() {
            return label.map_or(self.policy.own_images.is_none(), |label| label == &**self.owner.name());
        }
        tags.iter().any(|tag| self.sees_name(tag)) || digests.iter().any(|digest| self.sees_digest(digest, tags, label))
    }

    /// A digest comes to an image by a push as well, and says nothing then
    fn sees_digest(&self, digest: &str, tags: &[String], label: Option<&str>) -> bool {
        let pulled = self.ledger.standing(&self.owner, digest) != Standing::Unknown;
        let foreign = |tag: &String| self.ledger.standing(&self.owner, tag) == Standing::Foreign;
        let known = || label.is_none_or(|label| label == &**self.owner.name()) || self.is_shared(digest);
        self.sees_name(digest) && (pulled || known() && !tags.iter().any(foreign))
    }

    fn sees_name(&self, name: &str) -> bool {
        let all = self.policy.own_images.is_none();
        match self.ledger.standing(&self.owner, name) {
            Standing::Own | Standing::PulledByIt => true,
            // What an owner made is shared by no pattern, or who makes it first would make it for all.
            Standing::Foreign => false,
            Standing::Pulled | Standing::Unknown => all || self.is_shared(name),
        }
    }

    fn is_shared(&self, name: &str) -> bool {
        self.policy.share.images.iter().any(|pattern| pattern.matches(name))
    }
}

/// What is read of a container that owns names
#[derive(Deserialize)]
struct Run {
    #[serde(rename = "State")]
    state: State,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "Running")]
    runs: bool,
}

/// What is read of the engine's list of a repository
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "RepoDigests")]
    digests: Option<Vec<String>>,
}

fn taken(name: &str, why: String, field: String) -> Ask {
    Ask { what: What::Taken(name.to_owned(), why), field }
}
