//! What an owner has on the engine, by the labels that its objects were made with.
//!
//! The engine is asked for a label, and what it answers is held against that label again: nothing is removed that does not
//! itself say whose it is. A container's labels may be its image's, which anybody can have made; such a container is in
//! doubt, and is left alone.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::audit::cleanup::{Kind, Object};
use crate::engine::{Engine, EngineError, Question};
use crate::owner::are_its_own;
use crate::policy::modify::{LISTENER_LABEL, OWNER_LABEL, RECORD_LABEL};

/// Which of an owner's objects are meant
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose
    pub owner: String,
    /// Made through this listener
    pub listener: Option<String>,
    /// Made under an earlier record than this one
    pub before: Option<u64>,
    /// Images too
    pub images: bool,
}

/// What was found
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// In the order in which they can be removed
    pub objects: Vec<Object>,
    /// Containers whose labels may be their image's
    pub doubtful: Vec<Object>,
}

/// How much of each kind an owner has
pub type Count = BTreeMap<Kind, usize>;

/// Everything in a scope
///
/// # Errors
/// When the engine cannot be asked, or one of its answers is not understood.
pub async fn of(engine: &Engine, scope: &Scope) -> Result<Inventory, EngineError> {
    let mut found = Inventory::default();
    let mut images = HashMap::new();
    let label = format!("{OWNER_LABEL}={}", scope.owner);
    for kind in Kind::ALL.into_iter().filter(|kind| scope.images || *kind != Kind::Image) {
        for listed in list(engine, kind, &label).await? {
            if !scope.holds(&listed.labels) {
                continue;
            }
            let certain = kind != Kind::Container || is_certain(engine, &listed, &mut images).await?;
            let place = if certain { &mut found.objects } else { &mut found.doubtful };
            place.push(listed.object);
        }
    }
    Ok(found)
}

/// Every owner with objects that were made through a listener, or through any
///
/// # Errors
/// When the engine cannot be asked, or one of its answers is not understood.
pub async fn owners(engine: &Engine, listener: Option<&str>) -> Result<BTreeMap<String, Count>, EngineError> {
    let label = listener.map_or_else(|| OWNER_LABEL.to_owned(), |name| format!("{LISTENER_LABEL}={name}"));
    let mut owners: BTreeMap<String, Count> = BTreeMap::new();
    for kind in Kind::ALL {
        for Listed { mut labels, .. } in list(engine, kind, &label).await? {
            let ours = listener.is_none_or(|name| labels.get(LISTENER_LABEL).is_some_and(|label| label == name));
            if let Some(owner) = labels.remove(OWNER_LABEL).filter(|_| ours) {
                *owners.entry(owner).or_default().entry(kind).or_default() += 1;
            }
        }
    }
    Ok(owners)
}

