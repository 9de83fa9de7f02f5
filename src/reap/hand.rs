//! Cleaning up because somebody said so: `sockwarden clean`.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::audit::Audit;
use crate::audit::cleanup::Why;
use crate::audit::file::AuditFile;
use crate::config::Config;
use crate::engine::{Engine, EngineError};
use crate::reap::clean::{Cleaned, Cleaner, Order};
use crate::reap::inventory::{self, Count, Inventory, Scope};

/// Why nothing was done
#[derive(Debug, Error)]
pub enum HandError {
    /// The engine cannot be asked
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The record cannot be written
    #[error("cannot open the record `{path}`: {error}")]
    Audit {
        /// The file
        path: String,
        /// Why
        error: std::io::Error,
    },
}

/// One owner, whatever made its objects
#[derive(Debug)]
pub struct Hand {
    config: Config,
    engine: Arc<Engine>,
}

impl Hand {
    /// At the engine of this configuration
    pub fn new(config: Config) -> Self {
        let limits = &config.limits;
        let engine = Arc::new(Engine::new(config.engine.clone(), limits.engine_connect, limits.engine_answer));
        Self { config, engine }
    }

    /// Every owner, and how much it has
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn owners(&self) -> Result<Vec<(String, Count)>, HandError> {
        Ok(inventory::owners(&self.engine, None).await?.into_iter().collect())
    }

    /// What would be removed
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn look(&self, owner: &str, images: bool) -> Result<Inventory, HandError> {
        Ok(inventory::of(&self.engine, &scope(owner, images)).await?)
    }

    /// Removes it
    ///
    /// # Errors
    /// When the engine cannot be asked, or the record cannot be opened.
    pub async fn clean(&self, owner: &str, images: bool, grace: Duration) -> Result<Cleaned, HandError> {
        let audit = &self.config.audit;
        let file = AuditFile::open(&audit.path, audit.rotation, audit.sync)
            .map_err(|error| HandError::Audit { path: audit.path.display().to_string(), error })?;
        let cleaner = Cleaner { engine: Arc::clone(&self.engine), audit: Arc::new(Audit::new(file)) };
        let order = Order { scope: scope(owner, images), why: Why::Asked, grace };
        Ok(cleaner.clean(&order, None).await?)
    }
}

fn scope(owner: &str, images: bool) -> Scope {
    Scope { owner: owner.to_owned(), listener: None, before: None, images }
}
