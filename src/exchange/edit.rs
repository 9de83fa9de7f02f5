//! Answers of the engine that are read whole and changed before the client has them.

use bytes::Bytes;
use serde_json::Value;

use crate::api::operation::Operation;
use crate::exchange::{asked, lower};
use crate::policy::{Mode, Policy};

/// What is changed in an answer
pub type Edit = fn(&mut Value);

/// What is changed in the answer to an operation; none for all others, which stream
pub fn of(operation: &Operation, policy: &Policy) -> Option<Edit> {
    match operation {
        Operation::Version(_) => Some(lower::version),
        // Who records only looks on, and sees what the engine has.
        Operation::ContainerInspect(_) if policy.mode != Mode::Record => Some(asked::give_back),
        _ => None,
    }
}

/// The answer, changed; none if it stays as it is
pub fn apply(edit: Edit, body: &Bytes) -> Option<Bytes> {
    let before: Value = serde_json::from_slice(body).ok()?;
    let mut answer = before.clone();
    edit(&mut answer);
    let end = if body.ends_with(b"\n") { "\n" } else { "" };
    (answer != before).then(|| Bytes::from(go_text(&answer) + end))
}

/// The text as the engine would write it, which clients show as it is
fn go_text(answer: &Value) -> String {
    let mut text = answer.to_string();
    // All of these stand in strings only.
    for (character, escaped) in
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
    {
        if text.contains(character) {
            text = text.replace(character, escaped);
        }
    }
    text
}
