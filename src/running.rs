//! What runs for each owner: how many requests, what is being made, since when it is quiet, and whether it has ended.
//!
//! One owner may come through several listeners and any number of connections, so all is kept by the owner's name.
//! A name stays only as long as something of it runs, or somebody watches it who knows that it has objects: names come
//! from outside, and nothing may grow with them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What runs, by owner
#[derive(Debug)]
pub struct Running {
    limit: usize,
    owners: Mutex<Owners>,
    made: Notify,
}

#[derive(Debug, Default)]
struct Owners {
    by_name: HashMap<Arc<str>, Life>,
    /// No owner makes anything any more
    closed: bool,
}

/// What is known of one owner
#[derive(Debug)]
struct Life {
    /// Requests that run, streams and tunnels included
    running: usize,
    /// Requests among them that make something, and that the engine has not answered
    making: usize,
    /// Who is ending it
    ending: usize,
    /// Whether it stays when nothing runs
    watched: bool,
    /// When something was made for it, at last
    made: Option<Instant>,
    /// Cuts what runs for it without an end of its own
    cut: CancellationToken,
    /// When its last request ended, or else when it was first heard of
    quiet: Instant,
}

/// A request that runs, until it is dropped
#[derive(Debug)]
pub struct Place {
    running: Arc<Running>,
    owner: Arc<str>,
}

/// Something that is being made, until it is dropped
#[derive(Debug)]
pub struct Making {
    running: Arc<Running>,
    owner: Arc<str>,
}

/// An owner that has ended: nothing is made for it until this is dropped
#[derive(Debug)]
pub struct Ending {
    running: Arc<Running>,
    owner: Arc<str>,
}

impl Running {
    /// At most `limit` requests at a time for each owner
    pub fn new(limit: usize) -> Self {
        Self { limit, owners: Mutex::default(), made: Notify::new() }
    }

    /// One more request of an owner; `None` when as many run as may
    pub fn enter(self: &Arc<Self>, owner: &Arc<str>) -> Option<Place> {
        let mut owners = self.owners();
        let life = owners.life(owner);
        if life.running >= self.limit {
            return None;
        }
        life.running += 1;
        Some(Place { running: Arc::clone(self), owner: Arc::clone(owner) })
    }

    /// Something of an owner that is about to be made; `None` when the owner has ended
    ///
    /// One that somebody cleans up after is remembered until [`Running::watch`] says what there is.
    pub fn make(self: &Arc<Self>, owner: &Arc<str>, cleaned_up: bool) -> Option<Making> {
        let mut owners = self.owners();
        if owners.closed || owners.by_name.get(owner).is_some_and(|life| life.ending > 0) {
            return None;
        }
        let life = owners.life(owner);
        life.making += 1;
        life.made = Some(Instant::now());
        life.watched |= cleaned_up;
        Some(Making { running: Arc::clone(self), owner: Arc::clone(owner) })
    }

    /// Ends an owner: from now on nothing is made for it
    pub fn end(self: &Arc<Self>, owner: &Arc<str>) -> Ending {
        let mut owners = self.owners();
        let life = owners.life(owner);
        life.ending += 1;
        life.cut.cancel();
        drop(owners);
        Ending { running: Arc::clone(self), owner: Arc::clone(owner) }
    }

    /// Cancelled when the owner ends; never where nothing of it runs
    ///
    /// For what runs for as long as a client wants it to.
    pub fn cut(&self, owner: &str) -> CancellationToken {
        self.owners().by_name.get(owner).map(|life| life.cut.clone()).unwrap_or_default()
    }

    /// Ends every owner for good
    pub fn close(&self) {
        self.owners().closed = true;
    }

    /// Remembers these owners also while nothing of them runs, and no others but those for whom something is being made, or
    /// was made later than `looked`
    pub fn watch(&self, names: &BTreeSet<Arc<str>>, looked: Instant) {
        let mut owners = self.owners();
        for name in names {
            owners.life(name).watched = true;
        }
        owners.by_name.retain(|name, life| {
            life.watched &= names.contains(name) || life.making > 0 || life.made.is_some_and(|made| made >= looked);
            life.is_worth_keeping()
        });
    }

    /// How long no request of a watched owner has run; nothing while one runs
    pub fn quiet(&self, owner: &str) -> Duration {
        let owners = self.owners();
        let life = owners.by_name.get(owner).filter(|life| life.running == 0);
        life.map_or(Duration::ZERO, |life| life.quiet.elapsed())
    }

    /// Whether anything is known of an owner
    pub fn knows(&self, owner: &str) -> bool {
        self.owners().by_name.contains_key(owner)
    }

