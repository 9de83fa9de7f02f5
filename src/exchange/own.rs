//! Ids that are known to be an owner's own, so that the engine need not be asked again.
//!
//! An owner's label cannot be changed, and ids are never used again: what was an owner's own stays so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Ids with their owners; the oldest are forgotten first
#[derive(Debug, Default)]
pub struct OwnIds(Mutex<Known>);

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

/// Most ids that are remembered, of all owners
const MOST: usize = 10_000;

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
}
