//! The record: every exchange leaves its lines here, or does not happen.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::audit::file::AuditFile;
use crate::audit::record::{Ended, NamesFound, Opened};
use crate::audit::tally::Tally;
use crate::policy::judge::Approved;

pub mod cleanup;
pub mod file;
pub mod record;
pub mod tally;

/// Where records go
#[derive(Debug)]
pub struct Audit {
    file: AuditFile,
    tally: Tally,
}

/// An operation that was judged and whose record is written
///
/// Only [`Audit::record`] makes one, and only this can be sent to the engine.
#[derive(Debug)]
pub struct Recorded(Approved);

impl Recorded {
    /// What was approved
    pub fn approved(&self) -> &Approved {
        &self.0
    }
}

impl Audit {
    /// Writes to `file`
    pub fn new(file: AuditFile) -> Self {
        Self { file, tally: Tally::default() }
    }

    /// Writes the first line of an exchange that goes on
    ///
    /// # Errors
    /// When the line could not be written; then nothing may be sent.
    pub fn record(&self, line: &Opened<'_>, approved: Approved) -> io::Result<Recorded> {
        self.write(line)?;
        Ok(Recorded(approved))
    }

    /// Writes the only line of an exchange that was refused
    ///
    /// # Errors
    /// When the line could not be written.
    pub fn refused(&self, line: &Opened<'_>) -> io::Result<()> {
        self.tally.refused(line);
        self.write(line)
    }

    /// Writes what was found in an archive that is passing
    ///
    /// # Errors
    /// When the line could not be written; then nothing more may be sent.
    pub fn found(&self, line: &NamesFound<'_>) -> io::Result<()> {
        self.write(line)
    }

    /// Writes the last line of an exchange
    ///
    /// # Errors
    /// When the line could not be written.
    pub fn ended(&self, line: &Ended<'_>) -> io::Result<()> {
        self.tally.ended(line);
        self.write(line)
    }

    /// What is on record since the start, in numbers
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn write(&self, line: &impl serde::Serialize) -> io::Result<()> {
        self.file.append(&serde_json::to_vec(line)?)
    }
}

/// A new id of a record, a hexadecimal number
///
/// Ids count on from the time of the start, so that they do not repeat after a restart, and an earlier one is less.
pub fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = || u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(1);
    let _ = NEXT.compare_exchange(0, start(), Ordering::Relaxed, Ordering::Relaxed);
    format!("{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
