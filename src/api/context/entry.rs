//! One file of a build context: what its headers say, and the same written anew.
//!
//! Headers may say a thing in several places, and readers differ in which they believe. Here each is read from one place, and
//! written to one: a plain header, before it an extended one for what that has no room for. Everything that the engine makes
//! use of is kept, so that images and the builder's cache stay as they are without us.
//!
//! Formats: POSIX ustar and pax, GNU tar's long names, and its binary numbers. Names are bytes.

use crate::api::context::BadContext;
use crate::api::tar::{self, BLOCK, NAME};

/// What stands before the header of a file, and is about it
#[derive(Debug, Default)]
pub struct Before {
    records: Option<Vec<(String, Vec<u8>)>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// The head of a file
#[derive(Debug)]
pub struct Entry {
    /// Its name, as it came
    pub name: Vec<u8>,
    /// What it is
    pub kind: Kind,
    /// Bytes of content
    pub size: u64,
    link: Vec<u8>,
    mode: u64,
    user: (u64, Vec<u8>),
    group: (u64, Vec<u8>),
    modified: u64,
    /// Finer times, and attributes
    records: Vec<(String, Vec<u8>)>,
}

/// What a file is
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file
    File,
    /// A second name of another
    HardLink,
    /// A symbolic link
    Link,
    /// A directory
    Directory,
    /// A named pipe
    Pipe,
}

impl Before {
    /// Whether there is nothing
    pub fn is_empty(&self) -> bool {
        let Self { records, name, link } = self;
        records.is_none() && name.is_none() && link.is_none()
    }

    /// Reads what a header of kind `kind` brings: extended records, or a long name
    ///
    /// # Errors
    /// When it is said twice, or not understood.
    pub fn read(&mut self, kind: u8, content: &[u8]) -> Result<(), BadContext> {
        let long = || {
            let name = tar::text(content);
            if name.is_empty() { Err(BadContext::NotTar("a long name is empty")) } else { Ok(name.to_vec()) }
        };
        let twice = match kind {
            b'L' => self.name.replace(long()?).is_some(),
            b'K' => self.link.replace(long()?).is_some(),
            // Engines pay no heed to one that is for all files, others do.
            b'g' => return records(content, &["comment"]).map(drop),
            _ => self.records.replace(records(content, KNOWN)?).is_some(),
        };
        if twice { Err(BadContext::NotTar("two headers say the same of one file")) } else { Ok(()) }
    }
}

/// The records of an extended header, each once
fn records(content: &[u8], known: &[&str]) -> Result<Vec<(String, Vec<u8>)>, BadContext> {
    let read = tar::records(content).ok_or(BadContext::NotTar("an extended header is broken"))?;
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    for (key, value) in read {
        let vendor = key.split('.').next().is_some_and(|vendor| IGNORED.contains(&vendor)) && key.contains('.');
        if !vendor && !known.contains(&key) && !is_attribute(key) {
            return Err(BadContext::Record(key.to_owned(), "is not known"));
        }
        if kept.iter().any(|(other, _)| other == key) {
            return Err(BadContext::Record(key.to_owned(), "is there twice"));
        }
        kept.push((key.to_owned(), value.to_vec()));
    }
    Ok(kept)
}

/// Attributes that engines keep in images; others are of the machine that the file comes from
fn is_attribute(key: &str) -> bool {
    key == "SCHILY.xattr.security.capability" || key.starts_with("SCHILY.xattr.user.")
}

impl Entry {
    /// Reads the header of a file
    ///
    /// # Errors
    /// When it could be read in two ways, or is none.
    pub fn read(block: &[u8], before: Before) -> Result<Self, BadContext> {
        let text = |from, length| tar::text(tar::field(block, from, length)).to_vec();
        let number = |from, length| {
            // Before 1970: engines take that for 1970.
            if from == MODIFIED && tar::field(block, from, 1) == [0xff] {
                return Ok(0);
            }
            tar::number(tar::field(block, from, length)).ok_or(BadContext::NotTar("a number in a header is none"))
        };
        let Before { records, name: long, link: long_link } = before;
        let mut entry = Self {
            name: long.unwrap_or_else(|| tar::name(block)),
            kind: Kind::File,
            size: number(124, 12)?,
            link: long_link.unwrap_or_else(|| text(157, NAME)),
            mode: number(100, 8)?,
            user: (number(108, 8)?, Vec::new()),
            group: (number(116, 8)?, Vec::new()),
            modified: number(MODIFIED, 12)?,
            records: Vec::new(),
        };
        if tar::field(block, 257, 5) == b"ustar" {
            entry.user.1 = text(265, 32);
            entry.group.1 = text(297, 32);
        }
        for (key, value) in records.into_iter().flatten() {
            entry.record(key, value)?;
        }
        entry.kind = match tar::field(block, 156, 1) {
            // Before POSIX a directory had a slash at its end.
            [0 | b'0' | b'7'] if entry.name.ends_with(b"/") => Kind::Directory,
            [0 | b'0' | b'7'] => Kind::File,
            b"1" => Kind::HardLink,
            b"2" => Kind::Link,
            b"5" => Kind::Directory,
            b"6" => Kind::Pipe,
            b"3" | b"4" => return Err(entry.bad("is a device")),
            b"S" => return Err(entry.bad("is a sparse file")),
            _ => return Err(entry.bad("is neither a file nor a directory nor a link")),
        };
        if entry.name.contains(&0) || entry.link.contains(&0) {
            return Err(entry.bad("has a NUL in its name"));
        }
        if entry.kind != Kind::File && entry.size > 0 {
            return Err(entry.bad("has content and is no file"));
        }
        if matches!(entry.kind, Kind::Link | Kind::HardLink) == entry.link.is_empty() {
            return Err(entry.bad(if entry.link.is_empty() {
                "leads nowhere"
            } else {
                "has a link's end and is none"
            }));
        }
        Ok(entry)
    }

