//! Owners' cgroups: made before anything starts in them, taken away when their owner has no container left.
//!
//! Which there are is asked of the kernel, and whose they are of the engine, so a restart or a crash changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::answer::Refused;
use crate::engine::{Engine, EngineError, Question};
use crate::owner::Owner;
use crate::policy::modify::OWNER_LABEL;
use crate::policy::quota::{Quota, Resource};
use crate::quota::cgroup::{Ground, Sums, Told};
use crate::quota::turn::Turns;
use crate::running::Running;

/// The cgroups of one engine's owners
#[derive(Debug)]
pub struct Cgroups {
    /// The engine's socket
    engine: PathBuf,
    /// In whose turn nothing is made
    turns: Arc<Turns>,
    /// Whose requests run
    running: Arc<Running>,
    /// Where they are made; nothing where they cannot be
    ground: OnceCell<Option<Arc<Ground>>>,
}

impl Cgroups {
    /// For the engine behind a socket
    pub fn new(engine: PathBuf, turns: Arc<Turns>, running: Arc<Running>) -> Self {
        Self { engine, turns, running, ground: OnceCell::new() }
    }

    /// Where cgroups are made; found out once, and told in the log where they cannot be
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn ground(&self, engine: &Engine) -> Result<Option<Arc<Ground>>, Refused> {
        let find = || async {
            let told = told(engine).await?;
            let socket = self.engine.clone();
            let found = tokio::task::spawn_blocking(move || Ground::find(&told, &socket)).await;
            match found.map_err(|error| Refused::NoCgroup(error.to_string()))? {
                Ok(ground) => Ok(Some(Arc::new(ground))),
                Err(why) => {
                    tracing::warn!(%why, "no cgroups for owners: sums of `[quota]` are kept by what each container may use");
                    Ok(None)
                }
            }
        };
        self.ground.get_or_try_init(find).await.cloned()
    }

    /// Makes an owner's cgroup, or sees to its limits, and returns how the engine names it
    ///
    /// Nothing where none can be made at all.
    ///
    /// # Errors
    /// When it could not be made where it should have been.
    pub async fn make(&self, engine: &Engine, owner: &Owner, quota: &Quota) -> Result<Option<String>, Refused> {
        let Some(ground) = self.ground(engine).await? else { return Ok(None) };
        let (memory, nano_cpus) = (quota.most(Resource::Memory), quota.most(Resource::Cpus));
        let sums = Sums { memory, nano_cpus, pids: quota.most(Resource::Pids) };
        let tag = owner.tag().to_owned();
        let made = tokio::task::spawn_blocking(move || ground.make(&tag, &sums).map(|()| ground.parent(&tag))).await;
        let made = made.map_err(|error| Refused::NoCgroup(error.to_string()))?;
        made.map(Some).map_err(|error| Refused::NoCgroup(error.to_string()))
    }

    /// Takes away the cgroups of owners that have no container left
    ///
    /// # Errors
    /// When the engine cannot be asked; nothing is taken away then.
    pub async fn sweep(&self, engine: &Engine) -> Result<(), EngineError> {
        let Some(ground) = self.ground.get().cloned().flatten() else { return Ok(()) };
        let tags = tokio::task::spawn_blocking(move || (ground.tags(), ground)).await;
        let Ok((tags, ground)) = tags else { return Ok(()) };
        if tags.is_empty() {
            return Ok(());
        }
        let owners = owners(engine).await?;
        for tag in tags.into_iter().filter(|tag| !owners.contains(tag)) {
            // In its turn no container is made, and what there is already is in the list.
            let Some(_turn) = self.turns.try_take(&tag.as_str().into()) else { continue };
            // A build runs containers that nobody owns; one that begins now waits for its turn, and makes the cgroup anew.
            if self::owners(engine).await?.contains(&tag) || self.running.any(|name| Owner::new(name).tag() == tag) {
                continue;
            }
            let (ground, shown) = (Arc::clone(&ground), tag.clone());
            let removed = tokio::task::spawn_blocking(move || ground.remove(&tag)).await;
            if let Ok(Err(error)) = removed {
                tracing::debug!(%error, tag = shown, "a cgroup without containers stays for now");
            }
        }
        Ok(())
    }
}

/// Tags of all who own a container
async fn owners(engine: &Engine) -> Result<Vec<String>, EngineError> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(rename = "Labels")]
        labels: Option<std::collections::BTreeMap<String, String>>,
    }
    let (status, body) = engine.question(Question::Containers).await?;
    let containers: Vec<Listed> = match serde_json::from_slice(&body) {
        Ok(containers) if status.is_success() => containers,
        _ => return Err(EngineError::Broken(format!("its list of containers has status {status}"))),
    };
    let owner = |listed: Listed| Some(Owner::new(listed.labels?.get(OWNER_LABEL)?).tag().to_owned());
    Ok(containers.into_iter().filter_map(owner).collect())
}

/// What the engine says of its cgroups
async fn told(engine: &Engine) -> Result<Told, EngineError> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "CgroupDriver", default)]
        driver: String,
        #[serde(rename = "CgroupVersion", default)]
        version: String,
        #[serde(rename = "ID", default)]
        id: String,
        #[serde(rename = "SecurityOptions", default)]
        security: Option<Vec<String>>,
    }
    let (_, body) = engine.question(Question::Info).await?;
    let Info { driver, version, id, security } =
        serde_json::from_slice(&body).map_err(|error| EngineError::Broken(error.to_string()))?;
    let rootless = security.iter().flatten().any(|option| option.split(',').any(|word| word == "name=rootless"));
    Ok(Told { driver, version, rootless, id })
}
