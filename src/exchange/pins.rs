//! Pins of one sockwarden: made before a container, taken away after it.
//!
//! Nothing is remembered here: which pins are in use is asked of the engine, so a restart or a crash changes nothing.
//! Several sockwardens may have one directory, as each `sockwarden run` has, so who makes and who sweeps locks it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::answer::Refused;
use crate::api::bind::HostPath;
use crate::engine::{Engine, EngineError, Question};
use crate::mount::{Pin, Resolved};

/// The directory of pins, and who is adding to it
#[derive(Debug)]
pub struct Pins {
    root: PathBuf,
    /// Read while a container is made: its pins are in use before the engine says so
    making: Arc<RwLock<()>>,
}

/// Pins of a container that is being made; safe from a sweep while this lives
#[derive(Debug)]
pub struct Pinned {
    /// Field and the path to send in its place
    pub paths: Vec<(String, HostPath)>,
    _making: OwnedRwLockReadGuard<()>,
    _hold: OwnedFd,
}

impl Pins {
    /// Pins in `root`
    pub fn new(root: PathBuf) -> Self {
        Self { root, making: Arc::default() }
    }

    /// The directory
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Pins what the fields were found to lead to
    ///
    /// # Errors
    /// When one cannot be pinned.
    pub async fn make(&self, resolved: Vec<(String, Resolved)>) -> Result<Pinned, Refused> {
        let making = Arc::clone(&self.making).read_owned().await;
        let root = self.root.clone();
        // Mounting may take its time.
        let made = tokio::task::spawn_blocking(move || {
            let hold = Pin::hold(&root)?;
            let pin = |(field, resolved): (String, Resolved)| Ok((field, Pin::make(&resolved, &root)?.path().clone()));
            let paths = resolved.into_iter().map(pin).collect::<Result<Vec<_>, crate::mount::PinError>>()?;
            Ok::<_, crate::mount::PinError>((paths, hold))
        });
        // What was pinned before the failure is swept away.
        let made = made.await.map_err(|error| Refused::Unpinned(error.to_string()))?;
        let (paths, hold) = made.map_err(|error| Refused::Unpinned(error.to_string()))?;
        Ok(Pinned { paths, _making: making, _hold: hold })
    }

    /// Takes away the pins that no container has any more
    ///
    /// # Errors
    /// When the engine cannot be asked; nothing is taken away then.
    pub async fn sweep(&self, engine: &Engine) -> Result<(), EngineError> {
        if std::fs::read_dir(&self.root).map_or(true, |mut entries| entries.next().is_none()) {
            return Ok(());
        }
        let _nobody_makes = self.making.write().await;
        let _nobody_else_makes = match Pin::hold_up(&self.root) {
            Ok(Some(hold)) => hold,
            // Another sockwarden makes one: what is to be swept is found the next time.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, root = %self.root.display(), "pins are not swept");
                return Ok(());
            }
        };
        let (status, body) = engine.question(Question::Containers).await?;
        let containers: Vec<Listed> = match serde_json::from_slice(&body) {
            Ok(containers) if status.is_success() => containers,
            _ => return Err(EngineError::Broken(format!("its list of containers has status {status}"))),
        };
        let sources = containers.into_iter().flat_map(|container| container.mounts.unwrap_or_default());
        let keep: Vec<HostPath> = sources.filter_map(|mount| HostPath::parse(&mount.source?)).collect();
        let root = self.root.clone();
        let swept = tokio::task::spawn_blocking(move || Pin::sweep(&root, &keep)).await;
        match swept {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => tracing::debug!(count, "pins of removed containers taken away"),
            Ok(Err(error)) => tracing::warn!(%error, "a pin of a removed container stays"),
        }
        Ok(())
    }
}

/// What is read of the engine's list
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Mounts")]
    mounts: Option<Vec<ListedMount>>,
}

#[derive(Deserialize)]
struct ListedMount {
    #[serde(rename = "Source")]
    source: Option<String>,
}
