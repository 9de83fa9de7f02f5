//! Every answer we make ourselves, in the engine's `{"message": …}` shape; the only place that picks a status.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use thiserror::Error;

use crate::api::archive::BadArchive;
use crate::api::call::Unrouted;
use crate::api::closed::Closed;
use crate::api::context::BadContext;
use crate::api::request::Misread;
use crate::api::route::NoRoute;
use crate::engine::EngineError;
use crate::policy::Line;
use crate::policy::ask::{Ask, What};
use crate::policy::judge::{Refusal, Verdict};
use crate::policy::quota::More;

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
    /// A gRPC call that was not understood
    #[error("{0}")]
    Call(&'static str),
    /// A gRPC call with a compressed message
    #[error("compressed messages are not read; send them as they are")]
    Compressed,
    /// What came was no HTTP/1.1
    #[error("the request was not understood: {0}")]
    NoHttp(String),
    /// What came over HTTP/2 is no gRPC
    #[error("HTTP/2 is for BuildKit's gRPC alone; speak HTTP/1.1")]
    Http2,
    /// A call of a connection that was refused
    #[error("{0}")]
    Shut(Arc<Refused>),
    /// The head is larger than is read
    #[error("the request's head is larger than is read (`header_bytes` and `headers` in `[limits]`)")]
    HeadTooLarge,
    /// The rest of the head did not come in time
    #[error("the rest of the request's head did not arrive within {0:?} (`head_time` in `[limits]`)")]
    HeadTooSlow(std::time::Duration),
    /// The client stopped in the middle of a head
    #[error("the request ended in the middle of its head")]
    HeadBroken,
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
    /// Too many large bodies are being read
    #[error("too many large bodies are being read (`bodies_bytes` in `[limits]`); try again later")]
    NoRoom,
    /// As many requests of the owner run as may
    #[error("{limit} requests of this owner run already (`requests_per_owner` in `[limits]`); end some of them first")]
    TooMany {
        /// At a time
        limit: usize,
    },
    /// Others of the owner are being counted and made, one after the other
    #[error(
        "other requests of this owner were not done within {0:?}, and what it has is counted one after the other; try again later"
    )]
    NoTurn(std::time::Duration),
    /// The owner has ended
    #[error("nothing new is made for the owner `{owner}`: it has ended, and what it made is being removed")]
    Ended {
        /// Its name
        owner: String,
    },
    /// The client went away in the middle of its body
    #[error("the body ended early")]
    BodyBroken,
    /// The policy says no
    #[error("{0}")]
    Denied(String),
    /// Nobody can be named as the owner of what is asked for
    #[error("{0}: who calls is not known, so nothing is sent; call again from a process that stays")]
    Unidentified(String),
    /// The object does not exist; the engine's own words
    #[error("{0}")]
    Absent(String),
    /// A body names an object that does not exist; the engine's own words
    ///
    /// Not 404: the docker CLI takes that, on create, for a missing image and pulls it.
    #[error("{0}")]
    Dangling(String),
    /// More objects or host paths than are looked up for one request
    #[error("the request names more than {limit} objects or host paths")]
    Crowded {
        /// How many may be named
        limit: usize,
    },
    /// A host path could not be pinned
    #[error("host paths that jobs can write are pinned (`pin` in `[mounts]`), and this one cannot be: {0}")]
    Unpinned(String),
    /// What was asked for is longer than is kept for who inspects the container
    #[error("the request's binds and mounts are longer than {limit} bytes, in which they are kept for `inspect`")]
    Unkept {
        /// In bytes
        limit: usize,
    },
    /// The cgroup that the policy wants for each owner could not be made
    #[error("the policy wants a cgroup for each owner (`cgroup` in `[quota]`), and this one's fails: {0}")]
    NoCgroup(String),
    /// The archive could not be understood
    #[error("the archive is refused: {0}")]
    Archive(String),
    /// The build context could not be understood
    #[error("the build context is refused: {0}")]
    Context(String),
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

