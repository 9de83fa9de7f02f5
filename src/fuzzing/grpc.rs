//! BuildKit's calls: frames, message, judgement, and what is written for the engine.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::api::buildkit::method;
use crate::api::operation::Operation;
use crate::api::request::{Content, Parts, Written};
use crate::engine::channel::framed;
use crate::exchange::{Messages, Room, only_message};
use crate::fuzzing::exchange::POLICIES;
use crate::policy::judge::{Facts, judge};

/// A call: a line with its path, a line with the build that it is about, and its frames
pub fn grpc(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("");
    let (path, build) = (line(), line());
    let frames = parts.next().unwrap_or(b"");
    pieces(frames);
    let Some(operation) = read(path, build, frames) else { return };
    for policy in POLICIES.iter() {
        let (sent, _) = judge(policy, operation.clone(), &Facts::default());
        let Written { name, body, .. } = sent.write();
        let Content::Message(message) = body else {
            return assert!(path.is_empty(), "{path} is written as no message");
        };
        let again = read(path, name.as_deref().unwrap_or(build), &framed(&message));
        assert_eq!(again.as_ref(), Some(&sent), "{path} under {}", policy.name);
    }
}

fn read(path: &str, build: &str, frames: &[u8]) -> Option<Operation> {
    let message = only_message(frames.to_vec()).ok()?;
    let parts = Parts { name: Some(build.to_owned()), body: Content::Message(message), ..Parts::default() };
    (method(path).ok()?.read)(parts).ok()
}

/// The messages of an answer are the same however they are cut
fn pieces(frames: &[u8]) {
    let whole = messages(frames, frames.len().max(1));
    for length in [1, 4, 5, 7] {
        assert_eq!(messages(frames, length), whole, "in pieces of {length}: {}", frames.escape_ascii());
    }
    if let Ok(message) = only_message(frames.to_vec()) {
        assert_eq!(whole, (vec![message], true));
    }
}

/// The messages that come before anything is wrong, and whether nothing is
fn messages(frames: &[u8], length: usize) -> (Vec<Bytes>, bool) {
    let (mut messages, mut found) = (Messages::default(), Vec::new());
    for piece in frames.chunks(length) {
        if messages.push(&Bytes::copy_from_slice(piece), &ROOM).is_err() {
            return (found, false);
        }
        loop {
            match messages.take() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, messages.end().is_ok())
}

/// Room for more than comes
static ROOM: LazyLock<Room> = LazyLock::new(|| Room::of(1 << 30));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_a_seed_holds_the_laws_too() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/grpc");
        let mut state = 1_u32;
        let mut next = |most: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % most.max(1)
        };
        for seed in std::fs::read_dir(seeds).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            for _ in 0..300 {
                let mut bent = seed.clone();
                for _ in 0..=next(3) {
                    let at = next(bent.len());
                    match next(4) {
                        0 => bent[at] = u8::try_from(next(256)).unwrap(),
                        1 => bent[at] ^= 1 << next(8),
                        2 => drop(bent.remove(at)),
                        _ => bent.insert(at, u8::try_from(next(256)).unwrap()),
                    }
                }
                // The length before the message, as it is now.
                let ends = bent.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
                let frame = ends.take(2).last().and_then(|at| Some((at, bent[at..].split_at_checked(5)?)));
                if let Some((at, (before, message))) = frame {
                    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                    grpc(&[&bent[..at], &before[..1], &length, message].concat());
                }
                grpc(&bent);
            }
        }
    }
}
