//! Bytes after the head: counted, passed on with back-pressure, and recorded when they end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::audit::Audit;
use crate::audit::record::{Ended, Outcome, millis};
use crate::hangup::Hangup;

/// The end of an exchange: writes the last line of its record when it is dropped
#[derive(Debug)]
pub struct End {
    audit: Arc<Audit>,
    id: String,
    listener: Arc<str>,
    operation: &'static str,
    begun: Instant,
    status: Option<u16>,
    outcome: Outcome,
    bytes: Arc<Counters>,
}

/// Bytes each way, after the heads
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client
    pub from_client: AtomicU64,
    /// To the client
    pub to_client: AtomicU64,
}

impl End {
    /// The end of the exchange `id`, which began at `begun`
    pub fn new(audit: Arc<Audit>, id: String, listener: Arc<str>, operation: &'static str, begun: Instant) -> Self {
        let bytes = Arc::default();
        Self { audit, id, listener, operation, begun, status: None, outcome: Outcome::Abandoned, bytes }
    }

    /// Remembers the status that is answered
    pub fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Remembers how it ended; without this the client went away
    pub fn outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// The counters of this exchange
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.bytes)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let Self { audit, id, listener, operation, begun, status, outcome, bytes } = self;
        let line = Ended {
            time: Timestamp::now(),
            event: "end",
            id,
            listener,
            operation,
            status: *status,
            outcome: *outcome,
            bytes_in: bytes.from_client.load(Ordering::Relaxed),
            bytes_out: bytes.to_client.load(Ordering::Relaxed),
            duration_ms: millis(begun.elapsed()),
        };
        // What was sent cannot be taken back; the operators hear of it here.
        if let Err(error) = audit.ended(&line) {
            tracing::error!(%error, id, "the end of an exchange could not be recorded");
        }
    }
}

/// A client's body on its way to the engine
#[derive(Debug)]
pub struct Upload {
    body: Incoming,
    counters: Arc<Counters>,
}

