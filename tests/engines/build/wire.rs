//! Calls under another spelling, or in another frame, than the one that is judged.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::records::told_of_victim;
use super::{ALL, Attempt, NEWER, Sides};
use crate::engines::buildkit::client::frame;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        tokio::join!(
            play.attack("a method in escapes", ALL, "12 sockwarden: no operation", async |sides: &Sides| {
                spelt(sides, "/moby.buildkit.v1.Control/Disk%55sage").await
            }),
            play.attack("a method with a query", ALL, "12 sockwarden: no operation", async |sides: &Sides| {
                spelt(sides, "/moby.buildkit.v1.Control/DiskUsage?a=b").await
            }),
            play.attack("a compressed message", NEWER, "12 sockwarden: compressed messages are not read", compressed),
            play.attack("a second message", ALL, "not exactly one message", second),
        );
    })
}

async fn spelt(sides: &Sides, path: &str) -> Attempt {
    told_of_victim(sides, path, &[], frame(0, b"")).await
}

async fn compressed(sides: &Sides) -> Attempt {
    // An empty message; what matters is that it is not what it looks like.
    let body = frame(1, &GzEncoder::new(Vec::new(), Compression::default()).finish().unwrap());
    told_of_victim(sides, DISK_USAGE, &[("grpc-encoding", "gzip")], body).await
}

async fn second(sides: &Sides) -> Attempt {
    let two: Bytes = [frame(0, b""), frame(0, b"")].concat().into();
    told_of_victim(sides, DISK_USAGE, &[], two).await
}

const DISK_USAGE: &str = "/moby.buildkit.v1.Control/DiskUsage";
