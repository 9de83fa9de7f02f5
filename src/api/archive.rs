//! An image archive on its way to `POST /images/load`: read as a tar file, written anew, and the names in it found.
//!
//! Two readers of one tar file can find different files in it: by extended headers, links, repeated or odd names. So what
//! goes on is not what came but plain ustar headers of our own, each around the bytes of a file; what cannot be said that
//! way is refused. In memory is one header at a time, and one of the four files that name images, or a blob that may be a
//! manifest; and of what was read the names and digests of its parts (`parts`), so many of them.
//!
//! Formats: POSIX ustar; `manifest.json` and `repositories` of `docker save` (moby `image/tarexport`), `index.json` of the
//! OCI image layout, whose names containerd's importer takes from annotations.

mod parts;

use std::collections::BTreeSet;

use thiserror::Error;

use self::parts::{Blob, Parts};
use crate::api::image_ref::ImageRef;
use crate::api::json::Json;
use crate::api::names::BadName;
use crate::api::object::fold;
use crate::api::tar::{self, BLOCK, MAX_EXTENDED, NAME, NoHeader, padding};

/// Reads an archive piece by piece
#[derive(Debug)]
pub struct ImageArchive {
    state: State,
    block: Vec<u8>,
    seen: Vec<String>,
    names: Vec<Named>,
    parts: Parts,
    missing: BTreeSet<String>,
    most: usize,
    begun: bool,
}

/// A name that an image is to get
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name
    pub image: ImageRef,
    /// Where it stands, as `manifest.json RepoTags`
    pub field: &'static str,
}