impl From<BadContext> for Refused {
    fn from(error: BadContext) -> Self {
        Self::Context(error.to_string())
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
            Self::Unrouted(Unrouted::Route(NoRoute::Closed(_)))
            | Self::Denied(_)
            | Self::Ended { .. }
            | Self::Unidentified(_) => StatusCode::FORBIDDEN,
            Self::Unrouted(Unrouted::Route(NoRoute::Unknown { .. })) | Self::Absent(_) => StatusCode::NOT_FOUND,
            Self::Unrouted(Unrouted::Target(_))
            | Self::Misread(_)
            | Self::Header(_)
            | Self::Call(_)
            | Self::Compressed
            | Self::NoHttp(_)
            | Self::HeadBroken
            | Self::BodyBroken
            | Self::Archive(_)
            | Self::Context(_)
            | Self::Crowded { .. }
            | Self::Unkept { .. }
            | Self::Dangling(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Http2 => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooSlow(_) | Self::HeadTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unrecorded | Self::Unpinned(_) | Self::NoRoom | Self::NoTurn(_) | Self::NoCgroup(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Shut(why) => why.status(),
            Self::Engine(EngineError::Slow(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Engine(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// The operation, where it is a closed one
    pub fn closed(&self) -> Option<&'static Closed> {
        match self {
            Self::Unrouted(Unrouted::Route(NoRoute::Closed(closed))) => Some(closed),
            Self::Shut(why) => why.closed(),
            _ => None,
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
        if let (What::Quota(more), Some(line)) = (&ask.what, line) {
            return quota(more, line, why);
        }
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
    // Whoever takes the way out of one of these asks for none of the others.
    let whole = |(ask, _): &(&Ask, &Refusal)| matches!(ask.what, What::Builder | What::SecondBuild);
    if let Some(refused) = verdict.refused().find(whole) {
        return each(refused);
    }
    let told = |(ask, _): &(&Ask, &Refusal)| !matches!(ask.what, What::Foreign(..));
    let alone = !verdict.refused().any(|refused| told(&refused));
    // Beside other reasons, what is another's would be told from what is missing.
    verdict.refused().filter(|refused| alone || told(refused)).map(each).collect::<Vec<_>>().join("; ")
}

/// `quota of 20 containers is used up (owner job-7 has 20), set by ci:12: remove some first`
fn quota(more: &More, line: &Line, why: &str) -> String {
    let More { resource, asked, used, most, owner } = more;
    let state = match asked {
        _ if used >= most => "is used up",
        Some(asked) if asked > most => "is smaller than that",
        Some(_) => "does not leave that much",
        None => "does not leave enough",
    };
    let asked = asked.map_or_else(String::new, |asked| format!(", {} asked for", resource.say(asked)));
    let (quota, used) = (resource.say(*most), resource.say(*used));
    format!("quota of {quota} {state} (owner {owner} has {used}{asked}), set by {line}: {why}")
}

/// The status of a gRPC call that was refused, as clients know them (`codes.go` of grpc-go)
pub fn grpc_code(refused: &Refused) -> u16 {
    match refused {
        Refused::Unrouted(Unrouted::Route(NoRoute::Unknown { .. })) | Refused::Compressed => UNIMPLEMENTED,
        refused => match refused.status() {
            StatusCode::BAD_REQUEST => INVALID_ARGUMENT,
            StatusCode::NOT_FOUND => NOT_FOUND,
            StatusCode::FORBIDDEN => PERMISSION_DENIED,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
            StatusCode::REQUEST_TIMEOUT => DEADLINE_EXCEEDED,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
            _ => INTERNAL,
        },
    }
}

const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const NOT_FOUND: u16 = 5;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

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

/// The bytes of an answer on a connection that hyper has given up, and which ends with it
pub fn last_words(status: StatusCode, message: &str) -> Vec<u8> {
    let body = serde_json::json!({ "message": message }).to_string() + "\n";
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The answer to a connection that is one too many
pub fn too_many_connections() -> Vec<u8> {
    let message = "sockwarden: too many connections (`connections` and `connections_per_listener` in `[limits]`)";
    last_words(StatusCode::SERVICE_UNAVAILABLE, message)
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
