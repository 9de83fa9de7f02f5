//! The shape all operations share: a subject named in the path, query parameters, a body, registry headers.

use bytes::Bytes;
use thiserror::Error;

use crate::api::credentials::{Headers, RegistryHeaders};
use crate::api::json::Json;
use crate::api::message::{Message, read_message, write_message};
use crate::api::names::{BadName, Name};
use crate::api::object::{Field, Malformed, Object, read_body, write_object};
use crate::api::query::{BadQuery, Pairs, Parameters};
use crate::api::version::ApiVersion;

/// Why an operation was not understood
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misread {
    /// A name in the path
    #[error(transparent)]
    Name(#[from] BadName),
    /// A query parameter
    #[error(transparent)]
    Query(#[from] BadQuery),
    /// A field of the body
    #[error("body field {0}")]
    Body(#[from] Malformed),
    /// The body is no JSON document
    #[error("body is not one JSON document: {0}")]
    Json(String),
    /// No message where the operation has one
    #[error("the call has no message")]
    NoMessage,
    /// A body where the operation has none
    #[error("the operation takes no body")]
    NoBody,
    /// A header
    #[error("{0}")]
    Header(String),
}

/// What came of one request, decoded, before it has a meaning
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// The text of the route's placeholder, if it has one
    pub name: Option<String>,
    /// Query parameters in order
    pub query: Pairs,
    /// The body, if there was one
    pub body: Content,
    /// Registry credentials
    pub headers: RegistryHeaders,
}

/// A body, decoded as far as its kind says
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Content {
    /// None, or a stream
    #[default]
    None,
    /// JSON
    Json(Json),
    /// A protobuf message
    Message(Bytes),
}

impl Content {
    /// The JSON, where it is that
    pub fn json(&self) -> Option<&Json> {
        match self {
            Self::Json(json) => Some(json),
            Self::None | Self::Message(_) => None,
        }
    }
}

/// What is sent for one operation, apart from method and version
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written {
    /// The text for the route's placeholder
    pub name: Option<String>,
    /// Query parameters
    pub query: Vec<(&'static str, String)>,
    /// Body
    pub body: Content,
    /// Headers that have a meaning
    pub headers: Vec<(&'static str, String)>,
}

/// How a request's body is taken
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Read whole, as JSON
    Json,
    /// Passed on as it comes
    Stream,
    /// Read whole, as one protobuf message
    Message,
}

/// One operation's data: subject, query, body, headers
#[derive(Debug, Clone, PartialEq)]
pub struct Request<S, Q = (), B = (), H = ()> {
    /// What the path names
    pub subject: S,
    /// Query parameters
    pub query: Q,
    /// Body
    pub body: B,
    /// Registry credentials
    pub headers: H,
}

impl<S: Subject, Q: Parameters, B: Body, H: Headers> Request<S, Q, B, H> {
    /// Reads the operation's data; nothing of `parts` may be left
    ///
    /// # Errors
    /// Naming the first part that was not understood.
    pub fn read(parts: Parts) -> Result<Self, Misread> {
        let Parts { name, query: mut pairs, body, headers } = parts;
        let query = Q::take(&mut pairs)?;
        pairs.0.retain(|(key, value)| !repeats_body::<B>(key, &body) && !is_own_option(key, value));
        pairs.close()?;
        Ok(Self {
            subject: S::read(name.as_deref().unwrap_or(""))?,
            query,
            body: B::read(body, Q::NAMES)?,
            headers: H::read(&headers).map_err(Misread::Header)?,
        })
    }

    /// Writes what the engine is to get
    pub fn write(&self) -> Written {
        let Self { subject, query, body, headers } = self;
        let mut pairs = Vec::new();
        query.append(&mut pairs);
        Written { name: subject.write(), query: pairs, body: body.write(), headers: headers.write() }
    }

    /// Names of the query parameters
    pub const PARAMETERS: &'static [(&'static str, u8)] = Q::NAMES;

    /// How the body is taken
    pub const fn body_kind() -> BodyKind {
        B::KIND
    }

    /// Every field of the body
    pub fn fields() -> Vec<Field> {
        let mut fields = Vec::new();
        B::describe(&mut fields);
        fields
    }
}

/// Whether a query parameter only says again what is judged as a member of the body
///
/// dockerode (5.0 and older) sends all its options twice: in the body, and in the query. Handlers of the engine read
/// fields of the body from nowhere else, so the copy is understood and dropped.
fn repeats_body<B: Body>(key: &str, body: &Content) -> bool {
    let Content::Json(Json::Object(members)) = body else { return false };
    let mut fields = Vec::new();
    B::describe(&mut fields);
    members.iter().any(|(member, _)| member == key)
        && fields.iter().any(|field| field.path.split(['.', '[']).next() == Some(key))
}

/// Options that dockerode takes for itself and sends along; no engine reads them
///
/// Testcontainers for Node pulls with an empty `authconfig`; one that says something becomes a header.
fn is_own_option(key: &str, value: &str) -> bool {
    match key {
        "hijack" | "stdin" => matches!(value, "true" | "false"),
        "authconfig" => value.is_empty(),
        _ => false,
    }
}

fn is_own_member(key: &str, value: &Json) -> bool {
    matches!(value, Json::Bool(_)) && matches!(key, "hijack" | "stdin")
}

/// The same in a body: parameters of the query said again, and options of the client's own
fn drop_repeated<T: Object>(body: Content, parameters: &[(&str, u8)]) -> Option<Json> {
    let mut members = match body {
        Content::Json(Json::Object(members)) => members,
        Content::Json(other) => return Some(other),
        Content::None | Content::Message(_) => return None,
    };
    members.retain(|(key, value)| {
        let field = T::FIELDS.iter().copied().flatten().any(|field| field.eq_ignore_ascii_case(key));
        let parameter = parameters.iter().any(|(name, _)| name == key);
        field || !(parameter || is_own_member(key, value))
    });
    Some(Json::Object(members))
}

/// What a route's placeholder names
pub trait Subject: Sized {
    /// Reads the placeholder's text
    ///
    /// # Errors
    /// When it is no such name.
    fn read(text: &str) -> Result<Self, BadName>;

    /// The text for the engine
    fn write(&self) -> Option<String>;

    /// Puts a full id in its place
    fn pin(&mut self, _id: &str) {}
}

impl Subject for () {
    fn read(_: &str) -> Result<Self, BadName> {
        Ok(())
    }

    fn write(&self) -> Option<String> {
        None
    }
}

impl<T: Name> Subject for T {
    fn read(text: &str) -> Result<Self, BadName> {
        T::parse(text)
    }

    fn write(&self) -> Option<String> {
        Some(self.as_str().to_owned())
    }

    fn pin(&mut self, id: &str) {
        Name::pin(self, id);
    }
}

/// A body
pub trait Body: Sized {
    /// How it is taken
    const KIND: BodyKind;

    /// Reads it; `parameters` are those of the operation's query
    ///
    /// # Errors
    /// When it is not understood.
    fn read(body: Content, parameters: &[(&str, u8)]) -> Result<Self, Misread>;

    /// What to send
    fn write(&self) -> Content;

    /// Appends every field
    fn describe(_fields: &mut Vec<Field>) {}
}

/// No body. dockerode repeats the query in one, which the engine never reads: that is understood and dropped
impl Body for () {
    const KIND: BodyKind = BodyKind::Json;

    fn read(body: Content, parameters: &[(&str, u8)]) -> Result<Self, Misread> {
        let repeats = |(key, value): &(String, Json)| {
            value.is_zero() || is_own_member(key, value) || parameters.iter().any(|(name, _)| name == key)
        };
        match body {
            Content::None => Ok(()),
            Content::Json(Json::Object(members)) if members.iter().all(repeats) => Ok(()),
            Content::Json(json) if json.is_zero() => Ok(()),
            Content::Json(_) | Content::Message(_) => Err(Misread::NoBody),
        }
    }

    fn write(&self) -> Content {
        Content::None
    }
}

/// A JSON body that is always sent
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonBody<T>(pub T);

impl<T: Object> Body for JsonBody<T> {
    const KIND: BodyKind = BodyKind::Json;

    fn read(body: Content, parameters: &[(&str, u8)]) -> Result<Self, Misread> {
        Ok(Self(read_body(drop_repeated::<T>(body, parameters))?))
    }

    fn write(&self) -> Content {
        Content::Json(write_object(&self.0))
    }

    fn describe(fields: &mut Vec<Field>) {
        T::describe("", ApiVersion::MIN.minor(), fields);
    }
}

/// A JSON body that may be absent, which the engine tells from an empty one
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionalBody<T>(pub Option<T>);

impl<T: Object> Body for OptionalBody<T> {
    const KIND: BodyKind = BodyKind::Json;

    fn read(body: Content, parameters: &[(&str, u8)]) -> Result<Self, Misread> {
        match drop_repeated::<T>(body, parameters) {
            None | Some(Json::Null) => Ok(Self(None)),
            some => Ok(Self(Some(read_body(some)?))),
        }
    }

    fn write(&self) -> Content {
        self.0.as_ref().map_or(Content::None, |body| Content::Json(write_object(body)))
    }

    fn describe(fields: &mut Vec<Field>) {
        T::describe("", ApiVersion::MIN.minor(), fields);
    }
}

/// A body that is passed on as it comes, such as a tar archive
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stream;

impl Body for Stream {
    const KIND: BodyKind = BodyKind::Stream;

    fn read(_: Content, _: &[(&str, u8)]) -> Result<Self, Misread> {
        Ok(Self)
    }

    fn write(&self) -> Content {
        Content::None
    }
}

/// One protobuf message, of a gRPC method
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Protobuf<T>(pub T);

impl<T: Message> Body for Protobuf<T> {
    const KIND: BodyKind = BodyKind::Message;

    fn read(body: Content, _: &[(&str, u8)]) -> Result<Self, Misread> {
        match body {
            Content::Message(bytes) => Ok(Self(read_message(bytes)?)),
            Content::None | Content::Json(_) => Err(Misread::NoMessage),
        }
    }

    fn write(&self) -> Content {
        Content::Message(write_message(&self.0).into())
    }

    fn describe(fields: &mut Vec<Field>) {
        T::describe("", &|message| message, fields);
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;
    use crate::api::call::Call;
    use crate::api::operation::Operation;

    fn read(target: &str, body: &str) -> Result<Operation, String> {
        let (path, query) = target.split_once('?').unwrap();
        let call = Call::read(&Method::POST, path, Some(query), RegistryHeaders::default()).unwrap();
        call.operation(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_dockerode_says_twice_is_read_once() {
        let once = read("/containers/create?name=a", r#"{"Image":"b","Cmd":["c"]}"#).unwrap();
        let twice = "/containers/create?name=a&Image=b&Cmd=c";
        assert_eq!(read(twice, r#"{"name":"a","Image":"b","Cmd":["c"]}"#), Ok(once));
        assert!(read("/containers/a/attach?stream=true&hijack=true", r#"{"stream":true,"hijack":true}"#).is_ok());
        assert!(read("/exec/a/start?", r#"{"hijack":true,"stdin":true,"Tty":false}"#).is_ok());
        assert!(read("/images/create?fromImage=a&authconfig=", r#"{"fromImage":"a"}"#).is_ok());
    }

    #[test]
    fn what_is_said_in_one_place_only_and_is_not_read_there_is_refused() {
        for (target, body) in [
            ("/containers/create?Image=b", "{}"),
            ("/containers/create?image=b", r#"{"Image":"b"}"#),
            ("/containers/create?Unknown=b", r#"{"Unknown":null}"#),
            ("/containers/create?HostConfig.Privileged=1", r#"{"HostConfig":{"Privileged":true}}"#),
            ("/containers/a/kill?signal=9&Image=b", r#"{"Image":"b"}"#),
            ("/exec/a/start?", r#"{"hijack":"x"}"#),
            ("/exec/a/start?", r#"{"Hijack":true}"#),
            ("/containers/a/attach?hijack=x", ""),
            ("/images/create?fromImage=a&authconfig=x", ""),
            ("/networks/create?name=x", r#"{"name":"x"}"#),
        ] {
            assert!(read(target, body).is_err(), "{target} {body}");
        }
    }
}
