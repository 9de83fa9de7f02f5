//! The ledger of image names: who made a name, and who pulled it.
//!
//! Images are one shared cache, so their names are everybody's, and the engine gives a name to whoever asks last. Here a
//! name that is to be made is claimed before the request is sent, for all names of the request or for none, and what
//! becomes of the claim is said by the engine's answer. What is not certain stays claimed: a name too many that is kept
//! from others does less harm than one that others take for what it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::owner::Owner;

mod building;
mod file;
#[cfg(test)]
mod tests;

pub use self::building::{Building, Keeping, Kept};
pub use self::file::LedgerError;

/// Who made or pulled which names
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
    file: Option<file::File>,
}

#[derive(Debug, Default)]
struct Book {
    names: BTreeMap<String, Entry>,
    builds: building::Builds,
    /// Counts every settlement
    serial: u64,
}

/// What is known of one name
#[derive(Debug, Default)]
struct Entry {
    settled: Option<Claim>,
    /// When that was
    serial: u64,
    /// Who is making it just now, and how many times
    making: Option<(String, usize)>,
    /// How many of those are on their way to the engine, which may have it already
    sent: usize,
    /// Who is pulling it just now, and how many times
    pulling: BTreeMap<String, usize>,
}

/// How a name came about
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Claim {
    /// Built, tagged, committed, loaded or imported by an owner
    Made(String),
    /// The same by an owner that has ended: nobody uses it, anybody may make it anew
    Left,
    /// Fetched from a registry
    Pulled {
        /// Owners that live
        by: BTreeSet<String>,
        /// Whether nobody else had it before
        alone: bool,
    },
}

/// What a name is to an owner
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Made by it
    Own,
    /// Made by another, or by one that has ended
    Foreign,
    /// Pulled by it, and perhaps by others
    PulledByIt,
    /// Pulled by others
    Pulled,
    /// Not known: the host's, if it exists
    Unknown,
}

/// Why a name is not to be had
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Taken {
    /// Another owner made it
    #[error("another owner made it")]
    ByAnother,
    /// Another owner makes or pulls it just now
    #[error("another owner makes or pulls it just now")]
    InTheMaking,
    /// A build is made of it: another owner's, or one with the classic builder
    #[error("a build that runs is made of what had it")]
    InUse,
    /// Others pulled it as well, or had it before
    #[error("it is there for others as well")]
    Shared,
    /// More names than are remembered
    #[error("more image names would have to be remembered than are")]
    Full,
}

impl Ledger {
    /// Claims names that are to be made: all of them or, with the reasons, none
    ///
    /// # Errors
    /// The names that are not to be had.
    pub fn make(self: &Arc<Self>, owner: &Owner, names: &[String]) -> Result<Making, Vec<(String, Taken)>> {
        let mut book = self.lock();
        let names: BTreeSet<&String> = names.iter().collect();
        let mut taken: Vec<(String, Taken)> = Vec::new();
        for name in &names {
            taken.extend(book.cannot_make(name, owner.name()).map(|why| ((*name).clone(), why)));
        }
        if taken.is_empty() && book.is_full(owner.name(), names.len()) {
            taken.extend(names.iter().map(|name| ((*name).clone(), Taken::Full)));
        }
        if !taken.is_empty() {
            return Err(taken);
        }
        let mut claimed = Vec::new();
        for name in names {
            let entry = book.names.entry(name.clone()).or_default();
            let count = entry.making.take().map_or(0, |(_, count)| count);
            entry.making = Some((owner.name().to_string(), count + 1));
            claimed.push(Claimed { name: name.clone(), before: None });
        }
        Ok(Making { ledger: Arc::clone(self), owner: owner.clone(), names: claimed, sent: false })
    }

    /// Begins to pull a name; `existed` says whether the engine has it already
    ///
    /// # Errors
    /// When another owner makes it at this moment, so that nobody could say which of the two is there in the end, or when a
    /// build with the classic builder is made of it.
    pub fn pull(self: &Arc<Self>, owner: &Owner, name: &str, existed: bool) -> Result<Pulling, Taken> {
        let book = self.lock();
        if book.builds.values().any(|build| build.holds(|held| held == name)) {
            return Err(Taken::InUse);
        }
        self.begin_pull(book, owner, name, existed)
    }

