//! Bytes after the head: counted, passed on with back-pressure, and recorded when they end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::answer::BoxError;
use crate::audit::Audit;
use crate::audit::record::{Ended, Outcome, millis};
use crate::hangup::Hangup;
use crate::running::{Making, Place};
use crate::shown::Sieve;

/// The end of an exchange: writes the last line of its record when it is dropped
#[derive(Debug)]
pub struct End {
    audit: Arc<Audit>,
    id: String,
    listener: Arc<str>,
    operation: &'static str,
    begun: Instant,
    status: Option<u16>,
    grpc_status: Option<u32>,
    outcome: Outcome,
    bytes: Arc<Counters>,
    _runs: (Option<Place>, Option<Making>),
}

/// Bytes each way, after the heads
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client
    pub from_client: AtomicU64,
    /// To the client
    pub to_client: AtomicU64,
}

impl Counters {
    /// So many more bytes came from the client
    pub fn received(&self, length: usize) {
        self.from_client.fetch_add(length as u64, Ordering::Relaxed);
    }
}

impl End {
    /// The end of the exchange `id`, which began at `begun`, and what it keeps until then
    pub fn new(
        audit: Arc<Audit>,
        id: String,
        listener: Arc<str>,
        operation: &'static str,
        begun: Instant,
        bytes: Arc<Counters>,
        runs: (Option<Place>, Option<Making>),
    ) -> Self {
        let (status, grpc_status, outcome) = (None, None, Outcome::Abandoned);
        Self { audit, id, listener, operation, begun, status, grpc_status, outcome, bytes, _runs: runs }
    }

