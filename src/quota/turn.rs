//! Turns of an owner: only one of its requests counts and makes at a time.
//!
//! Owners' names come from outside, so nothing is kept of one who has nobody waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The turns of all owners
#[derive(Debug, Default)]
pub struct Turns {
    by_owner: Mutex<HashMap<Arc<str>, Queue>>,
}

/// A turn, until it is dropped
#[derive(Debug)]
pub struct Turn {
    // Declared first, so that it is given back before the place in the queue.
    _permit: OwnedSemaphorePermit,
    _waiting: Waiting,
}

#[derive(Debug)]
struct Queue {
    one: Arc<Semaphore>,
    waiting: usize,
}

/// A place in the queue, kept during the turn
#[derive(Debug)]
struct Waiting {
    turns: Arc<Turns>,
    owner: Arc<str>,
}

impl Turns {
    /// Waits for a turn; `None` when it does not come within `patience`
    ///
    /// Whoever stops waiting has left the queue.
    pub async fn take(self: &Arc<Self>, owner: &Arc<str>, patience: Duration) -> Option<Turn> {
        let (one, waiting) = self.queue(owner);
        let permit = timeout(patience, one.acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _permit: permit, _waiting: waiting })
    }

    /// A turn that can be had at once
    pub fn try_take(self: &Arc<Self>, owner: &Arc<str>) -> Option<Turn> {
        let (one, waiting) = self.queue(owner);
        Some(Turn { _permit: one.try_acquire_owned().ok()?, _waiting: waiting })
    }

    fn queue(self: &Arc<Self>, owner: &Arc<str>) -> (Arc<Semaphore>, Waiting) {
        let mut by_owner = self.queues();
        let new = || Queue { one: Arc::new(Semaphore::new(1)), waiting: 0 };
        let queue = by_owner.entry(Arc::clone(owner)).or_insert_with(new);
        queue.waiting += 1;
        (Arc::clone(&queue.one), Waiting { turns: Arc::clone(self), owner: Arc::clone(owner) })
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Arc<str>, Queue>> {
        // Nothing panics while it is held, and a queue is whole at any time.
        self.by_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut by_owner = self.turns.queues();
        match by_owner.get_mut(&self.owner) {
            Some(queue) if queue.waiting > 1 => queue.waiting -= 1,
            _ => drop(by_owner.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn an_owner_has_one_turn_at_a_time_and_others_have_theirs() {
        let turns = Arc::new(Turns::default());
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = turns.take(&one, SOON).await.unwrap();
        assert!(turns.take(&one, SOON).await.is_none());
        assert!(turns.try_take(&one).is_none());
        let others = turns.try_take(&other).unwrap();
        drop(first);
        assert!(turns.take(&one, SOON).await.is_some());
        drop(others);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_an_owner_whose_turn_is_over_or_not_awaited() {
        let turns = Arc::new(Turns::default());
        for number in 0..100 {
            let owner: Arc<str> = number.to_string().into();
            let turn = turns.take(&owner, SOON).await.unwrap();
            assert!(turns.take(&owner, Duration::ZERO).await.is_none());
            assert_eq!(turns.queues().len(), 1);
            drop(turn);
        }
        assert!(turns.queues().is_empty());
    }
}
