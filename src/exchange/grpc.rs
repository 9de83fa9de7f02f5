//! BuildKit through `POST /grpc`: HTTP/2 ends here on both sides, and each call is an exchange of its own.
//!
//! A call is one message, read whole, judged, recorded and written anew like any other operation; its answer passes
//! message by message where something in it is judged or shown, and else piece by piece.

mod counted;
mod frames;
mod head;
mod names;
mod preface;
mod process;
mod pump;
mod refusal;
mod reply;
mod session;
mod shown;
mod solved;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::counted::Counted;
use self::frames::Received;
pub use self::frames::{Messages, only_message};
use self::names::Naming;
pub use self::preface::speak_http2;
use self::process::EXEC;
use self::pump::pump;
use self::reply::{Course, Reply};
use self::session::SESSION;
use crate::answer::Refused;
use crate::api::buildkit::method;
use crate::api::request::{self, Content};
use crate::api::route::NoRoute;
use crate::audit::record::Outcome;
use crate::engine::Link;
use crate::engine::channel::{Channel, FRAMES_BUDGET, STREAM_WINDOW, WINDOW};
use crate::exchange::images::Hold;
use crate::exchange::ready::Ready;
use crate::exchange::sending::{broke_off, in_time};
use crate::exchange::{Exchange, Gate, Who, body};
use crate::stream::{Counters, End, open, silence};

/// Serves gRPC on a connection that both sides have upgraded, until one of them is gone
pub async fn serve(gate: Arc<Gate>, who: Arc<Who>, client: OnUpgrade, engine: OnUpgrade, mut end: End) {
    let opened = async { Channel::open(joined(open(engine).await.map_err(broke_off)?)).await.map_err(Refused::from) };
    let upstream = match opened.await {
        Ok(channel) => Upstream::Open(channel),
        Err(refused) => {
            end.outcome(Outcome::EngineFailed);
            Upstream::Shut(Arc::new(refused))
        }
    };
    // Clients look whether there is a BuildKit, and go without a byte of HTTP/2.
    let Ok((stream, first)) = open(client).await else { return end.outcome(Outcome::Complete) };
    let counters = end.counters();
    let client = Counted::new(stream, first, Arc::clone(&counters));
    let is_open = matches!(upstream, Upstream::Open(_));
    let outcome = calls(Caller { gate, who, speaks_http2: false }, client, upstream, counters).await;
    if is_open {
        end.outcome(outcome);
    }
}

/// The engine's socket, and before it what came along with the head
fn joined((stream, first): (UnixStream, io::Cursor<Bytes>)) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let (reader, writer) = stream.into_split();
    tokio::io::join(first.chain(reader), writer)
}

/// Whose calls come on a connection
#[derive(Clone)]
struct Caller {
    gate: Arc<Gate>,
    who: Arc<Who>,
    /// Whether it has spoken HTTP/2 from its first byte: requests that are no call may come, and sessions
    speaks_http2: bool,
}

/// Where calls go
#[derive(Clone)]
enum Upstream {
    Open(Channel),
    /// Nowhere, for this reason
    Shut(Arc<Refused>),
}

/// Serves every call of one client's connection, and says how it ended
async fn calls(caller: Caller, client: Counted, upstream: Upstream, counters: Arc<Counters>) -> Outcome {
    let limits = &caller.gate.limits;
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(STREAM_WINDOW)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAMES_BUDGET)
        .handshake::<_, Bytes>(client);
    let silent = || counters.from_client.load(Ordering::Relaxed) == 0;
    let mut connection = match timeout(limits.head_time, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) if silent() => return Outcome::Complete,
        Ok(Err(_)) | Err(_) => return Outcome::Refused,
    };
    let mut ending = caller.gate.ending.clone();
    let cut = caller.gate.running.cut(caller.who.owner.name());
    // Dropped with the connection, and every call with it.
    let mut calls = JoinSet::new();
    let mut told = false;
    loop {
        tokio::select! {
            call = connection.accept() => match call {
                None => return Outcome::Complete,
                Some(Ok((request, respond))) => {
                    calls.spawn(call_of(caller.clone(), upstream.clone(), request, respond));
                }
                Some(Err(error)) if error.is_go_away() && error.is_library() => {
                    tracing::info!(%error, listener = &*caller.gate.name, "a connection of HTTP/2 was cut");
                    return Outcome::Refused;
                }
                Some(Err(_)) if calls.is_empty() => return Outcome::Complete,
                Some(Err(_)) => return Outcome::Abandoned,
            },
            _ = calls.join_next(), if !calls.is_empty() => {}
            // Whoever comes back finds the next engine; what runs is told first how it ended.
            () = upstream.closed(), if !told => {
                connection.graceful_shutdown();
                told = true;
            }
            // A build that runs makes more calls: it has its grace.
            Ok(_) = ending.wait_for(|ending| *ending), if calls.is_empty() && !told => {
                connection.graceful_shutdown();
                told = true;
            }
            // The owner has ended, and what it builds with it.
            () = cut.cancelled() => return Outcome::Abandoned,
            () = silence(limits.idle, &counters), if limits.idle.is_some() => return Outcome::Complete,
        }
    }
}

