//! Sending what was recorded, with the volumes that must be there before it.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::answer::{Body, Refused};
use crate::api::version::ApiVersion;
use crate::audit::Recorded;
use crate::engine::{EngineError, Link};
use crate::exchange::{Gate, Who};
use crate::owner::Owner;

/// Sends what was recorded, after the volumes that it needs were made
pub async fn send(
    gate: Arc<Gate>,
    link: Arc<Link>,
    who: Arc<Who>,
    recorded: Arc<Recorded>,
    volumes: Vec<String>,
    version: ApiVersion,
    upload: Body,
) -> Result<Response<Incoming>, Refused> {
    for volume in &volumes {
        make_volume(&gate, &who.owner, &recorded, volume).await?;
    }
    Ok(gate.engine.send(&link, &recorded, version, upload).await?)
}

pub fn broke_off(error: impl ToString) -> Refused {
    EngineError::Broken(error.to_string()).into()
}

/// What comes within `patience`, where there is one
pub async fn in_time<T>(
    patience: Option<Duration>,
    answer: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    match patience {
        Some(patience) => timeout(patience, answer).await.map_err(|_| EngineError::Slow(patience))?,
        None => answer.await,
    }
}

/// Makes a volume that a container is about to mount, so that it carries its owner from the start
async fn make_volume(gate: &Gate, owner: &Owner, recorded: &Recorded, name: &str) -> Result<(), Refused> {
    let (status, body) = gate.engine.make_volume(recorded, name, owner.name()).await?;
    let made: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let its_owner =
        made.as_ref().and_then(|made| made.pointer("/Labels/sockwarden.owner")).and_then(|owner| owner.as_str());
    // Somebody may have made it in between: an existing volume comes back with its own labels.
    match status.is_success() {
        true if its_owner == Some(&**owner.name()) => Ok(()),
        true => Err(Refused::Denied(format!("volume {name} of another owner is refused: use another name"))),
        false => Err(EngineError::Broken(String::from_utf8_lossy(&body).into_owned()).into()),
    }
}
