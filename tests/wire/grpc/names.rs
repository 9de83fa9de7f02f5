//! Names that a build gives to images: claimed before the engine hears of it, and settled by the status of its answer.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use h2::Reason;

use crate::grpc::buildkit::{self, BuildKit, framed, trailers};
use crate::grpc::client::{Client, SOLVE, UPGRADE, call};
use crate::images::start;
use crate::peer::Peer;

const POLICY: &str =
    "version = 1\nname = \"two\"\nallow = [\"build\"]\n[images]\nallow = [\"**\"]\n[owner]\nisolate = true\n";

/// A field that holds bytes
fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// `Control/Solve` of an image with this name
fn solve(reference: &str, image: &str) -> Vec<u8> {
    let attrs = [field(1, "name"), field(2, image)].concat();
    let exporter = [field(1, "moby"), field(2, attrs)].concat();
    [field(1, reference), field(5, "session"), field(13, exporter)].concat()
}

/// Ends a build as its name says
fn engine() -> BuildKit {
    BuildKit::with(|request, mut respond| async move {
        let message = buildkit::whole(request).await.unwrap_or_default();
        let says = |word: &str| message.windows(word.len()).any(|part| part == word.as_bytes());
        if says("broken") {
            return respond.send_reset(Reason::INTERNAL_ERROR);
        }
        let mut stream = respond.send_response(buildkit::head(), false).unwrap();
        if says("well") {
            stream.send_data(framed(b""), false).unwrap();
        }
        stream.send_trailers(trailers(if says("well") { 0 } else { 2 }, "")).unwrap();
    })
}

#[test]
fn the_end_of_a_build_says_what_becomes_of_its_names() {
    let engine = engine();
    let place = tempfile::tempdir().unwrap();
    let (proxy, sockets) = start(engine.socket(), place.path(), POLICY);
    let heard = || engine.heard().iter().filter(|line| line.contains(SOLVE)).count();
    engine.runtime.block_on(async {
        let mut clients = Vec::new();
        for socket in &sockets {
            let mut peer = Peer::of(UnixStream::connect(socket).unwrap());
            peer.send(UPGRADE);
            assert!(peer.head().starts_with("HTTP/1.1 101 "));
            clients.push(Client::new(peer).await);
        }
        let build = async |owner: usize, reference: &str, image: &str| {
            clients[owner].call(call(SOLVE), framed(&solve(reference, image))).await.said()
        };
        for (end, status, is_kept) in [("well", 0, true), ("badly", 2, false), ("broken", 14, true)] {
            let image = format!("app{status}:1");
            assert_eq!(build(0, &format!("{end}1"), &image).await.0, status, "{end}");
            let before = heard();
            // What became of a build that failed is looked up beside the answer.
            let mut said = build(1, "well2", &image).await;
            let (mut number, begun) = (0, Instant::now());
            while !is_kept && said.0 != 0 && begun.elapsed() < PATIENCE {
                number += 1;
                said = build(1, &format!("well3x{number}"), &image).await;
            }
            assert_eq!(said.0, if is_kept { 7 } else { 0 }, "{end}: {said:?}");
            assert_eq!(heard() - before, usize::from(!is_kept), "{end}: what is refused is not sent");
            assert!(!is_kept || said.1.contains("another owner"), "{end}: {said:?}");
            assert_eq!(build(0, "wellagain", &image).await.0, if is_kept { 0 } else { 7 }, "{end}: its owner's");
        }
    });
    let left = proxy.stop();
    assert!(left.audit.contains("\"ask\":\"taken\""), "{}", left.audit);
}

/// Longest wait for anything; long, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);
