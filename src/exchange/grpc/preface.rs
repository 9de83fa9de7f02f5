//! HTTP/2 on the listener itself: gRPC as clients speak it without `POST /grpc`, as buildx's remote driver does.
//!
//! The connection is judged and recorded as the `POST /grpc` that it stands for, and that is what the engine gets; each
//! call is judged like any other. What is no gRPC is told to speak HTTP/1.1.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use hyper::{Method, StatusCode};
use tokio::net::UnixStream;

use crate::answer::{self, Refused};
use crate::api::call::Call;
use crate::api::credentials::RegistryHeaders;
use crate::audit::record::Outcome;
use crate::engine::channel::Channel;
use crate::engine::{EngineError, Link};
use crate::exchange::grpc::counted::Counted;
use crate::exchange::grpc::{Caller, Upstream, calls, joined};
use crate::exchange::ready::Ready;
use crate::exchange::sending::in_time;
use crate::exchange::{Exchange, Gate, Identity, Stranger};
use crate::stream::{Counters, End, open};

/// Serves a connection that began with HTTP/2's preface; `first` is what was read of it
pub async fn speak_http2(gate: Arc<Gate>, identity: Arc<Identity>, stream: UnixStream, first: Bytes) {
    let counters = Arc::new(Counters::default());
    let client = Counted::new(stream, io::Cursor::new(first), Arc::clone(&counters));
    let (who, upstream, mut end) = match identity.who(&gate).await {
        Err(Stranger { who, refused }) => (who, Upstream::Shut(Arc::new(refused)), None),
        Ok(who) => {
            let link = Arc::new(Link::default());
            let request = Request::builder().method("PRI").uri("*").body(()).unwrap_or_default();
            let mut exchange = Exchange::begin(Arc::clone(&gate), link, Arc::clone(&who), &request);
            exchange.bytes = Arc::clone(&counters);
            match exchange.join().await {
                Ok((channel, end)) => (who, Upstream::Open(channel), Some(end)),
                Err(refused) => {
                    exchange.note(&refused);
                    (who, Upstream::Shut(Arc::new(refused)), None)
                }
            }
        }
    };
    let caller = Caller { gate, who, speaks_http2: true };
    let outcome = calls(caller, client, upstream, counters).await;
    if let Some(end) = &mut end {
        end.outcome(outcome);
    }
}

impl Exchange {
    /// Judges, records and sends the `POST /grpc` that the connection stands for
    async fn join(&mut self) -> Result<(Channel, End), Refused> {
        let gate = Arc::clone(&self.gate);
        let call = Call::read(&Method::POST, "/grpc", None, RegistryHeaders::default())?;
        self.operation = call.route.endpoint.name;
        let operation = call.operation(&[])?;
        let engine = self.upgraded(operation).await?;
        let channel = in_time(Some(gate.limits.engine_connect), async { Ok(Channel::open(joined(engine)).await?) });
        let channel = channel.await?;
        let mut end = self.ending(StatusCode::SWITCHING_PROTOCOLS)?;
        end.outcome(Outcome::Complete);
        Ok((channel, end))
    }

    /// Sends an operation that leaves HTTP, of a client that has left it already
    pub(super) async fn upgraded(
        &mut self,
        operation: crate::api::operation::Operation,
    ) -> Result<(UnixStream, io::Cursor<Bytes>), Refused> {
        let gate = Arc::clone(&self.gate);
        let version = self.enter(None).await?;
        let Ready { recorded, images: _, hold: _, volumes: _, during: _during, soon: _ } =
            self.prepare(operation, version).await?;
        let send = async { Ok(gate.engine.send(&self.link, &recorded, version, answer::empty()).await?) };
        let mut response = in_time(Some(gate.limits.engine_answer), send).await?;
        let broken = |why: String| EngineError::Broken(why);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(broken(format!("it answered {} and did not leave HTTP", response.status())).into());
        }
        let engine = hyper::upgrade::on(&mut response);
        Ok(open(engine).await.map_err(|error| broken(error.to_string()))?)
    }
}
