//! The shape all operations share: a subject named in the path, query parameters, a body, registry headers.

use thiserror::Error;

use crate::api::credentials::{Headers, RegistryHeaders};
use crate::api::json::Json;
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
    /// The JSON body, if there was one
    pub body: Option<Json>,
    /// Registry credentials
    pub headers: RegistryHeaders,
}

/// What is sent for one operation, apart from method and version
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written {
    /// The text for the route's placeholder
    pub name: Option<String>,
    /// Query parameters
    pub query: Vec<(&'static str, String)>,
    /// JSON body; `None` is no body or a stream
    pub body: Option<Json>,
    /// The registry header
    pub header: Option<(&'static str, String)>,
}

/// How a request's body is taken
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Read whole, as JSON
    Json,
    /// Passed on as it comes
    Stream,
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
        Written { name: subject.write(), query: pairs, body: body.write(), header: headers.write() }
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
    fn read(body: Option<Json>, parameters: &[(&str, u8)]) -> Result<Self, Misread>;

    /// The JSON to send
    fn write(&self) -> Option<Json>;

    /// Appends every field
    fn describe(_fields: &mut Vec<Field>) {}
}

/// No body. dockerode repeats the query in one, which the engine never reads: that is understood and dropped
impl Body for () {
    const KIND: BodyKind = BodyKind::Json;

    fn read(body: Option<Json>, parameters: &[(&str, u8)]) -> Result<Self, Misread> {
        let repeats = |(key, value): &(String, Json)| value.is_zero() || parameters.iter().any(|(name, _)| name == key);
        match body {
            None => Ok(()),
            Some(Json::Object(members)) if members.iter().all(repeats) => Ok(()),
            Some(json) if json.is_zero() => Ok(()),
            Some(_) => Err(Misread::NoBody),
        }
    }

    fn write(&self) -> Option<Json> {
        None
    }
}

/// A JSON body that is always sent
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonBody<T>(pub T);

impl<T: Object> Body for JsonBody<T> {
    const KIND: BodyKind = BodyKind::Json;

    fn read(body: Option<Json>, _: &[(&str, u8)]) -> Result<Self, Misread> {
        Ok(Self(read_body(body)?))
    }

    fn write(&self) -> Option<Json> {
        Some(write_object(&self.0))
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

    fn read(body: Option<Json>, _: &[(&str, u8)]) -> Result<Self, Misread> {
        match body {
            None | Some(Json::Null) => Ok(Self(None)),
            some => Ok(Self(Some(read_body(some)?))),
        }
    }

    fn write(&self) -> Option<Json> {
        self.0.as_ref().map(write_object)
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

    fn read(_: Option<Json>, _: &[(&str, u8)]) -> Result<Self, Misread> {
        Ok(Self)
    }

    fn write(&self) -> Option<Json> {
        None
    }
}
