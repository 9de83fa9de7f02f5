//! BuildKit through `POST /grpc`: HTTP/2 ends here on both sides, and each call is an exchange of its own.
//!
//! A call is one message, read whole, judged, recorded and written anew like any other operation; its answer passes
//! message by message where something in it is judged or shown, and else piece by piece.

mod frames;
mod names;
mod pump;
mod reply;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use self::frames::{Received, only_message};
use self::names::Naming;
use self::pump::{Refusal, pump};
use self::reply::{Course, Reply};
use crate::answer::{Refused, grpc_code};
use crate::api::buildkit::method;
use crate::api::request::{Content, Parts};
use crate::api::route::NoRoute;
use crate::audit::record::Outcome;
use crate::engine::Link;
use crate::engine::channel::{BUILD_ID, Channel, Metadata, NO_BUDGET, TIMEOUT, WINDOW};
use crate::exchange::images::Hold;
use crate::exchange::{Exchange, Gate, Ready, Who, body};
use crate::stream::{End, open};

/// Serves gRPC on a connection that both sides have upgraded, until one of them is gone
pub async fn serve(gate: Arc<Gate>, who: Arc<Who>, client: OnUpgrade, engine: OnUpgrade, mut end: End) {
    let joined = async {
        let channel = Channel::open(joined(open(engine).await?)).await.map_err(io::Error::other)?;
        let client = joined(open(client).await?);
        calls(gate, who, client, channel).await.map_err(io::Error::other)
    };
    // Clients look whether there is a BuildKit, and go without a byte of HTTP/2.
    end.outcome(if joined.await.is_ok() { Outcome::Complete } else { Outcome::Abandoned });
}

/// A socket, and before it what came along with the head
fn joined((stream, first): (UnixStream, io::Cursor<Bytes>)) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let (reader, writer) = stream.into_split();
    tokio::io::join(first.chain(reader), writer)
}

/// Serves every call of one client's connection
async fn calls(
    gate: Arc<Gate>,
    who: Arc<Who>,
    client: impl AsyncRead + AsyncWrite + Unpin,
    channel: Channel,
) -> Result<(), h2::Error> {
    let mut connection = Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(WINDOW)
        .max_header_list_size(u32::try_from(gate.limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .data_frame_budget(NO_BUDGET)
        .handshake::<_, Bytes>(client)
        .await?;
    // Dropped with the connection, and every call with it.
    let mut calls = JoinSet::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        while calls.try_join_next().is_some() {}
        calls.spawn(call_of(Arc::clone(&gate), Arc::clone(&who), channel.clone(), request, respond));
    }
    Ok(())
}

async fn call_of(
    gate: Arc<Gate>,
    who: Arc<Who>,
    channel: Channel,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let mut exchange = Exchange::begin(gate, Arc::new(Link::default()), who, &request);
    let answered = tokio::select! {
        answered = exchange.call(request, &channel) => answered,
        // Whoever takes a call back is not waited for; what was sent is taken back as well.
        _ = poll_fn(|context| respond.poll_reset(context)) => return,
    };
    let room = exchange.gate.room.clone();
    let passed = match answered {
        Ok(answered) => pump(answered, &mut respond, &room).await,
        Err(refused) => Err(Refusal { refused, stream: None, end: None }),
    };
    let Err(Refusal { refused, stream, end }) = passed else { return };
    if end.is_some() {
        exchange.end = end;
    }
    let (_, message) = exchange.note(&refused);
    let trailers = refusal(&refused, &message);
    // Not reset afterwards: that would take the place of the message.
    let _ = match stream {
        Some(mut stream) => stream.send_trailers(trailers),
        None => {
            let mut response = own_head();
            response.headers_mut().extend(trailers);
            respond.send_response(response, true).map(drop)
        }
    };
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
    async fn call(&mut self, request: Request<RecvStream>, channel: &Channel) -> Result<Answered, Refused> {
        let (parts, received) = request.into_parts();
        let endpoint = match method(parts.uri.path_and_query().map_or("", |target| target.as_str())) {
            Ok(endpoint) => endpoint,
            Err(Some(closed)) => return Err(Refused::Unrouted(NoRoute::Closed(closed).into())),
            Err(None) => {
                let (method, path) = (parts.method.to_string(), parts.uri.to_string());
                return Err(Refused::Unrouted(NoRoute::Unknown { method, path }.into()));
            }
        };
        self.operation = endpoint.name;
        let metadata = head(&parts)?;
        let name = parts.headers.get(BUILD_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let received = Received::new(received, Arc::clone(&self.bytes));
        let mut whole = body::read(received, &self.gate.limits, &self.gate.room).await?;
        let message = only_message(std::mem::take(&mut whole.bytes))?;
        let operation = (endpoint.read)(Parts { name, body: Content::Message(message), ..Parts::default() })?;
        let version = self.enter(None).await?;
        let Ready { recorded, images, mut hold, volumes: _, during: _during, soon: _ } =
            self.prepare(operation, version).await?;
        let reply = match self.course(recorded.approved().operation())? {
            Course::Passed => None,
            Course::Looked(reply) => Some(reply),
            Course::Own(messages) => {
                let end = self.ending(StatusCode::OK)?;
                return Ok(Answered { from: From::Here(messages), end });
            }
        };
        hold.sent();
        let response = match channel.call(&recorded, metadata).await.map_err(Refused::from) {
            Ok(response) => response,
            Err(why) => {
                hold.lost(&why, images.as_ref()).await;
                return Err(why);
            }
        };
        let reply = match (hold, images) {
            (Hold::Nothing, _) | (_, None) => reply,
            (hold, Some(images)) => Some(Box::new(Naming { hold, images, inner: reply }) as Box<dyn Reply>),
        };
        let end = self.ending(response.status())?;
        Ok(Answered { from: From::Engine(response, reply), end })
    }
}

/// The head of an answer of our own
fn own_head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// What makes a call's head unreadable; what of it goes on
fn head(parts: &http::request::Parts) -> Result<Metadata, Refused> {
    let headers = &parts.headers;
    if parts.method != Method::POST {
        return Err(Refused::Call("a gRPC call is a POST"));
    }
    if headers.keys().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Refused::Call("a header stands several times"));
    }
    let is = |name: &str, values: &[&str]| {
        headers.get(name).is_none_or(|value| values.iter().any(|allowed| value.as_bytes() == allowed.as_bytes()))
    };
    if !headers.contains_key(CONTENT_TYPE) || !is("content-type", &[GRPC, "application/grpc+proto"]) {
        return Err(Refused::Call("the content type is not application/grpc"));
    }
    if !is("grpc-encoding", &["identity"]) || !is("content-encoding", &["identity"]) {
        return Err(Refused::Compressed);
    }
    let timeout = headers.get(TIMEOUT).cloned();
    let plain = |value: &HeaderValue| value.len() <= 9 && value.as_bytes().iter().all(u8::is_ascii_alphanumeric);
    if !timeout.as_ref().is_none_or(plain) {
        return Err(Refused::Call("`grpc-timeout` is no time"));
    }
    Ok(Metadata { timeout })
}

/// The trailers of a refusal
fn refusal(refused: &Refused, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(grpc_code(refused)));
    let mut text = String::new();
    for byte in message.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => text.push_str(&format!("%{byte:02X}")),
            plain => text.push(char::from(plain)),
        }
    }
    if let Ok(text) = HeaderValue::try_from(text) {
        trailers.insert("grpc-message", text);
    }
    trailers
}

const GRPC: &str = "application/grpc";
/// Calls at a time on one connection; the engine allows as many
const STREAMS: u32 = 250;
