//! Ids that are known to be an owner's own, so that the engine need not be asked again.
//!
//! An owner's label cannot be changed, and ids are never used again: what was an owner's own stays so. Blobs of builds are
//! different: nothing but the record of a build says whose they are, and one may be several owners'.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Ids with their owners; the oldest are forgotten first
#[derive(Debug, Default)]
pub struct OwnIds(Mutex<Known>, Mutex<Blobs>);

/// Blobs of builds by owner; the owner that has heard of none for longest is forgotten first, and so is an owner's oldest blob
#[derive(Debug, Default)]
struct Blobs {
    of: HashMap<Arc<str>, VecDeque<String>>,
    order: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<(Kind, String), Arc<str>>,
    order: VecDeque<(Kind, String)>,
}

/// What an id is of
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A container
    Container,
    /// A network
    Network,
    /// An exec
    Exec,
}

impl OwnIds {
    /// Remembers a full id
    pub fn learn(&self, kind: Kind, id: &str, owner: &Arc<str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, id.to_owned());
        if known.owners.insert(key.clone(), Arc::clone(owner)).is_none() {
            known.order.push_back(key);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.owners.remove(&oldest);
        }
    }

    /// Whether that full id is known to be this owner's own
    pub fn knows(&self, kind: Kind, id: &str, owner: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.owners.get(&(kind, id.to_owned())).is_some_and(|its| &**its == owner)
    }
}

impl OwnIds {
    /// Remembers that a blob belongs to one of an owner's builds
    pub fn learn_blob(&self, digest: &str, owner: &Arc<str>) {
        let mut blobs = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let Blobs { of, order } = &mut *blobs;
        order.retain(|known| known != owner);
        order.push_back(Arc::clone(owner));
        let its = of.entry(Arc::clone(owner)).or_default();
        its.retain(|known| known != digest);
        its.push_back(digest.to_owned());
        if its.len() > MOST_BLOBS {
            its.pop_front();
        }
        if order.len() > MOST_OWNERS
            && let Some(oldest) = order.pop_front()
        {
            of.remove(&oldest);
        }
    }

    /// Whether a blob is known to belong to one of this owner's builds
    pub fn knows_blob(&self, digest: &str, owner: &str) -> bool {
        let blobs = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.of.get(owner).is_some_and(|its| its.iter().any(|known| known == digest))
    }
}

/// Most ids that are remembered, of all owners
const MOST: usize = 10_000;
/// Most blobs that are remembered of one owner
const MOST_BLOBS: usize = 1_000;
/// Most owners whose blobs are remembered
const MOST_OWNERS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_to_be_its_owners_alone_and_for_what_it_is() {
        let (own, owner) = (OwnIds::default(), Arc::from("a"));
        own.learn(Kind::Container, "1", &owner);
        assert!(own.knows(Kind::Container, "1", "a"));
        assert!(!own.knows(Kind::Container, "1", "b") && !own.knows(Kind::Exec, "1", "a"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let (own, owner) = (OwnIds::default(), Arc::from("a"));
        for id in 0..=MOST {
            own.learn(Kind::Container, &id.to_string(), &owner);
            own.learn(Kind::Container, &id.to_string(), &owner);
        }
        assert!(!own.knows(Kind::Container, "0", "a") && own.knows(Kind::Container, "1", "a"));
        let known = own.0.lock().unwrap();
        assert_eq!((known.owners.len(), known.order.len()), (MOST, MOST));
    }

    #[test]
    fn a_blob_is_known_to_whose_builds_it_belongs_to_and_no_more_of_them_are_kept_than_so_many() {
        let (own, a, b) = (OwnIds::default(), Arc::from("a"), Arc::from("b"));
        own.learn_blob("shared", &a);
        own.learn_blob("shared", &b);
        own.learn_blob("mine", &a);
        assert!(own.knows_blob("shared", "a") && own.knows_blob("shared", "b"));
        assert!(own.knows_blob("mine", "a") && !own.knows_blob("mine", "b"));
        for digest in 0..MOST_BLOBS {
            own.learn_blob(&digest.to_string(), &a);
        }
        assert!(!own.knows_blob("mine", "a") && own.knows_blob("0", "a") && own.knows_blob("shared", "b"));
        for owner in 0..MOST_OWNERS - 1 {
            own.learn_blob("x", &Arc::from(format!("owner-{owner}")));
        }
        assert!(!own.knows_blob("shared", "b") && own.knows_blob("0", "a"), "b has heard of none for longest");
        assert_eq!(own.1.lock().unwrap().of.len(), MOST_OWNERS);
    }
}
