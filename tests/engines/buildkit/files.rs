//! The directory that a session offers, as BuildKit copies it: every file is named first, and what the engine does not have
//! already it asks for.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::SendStream;

use super::message::{Message, found, number};
use super::session::{Asked, Send as _};

/// One regular file
#[derive(Debug, Clone)]
pub struct File {
    name: String,
    content: Vec<u8>,
}

impl File {
    /// A file of a fixed time: only name and length tell two apart
    pub fn new(name: &str, content: &str) -> Self {
        Self { name: name.to_owned(), content: content.as_bytes().to_vec() }
    }

    fn described(&self) -> Message {
        Message::new()
            .with(1, &self.name)
            .number(2, 0o644)
            .number(5, self.content.len() as u64)
            .number(6, 1_600_000_000_000_000_000)
    }
}

/// Offers the files and hands out what is asked for, which is counted before
pub async fn sync(files: &[File], given: &AtomicUsize, asked: &mut Asked, told: &mut SendStream<Bytes>) {
    let mut files = files.to_vec();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for file in &files {
        told.send(Message::new().number(1, STAT).with(2, file.described()).as_ref());
    }
    told.send(Message::new().number(1, STAT).as_ref());
    while let Some(packet) = asked.next().await {
        match number(&packet, 1) {
            REQUEST => {
                let id = number(&packet, 3);
                let Some(file) = files.get(usize::try_from(id).unwrap()) else { break };
                given.fetch_add(1, Ordering::SeqCst);
                told.send(Message::new().number(1, DATA).number(3, id).with(4, &file.content).as_ref());
                told.send(Message::new().number(1, DATA).number(3, id).as_ref());
            }
            FINISHED => {
                told.send(Message::new().number(1, FINISHED).as_ref());
                break;
            }
            _ => break,
        }
        assert!(found(&packet, &[4]).is_empty(), "the engine only reads");
    }
}

const STAT: u64 = 0;
const REQUEST: u64 = 1;
const DATA: u64 = 2;
const FINISHED: u64 = 3;