impl Upload {
    /// Passes `body` on and counts it
    pub fn new(body: Incoming, counters: Arc<Counters>) -> Self {
        Self { body, counters }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.counters.from_client.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        // Trailers have no meaning in the Engine API and are not passed on.
        Poll::Ready(frame.filter(|frame| frame.as_ref().map_or(true, Frame::is_data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The engine's body on its way to the client; its last byte is the end of the exchange
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    end: End,
    idle: Option<(Duration, Pin<Box<tokio::time::Sleep>>)>,
}

impl Download {
    /// Passes `body` on, counts it, and ends the exchange with it; `idle` cuts a silent stream
    pub fn new(body: Incoming, end: End, idle: Option<Duration>) -> Self {
        Self { body, end, idle: idle.map(|idle| (idle, Box::pin(tokio::time::sleep(idle)))) }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let Some((_, sleep)) = &mut this.idle else { return Poll::Pending };
                ready!(sleep.as_mut().poll(cx));
                return Poll::Ready(None);
            }
        };
        if let Some((idle, sleep)) = &mut this.idle {
            sleep.as_mut().reset(tokio::time::Instant::now() + *idle);
        }
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.end.bytes.to_client.fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(_)) => this.end.outcome(Outcome::EngineFailed),
            None => this.end.outcome(Outcome::Complete),
        }
        if this.body.is_end_stream() {
            this.end.outcome(Outcome::Complete);
        }
        Poll::Ready(frame.filter(|frame| frame.as_ref().map_or(true, Frame::is_data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // A body without a byte is never polled.
        if self.body.is_end_stream() {
            self.end.outcome(Outcome::Complete);
        }
    }
}

/// Joins two upgraded connections until both directions have ended, or one side is gone
///
/// A half-closed side goes on receiving: `exec -i` sends end of file and then reads the output.
pub async fn tunnel(client: Upgraded, engine: Upgraded, mut end: End, idle: Option<Duration>) {
    let counters = end.counters();
    let joined = async {
        let (client, from_client) = open(client)?;
        let (engine, from_engine) = open(engine)?;
        let (client_gone, engine_gone) = (Hangup::of(&client)?, Hangup::of(&engine)?);
        let (client_reader, mut client_writer) = client.into_split();
        let (engine_reader, mut engine_writer) = engine.into_split();
        let up = pump(from_client.chain(client_reader), &mut engine_writer, &counters.from_client);
        let down = pump(from_engine.chain(engine_reader), &mut client_writer, &counters.to_client);
        tokio::pin!(up, down);
        let (mut up_done, mut down_done) = (false, false);
        while !(up_done && down_done) {
            tokio::select! {
                ended = &mut up, if !up_done => { ended?; up_done = true; }
                ended = &mut down, if !down_done => { ended?; down_done = true; }
                () = client_gone.wait(), if up_done => return Ok(Outcome::Abandoned),
                () = engine_gone.wait(), if down_done => break,
                () = silence(idle, &counters), if idle.is_some() => break,
            }
        }
        Ok::<_, io::Error>(Outcome::Complete)
    };
    // An error is a side that went while the other was still sending.
    end.outcome(joined.await.unwrap_or(Outcome::Abandoned));
}

/// Takes the socket out of an upgraded connection, with the bytes that came along with the head
fn open(upgraded: Upgraded) -> io::Result<(UnixStream, io::Cursor<Bytes>)> {
    let parts = upgraded.downcast::<TokioIo<UnixStream>>();
    let parts = parts.map_err(|_| io::Error::other("the upgraded connection is no Unix socket"))?;
    Ok((parts.io.into_inner(), io::Cursor::new(parts.read_buf)))
}

/// Copies one direction to its end, then tells the other side that nothing more comes
async fn pump(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { break };
        to.write_all(piece).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
    to.shutdown().await
}

/// Waits until no byte has gone either way for `idle`
async fn silence(idle: Option<Duration>, counters: &Counters) {
    let Some(idle) = idle else { return std::future::pending().await };
    let total = || counters.from_client.load(Ordering::Relaxed) + counters.to_client.load(Ordering::Relaxed);
    loop {
        let before = total();
        tokio::time::sleep(idle).await;
        if total() == before {
            return;
        }
    }
}

/// Size of the buffer of one direction of a tunnel, in bytes
const PIECE: usize = 32 << 10;

/// Answers a client that attached without asking for an upgrade: the engine's side as an ordinary body
///
/// # Errors
/// When the engine does not hand the stream over.
pub async fn one_way(
    mut response: hyper::Response<crate::answer::Body>,
    engine: hyper::upgrade::OnUpgrade,
    end: End,
) -> Result<hyper::Response<crate::answer::Body>, crate::answer::Refused> {
    use http_body_util::BodyExt as _;
    let broken = |error: hyper::Error| crate::engine::EngineError::Broken(error.to_string());
    let (stream, first) =
        open(engine.await.map_err(broken)?).map_err(|error| crate::engine::EngineError::Broken(error.to_string()))?;
    let body = OneWay { engine: first.chain(stream), end };
    *response.body_mut() = body.map_err(|never| match never {}).boxed();
    Ok(response)
}

/// The engine's side of a raw stream as a body
struct OneWay {
    engine: tokio::io::Chain<io::Cursor<Bytes>, UnixStream>,
    end: End,
}

impl Body for OneWay {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let mut piece = vec![0; PIECE];
        let mut buffer = tokio::io::ReadBuf::new(&mut piece);
        let read = ready!(Pin::new(&mut self.engine).poll_read(cx, &mut buffer));
        let length = buffer.filled().len();
        if read.is_err() || length == 0 {
            self.end.outcome(if read.is_err() { Outcome::EngineFailed } else { Outcome::Complete });
            return Poll::Ready(None);
        }
        piece.truncate(length);
        self.end.bytes.to_client.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}
