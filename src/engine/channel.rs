//! A connection to BuildKit in the engine: gRPC over HTTP/2, on a connection that left HTTP/1.1 by `POST /grpc`.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use http::{Method, Request, Response, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::api::request::{Content, Written};
use crate::audit::Recorded;
use crate::engine::{EngineError, root_cause};

/// A channel for gRPC calls; closed with its last clone
#[derive(Debug, Clone)]
pub struct Channel {
    sender: SendRequest<Bytes>,
    closed: watch::Receiver<()>,
}

/// What of a call's metadata goes on besides what the operation says
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// `grpc-timeout`, as the client sent it
    pub timeout: Option<HeaderValue>,
}

impl Channel {
    /// Begins HTTP/2 on a connection that has left HTTP/1.1
    ///
    /// # Errors
    /// When the engine does not speak it.
    pub async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, EngineError> {
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(STREAM_WINDOW)
            .max_header_list_size(TRAILERS)
            .data_frame_budget(FRAMES_BUDGET)
            // A build that is broken off takes all its calls back at once, and the engine has more of each on its way.
            .max_concurrent_reset_streams(RESETS)
            .handshake(stream)
            .await
            .map_err(|error| EngineError::Broken(root_cause(&error)))?;
        // Ends with the last clone and the last call.
        let (ended, closed) = watch::channel(());
        tokio::spawn(async move {
            let _ended = ended;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "BuildKit's connection ended");
            }
        });
        Ok(Self { sender, closed })
    }

    /// Waits until the connection has ended
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        while closed.changed().await.is_ok() {}
    }

    /// Sends a recorded call and returns the head of its answer; dropping it before its end cancels the call
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, recorded: &Recorded, metadata: Metadata) -> Result<Response<RecvStream>, EngineError> {
        let (response, _sent) = self.send(recorded, metadata, true).await?;
        response.await.map_err(|error| broken(&error))
    }

    /// Begins a recorded call that goes on; dropping either before its end cancels the call
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn begin(
        &self,
        recorded: &Recorded,
        metadata: Metadata,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), EngineError> {
        self.send(recorded, metadata, false).await
    }

    async fn send(
        &self,
        recorded: &Recorded,
        metadata: Metadata,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), EngineError> {
        let operation = recorded.approved().operation();
        let Written { name, body, .. } = operation.write();
        let mut request = Request::new(());
        (*request.method_mut(), *request.version_mut()) = (Method::POST, Version::HTTP_2);
        *request.uri_mut() =
            format!("http://localhost{}", operation.endpoint().path).parse().map_err(|error| broken(&error))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(build) = name {
            headers.insert(BUILD_ID, HeaderValue::try_from(build).map_err(|error| broken(&error))?);
        }
        if let Some(timeout) = metadata.timeout {
            headers.insert(TIMEOUT, timeout);
        }
        let mut sender = self.sender.clone().ready().await.map_err(|error| broken(&error))?;
        let (response, mut stream) = sender.send_request(request, false).map_err(|error| broken(&error))?;
        // Who does not know a call answers and resets it before the message is on its way: the answer counts.
        stream.send_data(message_of(body), ends).ok();
        Ok((response, stream))
    }
}

fn broken(error: &dyn std::error::Error) -> EngineError {
    EngineError::Broken(root_cause(error))
}

/// The message of a recorded call, framed
pub fn message(recorded: &Recorded) -> Bytes {
    message_of(recorded.approved().operation().write().body)
}

fn message_of(body: Content) -> Bytes {
    match body {
        Content::Message(message) => framed(&message),
        Content::None | Content::Json(_) => framed(b""),
    }
}

/// A message as gRPC frames it, not compressed
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// Names the build that a frontend's call is about
pub const BUILD_ID: HeaderName = HeaderName::from_static("buildkit-controlapi-buildid");
/// How long the client waits
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Bytes that may be on their way on one connection, of all calls
pub const WINDOW: u32 = 4 << 20;
/// Bytes that may be on their way of one call: one that nobody reads does not hold up the others
pub const STREAM_WINDOW: u32 = 256 << 10;
/// What small frames may cost that wait to be read, by h2's count: a context of thousands of small files is as many
/// frames, and each costs some memory beyond its bytes
pub const FRAMES_BUDGET: usize = 64 << 20;
/// Largest head or trailer in bytes; errors of BuildKit carry stack traces
const TRAILERS: u32 = 1 << 20;
/// Calls that were taken back and are remembered for a moment
const RESETS: usize = 250;
