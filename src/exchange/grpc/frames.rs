//! Messages in frames: five bytes that say how long a message is, and the message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::RecvStream;
use hyper::body::{Body, Frame};

use crate::answer::Refused;
use crate::engine::EngineError;
use crate::exchange::body::{Room, Share};
use crate::stream::Counters;

/// What comes on a stream of HTTP/2, counted; read pieces make room for more
pub struct Received {
    stream: RecvStream,
    counters: Arc<Counters>,
}

impl Received {
    /// Reads `stream`
    pub fn new(stream: RecvStream, counters: Arc<Counters>) -> Self {
        Self { stream, counters }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)) else { return Poll::Ready(None) };
        let data = data?;
        self.counters.from_client.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.stream.flow_control().release_capacity(data.len())?;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// The one message of a call that has one
///
/// # Errors
/// When it is compressed, or not exactly one.
pub fn only_message(bytes: Vec<u8>) -> Result<Bytes, Refused> {
    let mut bytes = Bytes::from(bytes);
    if bytes.len() < PREFIX {
        return Err(Refused::Call("the call has no whole message"));
    }
    let (flag, length) = (bytes.get_u8(), bytes.get_u32());
    match (flag, usize::try_from(length).is_ok_and(|length| length == bytes.len())) {
        (0, true) => Ok(bytes),
        (1, _) => Err(Refused::Compressed),
        (0, false) => Err(Refused::Call("the call is not exactly one message")),
        _ => Err(Refused::Call("the message's first byte is neither 0 nor 1")),
    }
}

/// The messages of a client's call that goes on, counted; those that were read make room for more
pub struct Said<'a> {
    stream: RecvStream,
    messages: Messages,
    room: &'a Room,
    counters: Arc<Counters>,
    /// Bytes whose messages were taken
    taken: usize,
}

impl<'a> Said<'a> {
    /// Reads `stream`
    pub fn new(stream: RecvStream, room: &'a Room, counters: Arc<Counters>) -> Self {
        Self { stream, messages: Messages::default(), room, counters, taken: 0 }
    }

    /// The next message; none when the client has said all
    ///
    /// # Errors
    /// [`Refused::BodyBroken`] when the client broke off; otherwise what it sends is not made of whole plain messages, or
    /// there is no room for one.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        const UNREADABLE: Refused =
            Refused::Call("what it sends is not made of whole messages that are not compressed");
        loop {
            if let Some(message) = self.messages.take().map_err(|_| UNREADABLE)? {
                return Ok(Some(message));
            }
            let taken = std::mem::take(&mut self.taken);
            self.stream.flow_control().release_capacity(taken).map_err(|_| Refused::BodyBroken)?;
            let Some(piece) = self.stream.data().await else {
                return self.messages.end().map(|()| None).map_err(|_| UNREADABLE);
            };
            let piece = piece.map_err(|_| Refused::BodyBroken)?;
            self.counters.received(piece.len());
            self.taken = piece.len();
            self.messages.push(&piece, self.room)?;
        }
    }
}

/// The messages of an engine's answer, as they come in pieces of any length
#[derive(Debug, Default)]
pub struct Messages {
    buffer: BytesMut,
    share: Share,
}

impl Messages {
    /// Takes what has come
    ///
    /// # Errors
    /// When there is no room for a message that is so long.
    pub fn push(&mut self, piece: &Bytes, room: &Room) -> Result<(), Refused> {
        self.share.grow(self.buffer.len() + piece.len(), room)?;
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// The next message, once it is whole
    ///
    /// # Errors
    /// When it is compressed, which nobody asked for, or longer than BuildKit's own are.
    pub fn take(&mut self) -> Result<Option<Bytes>, Refused> {
        let Some((flag, mut length)) =
            self.buffer.split_first_chunk::<PREFIX>().map(|([flag, length @ ..], _)| (*flag, &length[..]))
        else {
            return Ok(None);
        };
        let length = usize::try_from(length.get_u32()).unwrap_or(usize::MAX);
        if flag != 0 || length > LONGEST {
            return Err(broken("it sent a message that is compressed or too long"));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Nothing more comes
    ///
    /// # Errors
    /// When a message was begun.
    pub fn end(&self) -> Result<(), Refused> {
        self.buffer.is_empty().then_some(()).ok_or_else(|| broken("its answer ended in the middle of a message"))
    }
}

fn broken(why: &str) -> Refused {
    EngineError::Broken(why.to_owned()).into()
}

/// Length of what stands before a message
const PREFIX: usize = 5;
/// Longest message of an answer that is looked at, in bytes; BuildKit sends none that is longer
const LONGEST: usize = 16 << 20;