    /// An extended header's word beats the plain one's
    fn record(&mut self, key: String, value: Vec<u8>) -> Result<(), BadContext> {
        let digits = || {
            let text = std::str::from_utf8(&value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let number = text.and_then(|text| text.parse().ok()).filter(|number: &u64| *number < 1 << 62);
            number.ok_or_else(|| BadContext::Record(key.clone(), "is no number"))
        };
        match key.as_str() {
            // Without a value a record means that there is none, or that the plain header counts.
            "path" | "linkpath" if value.is_empty() => return Err(BadContext::Record(key, "is empty")),
            "path" => self.name = value,
            "linkpath" => self.link = value,
            "uname" => self.user.1 = value,
            "gname" => self.group.1 = value,
            "size" => self.size = digits()?,
            "uid" => self.user.0 = digits()?,
            "gid" => self.group.0 = digits()?,
            "mtime" | "atime" | "ctime" if !is_time(&value) => return Err(BadContext::Record(key, "is no time")),
            "mtime" | "atime" | "ctime" => self.records.push((key, value)),
            _ if is_attribute(&key) => self.records.push((key, value)),
            _ => {}
        }
        Ok(())
    }

    /// The path without `.` and doubled slashes, as the engine joins it to its directory; none if it leads out
    pub fn path(&self) -> Option<Vec<u8>> {
        tar::clean(&self.name)
    }

    /// What is wrong with this file
    pub fn bad(&self, why: &'static str) -> BadContext {
        BadContext::File(self.name.escape_ascii().to_string(), why)
    }

    /// Writes the head anew
    pub fn write(&self, first: bool, out: &mut Vec<u8>) {
        let Self { name, kind, size, link, mode, user, group, modified, records } = self;
        let mut before: Vec<(&str, &[u8])> = Vec::new();
        if first {
            before.push(tar::OPENING);
        }
        for (key, value, room) in
            [("path", name, NAME), ("linkpath", link, NAME), ("uname", &user.1, OWNER), ("gname", &group.1, OWNER)]
        {
            if value.len() > room {
                before.push((key, value));
            }
        }
        before.extend(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
        if !before.is_empty() {
            tar::put_records(before, out);
        }
        let mut block = [0; BLOCK];
        let fit = |text: &[u8], room: usize| text.get(..text.len().min(room)).unwrap_or_default().to_vec();
        tar::put(&mut block, 0, &fit(name, NAME));
        tar::put_number(&mut block, 100, 8, *mode);
        tar::put_number(&mut block, 108, 8, user.0);
        tar::put_number(&mut block, 116, 8, group.0);
        tar::put_number(&mut block, 124, 12, *size);
        tar::put_number(&mut block, MODIFIED, 12, *modified);
        tar::put(&mut block, 156, kind.letter());
        tar::put(&mut block, 157, &fit(link, NAME));
        tar::put(&mut block, 257, b"ustar\x0000");
        tar::put(&mut block, 265, &fit(&user.1, OWNER));
        tar::put(&mut block, 297, &fit(&group.1, OWNER));
        tar::put_number(&mut block, 329, 8, 0);
        tar::put_number(&mut block, 337, 8, 0);
        tar::seal(&mut block);
        out.extend_from_slice(&block);
    }
}

impl Kind {
    fn letter(self) -> &'static [u8] {
        match self {
            Self::File => b"0",
            Self::HardLink => b"1",
            Self::Link => b"2",
            Self::Directory => b"5",
            Self::Pipe => b"6",
        }
    }
}

/// Seconds, perhaps with a fraction, perhaps before 1970
fn is_time(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"-").unwrap_or(value);
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let digits = |part: &[u8]| part.len() <= 18 && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(|whole| !whole.is_empty() && digits(whole)) && parts.next().is_none_or(digits)
}

/// Where the time of the last change stands
const MODIFIED: usize = 136;
/// How long names of owners in a plain header may be
const OWNER: usize = 31;
/// Records of extended headers (POSIX) that are read; `comment` and the like say nothing
const KNOWN: &[&str] = &[
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "uname",
    "gname",
    "mtime",
    "atime",
    "ctime",
    "comment",
    "charset",
    "hdrcharset",
];
/// Whose records say nothing to an engine: those of other systems and programs, beside [`is_attribute`]
const IGNORED: &[&str] = &["LIBARCHIVE", "SCHILY", "APPLE", "MSWINDOWS", "NODETAR", "RHT"];
