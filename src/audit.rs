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
/// Ids count on from the time of the start, so that they do not repeat after a restart, and an earlier one is less. Several
/// processes that write one record count from places of their own, also where they have started at once.
pub fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = || u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(1);
    let _ = NEXT.compare_exchange(0, first_id(now(), std::process::id()), Ordering::Relaxed, Ordering::Relaxed);
    format!("{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// From which a process counts that starts then, in microseconds
fn first_id(start: u64, process: u32) -> u64 {
    start * PLACES + u64::from(process) % PLACES
}

/// Ids for each microsecond: no process needs as many
const PLACES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_at_once_have_ids_of_their_own() {
        let now = 1_795_000_000_000_000;
        assert_ne!(first_id(now, 77), first_id(now, 78));
        // However many the first has had by then.
        assert!(first_id(now + 1000, 77) > first_id(now, 78) + 4_000_000);
        // Until the year 2100 they are numbers of 64 bits.
        assert!(first_id(4_102_444_800_000_000, 4_194_303) > first_id(now, 1));
    }
}
