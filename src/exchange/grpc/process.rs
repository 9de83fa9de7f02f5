//! Processes in a build's own containers, as `LLBBridge/ExecProcess`: one call for all of them, with messages each way.
//!
//! What starts a process is a request of its own, judged and recorded, wherever it stands among the messages; what else is
//! said to one is read and written anew.

use std::sync::Arc;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use tokio::time::timeout;

use crate::answer::Refused;
use crate::api::buildkit::container::ExecMessage;
use crate::api::buildkit::method;
use crate::api::message::write_message;
use crate::api::request::{self, Content, Misread};
use crate::audit::Recorded;
use crate::audit::record::Outcome;
use crate::engine::channel::{Channel, framed, message};
use crate::exchange::body::Room;
use crate::exchange::grpc::frames::Said;
use crate::exchange::grpc::head;
use crate::exchange::grpc::pump::{Broken, Client, answer, both, engine, send, settle};
use crate::exchange::grpc::refusal::{Refusal, own_head};
use crate::exchange::grpc::reply::{Course, Reply};
use crate::exchange::{Exchange, Gate, Who};
use crate::stream::End;

/// The method's path
pub const EXEC: &str = "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess";

/// A call whose first process was judged and recorded
pub struct Begun<'a> {
    said: Said<'a>,
    starts: Starts,
    engine: (ResponseFuture, SendStream<Bytes>),
    reply: Option<Box<dyn Reply>>,
    end: End,
}

/// Who starts processes, and in which build
struct Starts {
    gate: Arc<Gate>,
    who: Arc<Who>,
    build: Option<String>,
}

impl Exchange {
    /// Judges and records the first process, and begins the call
    pub(super) async fn processes<'a>(
        &mut self,
        parts: &Parts,
        received: RecvStream,
        channel: &Channel,
        room: &'a Room,
    ) -> Result<Begun<'a>, Refused> {
        let metadata = head::read(parts, &self.gate.limits, None)?;
        let starts = Starts { gate: Arc::clone(&self.gate), who: Arc::clone(&self.who), build: head::build(parts) };
        let mut said = Said::new(received, room, Arc::clone(&self.bytes));
        let patience = self.gate.limits.body_time;
        let first = timeout(patience, said.next()).await.map_err(|_| Refused::TooSlow(patience))??;
        let first = first.ok_or(Refused::Call("the call has no whole message"))?;
        if ExecMessage::read(first.clone()).map_err(Misread::from)?.init.is_none() {
            return Err(Refused::Call("the call begins with no process"));
        }
        let recorded = starts.recorded(self, first).await?;
        let reply = match self.course(recorded.approved().operation())? {
            Course::Looked(reply) => Some(reply),
            Course::Passed | Course::Own(_) => None,
        };
        let engine = channel.begin(&recorded, metadata).await?;
        let end = self.ending(StatusCode::OK)?;
        Ok(Begun { said, starts, engine, reply, end })
    }
}

impl Starts {
    /// Judges and records a process as `exchange`
    async fn recorded(&self, exchange: &mut Exchange, message: Bytes) -> Result<Recorded, Refused> {
        let Ok(endpoint) = method(EXEC) else { return Err(Refused::Call("no method of this name")) };
        exchange.operation = endpoint.name;
        let parts =
            request::Parts { name: self.build.clone(), body: Content::Message(message), ..request::Parts::default() };
        let operation = (endpoint.read)(parts)?;
        let version = exchange.enter(None).await?;
        Ok(exchange.prepare(operation, version).await?.recorded)
    }

    /// What the engine gets in the place of what a client says
    async fn judged(&self, said: Bytes) -> Result<Bytes, Refused> {
        let read = ExecMessage::read(said.clone()).map_err(Misread::from)?;
        if read.init.is_none() {
            return Ok(framed(&write_message(&read)));
        }
        let head = Request::post(EXEC).body(()).map_err(|_| Refused::BodyBroken)?;
        let mut exchange = Exchange::begin(Arc::clone(&self.gate), Arc::default(), Arc::clone(&self.who), &head);
        match self.recorded(&mut exchange, said).await {
            Ok(recorded) => {
                exchange.ending(StatusCode::OK)?.outcome(Outcome::Complete);
                Ok(message(&recorded))
            }
            Err(refused) => {
                exchange.note(&refused);
                Err(refused)
            }
        }
    }
}

/// Joins both sides until the engine has ended the call
///
/// # Errors
/// When a process is refused, or what the client says is not understood.
pub async fn join(
    begun: Begun<'_>,
    respond: &mut SendResponse<Bytes>,
    room: &Room,
    idle: Option<std::time::Duration>,
) -> Result<(), Box<Refusal>> {
    let Begun { mut said, starts, engine: (response, mut to_engine), reply, end } = begun;
    let counters = end.counters();
    let mut client = Client::new(respond, own_head(), Arc::clone(&counters));
    let up = async {
        while let Some(message) = said.next().await? {
            let message = starts.judged(message).await?;
            // An engine that takes no more may have something to say still.
            let _ = send(&mut to_engine, message, |_| ()).await;
        }
        let _ = to_engine.send_data(Bytes::new(), true);
        Ok(())
    };
    let down = async {
        let response = tokio::select! {
            response = response => response.map_err(engine)?,
            () = client.gone() => return Err(Broken::Client),
        };
        let (parts, body) = response.into_parts();
        client.head(Response::from_parts(parts, ()));
        answer(body, reply, &mut client, room).await
    };
    let joined = both(up, down, idle, &counters).await;
    settle(joined, client, end)
}
