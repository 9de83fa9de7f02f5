//! A build context on its way to `POST /build`: read as a tar file, written anew, and its Dockerfile found.
//!
//! The engine unpacks the whole context, and then opens the Dockerfile by its path. Which bytes it finds there hangs on all
//! that came, in its order. So the Dockerfile that was read is written once more as the last file of all: that takes the place
//! of whatever is there, and changes neither the context nor what the builder's cache knows it by.
//!
//! The cache knows a file by the first of its name, and images get the last. So no file comes twice, and none by way of a link:
//! a layer with the one's contents would be everybody's under the other's name.

mod entry;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use thiserror::Error;

use self::entry::{Before, Entry, Kind};
use crate::api::tar::{self, BLOCK, MAX_EXTENDED, NoHeader, clean, padding};

/// Reads a build context piece by piece
#[derive(Debug)]
pub struct BuildContext {
    state: State,
    block: Vec<u8>,
    before: Before,
    begun: bool,
    /// The Dockerfile's path
    wanted: Vec<u8>,
    /// The one that the engine takes where there is none at that path
    otherwise: Option<Vec<u8>>,
    dockerfile: Option<Dockerfile>,
    other: Option<Dockerfile>,
    is_told: bool,
    most: usize,
    /// Paths that something else than a directory has
    files: HashSet<u64>,
    links: HashSet<u64>,
}