    /// Remembers the status that is answered
    pub fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Remembers gRPC's status, which comes at the end of the answer
    pub fn grpc(&mut self, status: Option<u32>) {
        self.grpc_status = status;
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
        let Self { audit, id, listener, operation, begun, status, grpc_status, outcome, bytes, _runs } = self;
        let line = Ended {
            time: Timestamp::now(),
            event: "end",
            id,
            listener,
            operation,
            status: *status,
            grpc_status: *grpc_status,
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
///
/// When it is dropped before its end, some of the rest is still read: many clients send all before they look for an
/// answer, and would see a broken pipe in its place. The engine does the same.
#[derive(Debug)]
pub struct Upload {
    body: Option<Incoming>,
    counters: Arc<Counters>,
    rest: Rest,
}

/// What becomes of the rest of a body that nobody wants
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Read, up to [`LINGER`] bytes
    Read,
    /// Left: the client waits for `100 Continue` and has sent nothing
    Left,
    /// Read for as long, however much it is: a client that was told no in the middle of it hears so before it cannot write
    Drained,
}

impl Upload {
    /// Passes `body` on and counts it
    pub fn new(body: Incoming, counters: Arc<Counters>, rest: Rest) -> Self {
        Self { body: Some(body), counters, rest }
    }

    /// Nobody wants the rest any more, and the client is being told why
    pub fn drain(&mut self) {
        self.rest = Rest::Drained;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let most = match self.rest {
            Rest::Read => LINGER,
            Rest::Drained => usize::MAX,
            Rest::Left => return,
        };
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        if let Some(mut body) = unread {
            tokio::spawn(tokio::time::timeout(LINGER_TIME, async move {
                let mut left = most;
                while let Some(Ok(frame)) = body.frame().await {
                    left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                    if left == 0 {
                        break;
                    }
                }
            }));
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.counters.from_client.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        // Trailers have no meaning in the Engine API and are not passed on.
        Poll::Ready(frame.filter(|frame| frame.as_ref().map_or(true, Frame::is_data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A body that goes through a sieve; its length is not known before its end
#[derive(Debug)]
pub struct Sifted<B, S> {
    body: B,
    sieve: Option<S>,
}

impl<B, S> Sifted<B, S> {
    /// Passes on what of `body` comes through `sieve`
    pub fn new(body: B, sieve: S) -> Self {
        Self { body, sieve: Some(sieve) }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin, S: Sieve + Unpin> Body for Sifted<B, S> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let Some(sieve) = &mut this.sieve else { return Poll::Ready(None) };
            let piece = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data().map(|data| sieve.pass(&data)) {
                    Ok(Ok(piece)) => piece,
                    Ok(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Err(_trailers) => Vec::new(),
                },
                None => {
                    let rest = sieve.end();
                    this.sieve = None;
                    rest
                }
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sieve.as_ref().is_none_or(|sieve| sieve.is_empty() && self.body.is_end_stream())
    }
}

/// The engine's body on its way to the client; its last byte is the end of the exchange
#[derive(Debug)]
pub struct Download<B: Body> {
    body: B,
    end: End,
    idle: Option<(Duration, Pin<Box<tokio::time::Sleep>>)>,
}

impl<B: Body> Download<B> {
    /// Passes `body` on, counts it, and ends the exchange with it; `idle` cuts a silent stream
    pub fn new(body: B, end: End, idle: Option<Duration>) -> Self {
        Self { body, end, idle: idle.map(|idle| (idle, Box::pin(tokio::time::sleep(idle)))) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Download<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
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

impl<B: Body> Drop for Download<B> {
    fn drop(&mut self) {
        // A body without a byte is never polled.
        if self.body.is_end_stream() {
            self.end.outcome(Outcome::Complete);
        }
    }
}

/// Joins two upgraded connections until both directions have ended, or one side is gone
///
/// A half-closed side goes on receiving: `exec -i` sends end of file and then reads the output. `gone` is what it means that
/// the client goes first.
pub async fn tunnel(client: OnUpgrade, engine: OnUpgrade, mut end: End, idle: Option<Duration>, gone: Outcome) {
    let counters = end.counters();
    let joined = async {
        let (engine, from_engine) = open(engine).await?;
        let (client, from_client) = open(client).await?;
        let (client_gone, engine_gone) = (Hangup::of(&client)?, Hangup::of(&engine)?);
        let (client_reader, mut client_writer) = client.into_split();
        let (engine_reader, mut engine_writer) = engine.into_split();
        let up = pump(from_client.chain(client_reader), &mut engine_writer, &counters.from_client);
        let down = pump(from_engine.chain(engine_reader), &mut client_writer, &counters.to_client);
        tokio::pin!(up, down);
        let (mut up_done, mut down_done) = (false, false);
        while !(up_done && down_done) {
            tokio::select! {
                // An engine that takes no more input may have output on its way still, as of `exec -i … head -c 1`.
                _ = &mut up, if !up_done => up_done = true,
                ended = &mut down, if !down_done => { ended?; down_done = true; }
                () = client_gone.wait(), if up_done => return Ok(gone),
                () = engine_gone.wait(), if down_done => break,
                () = silence(idle, &counters), if idle.is_some() => break,
            }
        }
        Ok::<_, io::Error>(Outcome::Complete)
    };
    // An error is a client that went while the engine was still sending.
    end.outcome(joined.await.unwrap_or(gone));
}

/// Takes the socket out of an upgraded connection, with the bytes that came along with the head
///
/// # Errors
/// When the connection ended instead.
pub async fn open(upgrade: OnUpgrade) -> io::Result<(UnixStream, io::Cursor<Bytes>)> {
    let parts = upgrade.await.map_err(io::Error::other)?.downcast::<TokioIo<UnixStream>>();
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
        // A side that closed with bytes unread resets: all that it sent has come before.
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { break };
        to.write_all(piece).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
    to.shutdown().await
}

/// Waits until no byte has gone either way for `idle`
pub async fn silence(idle: Option<Duration>, counters: &Counters) {
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

/// Most bytes that are read of a body nobody wants; Go's server, and so the engine, reads as many
pub const LINGER: usize = 256 << 10;
/// Most time they may take
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Size of the buffer of one direction of a tunnel, in bytes
const PIECE: usize = 32 << 10;

/// The engine's side alone as an ordinary body, for a client that attached without asking for an upgrade
pub fn one_way((engine, first): (UnixStream, io::Cursor<Bytes>), end: End) -> crate::answer::Body {
    OneWay { engine: first.chain(engine), end }.map_err(|never| match never {}).boxed()
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
