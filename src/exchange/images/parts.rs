//! Manifests that an archive names and does not bring: whose the images are that the engine has them of.
//!
//! An engine with containerd's store finds them by their digests, and gives them to whoever names them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::answer::Refused;
use crate::api::image_ref::ImageRef;
use crate::engine::{EngineError, Question};
use crate::exchange::images::{Images, taken};
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::found::Found;
use crate::policy::images::name;
use crate::policy::judge::RealName;
use crate::policy::modify::OWNER_LABEL;

impl Images {
    /// What it takes to be given these manifests
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn parts(&self, missing: &BTreeSet<String>) -> Result<Found, Refused> {
        let mut found = Found::default();
        if self.engine.version().await?.minor() < TELLS {
            if self.has_containerds_store().await? {
                let why = "this engine does not say whose it is: save the whole image";
                found.asks.extend(missing.iter().map(|digest| taken(digest, why.to_owned(), FIELD.to_owned())));
            }
            return Ok(found);
        }
        let (status, body) = self.engine.question(Question::Manifests).await?;
        let listed: Vec<Listed> = match serde_json::from_slice(&body) {
            Ok(listed) if status.is_success() => listed,
            _ => return Err(EngineError::Broken(format!("its list of images has status {status}")).into()),
        };
        for image in listed {
            let Some(part) = image.manifests.iter().flatten().find(|part| part.is_there && missing.contains(&part.id))
            else {
                continue;
            };
            let full = |names: &Option<Vec<String>>| -> Vec<String> {
                names.iter().flatten().filter_map(|name| ImageRef::read(name).ok()).map(|image| name(&image)).collect()
            };
            let (tags, digests) = (full(&image.tags), full(&image.digests));
            let label = image.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
            if !self.sees_any(&tags, &digests, label.map(String::as_str)) {
                found.asks.push(Ask { what: What::Foreign(Object::Image, part.id.clone()), field: FIELD.to_owned() });
            } else if let Ok(id) = ImageRef::read(&part.id) {
                let names = tags.into_iter().chain(digests).chain([part.id.clone()]).collect();
                let (field, given) = (format!("{FIELD} of {}", image.id), part.id.clone());
                found.names.push(RealName { object: Object::Image, field: field.clone(), given, names });
                found.asks.push(Ask { what: What::Image(id), field });
            }
        }
        Ok(found)
    }

    async fn has_containerds_store(&self) -> Result<bool, Refused> {
        let (status, body) = self.engine.question(Question::Info).await?;
        let info: Info = match serde_json::from_slice(&body) {
            Ok(info) if status.is_success() => info,
            _ => return Err(EngineError::Broken(format!("its figures have status {status}")).into()),
        };
        Ok(info.driver_status.iter().flatten().any(|line| line.iter().any(|word| word.contains("snapshotter"))))
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "RepoDigests")]
    digests: Option<Vec<String>>,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    /// With the store that the engine had before there are none
    #[serde(rename = "Manifests")]
    manifests: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Available")]
    is_there: bool,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "DriverStatus")]
    driver_status: Option<Vec<Vec<String>>>,
}

/// API from which on lists tell of manifests
const TELLS: u8 = 47;
/// Where the manifests stand
const FIELD: &str = "index.json";