/// Why a build context was refused
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadContext {
    /// It is no tar file, or a broken one
    #[error("it is no tar archive: {0}")]
    NotTar(&'static str),
    /// It is compressed in a way that is not read here
    #[error("it is compressed with {0}: send it uncompressed, or with gzip")]
    Compressed(&'static str),
    /// A file in it could be read in two ways
    #[error("`{0}` in it {1}")]
    File(String, &'static str),
    /// A record of an extended header could be
    #[error("the record `{}` in an extended header {}", .0.escape_debug(), .1)]
    Record(String, &'static str),
    /// There is no Dockerfile
    #[error("it has no Dockerfile `{}`", .0.escape_debug())]
    Missing(String),
    /// The Dockerfile's path leads out of it
    #[error("the Dockerfile's path `{}` leads out of it", .0.escape_debug())]
    Outside(String),
    /// More files than are read
    #[error("it has more than {0} files")]
    Crowded(usize),
}

/// A Dockerfile, as it came and as it goes on
#[derive(Debug)]
struct Dockerfile {
    head: Vec<u8>,
    content: Vec<u8>,
    left: u64,
}

#[derive(Debug)]
enum State {
    /// A header comes, or the end
    Header,
    /// One block of zeros came; the end if another follows
    HalfEnd,
    /// Content that goes on as it comes, then padding that does not; a Dockerfile's is kept as well
    Content { left: u64, padding: u64, of: Option<Place> },
    /// Content of a header about the file that comes next
    Before { kind: u8, left: u64, padding: u64, content: Vec<u8> },
    /// After the end; what comes has no meaning
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Wanted,
    Otherwise,
}

impl BuildContext {
    /// Nothing read yet; `dockerfile` is its path as the engine is told, and at most `most` bytes long
    ///
    /// # Errors
    /// When that leads out of the context.
    pub fn new(dockerfile: &str, most: usize) -> Result<Self, BadContext> {
        let (path, otherwise) = match dockerfile {
            "" | "Dockerfile" => ("Dockerfile", Some(b"dockerfile".to_vec())),
            path => (path, None),
        };
        let outside = || BadContext::Outside(path.to_owned());
        let wanted =
            clean(path.as_bytes()).filter(|path| !path.is_empty() && !path.contains(&0)).ok_or_else(outside)?;
        Ok(Self {
            state: State::Header,
            block: Vec::with_capacity(BLOCK),
            before: Before::default(),
            begun: false,
            wanted,
            otherwise,
            dockerfile: None,
            other: None,
            is_told: false,
            most,
            files: HashSet::new(),
            links: HashSet::new(),
        })
    }

    /// Reads the next piece and appends what is to be sent for it
    ///
    /// # Errors
    /// When something in it is not understood; nothing of `out` may be sent then.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), BadContext> {
        while !piece.is_empty() {
            piece = match &mut self.state {
                State::End => return Ok(()),
                State::Header | State::HalfEnd => {
                    let rest = tar::fill(&mut self.block, piece);
                    if self.block.len() == BLOCK {
                        let block = std::mem::take(&mut self.block);
                        self.header(&block, out)?;
                        self.block = block;
                        self.block.clear();
                    }
                    rest
                }
                State::Content { left, padding, of } => {
                    let (part, rest) = tar::pass(piece, left, padding, out);
                    let kept = match of {
                        None => &mut None,
                        Some(Place::Wanted) => &mut self.dockerfile,
                        Some(Place::Otherwise) => &mut self.other,
                    };
                    if let Some(Dockerfile { content, left, .. }) = kept {
                        content.extend_from_slice(part);
                        *left -= part.len() as u64;
                    }
                    if *left == 0 && *padding == 0 {
                        self.state = State::Header;
                    }
                    rest
                }
                State::Before { kind, left, padding, content } => {
                    let (part, rest) = tar::take(piece, left, padding);
                    content.extend_from_slice(part);
                    if *left == 0 && *padding == 0 {
                        self.before.read(*kind, content)?;
                        self.state = State::Header;
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    /// Ends the context, with the Dockerfile once more
    ///
    /// # Errors
    /// When it ends in the middle of a file, or has no Dockerfile.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadContext> {
        match self.state {
            State::Header if self.block.is_empty() => {}
            State::HalfEnd if self.block.is_empty() => {}
            State::End => {}
            _ => return Err(BadContext::NotTar("it ends in the middle of a file")),
        }
        self.state = State::End;
        if !self.before.is_empty() {
            return Err(BadContext::NotTar("a header about a file is the last"));
        }
        let missing = || BadContext::Missing(String::from_utf8_lossy(&self.wanted).into_owned());
        let Dockerfile { head, content, .. } = self.dockerfile.as_ref().or(self.other.as_ref()).ok_or_else(missing)?;
        out.extend_from_slice(head);
        out.extend_from_slice(content);
        out.resize(out.len() + padding(content.len() as u64) as usize, 0);
        tar::close(out);
        Ok(())
    }

    /// The Dockerfile, once it is known which it is: told once
    pub fn dockerfile(&mut self) -> Option<Vec<u8>> {
        let other = self.other.as_ref().filter(|_| matches!(self.state, State::End));
        let found = self.dockerfile.as_ref().or(other).filter(|found| found.left == 0)?;
        (!std::mem::replace(&mut self.is_told, true)).then(|| found.content.clone())
    }

    /// Bytes that are held in memory
    pub fn held(&self) -> usize {
        let kept = self.dockerfile.iter().chain(&self.other).map(|kept| kept.head.len() + kept.content.len());
        let extended = if let State::Before { content, .. } = &self.state { content.len() } else { 0 };
        // An element of a set takes a byte beside its own.
        kept.sum::<usize>() + extended + 9 * (self.files.capacity() + self.links.capacity())
    }

    fn header(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), BadContext> {
        if block.iter().all(|byte| *byte == 0) {
            let ended = matches!(self.state, State::HalfEnd);
            self.state = if ended { State::End } else { State::HalfEnd };
            return Ok(());
        }
        if matches!(self.state, State::HalfEnd) {
            return Err(BadContext::NotTar("a file follows its end"));
        }
        tar::check(block).map_err(|error| match error {
            NoHeader::Compressed(name) => BadContext::Compressed(name),
            NoHeader::Checksum => BadContext::NotTar("a header's checksum is wrong"),
        })?;
        if let [kind @ (b'x' | b'g' | b'L' | b'K')] = *tar::field(block, 156, 1) {
            let left = tar::number(tar::field(block, 124, 12)).filter(|size| (1..=MAX_EXTENDED).contains(size));
            let left = left.ok_or(BadContext::NotTar("an extended header is empty or too large"))?;
            self.state = State::Before { kind, left, padding: padding(left), content: Vec::new() };
            return Ok(());
        }
        let entry = Entry::read(block, std::mem::take(&mut self.before))?;
        let of = self.place(&entry)?;
        let from = out.len();
        entry.write(!std::mem::replace(&mut self.begun, true), out);
        if let Some(place) = of {
            let head = out.get(from..).unwrap_or_default().to_vec();
            let kept = Some(Dockerfile { head, content: Vec::new(), left: entry.size });
            match place {
                Place::Wanted => self.dockerfile = kept,
                Place::Otherwise => self.other = kept,
            }
        }
        self.state = match entry.size {
            0 => State::Header,
            left => State::Content { left, padding: padding(left), of },
        };
        Ok(())
    }

    /// Whether a file is a Dockerfile; refused where another could come to be in its place, or in that of another file
    fn place(&mut self, entry: &Entry) -> Result<Option<Place>, BadContext> {
        let path = entry.path().ok_or_else(|| entry.bad("leads out of it"))?;
        let is_directory = entry.kind == Kind::Directory;
        if path.is_empty() {
            return if is_directory { Ok(None) } else { Err(entry.bad("has no name")) };
        }
        let parents = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(..at));
        if !self.links.is_empty() && parents.map(hash).any(|parent| self.links.contains(&parent)) {
            return Err(entry.bad("lies below a link"));
        }
        let place = match &path {
            path if *path == self.wanted => Some(Place::Wanted),
            path if Some(path) == self.otherwise.as_ref() => Some(Place::Otherwise),
            _ => None,
        };
        if place.is_some() && entry.kind != Kind::File {
            return Err(entry.bad("is to be the Dockerfile, and is no plain file"));
        }
        if place.is_some() && entry.size > self.most as u64 {
            return Err(entry.bad("is larger than `body_bytes` in `[limits]`"));
        }
        if is_directory {
            return Ok(place);
        }
        if self.files.len() >= MOST_FILES {
            return Err(BadContext::Crowded(MOST_FILES));
        }
        if !self.files.insert(hash(&path)) {
            return Err(entry.bad("is there twice"));
        }
        if entry.kind == Kind::Link {
            self.links.insert(hash(&path));
        }
        Ok(place)
    }
}

/// A path in eight bytes; whoever finds two that are the same is told of one file twice
fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Files of one context: 16 MiB of paths
const MOST_FILES: usize = 1 << 20;

#[cfg(test)]
mod tests;