impl Upstream {
    /// Waits until the engine has gone
    async fn closed(&self) {
        match self {
            Self::Open(channel) => channel.closed().await,
            Self::Shut(_) => std::future::pending().await,
        }
    }
}

async fn call_of(caller: Caller, upstream: Upstream, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let Caller { gate, who, speaks_http2 } = caller;
    let mut exchange = Exchange::begin(gate, Arc::new(Link::default()), who, &request);
    let (parts, received) = request.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if speaks_http2 && !content_type.starts_with(GRPC) {
        return exchange.refuse_request(&Refused::Http2, &mut respond);
    }
    let channel = match upstream {
        Upstream::Open(channel) => channel,
        Upstream::Shut(why) => return exchange.refuse_call(Refused::Shut(why).into(), &mut respond),
    };
    let (room, idle) = (exchange.gate.room.clone(), exchange.gate.limits.idle);
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let answered = if target == SESSION {
        let opened = tokio::select! {
            opened = exchange.session(&parts) => opened,
            _ = poll_fn(|context| respond.poll_reset(context)) => return,
        };
        match opened {
            Ok(opened) => session::join(opened, received, &mut respond, &room, idle).await,
            Err(refused) => Err(refused.into()),
        }
    } else if target == EXEC {
        let begun = tokio::select! {
            begun = exchange.processes(&parts, received, &channel, &room) => begun,
            _ = poll_fn(|context| respond.poll_reset(context)) => return,
        };
        match begun {
            Ok(begun) => process::join(begun, &mut respond, &room, idle).await,
            Err(refused) => Err(refused.into()),
        }
    } else {
        let answered = tokio::select! {
            answered = exchange.call(parts, received, &channel) => answered,
            // Whoever takes a call back is not waited for; what was sent is taken back as well.
            _ = poll_fn(|context| respond.poll_reset(context)) => return,
        };
        match answered {
            Ok(answered) => pump(answered, &mut respond, &room).await,
            Err(refused) => Err(refused.into()),
        }
    };
    if let Err(refusal) = answered {
        exchange.refuse_call(refusal, &mut respond);
    }
}

/// A call's answer on its way to the client
pub struct Answered {
    from: From,
    end: End,
}

/// Where an answer comes from
enum From {
    /// The engine; each message is looked at where somebody does
    Engine(Response<RecvStream>, Option<Box<dyn Reply>>),
    /// Here: these messages
    Here(Vec<Bytes>),
}

impl Exchange {
    /// Reads, judges, records and sends one call
    async fn call(&mut self, parts: Parts, received: RecvStream, channel: &Channel) -> Result<Answered, Refused> {
        let endpoint = match method(head::target(&parts, &self.gate.limits)?) {
            Ok(endpoint) => endpoint,
            Err(Some(closed)) => return Err(Refused::Unrouted(NoRoute::Closed(closed).into())),
            Err(None) => {
                let (method, path) = (parts.method.to_string(), parts.uri.to_string());
                return Err(Refused::Unrouted(NoRoute::Unknown { method, path }.into()));
            }
        };
        self.operation = endpoint.name;
        let metadata = head::read(&parts, &self.gate.limits, None)?;
        let name = head::build(&parts);
        let received = Received::new(received, Arc::clone(&self.bytes));
        let mut whole = body::read(received, &self.gate.limits, &self.gate.room).await?;
        let message = only_message(std::mem::take(&mut whole.bytes))?;
        let operation =
            (endpoint.read)(request::Parts { name, body: Content::Message(message), ..request::Parts::default() })?;
        let version = self.enter(None).await?;
        let Ready { recorded, images, mut hold, volumes: _, during: _during, soon } =
            self.prepare(operation, version).await?;
        let reply = match self.course(recorded.approved().operation())? {
            Course::Passed => None,
            Course::Looked(reply) => Some(reply),
            Course::Own(messages) => {
                let end = self.ending(StatusCode::OK)?;
                return Ok(Answered { from: From::Here(messages), end });
            }
        };
        // From before the engine knows of it.
        let building = images.as_ref().and_then(|images| images.building(recorded.approved().operation()));
        hold.sent();
        let patience = soon.then_some(self.gate.limits.engine_answer);
        let response = match in_time(patience, async { Ok(channel.call(&recorded, metadata).await?) }).await {
            Ok(response) => response,
            Err(why) => {
                hold.lost(&why, images.as_ref()).await;
                return Err(why);
            }
        };
        let reply = match (hold, images) {
            (Hold::Nothing, _) if building.is_none() => reply,
            (_, None) => reply,
            (hold, Some(images)) => Some(Box::new(Naming { hold, images, building, inner: reply }) as Box<dyn Reply>),
        };
        let end = self.ending(response.status())?;
        Ok(Answered { from: From::Engine(response, reply), end })
    }
}

const GRPC: &[u8] = b"application/grpc";
/// Calls at a time on one connection; the engine allows as many
const STREAMS: u32 = 250;
/// Bytes of an answer that wait for a client which does not read, for each call
const SEND_BUFFER: usize = 64 << 10;
