//! The ends of containers, as the engine tells them: a hint to look, never more.
//!
//! Whether a container has ended is always asked again; what is told twice, late or not at all does no harm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::engine::{Engine, EngineError};

/// Something the engine told
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// From now on it is listened to; ends may have been missed before
    Listening,
    /// A container died or was removed
    Of {
        /// Full id
        container: String,
        /// Status with which it ended
        status: Option<i64>,
    },
}

/// Listens as long as somebody takes what is heard and `wanted` says so; begins anew whenever the engine breaks off
pub async fn listen(engine: Arc<Engine>, ends: mpsc::Sender<End>, wanted: impl Fn() -> bool) {
    let mut since = None;
    while !ends.is_closed() {
        if wanted()
            && let Err(error) = hear(&engine, &ends, &mut since).await
        {
            tracing::debug!(%error, "the engine's events broke off");
        }
        sleep(AGAIN).await;
    }
}

async fn hear(engine: &Engine, ends: &mpsc::Sender<End>, since: &mut Option<i64>) -> Result<(), EngineError> {
    let answer = engine.ends(*since).await?;
    if answer.status() != StatusCode::OK {
        return Err(EngineError::Broken(format!("its events have status {}", answer.status())));
    }
    let _ = ends.send(End::Listening).await;
    let mut body = answer.into_body();
    let mut line = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EngineError::Broken(error.to_string()))?;
        for piece in frame.data_ref().into_iter().flat_map(|data| data.split_inclusive(|byte| *byte == b'\n')) {
            line.extend_from_slice(piece);
            if line.len() > MAX_LINE {
                return Err(EngineError::Broken("an event is too long".to_owned()));
            }
            if line.ends_with(b"\n") {
                if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                    *since = Some(event.time);
                    let _ = ends.send(event.end()).await;
                }
                line.clear();
            }
        }
    }
    Ok(())
}

/// What is read of an event
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Actor")]
    actor: Actor,
    time: i64,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: BTreeMap<String, String>,
}

impl Event {
    fn end(self) -> End {
        let status = self.actor.attributes.get("exitCode").and_then(|status| status.parse().ok());
        End::Of { container: self.actor.id, status }
    }
}

/// Time to the next attempt to listen
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of an event: a container's labels are in it
const MAX_LINE: usize = 1 << 20;
