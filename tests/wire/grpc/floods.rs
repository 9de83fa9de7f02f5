//! Whatever comes without end is cut or held back, in constant memory, and nobody else notices.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use crate::grpc::buildkit::{self, BuildKit, framed, trailers};
use crate::grpc::client::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, SETTINGS, SOLVE, STATUS,
    WINDOW_UPDATE, WORKERS, block, call, frame, pseudo, upgraded,
};
use crate::grpc::{before, with_config};
use crate::proxy::Proxy;

/// More memory than an attack may cost, in KiB
const BOUND: u64 = 24 << 10;

fn works(engine: &BuildKit, proxy: &Proxy) {
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(proxy)).await;
        assert_eq!(client.call(call(WORKERS), framed(b"")).await.said().0, 0);
    });
}

/// Sends pieces until the proxy takes no more, has cut the connection, or has got all of them
fn flood(raw: &mut Raw, pieces: impl Iterator<Item = Vec<u8>>) -> Option<ErrorKind> {
    raw.peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    pieces.map(|piece| raw.peer.stream.write_all(&piece)).find_map(Result::err).map(|error| error.kind())
}

#[test]
fn ten_thousand_calls_that_are_taken_back_at_once_cost_nobody_anything() {
    let engine = BuildKit::with(|request, respond| async move {
        match request.uri().path() {
            WORKERS => buildkit::well(request, respond, &[b""]).await,
            _ => std::future::pending().await,
        }
    });
    let proxy = before(&engine);
    works(&engine, &proxy);
    let before = proxy.peak_memory();
    let mut raw = Raw::new(upgraded(&proxy));
    let begun = Instant::now();
    flood(
        &mut raw,
        (0..10_000).map(|number| {
            let stream = 2 * number + 1;
            let body = [&[0, 0, 0, 0, 5], b"\x0a\x03ref".as_slice()].concat();
            let reset = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
            let head = frame(HEADERS, END_HEADERS, stream, &block(&pseudo("POST", SOLVE)));
            [head, frame(DATA, END_STREAM, stream, &body), reset].concat()
        }),
    );
    works(&engine, &proxy);
    assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
    drop(raw);
    let left = proxy.stop();
    assert!(left.status.success(), "{}", left.log);
    let unended = left.events("request").into_iter().filter(|line| line["verdict"] == "allow").count();
    assert_eq!(unended, left.events("end").len(), "each that was sent has an end");
}

#[test]
fn floods_of_frames_that_want_an_answer_are_held_back() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    works(&engine, &proxy);
    let before = proxy.peak_memory();
    // Nobody reads the answers.
    for piece in [
        frame(PING, 0, 0, &[7; 8]).repeat(1000),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(1000),
        frame(DATA, 0, 1, &[]).repeat(1000),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(1000),
        frame(2, 0, 1, &[0, 0, 0, 3, 9]).repeat(1000),
        frame(0x77, 0, 0, &[1; 50]).repeat(1000),
    ] {
        let mut raw = Raw::new(upgraded(&proxy));
        raw.send(frame(HEADERS, END_HEADERS, 1, &block(&pseudo("POST", SOLVE))));
        flood(&mut raw, (0..1000).map(|_| piece.clone()));
        works(&engine, &proxy);
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
}

#[test]
fn a_head_is_no_longer_than_is_read_however_it_is_packed() {
    let engine = BuildKit::start();
    let proxy = with_config(&engine, "[limits]\nheader_bytes = \"8KiB\"\n");
    works(&engine, &proxy);
    let before = proxy.peak_memory();
    let whole = block(&pseudo("POST", WORKERS));
    // Said once, and then named by one byte, again and again.
    let mut bomb = whole.clone();
    let value = "v".repeat(3000);
    let named = block(&[("x-bomb", &value)]);
    bomb.extend([&[0x40], &named[1..]].concat());
    bomb.extend([0xbe; 10_000]);
    let mut long = whole.clone();
    long.extend(block(&[("x-long", &"v".repeat(9000))]));
    for block in [bomb, long] {
        let mut raw = Raw::new(upgraded(&proxy));
        let bytes = [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, &[0; 5])].concat();
        let _ = raw.peer.stream.write_all(&bytes);
        let ended = raw.next();
        assert!(ended.kind != HEADERS || ended.flags & END_STREAM != 0, "{ended:?}");
    }
    // A head that never ends.
    let mut raw = Raw::new(upgraded(&proxy));
    raw.send(frame(HEADERS, 0, 1, &whole));
    let more = frame(CONTINUATION, 0, 1, &crate::grpc::client::block(&[("x-more", &"v".repeat(1000))]));
    let cut = flood(&mut raw, (0..100_000).map(|_| more.clone()));
    assert!(cut.is_some_and(|kind| kind != ErrorKind::WouldBlock), "it is read for ever: {cut:?}");
    works(&engine, &proxy);
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more");
    let calls = engine.heard().into_iter().filter(|line| line.contains("Control/")).count();
    assert_eq!(calls, 2, "only those of the test's own");
}

