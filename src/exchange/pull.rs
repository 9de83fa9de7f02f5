//! An image that the classic builder would pull while it builds is pulled before, so that its triggers can be judged.
//!
//! It is a request of its own, of the same caller: judged, on record, and with the build's credentials.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::{Request as Head, Response, Uri};

use crate::answer::{self, Body, Refused};
use crate::api::credentials::AuthConfig;
use crate::api::image_ref::{ImageRef, Meaning};
use crate::api::json::Json;
use crate::api::operation::Operation;
use crate::api::parameters::Pull;
use crate::api::request::Request;
use crate::api::version::ApiVersion;
use crate::engine::EngineError;
use crate::exchange::ready::Ready;
use crate::exchange::{Exchange, Gate, Who};

/// Pulls for one build
pub struct Puller {
    /// The build's listener
    pub gate: Arc<Gate>,
    /// Who builds
    pub who: Arc<Who>,
    /// In which the build was asked for
    pub version: ApiVersion,
    /// The build's, for each registry
    pub credentials: AuthConfig,
    /// Whether what is there already is pulled as well
    pub anew: bool,
    /// That of images for which the Dockerfile names none; empty for the engine's own
    pub platform: String,
}

impl Puller {
    /// Pulls an image, for a platform or for the engine's own
    ///
    /// # Errors
    /// When the policy does not grant it, or the engine fails, in its own words.
    pub async fn pull(&self, image: &ImageRef, platform: &str) -> Result<(), Refused> {
        let Meaning::Named(named) = image.meaning() else { return Ok(()) };
        let registry = named.repository.split('/').next().unwrap_or_default();
        let image = ImageRef::read(&image.to_string()).ok();
        let query = Pull { from_image: image, platform: platform.to_owned(), ..Pull::default() };
        let headers = self.credentials.of(registry);
        let operation = Operation::ImagePull(Request { subject: (), query, body: (), headers });
        let endpoint = operation.endpoint();
        let mut head = Head::new(());
        (*head.method_mut(), *head.uri_mut()) = (endpoint.method.clone(), Uri::from_static(endpoint.path));
        let mut exchange = Exchange::begin(Arc::clone(&self.gate), Arc::default(), Arc::clone(&self.who), &head);
        exchange.operation = endpoint.name;
        exchange.api_version = Some(self.version.to_string());
        match exchange.pull(operation, self.version).await {
            Ok(answer) => done(answer).await,
            Err(refused) => {
                exchange.note(&refused);
                Err(refused)
            }
        }
    }
}

impl Exchange {
    /// Pulls for a build with the classic builder, before it builds
    pub(super) fn puller(&self, operation: &Operation, version: ApiVersion) -> Option<Puller> {
        let Operation::BuildClassic(Request { query, headers, .. }) = operation else { return None };
        self.policy.judges_context(query).then(|| Puller {
            gate: Arc::clone(&self.gate),
            who: Arc::clone(&self.who),
            version,
            credentials: headers.clone(),
            anew: query.pull,
            platform: query.platform.clone(),
        })
    }

    /// The engine's answer to a pull; its last byte ends the exchange
    async fn pull(&mut self, operation: Operation, version: ApiVersion) -> Result<Response<Body>, Refused> {
        let Ready { recorded, images, hold, .. } = self.prepare(operation, version).await?;
        let sent = self.gate.engine.send(&self.link, &recorded, version, answer::empty()).await;
        self.settle(sent.map_err(Refused::from), None, recorded.approved().operation(), images, hold).await
    }
}

/// Reads an answer to its end, where it says whether the image is there
async fn done(answer: Response<Body>) -> Result<(), Refused> {
    let status = answer.status();
    let key = if status.is_success() { "error" } else { "message" };
    let (mut body, mut line, mut failure) = (answer.into_body(), Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EngineError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.len() > MOST {
                return Err(EngineError::Broken("a line of its progress has no end".to_owned()).into());
            }
            if piece.ends_with(b"\n") {
                failure = failure.or(told(&line, key));
                line.clear();
            }
        }
    }
    match failure.or_else(|| told(&line, key)) {
        None if status.is_success() => Ok(()),
        failure => Err(Refused::Absent(failure.unwrap_or_else(|| status.to_string()))),
    }
}

fn told(line: &[u8], key: &str) -> Option<String> {
    Json::parse(line).ok()?.member(key)?.text().map(str::to_owned)
}

/// Longest line of progress, in bytes
const MOST: usize = 64 << 10;
