//! What the engine is told when an ended owner is cleaned up after, and what it tells of ends.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::{ENGINE_HOST, Engine, EngineError, framed_once, root_cause};
use crate::answer;
use crate::api::target::{push_pair, push_segment};
use crate::audit::cleanup::{Kind, Removal};

/// Whether something is removed though it is in use
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Also then
    Yes,
    /// Only if nobody uses it
    No,
}

impl Engine {
    /// Removes the object of a permit
    ///
    /// A container goes with its anonymous volumes, whether it runs or not.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn remove(&self, removal: &Removal, force: Force) -> Result<(StatusCode, Bytes), EngineError> {
        let end = match (removal.kind(), force) {
            (Kind::Container, _) => "?force=1&v=1",
            (Kind::Image, Force::Yes) => "?force=1",
            (Kind::Network | Kind::Volume | Kind::Image, _) => "",
        };
        let path = self.object(removal, end).await?;
        self.ask(Method::DELETE, &path, Bytes::new()).await
    }

    /// Tells the container of a permit to stop, and kills it after `grace`
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn stop(&self, removal: &Removal, grace: Duration) -> Result<(StatusCode, Bytes), EngineError> {
        let path = self.object(removal, &format!("/stop?t={}", grace.as_secs())).await?;
        self.ask(Method::POST, &path, Bytes::new()).await
    }

    /// Takes a container out of the network of a permit, which it keeps from being removed
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn detach(&self, removal: &Removal, container: &str) -> Result<(StatusCode, Bytes), EngineError> {
        let path = self.object(removal, "/disconnect").await?;
        let body = serde_json::json!({ "Container": container, "Force": true }).to_string();
        self.ask(Method::POST, &path, Bytes::from(body)).await
    }

    async fn object(&self, removal: &Removal, end: &str) -> Result<String, EngineError> {
        let kind = removal.kind();
        let mut path = format!("/v{}/{}", self.version().await?, plural(kind));
        push_segment(&mut path, removal.id());
        Ok(path + end)
    }

    /// The ends of containers, as they happen; those since `since`, in seconds, come first
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ends(&self, since: Option<i64>) -> Result<Response<Incoming>, EngineError> {
        let mut query = String::new();
        let filters = serde_json::json!({"type": ["container"], "event": ["die", "destroy"]});
        push_pair(&mut query, "filters", &filters.to_string());
        if let Some(since) = since {
            push_pair(&mut query, "since", &since.to_string());
        }
        let target = format!("/v{}/events?{query}", self.version().await?);
        let mut request = Request::new(answer::empty());
        *request.uri_mut() = target.parse().map_err(|error| EngineError::Broken(format!("target: {error}")))?;
        request.headers_mut().insert(HOST, HeaderValue::from_static(ENGINE_HOST));
        let mut connection = self.connect().await?;
        let answer = timeout(self.answer, connection.send_request(request)).await;
        let answer = answer.map_err(|_| EngineError::Slow(self.answer))?;
        let answer = answer.map_err(|error| EngineError::Broken(root_cause(&error)))?;
        framed_once(&answer)?;
        Ok(answer)
    }
}

/// The path and query of a list of what carries a label, `key` or `key=value`
pub(super) fn labelled(kind: Kind, label: &str) -> String {
    let (list, mut query) = match kind {
        Kind::Container => ("/containers/json", "all=1".to_owned()),
        Kind::Network => ("/networks", String::new()),
        Kind::Volume => ("/volumes", String::new()),
        Kind::Image => ("/images/json", "all=1".to_owned()),
    };
    // Spelled as clients' filters are written anew.
    push_pair(&mut query, "filters", &serde_json::json!({ "label": { label: true } }).to_string());
    format!("{list}?{query}")
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "containers",
        Kind::Network => "networks",
        Kind::Volume => "volumes",
        Kind::Image => "images",
    }
}
