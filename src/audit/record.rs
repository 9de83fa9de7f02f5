//! The record's lines: what is written of each exchange, and what never is.
//!
//! Two lines an exchange, tied by `id`: one before anything is sent (or when it is refused), one when it ends. No values
//! of environment variables, build arguments, labels or credentials stand here: asks name fields and values of the host's
//! side only. Of labels there are those that name the caller's CI job.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::caller::Caller;
use crate::policy::judge::{Decision, Judged, Verdict};

/// The first line of an exchange
#[derive(Debug, Serialize)]
pub struct Opened<'a> {
    /// When
    pub time: Timestamp,
    /// `request`
    pub event: &'static str,
    /// Ties the lines of one exchange together
    pub id: &'a str,
    /// Listener's name
    pub listener: &'a str,
    /// Who called
    pub caller: &'a Caller,
    /// Owner of what is made
    pub owner: &'a str,
    /// Policy that judged
    pub policy: &'a str,
    /// Operation; `unknown` when the request was not understood
    pub operation: &'a str,
    /// Method and path as the client sent them, without the query
    pub request: &'a str,
    /// API version that is sent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Objects it touches
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectLine>,
    /// Images it names
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// `allow`, `modify`, `deny`, `warn` (would be denied) or `error` (not understood, missing, or failed)
    pub verdict: &'static str,
    /// What it asks for
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<AskLine>,
    /// What was changed
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeLine>,
    /// Status we answered, when nothing was sent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the client was told, when nothing was sent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

/// An object in a record
#[derive(Debug, Clone, Serialize)]
pub struct ObjectLine {
    /// `container`, `network`, `volume` or `exec`
    pub kind: &'static str,
    /// As the client named it
    pub name: String,
    /// Full id, where it was looked up
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// An ask in a record
#[derive(Debug, Serialize)]
pub struct AskLine {
    /// Kind, as `cap_add`
    pub ask: &'static str,
    /// What, in words
    pub value: String,
    /// Where it stood
    pub field: String,
    /// `granted` or `refused`
    pub verdict: &'static str,
    /// The policy line that decided; absent when none allows it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// A change in a record
#[derive(Debug, Serialize)]
pub struct ChangeLine {
    /// Field
    pub field: String,
    /// Before
    pub from: String,
    /// After
    pub to: String,
    /// The policy line that says so
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// A line between the first and the last: names that were found in an archive while it came
#[derive(Debug, Serialize)]
pub struct NamesFound<'a> {
    /// When
    pub time: Timestamp,
    /// `archive`
    pub event: &'static str,
    /// Ties the lines of one exchange together
    pub id: &'a str,
    /// Listener's name
    pub listener: &'a str,
    /// Policy that judged
    pub policy: &'a str,
    /// Operation
    pub operation: &'a str,
    /// `allow`, `deny` or `warn`
    pub verdict: &'static str,
    /// The names
    pub asks: Vec<AskLine>,
}

/// The last line of an exchange
#[derive(Debug, Serialize)]
pub struct Ended<'a> {
    /// When
    pub time: Timestamp,
    /// `end`
    pub event: &'static str,
    /// Ties the lines of one exchange together
    pub id: &'a str,
    /// Listener's name
    pub listener: &'a str,
    /// Operation
    pub operation: &'a str,
    /// Status that was answered; absent when the client went before
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// gRPC's status at the end of the answer; of a call of BuildKit's
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u32>,
    /// `complete`, or who broke off
    pub outcome: Outcome,
    /// Bytes from the client after the head
    pub bytes_in: u64,
    /// Bytes to the client after the head
    pub bytes_out: u64,
    /// From the request's head to its last byte
    pub duration_ms: u64,
}

/// How an exchange ended
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// To the last byte
    Complete,
    /// The client went, or sockwarden ended
    Abandoned,
    /// The engine broke off
    EngineFailed,
    /// Broken off here, for what was in the client's stream
    Refused,
}

/// The asks of a verdict as lines
pub fn ask_lines(asks: &[Judged]) -> Vec<AskLine> {
    let line = |Judged { ask, granted }: &Judged| {
        let (verdict, line) = match granted {
            Ok(line) => ("granted", line.as_ref()),
            Err(refusal) => ("refused", refusal.line.as_ref()),
        };
        AskLine {
            ask: ask.what.code(),
            value: ask.what.to_string(),
            field: ask.field.clone(),
            verdict,
            line: line.map(ToString::to_string),
        }
    };
    asks.iter().map(line).collect()
}

/// The changes of a verdict as lines
pub fn change_lines(verdict: &Verdict) -> Vec<ChangeLine> {
    let line = |change: &crate::policy::modify::Change| ChangeLine {
        field: change.field.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        line: change.line.as_ref().map(ToString::to_string),
    };
    verdict.changes.iter().map(line).collect()
}

/// A verdict in one word; `passes` tells a warning from a denial
pub fn verdict_word(decision: Decision, passes: bool) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Modify => "modify",
        Decision::Deny if passes => "warn",
        Decision::Deny => "deny",
    }
}

/// Milliseconds of a duration
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
