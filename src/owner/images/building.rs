//! Builds that run, and the names that they are made of.
//!
//! A build is judged by the names of its images, and looks them up when it runs, which may be much later: until it has
//! ended nobody else makes one of them. What the classic builder finds under such a name may bring triggers that nobody has
//! judged, so there the owner itself does not make one either, and nobody pulls it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::owner::Owner;
use crate::owner::images::{Book, Ledger};

/// Builds that run, by their names, which are their owners' own
pub type Builds = BTreeMap<String, Build>;

/// One build
#[derive(Debug)]
pub struct Build {
    owner: String,
    /// Calls that say they are it; the engine takes the first
    calls: usize,
    kept: Kept,
    names: BTreeSet<String>,
}

/// From whom a build keeps the names that it is made of
#[derive(Debug, Clone)]
pub enum Kept {
    /// From other owners
    FromOthers,
    /// From everybody, but for the names that it gives itself, at its end
    FromAll(BTreeSet<String>),
}

impl Build {
    /// Whether it is made of a name that it keeps from this owner
    pub fn keeps(&self, name: &str, owner: &str) -> bool {
        let from = match &self.kept {
            Kept::FromOthers => *self.owner != *owner,
            Kept::FromAll(_) => true,
        };
        from && self.names.contains(name)
    }

    /// Whether it is made of such a name that nobody may pull anew
    pub fn holds(&self, is_such: impl FnMut(&String) -> bool) -> bool {
        matches!(self.kept, Kept::FromAll(_)) && self.names.iter().any(is_such)
    }

    /// Whether a name that `by` is making, so many times, may come to be another image than the one that was looked at
    fn may_move(&self, name: &str, (by, times): &(String, usize)) -> bool {
        let own = match &self.kept {
            Kept::FromOthers => *times,
            Kept::FromAll(makes) => usize::from(makes.contains(name)),
        };
        *by != self.owner || *times > own
    }
}

/// Whether a name is kept
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It stays what it is
    Kept,
    /// Not while somebody pulls it; soon, perhaps
    IsPulled,
    /// Somebody makes it just now
    Moves,
}

/// A build that runs; ends when dropped
#[derive(Debug)]
pub struct Building {
    ledger: Arc<Ledger>,
    build: String,
}

impl Ledger {
    /// Begins a build
    pub fn begin_build(self: &Arc<Self>, owner: &Owner, build: &str, kept: Kept) -> Building {
        let new = || Build { owner: owner.name().to_string(), calls: 0, kept, names: BTreeSet::new() };
        self.lock().builds.entry(build.to_owned()).or_insert_with(new).calls += 1;
        Building { ledger: Arc::clone(self), build: build.to_owned() }
    }

    /// Keeps a name for a build of this owner; whether that is done
    pub fn build_on(&self, owner: &Owner, build: &str, name: &str) -> bool {
        self.keep(owner, build, name) == Keeping::Kept
    }

    /// Keeps a name for a build of this owner
    pub fn keep(&self, owner: &Owner, build: &str, name: &str) -> Keeping {
        let mut book = self.lock();
        let Book { names, builds, serial: _ } = &mut *book;
        let entry = names.get(name);
        let making = entry.and_then(|entry| entry.making.as_ref());
        let Some(build) = builds.get_mut(build).filter(|build| *build.owner == **owner.name()) else {
            return Keeping::Moves;
        };
        if making.is_some_and(|making| build.may_move(name, making)) || build.names.len() >= MOST_NAMES {
            return Keeping::Moves;
        }
        if matches!(build.kept, Kept::FromAll(_)) && entry.is_some_and(|entry| !entry.pulling.is_empty()) {
            return Keeping::IsPulled;
        }
        build.names.insert(name.to_owned());
        Keeping::Kept
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        let mut book = self.ledger.lock();
        if let Some(build) = book.builds.get_mut(&self.build) {
            build.calls -= 1;
            if build.calls == 0 {
                book.builds.remove(&self.build);
            }
        }
    }
}

/// Names of one build; each was looked up
const MOST_NAMES: usize = 1000;
