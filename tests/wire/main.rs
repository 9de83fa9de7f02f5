//! The proxy as its two neighbours see it: raw bytes in from a client, raw bytes out to an engine that the test plays.
//!
//! Each test starts the real binary. [`Engine`](engine::Engine) is a socket on which the test says itself what the engine
//! answers and when, so that orders of events which a real engine shows once in a thousand runs happen every time.
//! Nothing here knows the crate's types: what is promised on the wire must hold however the inside is arranged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod engine;
mod peer;
mod policy;
mod prompt;
mod proxy;
#[path = "../recorded/request.rs"]
mod request;
#[path = "../engines/tar.rs"]
#[expect(dead_code, reason = "some is for real engines alone")]
mod tar;
mod world;

mod answers;
mod body;
mod builder;
mod caller;
mod closed;
mod command;
mod context;
mod crowd;
mod failure;
mod framing;
mod grpc;
mod header;
mod hijack;
mod images;
mod limits;
mod link;
mod mutated;
mod pulled;
mod quota;
mod reap;
mod record;
mod recorded;
mod serving;
mod stream;
mod target;
mod twice;
mod version;
mod view;
