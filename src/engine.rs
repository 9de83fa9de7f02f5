//! The only code that opens the engine's socket.
//!
//! A client's connection has at most one idle connection to the engine, which no other client shares, and which is not
//! used again after a stream: nothing a client sends can meet another's answer. Our own questions are a closed set of
//! look-ups over a pooled client.

pub mod channel;
mod cleaning;

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperlocal::{UnixConnector, Uri};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::answer::Body;
use crate::api::call::Outgoing;
use crate::api::operation::Answer;
use crate::api::request::BodyKind;
use crate::api::target::{push_pair, push_segment};
use crate::api::version::ApiVersion;
use crate::audit::Recorded;
use crate::audit::cleanup::Kind;
pub use crate::engine::cleaning::Force;
use crate::policy::modify::OWNER_LABEL;

/// The engine
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    connect: Duration,
    answer: Duration,
    client: Client<UnixConnector, Full<Bytes>>,
    /// Minor of the newest API version in common; 0 is not known yet
    newest: AtomicU8,
}

/// The engine's side of one client's connection
#[derive(Debug, Default)]
pub struct Link(Mutex<Option<http1::SendRequest<Body>>>);

impl Link {
    /// The idle connection, if there is one that still lives
    async fn take(&self) -> Option<http1::SendRequest<Body>> {
        let mut sender = self.0.lock().ok()?.take()?;
        sender.ready().await.ok().map(|()| sender)
    }

    fn keep(&self, sender: http1::SendRequest<Body>) {
        if let Ok(mut idle) = self.0.lock() {
            *idle = Some(sender);
        }
    }
}

/// Why the engine gave no answer
#[derive(Debug, Error)]
pub enum EngineError {
    /// Nobody listens
    #[error("cannot reach the Docker Engine: {0}")]
    Unreachable(std::io::Error),
    /// Too slow to connect or to begin an answer
    #[error("the Docker Engine did not answer within {0:?}")]
    Slow(Duration),
    /// It broke off, or what it said is no HTTP
    #[error("the Docker Engine broke off: {0}")]
    Broken(String),
    /// It speaks no API version that is modelled here
    #[error("the Docker Engine speaks no API version between {min} and {max}", min = ApiVersion::MIN, max = ApiVersion::MAX)]
    Version,
}

