//! An image archive on its way to `POST /images/load`: read as a tar file, written anew, and the names in it found.
//!
//! Two readers of one tar file can find different files in it: by extended headers, links, repeated or odd names. So what
//! goes on is not what came but plain ustar headers of our own, each around the bytes of a file; what cannot be said that
//! way is refused. In memory is one header at a time, and one of the four files that name images.
//!
//! Formats: POSIX ustar; `manifest.json` and `repositories` of `docker save` (moby `image/tarexport`), `index.json` of the
//! OCI image layout, whose names containerd's importer takes from annotations.

use thiserror::Error;

use crate::api::image_ref::ImageRef;
use crate::api::json::Json;
use crate::api::names::BadName;
use crate::api::object::fold;

/// Reads an archive piece by piece
#[derive(Debug)]
pub struct ImageArchive {
    state: State,
    block: Vec<u8>,
    seen: Vec<String>,
    names: Vec<Named>,
    most: usize,
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
    Content { left: u64, padding: u64 },
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
        Self { state: State::Header, block: Vec::with_capacity(BLOCK), seen: Vec::new(), names: Vec::new(), most }
    }

    /// Reads the next piece and appends what is to be sent for it
    ///
    /// # Errors
    /// When something in it is not understood; nothing of `out` may be sent then.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), BadArchive> {
        while !piece.is_empty() {
            piece = match &mut self.state {
                State::End => return Ok(()),
                State::Header | State::HalfEnd => {
                    let wanted = BLOCK - self.block.len();
                    let (part, rest) = split(piece, wanted as u64);
                    self.block.extend_from_slice(part);
                    if self.block.len() == BLOCK {
                        let block = std::mem::take(&mut self.block);
                        self.header(&block, out)?;
                        self.block = block;
                        self.block.clear();
                    }
                    rest
                }
                State::Content { left, padding } => {
                    let (part, rest) = split(piece, *left);
                    out.extend_from_slice(part);
                    *left -= part.len() as u64;
                    let after = skip(rest, *left, padding);
                    out.resize(out.len() + rest.len() - after.len(), 0);
                    if *left == 0 && *padding == 0 {
                        self.state = State::Header;
                    }
                    after
                }
                State::Extended { left, padding, content } | State::Names { left, padding, content, .. } => {
                    let (part, rest) = split(piece, *left);
                    content.extend_from_slice(part);
                    *left -= part.len() as u64;
                    let rest = skip(rest, *left, padding);
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
        out.resize(out.len() + 2 * BLOCK, 0);
        self.state = State::End;
        Ok(())
    }

    /// The names found since this was last asked
    pub fn names(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.names)
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
        write_header(&name, header.kind, left, linked, out);
        self.state = State::Content { left, padding };
        if left == 0 {
            self.state = State::Header;
        }
        Ok(())
    }

    /// What a file that is read as a whole says; it goes on only then
    fn understand(&mut self, out: &mut Vec<u8>) -> Result<(), BadArchive> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Extended { content, .. } => extended(&content),
            State::Names { file, content, .. } => {
                let not_understood = |why| BadArchive::Names { file: file.clone(), why };
                let json = Json::parse(&content).map_err(not_understood)?;
                self.names.extend(names(&file, &json).map_err(not_understood)?);
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
        let at = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
        // The sum counts its own field as spaces.
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum::<u64>()
            - at(148, 8).iter().map(|byte| u64::from(*byte)).sum::<u64>()
            + 8 * u64::from(b' ');
        if octal(at(148, 8)) != Some(sum) {
            for (magic, name) in COMPRESSED {
                if block.starts_with(magic) {
                    return Err(BadArchive::Compressed(name));
                }
            }
            return Err(BadArchive::NotTar("a header's checksum is wrong"));
        }
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default());
            text.map(ToOwned::to_owned).map_err(|_| BadArchive::NotTar("a name is not UTF-8"))
        };
        let mut name = text(at(0, 100))?;
        // GNU tar has other things in the place of a prefix.
        if at(257, 6) == b"ustar\0" && at(345, 1) != [0] {
            name = format!("{}/{name}", text(at(345, 155))?);
        }
        let kind = match block.get(156) {
            // Before POSIX a directory had a slash at its end.
            Some(0 | b'0' | b'7') if name.ends_with('/') => b'5',
            Some(0 | b'0' | b'7') => b'0',
            Some(kind) => *kind,
            None => 0,
        };
        let size = number(at(124, 12)).ok_or(BadArchive::NotTar("a size is no number"))?;
        Ok(Self { name, kind, size, link: text(at(157, 100))? })
    }
}

