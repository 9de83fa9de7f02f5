//! Every answer we make ourselves, in the engine's `{"message": …}` shape; the only place that picks a status.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use thiserror::Error;

use crate::api::archive::BadArchive;
use crate::api::call::Unrouted;
use crate::api::closed::Closed;
use crate::api::request::Misread;
use crate::api::route::NoRoute;
use crate::engine::EngineError;
use crate::policy::ask::{Ask, What};
use crate::policy::judge::{Refusal, Verdict};

/// The body of a response
pub type Body = BoxBody<Bytes, BoxError>;

/// Why a body broke off
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an exchange ends with an answer of our own
#[derive(Debug, Error)]
pub enum Refused {
    /// The head was not understood, or leads nowhere
    #[error(transparent)]
    Unrouted(#[from] Unrouted),
    /// The operation was not understood
    #[error(transparent)]
    Misread(#[from] Misread),
    /// A header that changes how the request is read
    #[error("{0}")]
    Header(&'static str),
    /// The body is larger than is read as a whole
    #[error("the body is larger than {limit} bytes (`body_bytes` in `[limits]`)")]
    TooLarge {
        /// In bytes
        limit: usize,
    },
    /// The target is longer than is read
    #[error("the request target is longer than {limit} bytes (`target_bytes` in `[limits]`)")]
    TargetTooLong {
        /// In bytes
        limit: usize,
    },
    /// The body did not come in time
    #[error("the body did not arrive within {0:?} (`body_time` in `[limits]`)")]
    TooSlow(std::time::Duration),
    /// The client went away in the middle of its body
    #[error("the body ended early")]
    BodyBroken,
    /// The policy says no
    #[error("{0}")]
    Denied(String),
    /// The object does not exist; the engine's own words
    #[error("{0}")]
    Absent(String),
    /// A body names an object that does not exist; the engine's own words
    ///
    /// Not 404: the docker CLI takes that, on create, for a missing image and pulls it.
    #[error("{0}")]
    Dangling(String),
    /// A host path could not be pinned
    #[error("the policy wants host paths pinned (`pin` in `[mounts]`), and this one cannot be: {0}")]
    Unpinned(String),
    /// The archive could not be understood
    #[error("the archive is refused: {0}")]
    Archive(String),
    /// The record could not be written
    #[error("the record of this call cannot be written, so it was not sent; ask who runs sockwarden")]
    Unrecorded,
    /// The engine cannot be reached, or broke off
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<BadArchive> for Refused {
    fn from(error: BadArchive) -> Self {
        Self::Archive(error.to_string())
    }
}

impl Refused {
    /// The status the client sees
    pub fn status(&self) -> StatusCode {
        match self {
            // `docker inspect NAME` asks for a plugin last, and takes anything but 404 for the answer to the whole.
            Self::Unrouted(Unrouted::Route(NoRoute::Closed(Closed { name: "plugin.inspect", .. }))) => {
                StatusCode::NOT_FOUND
            }
            Self::Unrouted(Unrouted::Route(NoRoute::Closed(_))) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Unrouted(Unrouted::Route(NoRoute::Unknown { .. })) | Self::Absent(_) => StatusCode::NOT_FOUND,
            Self::Unrouted(Unrouted::Target(_))
            | Self::Misread(_)
            | Self::Header(_)
            | Self::BodyBroken
            | Self::Archive(_)
            | Self::Dangling(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Unrecorded | Self::Unpinned(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Engine(EngineError::Slow(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Engine(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// The words the client sees; a missing object is told in the engine's own
    pub fn message(&self, id: &str) -> String {
        match self {
            Self::Absent(message) | Self::Dangling(message) => message.clone(),
            // Clients compare these words.
            Self::Unrouted(Unrouted::Target(error @ (TooOld(_) | TooNew(_)))) => error.to_string(),
            other => format!("sockwarden: {other} [record {id}]"),
        }
    }
}

use crate::api::target::BadTarget::{TooNew, TooOld};

/// One line that says what was refused, by which line, and the way out
pub fn denial(policy: &str, verdict: &Verdict) -> String {
    let each = |(ask, Refusal { line, why }): (&Ask, &Refusal)| {
        let by = match line {
            Some(line) => format!("forbidden by {line}"),
            None => format!("no line of policy `{policy}` allows it"),
        };
        let place = match (&ask.what, ask.field.as_str()) {
            (What::Operation(_), "operation") => String::new(),
            (_, field) => format!(" ({field})"),
        };
        format!("{}{place} is refused, {by}: {why}", ask.what)
    };
    verdict.refused().map(each).collect::<Vec<_>>().join("; ")
}

/// An answer with the engine's shape of an error
///
/// The content type is compared as a whole by the docker CLI, so it has no parameters.
pub fn error(status: StatusCode, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "message": message }).to_string() + "\n";
    let mut response = Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Makes an answer end its connection: the rest of a body that nobody reads is no next request
pub fn and_close(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// No bytes
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}