/// The containers that carry a label of their own, and whether they run
///
/// # Errors
/// When the engine cannot be asked, or its answer is not understood.
pub async fn runs_by_label(engine: &Engine, label: &str) -> Result<bool, EngineError> {
    let mut images = HashMap::new();
    for listed in list(engine, Kind::Container, label).await? {
        let runs = matches!(listed.state.as_deref(), Some("running" | "paused" | "restarting"));
        // What an owner made is no life of its own.
        let made = listed.labels.get(OWNER_LABEL).is_some_and(|owner| owner == label)
            && is_certain(engine, &listed, &mut images).await?;
        if runs && !made {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Scope {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let Self { owner, listener, before, images: _ } = self;
        let is = |key: &str, value: &String| labels.get(key) == Some(value);
        let record = || labels.get(RECORD_LABEL).and_then(|record| u64::from_str_radix(record, 16).ok());
        is(OWNER_LABEL, owner)
            && listener.as_ref().is_none_or(|listener| is(LISTENER_LABEL, listener))
            && before.is_none_or(|before| record().is_some_and(|record| record < before))
    }
}

/// An object in one of the engine's lists
struct Listed {
    object: Object,
    labels: BTreeMap<String, String>,
    image: Option<String>,
    state: Option<String>,
}

async fn list(engine: &Engine, kind: Kind, label: &str) -> Result<Vec<Listed>, EngineError> {
    let (status, body) = engine.question(Question::Labelled(kind, label)).await?;
    if status != StatusCode::OK {
        return Err(EngineError::Broken(format!("its list of {}s has status {status}", kind.as_str())));
    }
    let raw: Option<Vec<Raw>> = match kind {
        Kind::Volume => parse::<Volumes>(&body)?.volumes,
        Kind::Container | Kind::Network | Kind::Image => parse(&body)?,
    };
    Ok(raw.unwrap_or_default().into_iter().filter_map(|raw| raw.listed(kind)).collect())
}

/// Whether a container's labels are its own; an image that is gone leaves only the record to go by
async fn is_certain(
    engine: &Engine,
    listed: &Listed,
    images: &mut HashMap<String, Option<BTreeMap<String, String>>>,
) -> Result<bool, EngineError> {
    let Some(image) = &listed.image else { return Ok(false) };
    if !images.contains_key(image) {
        let (status, body) = engine.question(Question::Image(image)).await?;
        let labels = match status {
            StatusCode::OK => Some(parse::<Image>(&body)?.config.and_then(|config| config.labels).unwrap_or_default()),
            StatusCode::NOT_FOUND => None,
            status => return Err(EngineError::Broken(format!("its image {image} has status {status}"))),
        };
        images.insert(image.clone(), labels);
    }
    Ok(match images.get(image).and_then(Option::as_ref) {
        Some(labels) => are_its_own(&listed.labels, labels),
        None => listed.labels.contains_key(RECORD_LABEL),
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, EngineError> {
    serde_json::from_slice(body).map_err(|error| EngineError::Broken(error.to_string()))
}

#[derive(Deserialize)]
struct Volumes {
    #[serde(rename = "Volumes")]
    volumes: Option<Vec<Raw>>,
}

/// What is read of one object in any of the lists
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    id: Option<String>,
    name: Option<String>,
    names: Option<Vec<String>>,
    repo_tags: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "ImageID")]
    image: Option<String>,
    state: Option<String>,
}

impl Raw {
    fn listed(self, kind: Kind) -> Option<Listed> {
        let Self { id, name, names, repo_tags, labels, image, state } = self;
        let first = |names: Option<Vec<String>>| names.unwrap_or_default().into_iter().next();
        let id = if kind == Kind::Volume { name.clone() } else { id }.filter(|id| !id.is_empty())?;
        let name = match kind {
            Kind::Container => first(names).map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned()),
            Kind::Network | Kind::Volume => name,
            Kind::Image => first(repo_tags),
        };
        let object = Object { kind, name: name.unwrap_or_else(|| id.clone()), id };
        Some(Listed { object, labels: labels.unwrap_or_default(), image, state })
    }
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "Config")]
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_what_says_so_itself_and_nothing_else() {
        let labels =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let whole = labels(&[(OWNER_LABEL, "a"), (LISTENER_LABEL, "ci"), (RECORD_LABEL, "1f")]);
        let scope = |listener: Option<&str>, before| Scope {
            owner: "a".into(),
            listener: listener.map(Into::into),
            before,
            images: false,
        };
        assert!(scope(None, None).holds(&whole) && scope(Some("ci"), Some(0x20)).holds(&whole));
        assert!(!scope(Some("dev"), None).holds(&whole));
        assert!(!scope(None, Some(0x1f)).holds(&whole), "of this run");
        assert!(!scope(None, Some(9)).holds(&labels(&[(OWNER_LABEL, "a"), (RECORD_LABEL, "no number")])));
        assert!(!scope(None, None).holds(&labels(&[(OWNER_LABEL, "ab")])));
        assert!(!scope(None, None).holds(&labels(&[])));
    }
}