/// A plain ustar header with neither owner nor time: the engine pays no heed to them
fn write_header(name: &str, kind: u8, size: u64, link: &str, out: &mut Vec<u8>) {
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, name.as_bytes());
    put(100, if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // Eleven octal digits end at 8 GiB; GNU tar's way to say more is binary.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    out.append(&mut block);
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

/// Extended headers (POSIX `pax`): `LENGTH KEY=VALUE\n`, many times
fn extended(content: &[u8]) -> Result<(), BadArchive> {
    let broken = || BadArchive::NotTar("an extended header is broken");
    let mut rest = std::str::from_utf8(content).map_err(|_| broken())?;
    while !rest.is_empty() {
        let (length, _) = rest.split_once(' ').ok_or_else(broken)?;
        let length: usize = length.parse().map_err(|_| broken())?;
        let record = rest.get(..length).and_then(|record| record.strip_suffix('\n')).ok_or_else(broken)?;
        let (_, pair) = record.split_once(' ').ok_or_else(broken)?;
        let (key, _) = pair.split_once('=').ok_or_else(broken)?;
        // These would change what the next header says.
        if matches!(key, "path" | "linkpath" | "size") || key.starts_with("GNU.") || key.starts_with("SCHILY.realsize")
        {
            return Err(BadArchive::File(key.to_owned(), "is said in an extended header, which is not read here"));
        }
        rest = rest.get(length..).ok_or_else(broken)?;
    }
    Ok(())
}

/// The path without `.` and doubled slashes; none if it leads out
fn clean(name: &str) -> Option<String> {
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return None;
    }
    Some(name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"))
}

/// Whether a link leads to a layer's file
fn is_layer(link: &str) -> bool {
    !link.starts_with('/') && link.ends_with(".tar")
}

/// The first `most` bytes and the rest
fn split(piece: &[u8], most: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(most).unwrap_or(usize::MAX).min(piece.len());
    piece.split_at(at)
}

/// Leaves padding out, once there is no content left
fn skip<'a>(piece: &'a [u8], left: u64, padding: &mut u64) -> &'a [u8] {
    let (skipped, rest) = split(piece, if left == 0 { *padding } else { 0 });
    *padding -= skipped.len() as u64;
    rest
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// An octal number, padded with spaces and ended by space or NUL
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| u64::from_str_radix(text, 8).ok()).flatten()
}

/// The same, or GNU tar's binary number
fn number(field: &[u8]) -> Option<u64> {
    match field {
        [0x80, 0, 0, 0, size @ ..] => size.try_into().ok().map(u64::from_be_bytes).filter(|size| *size < 1 << 62),
        _ => octal(field),
    }
}

/// A tar file is made of blocks of this many bytes
const BLOCK: usize = 512;
/// Longest name in a plain header
const NAME: usize = 100;
/// Most bytes of an extended header
const MAX_EXTENDED: u64 = 64 << 10;
/// What layers are called that may be links
const LAYER: &str = "layer.tar";
/// Files that name images, or change how others are read
const NAMING: &[&str] = &["manifest.json", "repositories", "index.json", "oci-layout"];
/// How compressed files begin that the engine would unpack and that are not read here
const COMPRESSED: &[(&[u8], &str)] = &[(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];

#[cfg(test)]
mod tests;
