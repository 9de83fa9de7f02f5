//! Builds that run, and the names that they are made of.
//!
//! A build is judged by the names of its images, and looks them up when it runs, which may be much later: until it has
//! ended nobody else makes one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::owner::Owner;
use crate::owner::images::Ledger;

/// Builds that run, by their names, which are their owners' own
pub type Builds = BTreeMap<String, Build>;

/// One build
#[derive(Debug)]
pub struct Build {
    owner: String,
    /// Calls that say they are it; the engine takes the first
    calls: usize,
    names: BTreeSet<String>,
}

impl Build {
    /// Whether it is made of a name, and is not this owner's
    pub fn keeps(&self, name: &str, owner: &str) -> bool {
        *self.owner != *owner && self.names.contains(name)
    }
}

/// A build that runs; ends when dropped
#[derive(Debug)]
pub struct Building {
    ledger: Arc<Ledger>,
    build: String,
}

impl Ledger {
    /// Begins a build
    pub fn begin_build(self: &Arc<Self>, owner: &Owner, build: &str) -> Building {
        let new = || Build { owner: owner.name().to_string(), calls: 0, names: BTreeSet::new() };
        self.lock().builds.entry(build.to_owned()).or_insert_with(new).calls += 1;
        Building { ledger: Arc::clone(self), build: build.to_owned() }
    }

    /// Keeps a name for a build of this owner; whether that is done
    pub fn build_on(&self, owner: &Owner, build: &str, name: &str) -> bool {
        let mut book = self.lock();
        let making = book.names.get(name).and_then(|entry| entry.making.as_ref());
        if making.is_some_and(|(by, _)| **by != **owner.name()) {
            return false;
        }
        let build = book.builds.get_mut(build).filter(|build| *build.owner == **owner.name());
        build.filter(|build| build.names.len() < MOST_NAMES).is_some_and(|build| {
            build.names.insert(name.to_owned());
            true
        })
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