    /// The owners that are remembered and for whom something was made, or is being made
    pub fn makers(&self) -> BTreeSet<Arc<str>> {
        self.owners().by_name.iter().filter(|(_, life)| life.made.is_some()).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Whether a request of such an owner runs
    pub fn any(&self, owner: impl Fn(&str) -> bool) -> bool {
        self.owners().by_name.iter().any(|(name, life)| life.running > 0 && owner(name))
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        // Nothing panics while it is held, and a count is whole at any time.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owners {
    fn life(&mut self, owner: &Arc<str>) -> &mut Life {
        let new = || Life {
            running: 0,
            making: 0,
            ending: 0,
            watched: false,
            made: None,
            cut: CancellationToken::new(),
            quiet: Instant::now(),
        };
        self.by_name.entry(Arc::clone(owner)).or_insert_with(new)
    }

    /// One less of something
    fn less(&mut self, owner: &str, of: fn(&mut Life) -> &mut usize) {
        let Some(life) = self.by_name.get_mut(owner) else { return };
        let count = of(life);
        *count = count.saturating_sub(1);
        if !life.is_worth_keeping() {
            self.by_name.remove(owner);
        }
    }
}

impl Life {
    fn is_worth_keeping(&self) -> bool {
        self.watched || self.running + self.making + self.ending > 0
    }
}

impl Ending {
    /// Waits until nothing is being made that was begun before
    pub async fn settled(&self) {
        loop {
            // Made before the look, so that no wake-up between the two is missed.
            let woken = self.running.made.notified();
            if self.running.owners().by_name.get(&self.owner).is_none_or(|life| life.making == 0) {
                return;
            }
            woken.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut owners = self.running.owners();
        if let Some(life) = owners.by_name.get_mut(&self.owner) {
            life.quiet = Instant::now();
        }
        owners.less(&self.owner, |life| &mut life.running);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut owners = self.running.owners();
        if let Some(life) = owners.by_name.get_mut(&self.owner) {
            life.made = Some(Instant::now());
        }
        owners.less(&self.owner, |life| &mut life.making);
        drop(owners);
        self.running.made.notify_waiters();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut owners = self.running.owners();
        owners.less(&self.owner, |life| &mut life.ending);
        // What it begins from now on is not cut by this end.
        if let Some(life) = owners.by_name.get_mut(&self.owner).filter(|life| life.ending == 0) {
            life.cut = CancellationToken::new();
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
    fn an_owner_is_seen_while_a_request_of_it_runs() {
        let running = Arc::new(Running::new(2));
        let place = running.enter(&"one".into()).unwrap();
        assert!(running.any(|name| name == "one"));
        assert!(!running.any(|name| name == "other"));
        drop(place);
        assert!(!running.any(|name| name == "one"));
    }

    #[test]
    fn an_owner_of_whom_nothing_runs_is_forgotten() {
        let running = Arc::new(Running::new(2));
        for number in 0..1000 {
            let owner = number.to_string().into();
            let _both = (running.enter(&owner).unwrap(), running.enter(&owner).unwrap());
            assert!(running.enter(&owner).is_none());
            assert_eq!(running.owners().by_name.len(), 1);
        }
        assert!(running.owners().by_name.is_empty());
    }

    #[test]
    fn who_is_being_made_something_for_is_not_forgotten_by_a_look_that_did_not_see_it() {
        let running = Arc::new(Running::new(2));
        let making = running.make(&"one".into(), true).unwrap();
        running.watch(&BTreeSet::new(), Instant::now());
        drop(making);
        assert!(running.makers().contains("one"));
        running.watch(&BTreeSet::new(), later());
        assert!(running.makers().is_empty(), "a later look found nothing");
    }

    #[tokio::test]
    async fn an_ended_owner_makes_nothing_and_what_it_was_making_is_waited_for() {
        let running = Arc::new(Running::new(2));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let making = running.make(&one, false).unwrap();
        let ending = running.end(&one);
        assert!(running.make(&one, false).is_none() && running.make(&other, false).is_some());
        assert!(tokio::time::timeout(Duration::from_millis(20), ending.settled()).await.is_err());
        let (settled, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(60), ending.settled()), async {
            tokio::task::yield_now().await;
            drop(making);
        });
        settled.expect("the end of what was being made wakes who waits for it");
        drop(ending);
        assert!(running.make(&one, false).is_some(), "what is cleaned may begin anew");
        running.close();
        assert!(running.make(&one, false).is_none());
    }

    #[test]
    fn an_end_cuts_what_runs_and_not_what_begins_after_it() {
        let running = Arc::new(Running::new(3));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let _places = (running.enter(&one), running.enter(&other));
        let (cut, others) = (running.cut(&one), running.cut(&other));
        assert!(!cut.is_cancelled());
        let ending = running.end(&one);
        assert!(cut.is_cancelled() && running.cut(&one).is_cancelled() && !others.is_cancelled());
        drop(ending);
        assert!(cut.is_cancelled() && !running.cut(&one).is_cancelled());
    }

    #[test]
    fn a_running_request_is_life_and_only_a_watched_owner_is_remembered() {
        let running = Arc::new(Running::new(2));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let place = running.enter(&one).unwrap();
        running.watch(&[Arc::clone(&one), Arc::clone(&other)].into(), Instant::now());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(running.quiet("one"), Duration::ZERO);
        assert!(running.quiet("other") >= Duration::from_millis(5));
        drop(place);
        assert!(running.knows("one") && running.makers().is_empty());
        drop(running.make(&one, true).unwrap());
        assert_eq!(running.makers(), [Arc::clone(&one)].into(), "what was made is there still");
        let before = Instant::now();
        drop(running.make(&one, true).unwrap());
        running.watch(&BTreeSet::new(), before);
        assert!(running.knows("one"), "whoever looked before cannot have seen it");
        running.watch(&BTreeSet::new(), later());
        assert!(running.owners().by_name.is_empty());
    }

    /// A time after all that was: a clock may tell the same time twice
    fn later() -> Instant {
        let now = Instant::now();
        loop {
            match Instant::now() {
                later if later > now => return later,
                _ => std::hint::spin_loop(),
            }
        }
    }
}
