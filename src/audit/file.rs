//! The file that records go to: whole lines, in order, each written before its caller goes on. No queue, nothing dropped.
//!
//! The file is locked for each line, so that an instance that ends and the one that follows it may share a file, and taking
//! back a half-written line takes nobody else's. It may be moved or removed from outside at any time; the next line then
//! goes to a new one. What a line says is not known here.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tracing::warn;

mod rotated;

/// When a new file is begun
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// At most this many bytes a file, if a single line fits
    pub size: Option<u64>,
    /// At most this long from the first line to the last
    pub age: Option<Duration>,
    /// How many older files are kept; 0 keeps all
    pub keep: usize,
}

/// An open audit file
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    rotation: Rotation,
    sync: bool,
    /// How long a line waits for other processes' lines
    patience: Duration,
    current: Mutex<Current>,
}

/// The file that is written to
#[derive(Debug)]
struct Current {
    file: File,
    /// When its first line was written
    begun: SystemTime,
    /// No further attempt to rotate before this time
    not_before: Option<SystemTime>,
}

impl AuditFile {
    /// Opens or makes the file, and its directory
    ///
    /// With `sync` a line is on disk when [`AuditFile::append`] returns.
    pub fn open(path: &Path, rotation: Rotation, sync: bool) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let current = Current::open(path, sync, SystemTime::now())?;
        Ok(Self { path: path.to_owned(), rotation, sync, patience: PATIENCE, current: Mutex::new(current) })
    }

    /// Writes one line, without its end; after an error it is not in the file
    pub fn append(&self, line: &[u8]) -> io::Result<()> {
        self.append_at(line, SystemTime::now())
    }

    fn append_at(&self, line: &[u8], now: SystemTime) -> io::Result<()> {
        if line.contains(&b'\n') {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a record is one line"));
        }
        // INVARIANT: every step leaves `Current` whole, so a panic of another thread did no harm.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let written =
            self.hold(&mut current, line.len(), now).and_then(|known| current.write(line, known.len(), self.sync));
        // Of an open file this cannot fail.
        let _ = rustix::fs::flock(&current.file, FlockOperation::Unlock);
        written
    }

    /// Locks the file that the line goes to: the one that is at the path, or the next one if that is full
    fn hold(&self, current: &mut Current, line: usize, now: SystemTime) -> io::Result<Metadata> {
        for _ in 0..ATTEMPTS {
            lock(&current.file, self.patience)?;
            let known = current.file.metadata()?;
            if !same_file(&self.path, &known)? {
                *current = Current::open(&self.path, self.sync, now)?;
                continue;
            }
            if known.len() == 0 {
                current.begun = now;
            }
            if !self.is_due(current, known.len(), line, now) {
                return Ok(known);
            }
            match current.rotate(self, &known, now) {
                Ok(next) => *current = next,
                // A line in a file that is too large is better than none.
                Err(error) => {
                    warn!(path = %self.path.display(), %error, "cannot rotate the audit file");
                    current.not_before = now.checked_add(RETRY);
                }
            }
        }
        Err(io::Error::new(ErrorKind::ResourceBusy, "the audit file is replaced again and again"))
    }

    fn is_due(&self, current: &Current, length: u64, line: usize, now: SystemTime) -> bool {
        let full = self.rotation.size.is_some_and(|size| length.saturating_add(line as u64 + 1) > size);
        let old = self.rotation.age.is_some_and(|age| now.duration_since(current.begun).is_ok_and(|past| past >= age));
        length > 0 && (full || old) && current.not_before.is_none_or(|time| now >= time)
    }
}

impl Current {
    fn open(path: &Path, sync: bool, now: SystemTime) -> io::Result<Self> {
        // O_NONBLOCK: opening a pipe that lies there must not wait for a reader.
        let flags =
            OFlags::APPEND | OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        let known = file.metadata()?;
        if !known.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the audit file is not a regular file"));
        }
        if known.len() == 0 && sync {
            sync_directory(path)?;
        }
        let begun = if known.len() > 0 { known.created().unwrap_or(now) } else { now };
        Ok(Self { file, begun, not_before: None })
    }

    /// Gives the file its dated name and begins a new one with the same rights; removes what is too much
    fn rotate(&self, audit: &AuditFile, known: &Metadata, now: SystemTime) -> io::Result<Self> {
        if audit.sync {
            self.file.sync_data()?;
        }
        let older = rotated::put_away(&audit.path, now)?;
        let next = Self::open(&audit.path, audit.sync, now).inspect_err(|_| {
            // Back to where it was: lines must not go to a file that is taken for finished.
            if let Err(error) = rotated::put_back(&older, &audit.path) {
                warn!(path = %older.display(), %error, "cannot undo the rotation");
            }
        })?;
        // Rights that the operator widened, for a log shipper, are meant for the next file too.
        let kept = next.file.set_permissions(fs::Permissions::from_mode(known.mode() & 0o777));
        let kept = kept.and_then(|()| std::os::unix::fs::fchown(&next.file, None, Some(known.gid())));
        if let Err(error) = kept {
            warn!(path = %audit.path.display(), %error, "cannot keep the rights of the audit file");
        }
        if let Err(error) = rotated::thin_out(&audit.path, audit.rotation.keep) {
            warn!(path = %audit.path.display(), %error, "cannot remove the oldest audit file");
        }
        Ok(next)
    }

    /// Writes the line behind `length` bytes, or takes back what was written of it
    fn write(&self, line: &[u8], length: u64, sync: bool) -> io::Result<()> {
        let mut last = [b'\n'];
        if let Some(end) = length.checked_sub(1) {
            self.file.read_exact_at(&mut last, end)?;
        }
        let mut whole = Vec::with_capacity(line.len() + 2);
        // Whoever was killed in the middle of a line leaves a piece, which is kept apart from this one.
        whole.extend_from_slice(if last == [b'\n'] { b"" } else { b"\n" });
        whole.extend_from_slice(line);
        whole.push(b'\n');
        // One write, unless the disk fills up in the middle of it: the rest then meets the reason.
        let written = (&self.file).write_all(&whole).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if written.is_err() {
            // A file that may only grow (`chattr +a`) keeps the piece, as after a crash.
            let _ = self.file.set_len(length);
        }
        written
    }
}

/// Waits for the lock, but not for ever: whoever else writes here needs it for one line
fn lock(file: &File, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(ErrorKind::ResourceBusy, "another process keeps the audit file locked"));
            }
            locked => return Ok(locked?),
        }
    }
}

/// Whether the path still leads to the file we know
fn same_file(path: &Path, known: &Metadata) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (known.dev(), known.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a new name in the directory outlast a crash
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// How often the file may be replaced while a line is on its way into it
const ATTEMPTS: usize = 16;

/// Much longer than a busy disk takes for somebody else's line: a call whose line does not get its turn is refused
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits at a time
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// How long a failed rotation is left alone
const RETRY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
