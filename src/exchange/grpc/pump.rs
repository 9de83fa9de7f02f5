//! A call's answer on its way to the client: with back-pressure, and to the very trailers.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::Refused;
use crate::audit::record::Outcome;
use crate::engine::channel::framed;
use crate::exchange::body::Room;
use crate::exchange::grpc::frames::Messages;
use crate::exchange::grpc::refusal::{Refusal, own_head};
use crate::exchange::grpc::reply::Reply;
use crate::exchange::grpc::{Answered, From};
use crate::stream::{Counters, End, silence};

/// Passes an answer on
///
/// # Errors
/// When something in it is refused.
pub async fn pump(answered: Answered, respond: &mut SendResponse<Bytes>, room: &Room) -> Result<(), Box<Refusal>> {
    let Answered { from, end } = answered;
    let counters = end.counters();
    match from {
        From::Engine(response, reply) => {
            let (parts, body) = response.into_parts();
            let mut client = Client::new(respond, Response::from_parts(parts, ()), counters);
            let passed = answer(body, reply, &mut client, room).await;
            settle(passed, client, end)
        }
        From::Here(messages) => {
            let mut client = Client::new(respond, own_head(), counters);
            let passed = give(messages, &mut client).await;
            settle(passed, client, end)
        }
    }
}

/// Records how an answer ended, and ends what of it is still open
///
/// # Errors
/// When it is refused.
pub fn settle(passed: Result<(), Broken>, mut client: Client<'_>, mut end: End) -> Result<(), Box<Refusal>> {
    end.grpc(client.status);
    match passed {
        Ok(()) => end.outcome(Outcome::Complete),
        Err(Broken::Engine(reason)) => {
            end.outcome(Outcome::EngineFailed);
            client.reset(reason);
        }
        Err(Broken::Client) => end.outcome(Outcome::Abandoned),
        Err(Broken::Refused(refused)) => {
            return Err(Box::new(Refusal { refused, stream: client.stream, end: Some(end) }));
        }
    }
    Ok(())
}

/// Who broke off
pub enum Broken {
    /// The client took its call back, or is gone
    Client,
    /// The engine, for this reason
    Engine(Reason),
    /// Refused here
    Refused(Refused),
}

/// What a client says that cannot be read
impl std::convert::From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BodyBroken => Self::Client,
            refused => Self::Refused(refused),
        }
    }
}

/// The client's side of a call
pub struct Client<'a> {
    respond: &'a mut SendResponse<Bytes>,
    /// The answer's head, until it is sent
    head: Option<Response<()>>,
    stream: Option<SendStream<Bytes>>,
    counters: Arc<Counters>,
    /// `grpc-status`, once it was told
    status: Option<u32>,
}

impl<'a> Client<'a> {
    /// Answers with `head`, and with what is sent after it
    pub fn new(respond: &'a mut SendResponse<Bytes>, head: Response<()>, counters: Arc<Counters>) -> Self {
        Self { respond, head: Some(head), stream: None, counters, status: None }
    }

    /// Sends the head, unless that was done before
    pub fn open(&mut self) -> Result<&mut SendStream<Bytes>, Broken> {
        if let Some(head) = self.head.take() {
            self.stream = Some(self.respond.send_response(head, false).map_err(|_| Broken::Client)?);
        }
        self.stream.as_mut().ok_or(Broken::Client)
    }

    /// Takes another head, unless one was sent
    pub fn head(&mut self, head: Response<()>) {
        self.head = self.head.take().map(|_| head);
    }

    /// Sends a piece as fast as the client takes it
    pub async fn send(&mut self, piece: Bytes) -> Result<(), Broken> {
        let counters = Arc::clone(&self.counters);
        let count = |length| {
            counters.to_client.fetch_add(length, Ordering::Relaxed);
        };
        send(self.open()?, piece, count).await.ok_or(Broken::Client)
    }

    /// Ends the answer
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        self.status = trailers.as_ref().and_then(status);
        let stream = self.open()?;
        let ended = match trailers {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        };
        ended.map_err(|_| Broken::Client)
    }

    /// Ends an answer of our own
    pub fn end_well(&mut self) -> Result<(), Broken> {
        self.end(Some(well()))
    }

    /// Answers with a head alone, which says all
    fn only_head(&mut self) -> Result<(), Broken> {
        let head = self.head.take().ok_or(Broken::Client)?;
        self.status = status(head.headers());
        self.respond.send_response(head, true).map(drop).map_err(|_| Broken::Client)
    }

    fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Waits until the client takes its call back
    pub async fn gone(&mut self) {
        let _ = poll_fn(|context| match &mut self.stream {
            Some(stream) => stream.poll_reset(context),
            None => self.respond.poll_reset(context),
        })
        .await;
    }

    /// What comes next from the engine, unless the client takes its call back before
    async fn next_of(&mut self, from: &mut RecvStream) -> Result<Option<Bytes>, Broken> {
        tokio::select! {
            piece = from.data() => piece.transpose().map_err(engine),
            () = self.gone() => Err(Broken::Client),
        }
    }
}

