//! BuildKit as the engine speaks it: its gRPC methods and their messages, as a closed world like the rest of the API.
//!
//! Messages are those of BuildKit 0.8 to 0.32 (`control.proto`, `gateway.proto`, `ops.proto`), and those of OpenTelemetry for
//! spans, by their own names. A method is found by the exact bytes of its path: engines decode `%6c` and cut `?a=b`, and would find the same method
//! (20.10 to 28.5).

use crate::api::closed::{CLOSED, Closed};
use crate::api::names::{BadName, Name};
use crate::api::operation::{Endpoint, METHODS};
use crate::message;

pub mod bridge;
pub mod container;
pub mod content;
pub mod control;
pub mod history;
pub mod image_config;
pub mod llb;
pub mod op;
pub mod session;
pub mod source_policy;
pub mod status;
pub mod trace;

/// The gRPC method that a path names
///
/// # Errors
/// When it is closed, or `None` when it is no method of BuildKit.
pub fn method(path: &str) -> Result<&'static Endpoint, Option<&'static Closed>> {
    let closed = || CLOSED.iter().find(|closed| closed.method == GRPC && closed.path == path);
    METHODS.iter().find(|endpoint| endpoint.path == path).ok_or_else(closed)
}

/// What stands for a method in the table of what is closed
pub const GRPC: &str = "gRPC";

message! {
    /// A message without a field
    pub struct Empty {}
}

/// The build that a frontend's call is about: the value of `buildkit-controlapi-buildid`, which is the build's `Ref`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildId(String);

impl Name for BuildId {
    fn parse(text: &str) -> Result<Self, BadName> {
        match is_id(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadName::new("build id", text, "clients name a build by letters, digits, `-` and `_`")),
        }
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    fn pin(&mut self, id: &str) {
        id.clone_into(&mut self.0);
    }
}

/// Whether a text is an id as clients make them: of a build, or of a session
pub fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(plain)
}

/// Longest id in bytes; clients make 25 or 64 of them
const MAX_ID: usize = 128;
