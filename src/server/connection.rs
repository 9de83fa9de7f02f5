//! One connection: HTTP/1.1 as hyper reads it, each request an exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::answer::too_many_connections;
use crate::caller::peer::Peer;
use crate::engine::Link;
use crate::exchange::{Gate, Identity, exchange, speak_http2, unreadable};
use crate::hangup::Hangup;

/// Serves a connection to its end, or until it is idle after `ending` turned true
pub async fn serve(gate: Arc<Gate>, stream: UnixStream, mut ending: watch::Receiver<bool>) {
    // At once: the process may end, and its number be another's.
    let (identity, hangup) = match (Peer::of(&stream).await, Hangup::of(&stream)) {
        (Ok(peer), Ok(hangup)) => (Arc::new(Identity::of(peer)), hangup),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "a connection could not be identified and was closed");
            return;
        }
    };
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let (gate, link, asked) = (Arc::clone(&gate), Arc::new(Link::default()), Arc::clone(&asked));
        let identity = Arc::clone(&identity);
        service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            // A connection has room for this from its start, and most wait most of the time.
            let exchange = Box::pin(exchange(Arc::clone(&gate), Arc::clone(&link), Arc::clone(&identity), request));
            async move { Ok::<_, std::convert::Infallible>(exchange.await) }
        })
    };
    let limits = &gate.limits;
    let mut connection = http1::Builder::new()
        // Whoever only stopped sending still wants the answer; who is gone is seen by the hang-up.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut ending_seen = false;
    let served = loop {
        tokio::select! {
            served = &mut connection => break served,
            () = hangup.wait() => return,
            _ = ending.wait_for(|ending| *ending), if !ending_seen => {
                ending_seen = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let (Err(error), Some(parts)) = (served, connection.into_parts()) else { return };
    if error.is_parse_version_h2() && !asked.load(Ordering::Relaxed) {
        return speak_http2(gate, identity, parts.io.into_inner(), parts.read_buf).await;
    }
    let who = identity.who(&gate).await.unwrap_or_else(|stranger| stranger.who);
    let words = unreadable(&gate, &who, &error, !parts.read_buf.is_empty());
    // Behind an earlier answer, which may still be on its way, nothing may be written.
    if let Some(words) = words.filter(|_| !asked.load(Ordering::Relaxed)) {
        say(parts.io.into_inner(), &words).await;
    }
}

/// Tells a client that there are too many already
pub async fn turn_away(stream: UnixStream) {
    say(stream, &too_many_connections()).await;
}

/// Writes the last words of a connection; whoever does not listen is not waited for
async fn say(mut stream: UnixStream, words: &[u8]) {
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(words)).await;
}
