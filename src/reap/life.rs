//! Whether the caller that an owner is named after still lives.

use hyper::StatusCode;
use serde::Deserialize;

use crate::engine::{Engine, EngineError, Question};
use crate::reap::inventory::runs_by_label;

/// What is known of the caller of an owner
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It lives, or nobody can tell
    Lives,
    /// Its container is there, and does not run
    Ended {
        /// Status with which it ended
        status: i64,
    },
    /// Its container is gone
    Gone,
}

/// Looks whether an owner's caller lives; of an owner that is named after no container only a lease can tell
///
/// # Errors
/// When the engine cannot be asked, or its answer is not understood.
pub async fn of(engine: &Engine, owner: &str) -> Result<Life, EngineError> {
    if !is_container(owner) {
        return match is_label(owner) && !runs_by_label(engine, owner).await? {
            true => Ok(Life::Gone),
            false => Ok(Life::Lives),
        };
    }
    let (status, body) = engine.question(Question::Container(owner)).await?;
    match status {
        StatusCode::OK => {
            let Inspected { state } =
                serde_json::from_slice(&body).map_err(|error| EngineError::Broken(error.to_string()))?;
            // Also one that is paused, or between two starts of its restart policy.
            Ok(if state.running { Life::Lives } else { Life::Ended { status: state.exit_code } })
        }
        StatusCode::NOT_FOUND => Ok(Life::Gone),
        status => Err(EngineError::Broken(format!("its container {owner} has status {status}"))),
    }
}

/// Whether an owner is named after a label: `KEY=VALUE`
fn is_label(owner: &str) -> bool {
    owner.contains('=') && !["cgroup:", "unit:"].iter().any(|kind| owner.starts_with(kind))
}

/// Whether an owner is named after a container: 64 hexadecimal digits
pub fn is_container(owner: &str) -> bool {
    owner.len() == 64 && owner.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "State")]
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    exit_code: i64,
}