#[test]
fn no_more_calls_run_on_a_connection_than_the_engine_takes() {
    let engine = BuildKit::with(|request, respond| async move {
        buildkit::whole(request).await;
        std::future::pending::<()>().await;
        drop(respond);
    });
    let proxy = before(&engine);
    let mut raw = Raw::new(upgraded(&proxy));
    for number in 0..251 {
        raw.call(2 * number + 1, SOLVE, b"\x0a\x03ref");
    }
    let refused = raw.next();
    assert_eq!((refused.kind, refused.stream, refused.payload), (RST_STREAM, 501, vec![0, 0, 0, 7]));
}

/// An engine that sends for as long as somebody takes it, in messages of 64 KiB
fn endless(messages: usize) -> BuildKit {
    BuildKit::with(move |request, mut respond| async move {
        let status = request.uri().path() == STATUS;
        buildkit::whole(request).await;
        let Ok(mut stream) = respond.send_response(buildkit::head(), false) else { return };
        let message = framed(&vec![7; MESSAGE]);
        for _ in 0..if status { messages } else { 1 } {
            let mut rest = if status { message.clone() } else { framed(b"") };
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
                    return;
                };
                let piece = rest.split_to(room.min(rest.len()));
                stream.send_data(piece, false).unwrap();
            }
        }
        let _ = stream.send_trailers(trailers(0, ""));
    })
}

#[test]
fn memory_stays_flat_for_an_answer_that_the_client_reads_late() {
    let engine = endless(LARGE / MESSAGE);
    let proxy = before(&engine);
    works(&engine, &proxy);
    let before = proxy.peak_memory();
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (answer, mut stream) = client.send(call(STATUS), false).await;
        stream.send_data(framed(b"\x0a\x03ref"), true).unwrap();
        let mut from = answer.await.unwrap().into_body();
        // One that does not read holds up nobody else on its connection.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(client.call(call(WORKERS), framed(b"")).await.said().0, 0);
        let mut received = 0;
        while let Some(piece) = from.data().await {
            let piece = piece.unwrap();
            received += piece.len();
            from.flow_control().release_capacity(piece.len()).unwrap();
        }
        assert_eq!(received, LARGE / MESSAGE * (MESSAGE + 5));
        assert_eq!(from.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
    let grown = proxy.peak_memory() - before;
    assert!(grown < BOUND, "{grown} KiB more for an answer of {LARGE} bytes");
}

#[test]
fn a_client_that_opens_every_window_and_reads_nothing_holds_constant_memory_and_goes() {
    let engine = endless(LARGE / MESSAGE);
    let proxy = before(&engine);
    works(&engine, &proxy);
    let before = proxy.peak_memory();
    let mut raw = Raw::new(upgraded(&proxy));
    let most = 0x7fff_ffff_u32.to_be_bytes();
    raw.send(frame(SETTINGS, 0, 0, &[&[0, 4], most.as_slice()].concat()));
    raw.send(frame(WINDOW_UPDATE, 0, 0, &(0x7fff_ffff_u32 - 65535).to_be_bytes()));
    for number in 0..200 {
        raw.call(2 * number + 1, STATUS, b"\x0a\x03ref");
    }
    let begun = Instant::now();
    while engine.heard().iter().filter(|line| line.contains("Status")).count() < 200 {
        assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", engine.heard().len());
        std::thread::sleep(Duration::from_millis(5));
    }
    works(&engine, &proxy);
    let grown = proxy.peak_memory() - before;
    assert!(grown < 2 * BOUND, "{grown} KiB more");
    drop(raw);
    let begun = Instant::now();
    while engine.heard().iter().filter(|line| *line == "closed").count() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(100), "its calls go on without it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn messages_share_the_room_that_large_bodies_have() {
    let engine = BuildKit::start();
    let proxy = with_config(&engine, "[limits]\nbodies_bytes = \"1MiB\"\nbody_bytes = \"1MiB\"\nbody_time = \"1h\"\n");
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (mut held, mut refused) = (Vec::new(), 0);
        for _ in 0..4 {
            // Half a message of a length that may be, and then no more of it.
            let (answer, mut stream) = client.send(call(SOLVE), false).await;
            let mut half = framed(&vec![0; 1 << 19]).slice(..400 << 10);
            while !half.is_empty() {
                stream.reserve_capacity(half.len());
                let room = std::future::poll_fn(|context| stream.poll_capacity(context));
                let Ok(Some(Ok(room))) = tokio::time::timeout(Duration::from_secs(5), room).await else { break };
                stream.send_data(half.split_to(room.min(half.len())), false).unwrap();
            }
            held.push((answer, stream));
        }
        let mut answers = tokio::task::JoinSet::new();
        for (answer, stream) in held {
            answers.spawn(async move { (crate::grpc::client::read(answer).await, stream) });
        }
        // For the first as long as it takes; who has room is not answered.
        let mut patience = Duration::from_secs(50);
        while let Ok(Some(answered)) = tokio::time::timeout(patience, answers.join_next()).await {
            let (answer, _) = answered.unwrap();
            let (status, said) = answer.said();
            assert!(status == 14 && said.contains("`bodies_bytes` in `[limits]`"), "{answer:?}");
            (refused, patience) = (refused + 1, Duration::from_secs(1));
        }
        assert!((1..=2).contains(&refused), "{refused}");
    });
}

const LARGE: usize = 100 << 20;
const MESSAGE: usize = 64 << 10;
