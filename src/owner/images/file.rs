//! The ledger on disk: one file, replaced as a whole, so that a crash leaves the old one or the new one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::owner::images::{Book, Claim, Entry, Ledger};

/// Why a ledger cannot be used
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It cannot be read or written
    #[error("cannot keep the ledger of images in `{directory}`: {error} (`state` in the configuration)", directory = .0.display(), error = .1)]
    Io(PathBuf, io::Error),
    /// Another sockwarden uses it
    #[error("another sockwarden keeps its ledger of images in `{}`: give each one a directory of its own (`state`)", .0.display())]
    InUse(PathBuf),
    /// It is not what we write
    #[error("`{file}` is no ledger of images: {why}; remove it to begin anew", file = .0.display(), why = .1)]
    Broken(PathBuf, String),
}

/// Where a ledger is kept
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Held while one writes, so that the last one to write has written the newest
    writing: Mutex<()>,
    /// Tells who writes behind our back that there is something to write
    news: Arc<News>,
    /// Locked for as long as we live
    _lock: fs::File,
}

#[derive(Debug, Default)]
struct News {
    what: Mutex<What>,
    told: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum What {
    #[default]
    Nothing,
    Changed,
    Ended,
}

impl News {
    fn tell(&self, what: What) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.told.notify_one();
    }

    fn wait(&self) -> What {
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        let mut what =
            self.told.wait_while(what, |what| *what == What::Nothing).unwrap_or_else(PoisonError::into_inner);
        // An end stays one.
        if *what == What::Changed { std::mem::take(&mut what) } else { *what }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    names: BTreeMap<String, Claim>,
}

impl Ledger {
    /// Opens the ledger in a directory, which is made if it is not there
    ///
    /// An instance that is about to end may still hold it, so that is waited for.
    ///
    /// # Errors
    /// When it cannot be read, or another one keeps it.
    pub fn open(directory: &Path, patience: Duration) -> Result<Arc<Self>, LedgerError> {
        let failed = |error| LedgerError::Io(directory.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(directory.join("images.lock")).map_err(failed)?;
        let begun = Instant::now();
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            if begun.elapsed() >= patience {
                return Err(LedgerError::InUse(directory.to_owned()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        let path = directory.join("images.json");
        let book = read(&path)?;
        let news = Arc::<News>::default();
        let file = File { path, writing: Mutex::new(()), news: Arc::clone(&news), _lock: lock };
        let ledger = Arc::new(Self { book: Mutex::new(book), file: Some(file) });
        let weak = Arc::downgrade(&ledger);
        thread::Builder::new().name("ledger".to_owned()).spawn(move || write(&weak, &news)).map_err(failed)?;
        Ok(ledger)
    }

    /// Writes the ledger; what is claimed at this moment stands in it as made
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _writing = file.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let names = {
            let book = self.lock();
            let claim = |entry: &Entry| match &entry.making {
                Some((by, _)) => Some(Claim::Made(by.clone())),
                None => entry.settled.clone(),
            };
            book.names.iter().filter_map(|(name, entry)| Some((name.clone(), claim(entry)?))).collect()
        };
        let text = serde_json::to_vec(&Written { version: VERSION, names })?;
        let new = file.path.with_extension("new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(&text)?;
        out.sync_data()?;
        fs::rename(&new, &file.path)
    }

    /// Writes the ledger soon; who reads it again after a crash finds at worst what was claimed before
    pub(super) fn save_later(&self) {
        if let Some(file) = &self.file {
            file.news.tell(What::Changed);
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            file.news.tell(What::Ended);
            tell_of(self.save());
        }
    }
}

/// Writes the ledger whenever something has changed, for as long as it lives
fn write(ledger: &Weak<Ledger>, news: &News) {
    while news.wait() == What::Changed {
        let Some(ledger) = ledger.upgrade() else { return };
        tell_of(ledger.save());
    }
}

fn tell_of(saved: io::Result<()>) {
    if let Err(error) = saved {
        tracing::error!(%error, "the ledger of images could not be written");
    }
}

fn read(path: &Path) -> Result<Book, LedgerError> {
    let mut text = Vec::new();
    match fs::File::open(path) {
        Ok(file) => {
            let read = file.take(MOST + 1).read_to_end(&mut text);
            read.map_err(|error| LedgerError::Io(path.to_owned(), error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(LedgerError::Io(path.to_owned(), error)),
    }
    let broken = |why: String| LedgerError::Broken(path.to_owned(), why);
    if text.len() as u64 > MOST {
        return Err(broken("it is too large".to_owned()));
    }
    let Written { version, names } = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    if version != VERSION {
        return Err(broken(format!("its version is {version}")));
    }
    let entry = |(name, claim)| (name, Entry { settled: Some(claim), ..Entry::default() });
    Ok(Book { names: names.into_iter().map(entry).collect(), ..Book::default() })
}

const VERSION: u32 = 1;
/// Bytes of the file
const MOST: u64 = 64 << 20;
