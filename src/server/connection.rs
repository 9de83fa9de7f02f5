//! One connection: HTTP/1.1 as hyper reads it, each request an exchange.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::audit::record::Caller;
use crate::engine::Link;
use crate::exchange::{Gate, exchange, unreadable};
use crate::hangup::Hangup;

/// Serves a connection to its end, or until it is idle after `ending` turned true
pub async fn serve(gate: Arc<Gate>, stream: UnixStream, mut ending: watch::Receiver<bool>) {
    let (caller, hangup) = match (caller(&stream), Hangup::of(&stream)) {
        (Ok(caller), Ok(hangup)) => (caller, hangup),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "a connection could not be identified and was closed");
            return;
        }
    };
    let service = {
        let (gate, link) = (Arc::clone(&gate), Arc::new(Link::default()));
        service_fn(move |request| {
            let exchange = exchange(Arc::clone(&gate), Arc::clone(&link), caller, request);
            async move { Ok::<_, std::convert::Infallible>(exchange.await) }
        })
    };
    let limits = &gate.limits;
    let connection = http1::Builder::new()
        // Whoever only stopped sending still wants the answer; who is gone is seen by the hang-up.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut ending_seen = false;
    loop {
        tokio::select! {
            served = &mut connection => {
                if let Err(error) = served {
                    unreadable(&gate, caller, &error);
                }
                return;
            }
            () = hangup.wait() => return,
            _ = ending.wait_for(|ending| *ending), if !ending_seen => {
                ending_seen = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Tells a client that there are too many already
pub async fn turn_away(mut stream: UnixStream) {
    const BODY: &str = "{\"message\":\"sockwarden: too many connections (`connections` in `[limits]`)\"}\n";
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len());
    // Whoever does not listen is not waited for.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
}

/// Who is on the other end, as the kernel says
fn caller(stream: &UnixStream) -> std::io::Result<Caller> {
    let credentials = stream.peer_cred()?;
    // 0 stands for a process in a namespace that cannot be seen from here.
    let pid = credentials.pid().filter(|pid| *pid != 0);
    Ok(Caller { uid: credentials.uid(), gid: credentials.gid(), pid })
}