/// Why an archive was refused
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadArchive {
    /// It is no tar file, or a broken one
    #[error("it is no tar archive of images: {0}")]
    NotTar(&'static str),
    /// It is compressed in a way that is not read here
    #[error("it is compressed with {0}: send it uncompressed, or with gzip")]
    Compressed(&'static str),
    /// A file in it could be read in two ways
    #[error("`{}` in it {}", .0.escape_debug(), .1)]
    File(String, &'static str),
    /// It names a part and does not bring it
    #[error("it names `{}` and does not bring it: save the whole image", .0.escape_debug())]
    Missing(String),
    /// A file that names images was not understood
    #[error("`{file}` in it is not understood: {why}")]
    Names {
        /// The file
        file: String,
        /// Why
        why: String,
    },
}

#[derive(Debug)]
enum State {
    /// A header comes, or the end
    Header,
    /// One block of zeros came; the end if another follows
    HalfEnd,
    /// Content that goes on as it comes, then padding that does not
    Content { left: u64, padding: u64, blob: Option<Box<Blob>> },
    /// Content that says nothing to the engine: extended headers
    Extended { left: u64, padding: u64, content: Vec<u8> },
    /// Content of a file that names images
    Names { file: String, left: u64, padding: u64, content: Vec<u8> },
    /// After the end; what comes has no meaning
    End,
}

impl ImageArchive {
    /// Nothing read yet; files that name images are at most `most` bytes long
    pub fn new(most: usize) -> Self {
        let (state, block) = (State::Header, Vec::with_capacity(BLOCK));
        let (seen, names, parts, missing) = Default::default();
        Self { state, block, seen, names, parts, missing, most, begun: false }
    }

    /// Reads the next piece and appends what is to be sent for it
    ///
    /// # Errors
    /// When something in it is not understood; nothing of `out` may be sent then.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), BadArchive> {
        self.begin(out);
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
                State::Content { left, padding, blob } => {
                    let (part, rest) = tar::pass(piece, left, padding, out);
                    if let Some(blob) = blob {
                        blob.read(part);
                    }
                    if *left == 0 && *padding == 0 {
                        self.content_ended()?;
                    }
                    rest
                }
                State::Extended { left, padding, content } | State::Names { left, padding, content, .. } => {
                    let (part, rest) = tar::take(piece, left, padding);
                    content.extend_from_slice(part);
                    if *left == 0 && *padding == 0 {
                        self.understand(out)?;
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    /// Ends the archive
    ///
    /// # Errors
    /// When it ends in the middle of a file.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadArchive> {
        match self.state {
            State::Header if self.block.is_empty() => {}
            State::HalfEnd | State::End => {}
            _ => return Err(BadArchive::NotTar("it ends in the middle of a file")),
        }
        self.missing = self.parts.missing()?;
        self.begin(out);
        tar::close(out);
        self.state = State::End;
        Ok(())
    }

    /// The names found since this was last asked
    pub fn names(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.names)
    }

    /// The manifests that it names and does not bring, once it has ended
    pub fn missing(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.missing)
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            tar::open(out);
        }
    }

    fn header(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), BadArchive> {
        if block.iter().all(|byte| *byte == 0) {
            let ended = matches!(self.state, State::HalfEnd);
            self.state = if ended { State::End } else { State::HalfEnd };
            return Ok(());
        }
        if matches!(self.state, State::HalfEnd) {
            return Err(BadArchive::NotTar("a file follows its end"));
        }
        let header = Header::read(block)?;
        let (left, padding) = (header.size, padding(header.size));
        let bad = |why| Err(BadArchive::File(header.name.clone(), why));
        match header.kind {
            b'x' | b'g' if left <= MAX_EXTENDED => {
                self.state = State::Extended { left, padding, content: Vec::new() };
                return Ok(());
            }
            b'x' | b'g' => return bad("is too large an extended header"),
            b'0' | b'5' | b'2' => {}
            b'1' => return bad("is a hard link; image archives have none"),
            b'L' | b'K' => return bad("is followed by a name of more than 100 bytes"),
            _ => return bad("is neither a file nor a directory"),
        }
        let Some(name) = clean(&header.name) else { return bad("leads out of the archive") };
        if name.is_empty() {
            return if header.kind == b'5' && left == 0 { Ok(()) } else { bad("has no name") };
        }
        if name.len() > NAME {
            return bad("has a name of more than 100 bytes");
        }
        let parts: Vec<&str> = name.split('/').collect();
        if parts.iter().rev().skip(1).any(|part| *part == LAYER) {
            return bad("lies below what may be a link");
        }
        if header.kind != b'0' && left > 0 {
            return bad("has content and is no file");
        }
        if NAMING.contains(&name.as_str()) {
            if header.kind != b'0' {
                return bad("is no plain file");
            }
            if self.seen.contains(&name) {
                return bad("is there twice");
            }
            if left > self.most as u64 {
                return bad("is larger than `body_bytes` in `[limits]`");
            }
            self.seen.push(name.clone());
            self.state = State::Names { file: name, left, padding, content: Vec::new() };
            if left + padding == 0 {
                self.understand(out)?;
            }
            return Ok(());
        }
        let linked = match header.kind {
            // `docker save` before 25 and `podman save` link equal layers.
            b'2' if parts.last() == Some(&LAYER) && is_layer(&header.link) => header.link.as_str(),
            b'2' => return bad("is a link to something else than a layer"),
            _ => "",
        };
        if header.kind != b'5' {
            self.parts.file(&name, linked)?;
        }
        write_header(&name, header.kind, left, linked, out);
        let blob = Blob::begin(&name, left).filter(|_| header.kind == b'0');
        self.state = State::Content { left, padding, blob: blob.map(Box::new) };
        if left == 0 { self.content_ended() } else { Ok(()) }
    }

    fn content_ended(&mut self) -> Result<(), BadArchive> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Content { blob: Some(blob), .. } => self.parts.blob(*blob),
            _ => Ok(()),
        }
    }

    /// What a file that is read as a whole says; it goes on only then
    fn understand(&mut self, out: &mut Vec<u8>) -> Result<(), BadArchive> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Extended { content, .. } => extended(&content),
            State::Names { file, content, .. } => {
                let not_understood = |why| BadArchive::Names { file: file.clone(), why };
                let json = Json::parse(&content).map_err(not_understood)?;
                self.names.extend(names(&file, &json).map_err(not_understood)?);
                self.parts.names(&file, &json).map_err(not_understood)?;
                // Written anew as well: equal to what was read, in one spelling.
                let content = json.to_bytes();
                write_header(&file, b'0', content.len() as u64, "", out);
                out.extend_from_slice(&content);
                out.resize(out.len() + padding(content.len() as u64) as usize, 0);
                Ok(())
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }
}

/// What is read of a header
struct Header {
    name: String,
    kind: u8,
    size: u64,
    link: String,
}

impl Header {
    fn read(block: &[u8]) -> Result<Self, BadArchive> {
        let at = |from, length| tar::field(block, from, length);
        tar::check(block).map_err(|error| match error {
            NoHeader::Compressed(name) => BadArchive::Compressed(name),
            NoHeader::Checksum => BadArchive::NotTar("a header's checksum is wrong"),
        })?;
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(tar::text(bytes));
            text.map(ToOwned::to_owned).map_err(|_| BadArchive::NotTar("a name is not UTF-8"))
        };
        let name = text(&tar::name(block))?;
        let kind = match block.get(156) {
            // Before POSIX a directory had a slash at its end.
            Some(0 | b'0' | b'7') if name.ends_with('/') => b'5',
            Some(0 | b'0' | b'7') => b'0',
            Some(kind) => *kind,
            None => 0,
        };
        let size = tar::number(at(124, 12)).ok_or(BadArchive::NotTar("a size is no number"))?;
        Ok(Self { name, kind, size, link: text(at(157, 100))? })
    }
}

