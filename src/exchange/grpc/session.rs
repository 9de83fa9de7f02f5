//! A session over gRPC, as `Control/Session`: the same as `POST /session`, which is what the engine gets, with the bytes of
//! its connection in messages.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Method;
use http::request::Parts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::answer::Refused;
use crate::api::buildkit::session::{BytesMessage, METHOD};
use crate::api::call::Call;
use crate::api::credentials::RegistryHeaders;
use crate::api::message::{read_message, write_message};
use crate::engine::channel::framed;
use crate::exchange::body::Room;
use crate::exchange::grpc::frames::Said;
use crate::exchange::grpc::head as call_head;
use crate::exchange::grpc::pump::{Broken, Client, both, settle};
use crate::exchange::grpc::refusal::{Refusal, own_head};
use crate::exchange::{Exchange, head};
use crate::stream::End;

/// The method's path
pub const SESSION: &str = "/moby.buildkit.v1.Control/Session";

/// The engine's side of a session
pub struct Opened {
    engine: (UnixStream, io::Cursor<Bytes>),
    end: End,
}

impl Exchange {
    /// Judges, records and opens a session
    pub(super) async fn session(&mut self, parts: &Parts) -> Result<Opened, Refused> {
        call_head::read(parts, &self.gate.limits, Some(METHOD))?;
        let headers = RegistryHeaders { session: head::session(&parts.headers)?, ..RegistryHeaders::default() };
        let call = Call::read(&Method::POST, "/session", None, headers)?;
        self.operation = call.route.endpoint.name;
        let operation = call.operation(&[])?;
        let engine = self.upgraded(operation).await?;
        let end = self.ending(hyper::StatusCode::SWITCHING_PROTOCOLS)?;
        Ok(Opened { engine, end })
    }
}

/// Joins both sides until one of them has ended
///
/// # Errors
/// When what the client sends is no message.
pub async fn join(
    opened: Opened,
    from: RecvStream,
    respond: &mut SendResponse<Bytes>,
    room: &Room,
    idle: Option<std::time::Duration>,
) -> Result<(), Box<Refusal>> {
    let Opened { engine: (engine, first), end } = opened;
    let counters = end.counters();
    let (reader, mut writer) = engine.into_split();
    let mut reader = first.chain(reader);
    let mut client = Client::new(respond, own_head(), Arc::clone(&counters));
    let mut said = Said::new(from, room, Arc::clone(&counters));
    let up = async {
        while let Some(message) = said.next().await? {
            let BytesMessage { data } = read_message(message).map_err(|_| Broken::Refused(UNREADABLE))?;
            // An engine that reads no further may have something to say still.
            let _ = writer.write_all(&data).await;
        }
        let _ = writer.shutdown().await;
        Ok(())
    };
    let down = async {
        let mut buffer = vec![0; PIECE];
        // Clients wait for the head.
        client.open()?;
        loop {
            let read = tokio::select! {
                read = reader.read(&mut buffer) => read.unwrap_or(0),
                () = client.gone() => return Err(Broken::Client),
            };
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
            let message = BytesMessage { data: Bytes::copy_from_slice(piece) };
            client.send(framed(&write_message(&message))).await?;
        }
        client.end_well()
    };
    let joined = both(up, down, idle, &counters).await;
    settle(joined, client, end)
}

const UNREADABLE: Refused = Refused::Call("the session's stream is not made of messages with bytes");
/// Bytes of one message
const PIECE: usize = 32 << 10;
