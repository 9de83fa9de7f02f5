//! `POST /session`: the engine calls us, for files and secrets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio_util::task::AbortOnDropHandle;

use super::client::{frame, unframed, upgraded};
use super::files::{self, File};
use super::message::{Message, text};

/// What a session has for the engine
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The same under every name of a directory: the context and the Dockerfile are in one
    pub files: Vec<File>,
    /// Secrets by id
    pub secrets: Vec<(String, String)>,
    /// What tells that a directory is the one of an earlier build; the session's own id where it is empty
    pub shared_key: String,
}

impl Offer {
    /// A Dockerfile
    pub fn dockerfile(text: &str) -> Self {
        Self { files: vec![File::new("Dockerfile", text)], ..Self::default() }
    }

    /// And one more file
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push(File::new(name, content));
        self
    }

    /// And a secret
    pub fn secret(mut self, id: &str, value: &str) -> Self {
        self.secrets.push((id.to_owned(), value.to_owned()));
        self
    }
}

/// An open session; ends when dropped
pub struct Session {
    _serving: AbortOnDropHandle<()>,
    given: Arc<AtomicUsize>,
}

impl Session {
    /// Opens one under an id; the answer in place of a session where it is refused
    pub async fn open(socket: &Path, id: &str, offer: &Offer) -> Result<Self, String> {
        let shared_key = if offer.shared_key.is_empty() { id } else { &offer.shared_key };
        let mut headers = vec![
            format!("X-Docker-Expose-Session-Uuid: {id}"),
            "X-Docker-Expose-Session-Name: bk".to_owned(),
            format!("X-Docker-Expose-Session-Sharedkey: {shared_key}"),
        ];
        headers.extend(METHODS.iter().map(|method| format!("X-Docker-Expose-Session-Grpc-Method: {method}")));
        let stream = upgraded(socket, "/session", &headers).await?;
        let given = Arc::new(AtomicUsize::new(0));
        let (offer, counted) = (Arc::new(offer.clone()), Arc::clone(&given));
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            let Ok(mut connection) = h2::server::Builder::new().handshake::<_, Bytes>(stream).await else { return };
            while let Some(Ok((request, answer))) = connection.accept().await {
                tokio::spawn(serve(Arc::clone(&offer), Arc::clone(&counted), request, answer));
            }
        }));
        Ok(Self { _serving: serving, given })
    }

    /// How many secrets and contents of files were handed out
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

async fn serve(
    offer: Arc<Offer>,
    given: Arc<AtomicUsize>,
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
) {
    let path = request.uri().path().to_owned();
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut asked = Asked { body: request.into_body(), buffered: BytesMut::new() };
    let Ok(mut told) = answer.send_response(head, false) else { return };
    let status = match path.as_str() {
        "/grpc.health.v1.Health/Check" => {
            told.send(Message::new().number(1, 1).as_ref());
            "0"
        }
        "/moby.filesync.v1.FileSync/DiffCopy" => {
            files::sync(&offer.files, &given, &mut asked, &mut told).await;
            "0"
        }
        "/moby.buildkit.secrets.v1.Secrets/GetSecret" => {
            let id = asked.next().await.map(|message| text(&message, &[1])).unwrap_or_default();
            match offer.secrets.iter().find(|(known, _)| *known == id) {
                Some((_, value)) => {
                    given.fetch_add(1, Ordering::SeqCst);
                    told.send(Message::new().with(1, value).as_ref());
                    "0"
                }
                None => "5",
            }
        }
        _ => "12",
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let _ = told.send_trailers(trailers);
}

/// What the engine asks in one call
pub struct Asked {
    body: RecvStream,
    buffered: BytesMut,
}

impl Asked {
    /// The next message
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = unframed(&mut self.buffered) {
                return Some(message);
            }
            let piece = self.body.data().await?.ok()?;
            let _ = self.body.flow_control().release_capacity(piece.len());
            self.buffered.extend_from_slice(&piece);
        }
    }
}

/// Messages to the engine; what is small waits for nothing
pub trait Send {
    /// Sends one
    fn send(&mut self, message: &[u8]);
}

impl Send for SendStream<Bytes> {
    fn send(&mut self, message: &[u8]) {
        // The engine that has gone away has all that it wanted.
        let _ = self.send_data(frame(0, message), false);
    }
}

const METHODS: &[&str] = &[
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
];