    /// Begins to pull what a name is already, by its digest
    ///
    /// # Errors
    /// When another owner makes it at this moment.
    pub fn pull_as_it_is(self: &Arc<Self>, owner: &Owner, name: &str) -> Result<Pulling, Taken> {
        self.begin_pull(self.lock(), owner, name, true)
    }

    fn begin_pull(
        self: &Arc<Self>,
        mut book: MutexGuard<'_, Book>,
        owner: &Owner,
        name: &str,
        existed: bool,
    ) -> Result<Pulling, Taken> {
        if book.is_full(owner.name(), 1) && !book.names.contains_key(name) {
            return Err(Taken::Full);
        }
        let entry = book.names.entry(name.to_owned()).or_default();
        if entry.making.as_ref().is_some_and(|(by, _)| **by != **owner.name()) {
            return Err(Taken::InTheMaking);
        }
        *entry.pulling.entry(owner.name().to_string()).or_default() += 1;
        Ok(Pulling { ledger: Arc::clone(self), owner: owner.clone(), name: name.to_owned(), existed })
    }

    /// What a name is to an owner
    pub fn standing(&self, owner: &Owner, name: &str) -> Standing {
        let book = self.lock();
        let Some(entry) = book.names.get(name) else { return Standing::Unknown };
        let mine = |who: &String| **who == **owner.name();
        match (&entry.making, &entry.settled) {
            (Some((by, _)), _) if mine(by) => Standing::Own,
            // The engine may have it before its answer has ended.
            (Some(_), _) => Standing::Foreign,
            (None, Some(Claim::Made(by))) if mine(by) => Standing::Own,
            (None, Some(Claim::Made(_) | Claim::Left)) => Standing::Foreign,
            (None, Some(Claim::Pulled { by, .. })) if by.iter().any(mine) => Standing::PulledByIt,
            (None, Some(Claim::Pulled { .. })) => Standing::Pulled,
            (None, None) => Standing::Unknown,
        }
    }

    /// Whether somebody else made, or makes, a name that begins so, or nobody may pull one anew
    pub fn has_foreign(&self, owner: &Owner, beginning: &str) -> bool {
        let book = self.lock();
        let other = |who: &String| **who != **owner.name();
        let foreign = |entry: &Entry| match (&entry.making, &entry.settled) {
            (Some((by, _)), _) | (None, Some(Claim::Made(by))) => other(by),
            (None, Some(Claim::Left)) => true,
            (None, Some(Claim::Pulled { .. }) | None) => false,
        };
        if book.builds.values().any(|build| build.holds(|held| held.starts_with(beginning))) {
            return true;
        }
        let from = book.names.range(beginning.to_owned()..);
        from.take_while(|(name, _)| name.starts_with(beginning)).any(|(_, entry)| foreign(entry))
    }

    /// Whether an owner may take a name away: it made it, or pulled it and nobody else has anything of it
    ///
    /// # Errors
    /// Why not.
    pub fn removable(&self, owner: &Owner, name: &str) -> Result<(), Taken> {
        let book = self.lock();
        let Some(entry) = book.names.get(name) else { return Err(Taken::Shared) };
        let other = |who: &String| **who != **owner.name();
        if entry.making.as_ref().is_some_and(|(by, _)| other(by)) || entry.pulling.keys().any(other) {
            return Err(Taken::InTheMaking);
        }
        match &entry.settled {
            Some(Claim::Made(by)) if other(by) => Err(Taken::ByAnother),
            Some(Claim::Made(_)) => Ok(()),
            Some(Claim::Pulled { by, alone: true }) if by.iter().eq([&**owner.name()]) => Ok(()),
            Some(Claim::Pulled { .. } | Claim::Left) | None => Err(Taken::Shared),
        }
    }

