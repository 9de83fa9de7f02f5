//! How many requests of one owner run at a time, streams and tunnels included.
//!
//! One owner may come through several listeners and any number of connections, so the count is kept by the owner's name.
//! A name stays only as long as something of it runs: names come from outside, and nothing may grow with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The requests that run, counted by owner
#[derive(Debug)]
pub struct Running {
    limit: usize,
    by_owner: Mutex<HashMap<Arc<str>, usize>>,
}

/// A request that runs, until it is dropped
#[derive(Debug)]
pub struct Place {
    running: Arc<Running>,
    owner: Arc<str>,
}

impl Running {
    /// At most `limit` at a time for each owner
    pub fn new(limit: usize) -> Self {
        Self { limit, by_owner: Mutex::default() }
    }

    /// One more request of an owner; `None` when as many run as may
    pub fn enter(self: &Arc<Self>, owner: &Arc<str>) -> Option<Place> {
        let mut by_owner = self.counts();
        let running = by_owner.get(owner).copied().unwrap_or(0);
        if running >= self.limit {
            return None;
        }
        by_owner.insert(Arc::clone(owner), running + 1);
        Some(Place { running: Arc::clone(self), owner: Arc::clone(owner) })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // Nothing panics while it is held, and a count is whole at any time.
        self.by_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_owner = self.running.counts();
        match by_owner.get_mut(&self.owner) {
            Some(running) if *running > 1 => *running -= 1,
            _ => drop(by_owner.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_own_places_and_gets_them_back() {
        let running = Arc::new(Running::new(2));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = running.enter(&one).unwrap();
        let second = running.enter(&"one".into()).unwrap();
        assert!(running.enter(&one).is_none());
        let others = running.enter(&other).unwrap();
        drop(first);
        let third = running.enter(&one).unwrap();
        assert!(running.enter(&one).is_none());
        drop((second, third, others));
        assert!(running.enter(&one).is_some());
    }

    #[test]
    fn an_owner_of_whom_nothing_runs_is_forgotten() {
        let running = Arc::new(Running::new(2));
        for number in 0..1000 {
            let owner = number.to_string().into();
            let _both = (running.enter(&owner).unwrap(), running.enter(&owner).unwrap());
            assert!(running.enter(&owner).is_none());
            assert_eq!(running.counts().len(), 1);
        }
        assert!(running.counts().is_empty());
    }
}
