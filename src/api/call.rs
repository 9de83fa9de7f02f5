//! The two ends of an operation: reading it from a request, writing it for the engine.

use hyper::Method;
use thiserror::Error;

use crate::api::credentials::RegistryHeaders;
use crate::api::json::Json;
use crate::api::operation::Operation;
use crate::api::query::Pairs;
use crate::api::request::{Content, Misread, Parts, Written};
use crate::api::route::{NoRoute, Route, route};
use crate::api::target::{BadTarget, Target, push_pair, push_segment};
use crate::api::version::ApiVersion;

/// The head of a request, understood and routed; its body is still to come
#[derive(Debug)]
pub struct Call {
    /// The operation it is about
    pub route: Route,
    /// The version the client asked for
    pub version: Option<ApiVersion>,
    query: Pairs,
    headers: RegistryHeaders,
}

/// Why a request's head was refused
#[derive(Debug, Clone, Error)]
pub enum Unrouted {
    /// The target was not understood
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// It leads nowhere
    #[error(transparent)]
    Route(#[from] NoRoute),
}

impl Call {
    /// Reads method and target
    ///
    /// # Errors
    /// When the target is not understood, or names no open operation.
    pub fn read(method: &Method, path: &str, query: Option<&str>, headers: RegistryHeaders) -> Result<Self, Unrouted> {
        let target = Target::read(path, query)?;
        let route = route(method, &target)?;
        Ok(Self { route, version: target.version, query: Pairs(target.query), headers })
    }

    /// Reads the whole operation, given the bytes of a JSON body
    ///
    /// # Errors
    /// Naming what was not understood.
    pub fn operation(self, body: &[u8]) -> Result<Operation, Misread> {
        let body =
            if body.is_empty() { Content::None } else { Content::Json(Json::parse(body).map_err(Misread::Json)?) };
        let Self { route: Route { endpoint, name }, version: _, query, headers } = self;
        (endpoint.read)(Parts { name, query, body, headers })
    }
}

/// What the engine is sent for one operation
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Method
    pub method: Method,
    /// Path and query
    pub target: String,
    /// Headers that have a meaning
    pub headers: Vec<(&'static str, String)>,
    /// Body, unless it is a stream
    pub body: Option<Vec<u8>>,
}

impl Outgoing {
    /// The value of one of [`Outgoing::headers`]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
    }

    /// Writes an operation for one version of the API
    pub fn write(operation: &Operation, version: ApiVersion) -> Self {
        let endpoint = operation.endpoint();
        let Written { name, query, body, headers } = operation.write();
        let mut target = format!("/v{version}");
        for part in endpoint.path.split('/').skip(1) {
            push_segment(&mut target, if part.starts_with('{') { name.as_deref().unwrap_or("") } else { part });
        }
        let mut pairs = String::new();
        for (key, value) in &query {
            push_pair(&mut pairs, key, value);
        }
        if !pairs.is_empty() {
            target.push('?');
            target.push_str(&pairs);
        }
        let body = match body {
            Content::None => None,
            Content::Json(json) => Some(json.to_bytes()),
            Content::Message(bytes) => Some(bytes.into()),
        };
        Self { method: endpoint.method.clone(), target, headers, body }
    }
}
