//! How an owner's objects are removed: containers, networks, volumes, images, each with its record, until nothing is found
//! twice in a row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::audit::cleanup::{CleanedUp, Cleanup, Gone, Kind, Object, Removal, Why};
use crate::audit::{Audit, new_id};
use crate::engine::{Engine, EngineError, Force, Question, message};
use crate::reap::inventory::{self, Scope};
use crate::running::Ending;

/// Removes what an owner has
#[derive(Debug, Clone)]
pub struct Cleaner {
    /// Where
    pub engine: Arc<Engine>,
    /// The record
    pub audit: Arc<Audit>,
}

/// One cleaning
#[derive(Debug, Clone)]
pub struct Order {
    /// What goes
    pub scope: Scope,
    /// Why
    pub why: Why,
    /// Time that containers get to stop by themselves
    pub grace: Duration,
}

/// What came of a cleaning
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone
    pub removed: BTreeSet<Object>,
    /// What could not be removed, and why
    pub stays: BTreeSet<(Object, String)>,
    /// Containers that were left alone, as their labels may be their image's
    pub doubtful: Vec<Object>,
}

impl Cleaned {
    /// Whether nothing is left
    pub fn is_whole(&self) -> bool {
        self.stays.is_empty() && self.doubtful.is_empty()
    }

    /// Adds another's
    pub fn add(&mut self, other: Self) {
        self.removed.extend(other.removed);
        self.stays.extend(other.stays);
        self.doubtful.extend(other.doubtful);
    }
}

impl Cleaner {
    /// Removes everything in the order's scope; with `ending`, nothing is looked for a last time while something is being made
    ///
    /// When it is dropped what was removed is gone, and the rest is there still.
    ///
    /// # Errors
    /// When the engine cannot be asked what there is.
    pub async fn clean(&self, order: &Order, ending: Option<&Ending>) -> Result<Cleaned, EngineError> {
        let mut cleaned = Cleaned::default();
        let mut empty = 0;
        for round in 0..ROUNDS {
            let found = inventory::of(&self.engine, &order.scope).await?;
            cleaned.doubtful = found.doubtful;
            let given_up = |object: &Object| cleaned.stays.iter().any(|(stays, _)| stays == object);
            let (tried, rest): (Vec<_>, Vec<_>) = found.objects.into_iter().partition(given_up);
            cleaned.stays.retain(|(object, _)| tried.contains(object));
            if !rest.is_empty() {
                empty = 0;
                self.remove(order, rest, &mut cleaned).await;
                continue;
            }
            empty += 1;
            if empty == 2 {
                return Ok(cleaned);
            }
            match ending {
                Some(ending) => ending.settled().await,
                None if round > 0 => sleep(PAUSE).await,
                None => {}
            }
        }
        Ok(cleaned)
    }

    /// Removes these objects, kind by kind
    async fn remove(&self, order: &Order, objects: Vec<Object>, cleaned: &mut Cleaned) {
        for kind in Kind::ALL {
            let mut rest = objects.iter().filter(|object| object.kind == kind);
            let mut running = JoinSet::new();
            loop {
                while running.len() < AT_ONCE {
                    let Some(object) = rest.next().cloned() else { break };
                    let (cleaner, order) = (self.clone(), order.clone());
                    running.spawn(async move {
                        let end = cleaner.remove_one(&order, &object).await;
                        (object, end)
                    });
                }
                match running.join_next().await {
                    None => break,
                    Some(Ok((object, Ok(())))) => drop(cleaned.removed.insert(object)),
                    Some(Ok((object, Err(why)))) => drop(cleaned.stays.insert((object, why))),
                    Some(Err(error)) => tracing::error!(%error, "a removal broke off"),
                }
            }
        }
    }

    /// Removes one object; else says why it stays
    async fn remove_one(&self, order: &Order, object: &Object) -> Result<(), String> {
        let (id, owner) = (new_id(), order.scope.owner.as_str());
        let line = Cleanup { time: Timestamp::now(), event: "cleanup", id: &id, owner, reason: order.why, object };
        // What is not on record does not happen.
        let removal = self.audit.removing(&line).map_err(|error| format!("its record cannot be written: {error}"))?;
        if removal.kind() == Kind::Container && !order.grace.is_zero() {
            // Whatever comes of it, it is removed next.
            let _ = self.engine.stop(&removal, order.grace).await;
        }
        let mut attempts = 0;
        let (outcome, message) = loop {
            attempts += 1;
            let said = match self.engine.remove(&removal, Force::No).await {
                Ok((status, _)) if status.is_success() => break (Gone::Removed, None),
                Ok((StatusCode::NOT_FOUND, _)) if attempts == 1 => break (Gone::Absent, None),
                Ok((StatusCode::NOT_FOUND, _)) => break (Gone::Removed, None),
                Ok((_, body)) => message(&body),
                Err(error) => error.to_string(),
            };
            if self.free(&removal).await.unwrap_or(false) {
                break (Gone::Removed, None);
            }
            if attempts == ATTEMPTS {
                break (Gone::Stays, Some(said));
            }
            sleep(FIRST_WAIT * (1 << (attempts - 1))).await;
        };
        let time = Timestamp::now();
        let line =
            CleanedUp { time, event: "cleanup_end", id: &id, owner, outcome, attempts, message: message.as_deref() };
        if let Err(error) = self.audit.removed(&line) {
            tracing::error!(%error, id, "the end of a removal could not be recorded");
        }
        message.map_or(Ok(()), Err)
    }

    /// Takes away what keeps an object from being removed; tells whether that removed it
    async fn free(&self, removal: &Removal) -> Result<bool, EngineError> {
        match removal.kind() {
            Kind::Container | Kind::Volume => Ok(false),
            // Its owner's containers are gone; who else was let in loses a network that ends.
            Kind::Network => {
                let (_, body) = self.engine.question(Question::Network(removal.id())).await?;
                for container in serde_json::from_slice::<Attached>(&body).unwrap_or_default().containers() {
                    self.engine.detach(removal, &container).await?;
                }
                Ok(false)
            }
            // With several names it goes by force only, which would also take it from a container that was stopped.
            Kind::Image => {
                let (status, body) = self.engine.question(Question::Containers).await?;
                let users: Vec<User> = match serde_json::from_slice(&body) {
                    Ok(users) if status == StatusCode::OK => users,
                    _ => return Ok(false),
                };
                if users.iter().any(|user| user.image == removal.id()) {
                    return Ok(false);
                }
                let (status, _) = self.engine.remove(removal, Force::Yes).await?;
                Ok(status.is_success())
            }
        }
    }
}

/// What is read of a network
#[derive(Default, Deserialize)]
struct Attached {
    #[serde(rename = "Containers")]
    containers: Option<std::collections::BTreeMap<String, serde::de::IgnoredAny>>,
}

impl Attached {
    fn containers(self) -> impl Iterator<Item = String> {
        self.containers.unwrap_or_default().into_keys()
    }
}

/// What is read of a container in the list
#[derive(Deserialize)]
struct User {
    #[serde(rename = "ImageID", default)]
    image: String,
}

/// How often the engine is asked what there is
const ROUNDS: u32 = 20;
/// Time between two looks that found nothing
const PAUSE: Duration = Duration::from_millis(200);
/// Removals of one owner at a time
const AT_ONCE: usize = 8;
/// How often the engine is told to remove an object
const ATTEMPTS: u32 = 6;
/// Time to the second attempt; each further one waits twice as long
const FIRST_WAIT: Duration = Duration::from_millis(100);
