//! The record: every exchange leaves its lines here, or does not happen.

use std::io;

use crate::audit::file::AuditFile;
use crate::audit::record::{Ended, NamesFound, Opened};
use crate::policy::judge::Approved;

pub mod file;
pub mod record;

/// Where records go
#[derive(Debug)]
pub struct Audit {
    file: AuditFile,
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
        Self { file }
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
        self.write(line)
    }

    fn write(&self, line: &impl serde::Serialize) -> io::Result<()> {
        self.file.append(&serde_json::to_vec(line)?)
    }
}
