//! The head of `POST /session`: who a session says it is, and what it gives.
//!
//! What passes afterwards is between the client and the engine: files, secrets and credentials of the client's own.

use bytes::Bytes;

use crate::api::buildkit::is_id;
use crate::api::credentials::{Headers, RegistryHeaders};
use crate::message;

/// `X-Docker-Expose-Session-…` as received
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionHeaders {
    /// `…-Uuid`
    pub uuid: Option<String>,
    /// `…-Name`
    pub name: Option<String>,
    /// `…-Sharedkey`
    pub shared_key: Option<String>,
    /// `…-Grpc-Method`, each method that the client serves
    pub methods: Vec<String>,
    /// `X-Buildkit-Session-Health-Custom-Timeout`, in seconds
    pub health_timeout: Option<String>,
}

/// A session
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Its id, which builds name
    pub id: String,
    /// A name; of old clients
    pub name: String,
    /// What contexts that may share files are known by: directory and client
    pub shared_key: String,
    /// Methods that the client serves, as `/moby.filesync.v1.FileSync/DiffCopy`
    pub methods: Vec<String>,
    /// How long the engine waits for a sign of life
    pub health_timeout: String,
}

impl Headers for Session {
    fn read(headers: &RegistryHeaders) -> Result<Self, String> {
        let SessionHeaders { uuid, name, shared_key, methods, health_timeout } = headers.session.clone();
        let id = uuid.unwrap_or_default();
        if !is_id(&id) {
            return Err(format!("header {UUID} is no session id: letters, digits, `-` and `_` are"));
        }
        let plain =
            |method: &String| method.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_'));
        if !methods.iter().all(plain) {
            return Err(format!("header {METHOD} is no gRPC method"));
        }
        let health_timeout = health_timeout.unwrap_or_default();
        let (name, shared_key) = (name.unwrap_or_default(), shared_key.unwrap_or_default());
        Ok(Self { id, name, shared_key, methods, health_timeout })
    }

    fn write(&self) -> Vec<(&'static str, String)> {
        let Self { id, name, shared_key, methods, health_timeout } = self;
        let texts = [(UUID, id), (NAME, name), (SHARED_KEY, shared_key), (HEALTH_TIMEOUT, health_timeout)];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        texts.chain(methods.iter().map(|method| (METHOD, method))).map(|(name, text)| (name, text.clone())).collect()
    }
}

message! {
    /// `BytesMessage`: a piece of a session's connection, where that is a call
    pub struct BytesMessage {
        /// The bytes
        1 "data" => data: Bytes,
    }
}

/// Names the session
pub const UUID: &str = "X-Docker-Expose-Session-Uuid";
/// A name for people
pub const NAME: &str = "X-Docker-Expose-Session-Name";
/// Names what contexts may share
pub const SHARED_KEY: &str = "X-Docker-Expose-Session-Sharedkey";
/// Names a method that the client serves
pub const METHOD: &str = "X-Docker-Expose-Session-Grpc-Method";
/// Sets the engine's patience
pub const HEALTH_TIMEOUT: &str = "X-Buildkit-Session-Health-Custom-Timeout";
