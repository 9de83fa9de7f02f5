//! Host paths on a real file system: links, races, bind mounts, other roots and namespaces, and real engines.
//!
//! Needs root, as it mounts. What stands in for an engine here is a process that listens: of an engine, resolving looks
//! at nothing but the process behind the socket.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests say what they expect by failing, also outside of test functions"
)]

#[path = "mount/engines.rs"]
mod engines;
#[allow(dead_code, reason = "shared with the tests on real engines, which need more of it")]
#[path = "engines/http.rs"]
mod http;
#[path = "mount/links.rs"]
mod links;
#[path = "mount/pins.rs"]
mod pins;
#[path = "mount/protected.rs"]
mod protected;
#[path = "engines/setting.rs"]
mod setting;
#[path = "mount/stage.rs"]
mod stage;
#[path = "mount/views.rs"]
mod views;