/// A plain ustar header with neither owner nor time: the engine pays no heed to them
fn write_header(name: &str, kind: u8, size: u64, link: &str, out: &mut Vec<u8>) {
    let mut block = [0; BLOCK];
    tar::put(&mut block, 0, name.as_bytes());
    tar::put_number(&mut block, 100, 8, if kind == b'5' { 0o755 } else { 0o644 });
    tar::put_number(&mut block, 108, 8, 0);
    tar::put_number(&mut block, 116, 8, 0);
    tar::put_number(&mut block, 124, 12, size);
    tar::put_number(&mut block, 136, 12, 0);
    tar::put(&mut block, 156, &[kind]);
    tar::put(&mut block, 157, link.as_bytes());
    tar::put(&mut block, 257, b"ustar\x0000");
    tar::seal(&mut block);
    out.extend_from_slice(&block);
}

/// The names that a file gives to images
fn names(file: &str, json: &Json) -> Result<Vec<Named>, String> {
    let named = |image: Result<ImageRef, _>, field| match image {
        Ok(image) => Ok(Named { image, field }),
        Err(error) => Err(BadName::to_string(&error)),
    };
    let mut found = Vec::new();
    match file {
        "manifest.json" => {
            for image in list(json)? {
                for tag in list(member(image, "RepoTags")?)? {
                    found.push(named(ImageRef::read(text(tag)?), "manifest.json RepoTags")?);
                }
            }
        }
        "repositories" => {
            for (repository, tags) in members(json)? {
                for (tag, _) in members(tags)? {
                    found.push(named(ImageRef::join(repository, tag), "repositories")?);
                }
            }
        }
        "index.json" => {
            for image in list(member(json, "manifests")?)? {
                let annotations = members(member(image, "annotations")?)?;
                let of = |key: &str| annotations.iter().filter(|(name, _)| name == key).collect::<Vec<_>>();
                let names = of("io.containerd.image.name");
                // Without the first, the importer takes the second.
                let names = if names.is_empty() { of("org.opencontainers.image.ref.name") } else { names };
                for (_, name) in names {
                    found.push(named(ImageRef::read(text(name)?), "index.json annotations")?);
                }
            }
        }
        _ => {}
    }
    Ok(found)
}

/// A member, or null; the engine would find it under any case of its name, and take the last of several
fn member<'a>(json: &'a Json, key: &str) -> Result<&'a Json, String> {
    let mut found = &Json::Null;
    let mut count = 0;
    for (name, value) in members(json)? {
        if fold(name) == fold(key) {
            if name != key {
                return Err(format!("`{}` must be spelled `{key}`", name.escape_debug()));
            }
            count += 1;
            found = value;
        }
    }
    if count > 1 { Err(format!("`{key}` is there twice")) } else { Ok(found) }
}

fn members(json: &Json) -> Result<&[(String, Json)], String> {
    match json {
        Json::Object(members) => Ok(members),
        Json::Null => Ok(&[]),
        other => Err(format!("an object was expected, not {}", other.kind())),
    }
}

fn list(json: &Json) -> Result<&[Json], String> {
    match json {
        Json::List(list) => Ok(list),
        Json::Null => Ok(&[]),
        other => Err(format!("a list was expected, not {}", other.kind())),
    }
}

fn text(json: &Json) -> Result<&str, String> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(format!("a text was expected, not {}", other.kind())),
    }
}

/// Extended headers may stay away that say nothing of where a file is and how long
fn extended(content: &[u8]) -> Result<(), BadArchive> {
    let records = tar::records(content).ok_or(BadArchive::NotTar("an extended header is broken"))?;
    // These would change what the next header says.
    let changes = |key: &str| {
        matches!(key, "path" | "linkpath" | "size") || key.starts_with("GNU.") || key.starts_with("SCHILY.realsize")
    };
    match records.iter().find(|(key, _)| changes(key)) {
        Some((key, _)) => {
            Err(BadArchive::File((*key).to_owned(), "is said in an extended header, which is not read here"))
        }
        None => Ok(()),
    }
}

/// The path without `.` and doubled slashes; none if it leads out
fn clean(name: &str) -> Option<String> {
    tar::clean(name.as_bytes()).filter(|_| !name.starts_with('/')).and_then(|path| String::from_utf8(path).ok())
}

/// Whether a link leads to a layer's file
fn is_layer(link: &str) -> bool {
    !link.starts_with('/') && link.ends_with(".tar")
}

/// What layers are called that may be links
const LAYER: &str = "layer.tar";
/// Files that name images, or change how others are read
const NAMING: &[&str] = &["manifest.json", "repositories", "index.json", "oci-layout"];
#[cfg(test)]
mod tests;
