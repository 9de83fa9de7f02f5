//! The record of cleaning up: two lines for each object of an ended owner, one before it is removed and one after.
//!
//! Nobody asked for a removal and no policy judges it, so its permit is one of its own: [`Removal`], which is made with the
//! first line, names one object, and lets the engine do nothing but remove that.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::Audit;

/// What is removed
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// With its anonymous volumes
    Container,
    /// A network
    Network,
    /// A volume
    Volume,
    /// With all its names
    Image,
}

impl Kind {
    /// Every kind, in the order in which they can be removed
    pub const ALL: [Self; 4] = [Self::Container, Self::Network, Self::Volume, Self::Image];

    /// As it is on record
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
        }
    }
}

/// Why an owner is cleaned up after
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The caller's container ended
    CallerEnded,
    /// Nothing was asked for as long as the lease is
    LeaseEnded,
    /// sockwarden ends
    SockwardenEnds,
    /// The command of `sockwarden run` ended
    CommandEnded,
    /// Somebody said so
    Asked,
}

/// An object that is to be removed
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Object {
    /// What it is
    pub kind: Kind,
    /// What it is called
    pub name: String,
    /// Full id; of a volume its name
    pub id: String,
}

/// The line before a removal
#[derive(Debug, Serialize)]
pub struct Cleanup<'a> {
    /// When
    pub time: Timestamp,
    /// `cleanup`
    pub event: &'static str,
    /// Ties both lines of one removal together
    pub id: &'a str,
    /// Whose it is
    pub owner: &'a str,
    /// Why it goes
    pub reason: Why,
    /// What goes
    pub object: &'a Object,
}

/// The line after a removal
#[derive(Debug, Serialize)]
pub struct CleanedUp<'a> {
    /// When
    pub time: Timestamp,
    /// `cleanup_end`
    pub event: &'static str,
    /// Ties both lines of one removal together
    pub id: &'a str,
    /// Whose it is
    pub owner: &'a str,
    /// What came of it
    pub outcome: Gone,
    /// How often the engine was told
    pub attempts: u32,
    /// What the engine said when it stays
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

/// What came of a removal
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// It was removed
    Removed,
    /// It was gone already
    Absent,
    /// It is still there
    Stays,
}

/// The right to remove one object, whose record is written
///
/// Only [`Audit::removing`] makes one.
#[derive(Debug)]
pub struct Removal {
    kind: Kind,
    id: String,
}

impl Removal {
    /// What is removed
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its full id; of a volume its name
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Audit {
    /// Writes the line before a removal
    ///
    /// # Errors
    /// When the line could not be written; then nothing may be removed.
    pub fn removing(&self, line: &Cleanup<'_>) -> io::Result<Removal> {
        self.write(line)?;
        Ok(Removal { kind: line.object.kind, id: line.object.id.clone() })
    }

    /// Writes the line after a removal
    ///
    /// # Errors
    /// When the line could not be written.
    pub fn removed(&self, line: &CleanedUp<'_>) -> io::Result<()> {
        self.write(line)
    }
}