/// Sends a piece as fast as the other side takes it; none when it takes no more
pub async fn send(stream: &mut SendStream<Bytes>, mut piece: Bytes, count: impl Fn(u64)) -> Option<()> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let room = poll_fn(|context| stream.poll_capacity(context)).await?.ok()?;
        let part = piece.split_to(room.min(piece.len()));
        count(part.len() as u64);
        stream.send_data(part, false).ok()?;
    }
    Some(())
}

/// Waits for both directions of a call that goes on: until the engine has ended its own, or either is broken off
pub async fn both(
    up: impl Future<Output = Result<(), Broken>>,
    down: impl Future<Output = Result<(), Broken>>,
    idle: Option<Duration>,
    counters: &Counters,
) -> Result<(), Broken> {
    tokio::pin!(up, down);
    let mut up_done = false;
    loop {
        tokio::select! {
            ended = &mut up, if !up_done => { ended?; up_done = true; }
            ended = &mut down => return ended,
            () = silence(idle, counters), if idle.is_some() => return Err(Broken::Client),
        }
    }
}

/// Passes the engine's answer on, looked at where somebody does
pub async fn answer(
    from: RecvStream,
    reply: Option<Box<dyn Reply>>,
    client: &mut Client<'_>,
    room: &Room,
) -> Result<(), Broken> {
    match reply {
        None => pass(from, client).await,
        Some(reply) => look(from, reply, client, room).await,
    }
}

/// Passes the engine's answer on as it comes
async fn pass(mut from: RecvStream, client: &mut Client<'_>) -> Result<(), Broken> {
    if from.is_end_stream() {
        return client.only_head();
    }
    client.open()?;
    while let Some(piece) = client.next_of(&mut from).await? {
        let length = piece.len();
        client.send(piece).await?;
        from.flow_control().release_capacity(length).map_err(engine)?;
    }
    client.end(from.trailers().await.map_err(engine)?)
}

/// Passes the engine's answer on message by message
async fn look(
    mut from: RecvStream,
    mut reply: Box<dyn Reply>,
    client: &mut Client<'_>,
    room: &Room,
) -> Result<(), Broken> {
    if from.is_end_stream() {
        if let Some(head) = &mut client.head {
            reply.trailers(head.headers_mut());
        }
        return client.only_head();
    }
    let mut messages = Messages::default();
    while let Some(piece) = client.next_of(&mut from).await? {
        let length = piece.len();
        messages.push(&piece, room).map_err(Broken::Refused)?;
        drop(piece);
        while let Some(message) = messages.take().map_err(Broken::Refused)? {
            let passed = tokio::select! {
                passed = reply.message(message) => passed.map_err(Broken::Refused)?,
                () = client.gone() => return Err(Broken::Client),
            };
            client.open()?;
            if let Some(message) = passed {
                client.send(framed(&message)).await?;
            }
            if reply.is_done() {
                let mut trailers = well();
                reply.trailers(&mut trailers);
                return client.end(Some(trailers));
            }
        }
        from.flow_control().release_capacity(length).map_err(engine)?;
    }
    messages.end().map_err(Broken::Refused)?;
    let mut trailers = from.trailers().await.map_err(engine)?;
    if let Some(trailers) = &mut trailers {
        reply.trailers(trailers);
    }
    client.end(trailers)
}

/// Gives an answer of our own
async fn give(messages: Vec<Bytes>, client: &mut Client<'_>) -> Result<(), Broken> {
    for message in messages {
        client.send(framed(&message)).await?;
    }
    client.end_well()
}

/// The trailers of an answer that went well
fn well() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

fn status(trailers: &HeaderMap) -> Option<u32> {
    trailers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// What the engine broke off
pub fn engine(error: h2::Error) -> Broken {
    Broken::Engine(error.reason().unwrap_or(Reason::INTERNAL_ERROR))
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

#[cfg(test)]
mod tests;