/// A look-up of our own
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// `GET /containers/{}/json`
    Container(&'a str),
    /// `GET /networks/{}`
    Network(&'a str),
    /// `GET /volumes/{}`
    Volume(&'a str),
    /// `GET /exec/{}/json`
    Exec(&'a str),
    /// `GET /images/{}/json`
    Image(&'a str),
    /// `GET /images/json`, of one repository in its full form
    ImagesOf(&'a str),
    /// `GET /images/json`
    Images,
    /// The same of all that there are, with their manifests where the engine tells of them (API 1.47)
    Manifests,
    /// `GET /info`
    Info,
    /// `GET /containers/json`, of all that exist
    Containers,
    /// The list of what has a label, given as `key` or `key=value`
    Labelled(Kind, &'a str),
}

impl Engine {
    /// The engine behind `socket`
    pub fn new(socket: PathBuf, connect: Duration, answer: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(UnixConnector);
        Self { socket, connect, answer, client, newest: AtomicU8::new(0) }
    }

    /// The newest API version that the engine and this crate have in common
    ///
    /// Asked once, and again whenever the engine could not be reached in between: it may come back as another.
    ///
    /// # Errors
    /// When the engine cannot be asked or is too old.
    pub async fn version(&self) -> Result<ApiVersion, EngineError> {
        if let Some(version) = ApiVersion::new(self.newest.load(Ordering::Relaxed)) {
            return Ok(version);
        }
        let (parts, _) = self.get("/_ping").await?;
        let said = parts.headers.get(API_VERSION).and_then(|value| value.to_str().ok()).unwrap_or("");
        let version = ApiVersion::lowered(said).ok_or(EngineError::Version)?;
        self.newest.store(version.minor(), Ordering::Relaxed);
        Ok(version)
    }

    /// Sends a recorded operation and returns the engine's answer, whose body may still be coming
    ///
    /// `body` is the client's stream where the operation has one. Dropping the answer before its end ends the engine's
    /// connection. Waits as long as it takes.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        link: &Link,
        recorded: &Recorded,
        version: ApiVersion,
        body: Body,
    ) -> Result<Response<Incoming>, EngineError> {
        let operation = recorded.approved().operation();
        let endpoint = operation.endpoint();
        let outgoing = Outgoing::write(operation, version);
        let headers = headers(&outgoing, endpoint.body, operation.upgrades());
        let body = match outgoing.body {
            Some(json) => Full::new(Bytes::from(json)).map_err(|never| match never {}).boxed(),
            None => body,
        };
        let mut request = Request::new(body);
        *request.method_mut() = outgoing.method;
        *request.uri_mut() =
            outgoing.target.parse().map_err(|error| EngineError::Broken(format!("target: {error}")))?;
        *request.headers_mut() = headers;
        let again = endpoint.body == BodyKind::Json && endpoint.answer != Answer::Hijack;
        self.exchange(link, request, again).await
    }

    /// Makes a volume for an owner before a container that mounts it; an existing one is returned as it is
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn make_volume(&self, _: &Recorded, name: &str, owner: &str) -> Result<(StatusCode, Bytes), EngineError> {
        let labels = serde_json::json!({ "Name": name, "Labels": { OWNER_LABEL: owner } });
        let version = self.version().await?;
        self.ask(Method::POST, &format!("/v{version}/volumes/create"), Bytes::from(labels.to_string())).await
    }

    /// Asks one of our own questions: status and body
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn question(&self, question: Question<'_>) -> Result<(StatusCode, Bytes), EngineError> {
        let version = self.version().await?;
        let (kind, name, end) = match question {
            Question::Container(name) => ("containers", name, "/json"),
            Question::Network(name) => ("networks", name, ""),
            Question::Volume(name) => ("volumes", name, ""),
            Question::Exec(name) => ("exec", name, "/json"),
            Question::Image(name) => ("images", name, "/json"),
            Question::Containers => ("containers", "json", "?all=1"),
            Question::Manifests => ("images", "json", "?all=1&manifests=1"),
            Question::Info => ("info", "", ""),
            Question::Images | Question::ImagesOf(_) => ("images", "json", ""),
            Question::Labelled(kind, label) => {
                let path = format!("/v{version}{}", cleaning::labelled(kind, label));
                let (parts, body) = self.get(&path).await?;
                return Ok((parts.status, body));
            }
        };
        let mut path = format!("/v{version}/{kind}");
        if !name.is_empty() {
            push_segment(&mut path, name);
        }
        path.push_str(end);
        if let Question::ImagesOf(repository) = question {
            // The filter is compared with names as people write them.
            let short = repository.strip_prefix("docker.io/library/").or_else(|| repository.strip_prefix("docker.io/"));
            let filters = serde_json::json!({ "reference": [short.unwrap_or(repository)] }).to_string();
            let mut query = String::new();
            push_pair(&mut query, "filters", &filters);
            path = format!("{path}?{query}");
        }
        let (parts, body) = self.get(&path).await?;
        Ok((parts.status, body))
    }

    async fn get(&self, path: &str) -> Result<(hyper::http::response::Parts, Bytes), EngineError> {
        self.parts(Method::GET, path, Bytes::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), EngineError> {
        let (parts, body) = self.parts(method, path, body).await?;
        Ok((parts.status, body))
    }

    async fn parts(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(hyper::http::response::Parts, Bytes), EngineError> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::new(&self.socket, path).into();
        request.headers_mut().insert(HOST, HeaderValue::from_static(ENGINE_HOST));
        if !body.is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let asked = async {
            let response = self.client.request(request).await.map_err(|error| self.failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            Ok((parts, body.map_err(|error| EngineError::Broken(error.to_string()))?.to_bytes()))
        };
        timeout(self.answer, asked).await.map_err(|_| EngineError::Slow(self.answer))?
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> EngineError {
        self.newest.store(0, Ordering::Relaxed);
        if error.is_connect() {
            return EngineError::Unreachable(std::io::Error::other(root_cause(error)));
        }
        EngineError::Broken(root_cause(error))
    }

    /// Sends over the client's link; `again` keeps the connection for its next request
    async fn exchange(
        &self,
        link: &Link,
        mut request: Request<Body>,
        again: bool,
    ) -> Result<Response<Incoming>, EngineError> {
        let mut sender = link.take().await;
        loop {
            let (kept, mut connection) = match sender.take() {
                Some(connection) => (true, connection),
                None => (false, self.connect().await?),
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    framed_once(&response)?;
                    if again {
                        link.keep(connection);
                    }
                    return Ok(response);
                }
                // The engine closed the kept connection before a byte of this was written.
                Err(mut error) => match error.take_message().filter(|_| kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(EngineError::Broken(root_cause(error.error()))),
                },
            }
        }
    }

    /// The engine's socket; one whose queue is full says so at once, and is asked again
    async fn connected(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(AGAIN).await,
                connected => return connected,
            }
        }
    }

    async fn connect(&self) -> Result<http1::SendRequest<Body>, EngineError> {
        let connected = timeout(self.connect, self.connected()).await;
        let stream = connected.map_err(|_| EngineError::Slow(self.connect))?.map_err(|error| {
            self.newest.store(0, Ordering::Relaxed);
            EngineError::Unreachable(error)
        })?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| EngineError::Broken(root_cause(&error)))?;
        // Ends when the exchange drops both ends, or hands the socket over after a 101.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "engine connection ended");
            }
        });
        Ok(sender)
    }
}

fn headers(outgoing: &Outgoing, body: BodyKind, upgrades: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static(ENGINE_HOST));
    if outgoing.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if body == BodyKind::Stream {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    }
    if let Some(protocol) = upgrades {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(protocol));
    }
    for (name, value) in &outgoing.headers {
        // Base64 of our own making, and what came in a header, always is a header's value.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Refuses an answer whose end can be found in two ways
fn framed_once<T>(response: &Response<T>) -> Result<(), EngineError> {
    let headers = response.headers();
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_some())
    };
    let once = match (only(TRANSFER_ENCODING), only(CONTENT_LENGTH)) {
        ((None, _), (None, _)) => true,
        ((None, _), (Some(length), again)) => !again && length.as_bytes().iter().all(u8::is_ascii_digit),
        ((Some(coding), again), (None, _)) => !again && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        ((Some(_), _), (Some(_), _)) => false,
    };
    once.then_some(()).ok_or_else(|| EngineError::Broken("it framed its answer in two ways".to_owned()))
}

/// What the engine says in the body of a refusal
pub fn message(body: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let said = serde_json::from_slice(body).map(|Message { message }| message);
    said.unwrap_or_else(|_| "the engine gave no reason".to_owned())
}

/// The innermost cause, which says most
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Any value passes on a Unix socket; this is the docker CLI's own
const ENGINE_HOST: &str = "docker";
/// Where the engine says its newest version
pub const API_VERSION: &str = "api-version";
/// Largest answer to a question of our own, in bytes
const MAX_ANSWER: usize = 8 << 20;
/// How long a socket whose queue is full is left alone
const AGAIN: Duration = Duration::from_millis(10);