    /// Whether what the engine has under a name may be what somebody made or pulled; else it is the host's
    pub fn knows(&self, name: &str) -> bool {
        self.lock().names.get(name).is_some_and(|entry| entry.settled.is_some() || entry.sent > 0)
    }

    /// Who made these names, as far as is known
    pub fn makers(&self, names: &[String]) -> BTreeSet<String> {
        let book = self.lock();
        let maker = |name: &String| match &book.names.get(name)?.settled {
            Some(Claim::Made(by)) => Some(BTreeSet::from([by.clone()])),
            Some(Claim::Pulled { by, .. }) => Some(by.clone()),
            Some(Claim::Left) | None => None,
        };
        names.iter().filter_map(maker).flatten().collect()
    }

    /// Forgets names that the engine has removed
    pub fn removed(&self, names: &[String]) {
        let mut book = self.lock();
        for name in names {
            book.settle(name, None);
        }
        drop(book);
        self.save_later();
    }

    /// Ends an owner: what it made is nobody's, what it pulled alone as if nobody had
    pub fn forget(&self, owner: &Owner) {
        let mut book = self.lock();
        for entry in book.names.values_mut() {
            match &mut entry.settled {
                Some(Claim::Made(by)) if **by == **owner.name() => entry.settled = Some(Claim::Left),
                Some(Claim::Pulled { by, .. }) => drop(by.remove(&**owner.name())),
                Some(Claim::Made(_) | Claim::Left) | None => {}
            }
        }
        drop(book);
        self.save_later();
    }

    /// Whether nothing is known of any name
    pub fn is_empty(&self) -> bool {
        self.lock().names.is_empty()
    }

    /// A mark for [`Ledger::sweep`], to be taken before the engine is asked for its images
    pub fn mark(&self) -> u64 {
        self.lock().serial
    }

    /// Forgets the names that the engine does not have, unless something was settled about them since `mark`
    pub fn sweep(&self, mark: u64, has: impl Fn(&str) -> bool) {
        let mut book = self.lock();
        let gone = |name: &str, entry: &Entry| entry.settled.is_some() && entry.serial <= mark && !has(name);
        let gone: Vec<String> =
            book.names.iter().filter(|(name, entry)| gone(name, entry)).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            book.settle(name, None);
        }
        drop(book);
        if !gone.is_empty() {
            self.save_later();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // INVARIANT: every step leaves the book whole, so a panic of another thread did no harm.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn cannot_make(&self, name: &str, owner: &str) -> Option<Taken> {
        if self.builds.values().any(|build| build.keeps(name, owner)) {
            return Some(Taken::InUse);
        }
        let entry = self.names.get(name)?;
        let other = |who: &String| **who != *owner;
        if entry.making.as_ref().is_some_and(|(by, _)| other(by)) || entry.pulling.keys().any(other) {
            return Some(Taken::InTheMaking);
        }
        match &entry.settled {
            Some(Claim::Made(by)) if other(by) => Some(Taken::ByAnother),
            Some(Claim::Pulled { by, alone }) if !alone || by.iter().any(other) => Some(Taken::Shared),
            Some(Claim::Made(_) | Claim::Left | Claim::Pulled { .. }) | None => None,
        }
    }

    fn is_full(&self, owner: &str, more: usize) -> bool {
        let mine = |entry: &&Entry| match (&entry.making, &entry.settled) {
            (Some((by, _)), _) | (None, Some(Claim::Made(by))) => **by == *owner,
            (None, Some(Claim::Pulled { by, .. })) => by.contains(owner),
            (None, Some(Claim::Left) | None) => false,
        };
        self.names.len() + more > MOST_NAMES || self.names.values().filter(mine).count() + more > MOST_OF_ONE
    }

    fn settle(&mut self, name: &str, claim: Option<Claim>) {
        self.serial += 1;
        let serial = self.serial;
        if let Some(entry) = self.names.get_mut(name) {
            (entry.settled, entry.serial) = (claim, serial);
        }
        self.tidy(name);
    }

