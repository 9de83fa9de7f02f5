//! A call's answer on its way to the client: with back-pressure, and to the very trailers.

use std::future::poll_fn;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;

use crate::answer::Refused;
use crate::audit::record::Outcome;
use crate::exchange::grpc::Answered;

/// How an answer ended
pub enum Ended {
    /// It was passed on, or somebody broke off
    Passed,
    /// Refused here; the stream has the head of an answer already where there is one
    Refused(Refused, Option<SendStream<Bytes>>),
}

/// Passes an answer on
pub async fn pump(answered: Answered, respond: &mut SendResponse<Bytes>) -> Ended {
    let Answered { response, mut end } = answered;
    let (parts, body) = response.into_parts();
    let only_trailers = body.is_end_stream();
    let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), only_trailers) else {
        return Ended::Passed;
    };
    if only_trailers {
        end.outcome(Outcome::Complete);
        return Ended::Passed;
    }
    let counters = end.counters();
    let passed = pass(body, &mut stream, |length| {
        counters.to_client.fetch_add(length as u64, Ordering::Relaxed);
    });
    match passed.await {
        Ok(()) => end.outcome(Outcome::Complete),
        Err(Broken::Engine(reason)) => {
            end.outcome(Outcome::EngineFailed);
            stream.send_reset(reason);
        }
        Err(Broken::Client) => end.outcome(Outcome::Abandoned),
    }
    Ended::Passed
}

/// Who broke off
enum Broken {
    Client,
    Engine(Reason),
}

async fn pass(mut from: RecvStream, to: &mut SendStream<Bytes>, counted: impl Fn(usize)) -> Result<(), Broken> {
    let engine = |error: h2::Error| Broken::Engine(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
    loop {
        let piece = tokio::select! {
            piece = from.data() => piece,
            _ = poll_fn(|context| to.poll_reset(context)) => return Err(Broken::Client),
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(engine)?;
        let length = piece.len();
        send(piece, to).await?;
        counted(length);
        from.flow_control().release_capacity(length).map_err(engine)?;
    }
    match from.trailers().await.map_err(engine)? {
        Some(trailers) => to.send_trailers(trailers).map_err(|_| Broken::Client),
        None => to.send_data(Bytes::new(), true).map_err(|_| Broken::Client),
    }
}

/// Sends a piece as fast as the client takes it
async fn send(mut piece: Bytes, to: &mut SendStream<Bytes>) -> Result<(), Broken> {
    while !piece.is_empty() {
        to.reserve_capacity(piece.len());
        let room = match poll_fn(|context| to.poll_capacity(context)).await {
            Some(Ok(room)) => room,
            Some(Err(_)) | None => return Err(Broken::Client),
        };
        let part = piece.split_to(room.min(piece.len()));
        to.send_data(part, false).map_err(|_| Broken::Client)?;
    }
    Ok(())
}