    /// A name of which nothing is known needs no room
    fn tidy(&mut self, name: &str) {
        let nothing = |entry: &Entry| entry.settled.is_none() && entry.making.is_none() && entry.pulling.is_empty();
        if self.names.get(name).is_some_and(nothing) {
            self.names.remove(name);
        }
    }

    /// Ends one making of a name
    fn end_making(&mut self, name: &str) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.making = entry.making.take().filter(|(_, count)| *count > 1).map(|(by, count)| (by, count - 1));
        }
        self.tidy(name);
    }
}

/// Names that an owner makes; dropped before it was sent it gives them back, after that it keeps them
#[derive(Debug)]
pub struct Making {
    ledger: Arc<Ledger>,
    owner: Owner,
    names: Vec<Claimed>,
    sent: bool,
}

/// A name that is claimed
#[derive(Debug)]
pub struct Claimed {
    /// The name
    pub name: String,
    /// Id of the image that had the name before
    pub before: Option<String>,
}

impl Making {
    /// The names
    pub fn names(&mut self) -> &mut [Claimed] {
        &mut self.names
    }

    /// The request is on its way: from now on what is not certain is made
    pub fn sent(&mut self) {
        self.count(true);
    }

    /// The request did not get on its way after all
    pub fn unsent(&mut self) {
        self.count(false);
    }

    /// Counts its names among those that are on their way, or no longer
    fn count(&mut self, sent: bool) {
        if std::mem::replace(&mut self.sent, sent) == sent {
            return;
        }
        let mut book = self.ledger.lock();
        for Claimed { name, .. } in &self.names {
            if let Some(entry) = book.names.get_mut(name) {
                entry.sent = if sent { entry.sent + 1 } else { entry.sent.saturating_sub(1) };
            }
        }
    }

    /// Every name is made
    pub fn made(mut self) {
        self.settle(|_| true);
    }

    /// The engine has answered, and not well: made is what has another image than before
    pub fn tried(mut self, now: &BTreeMap<String, Option<String>>) {
        // What could not be asked is not certain.
        self.settle(|claimed| now.get(&claimed.name) != Some(&claimed.before));
    }

    fn settle(&mut self, made: impl Fn(&Claimed) -> bool) {
        self.count(false);
        let names = std::mem::take(&mut self.names);
        if names.is_empty() {
            return;
        }
        let mut book = self.ledger.lock();
        for claimed in names {
            if made(&claimed) {
                book.settle(&claimed.name, Some(Claim::Made(self.owner.to_string())));
            }
            book.end_making(&claimed.name);
        }
        drop(book);
        self.ledger.save_later();
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let sent = self.sent;
        self.settle(|_| sent);
    }
}

/// A name that an owner pulls; dropped it changes nothing
#[derive(Debug)]
pub struct Pulling {
    ledger: Arc<Ledger>,
    owner: Owner,
    name: String,
    existed: bool,
}

impl Pulling {
    /// The registry's image is there: whoever made the name has lost it
    pub fn pulled(self) {
        let mut book = self.ledger.lock();
        let me = self.owner.to_string();
        let claim = match book.names.get(&self.name).and_then(|entry| entry.settled.clone()) {
            Some(Claim::Pulled { mut by, alone }) => {
                by.insert(me);
                Claim::Pulled { by, alone }
            }
            Some(Claim::Made(other)) => Claim::Pulled { alone: other == me, by: [me].into() },
            Some(Claim::Left) => Claim::Pulled { by: [me].into(), alone: true },
            None => Claim::Pulled { by: [me].into(), alone: !self.existed },
        };
        book.settle(&self.name, Some(claim));
        drop(book);
        self.ledger.save_later();
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        let mut book = self.ledger.lock();
        if let Some(entry) = book.names.get_mut(&self.name) {
            if let Some(count) = entry.pulling.get_mut(&**self.owner.name()) {
                *count -= 1;
            }
            entry.pulling.retain(|_, count| *count > 0);
        }
        book.tidy(&self.name);
    }
}

/// Names in the ledger at most
const MOST_NAMES: usize = 20_000;
/// Names of one owner at most, so that one job cannot fill it
const MOST_OF_ONE: usize = 2_000;
