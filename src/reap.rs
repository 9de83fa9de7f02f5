//! Nothing left behind: what an owner made is removed when the owner ends.
//!
//! What there is, and whose, is asked of the engine every time, by the labels that everything was made with; so a crash
//! or a restart of either side changes nothing. The engine's events only make it fast. An owner may have made things
//! through several listeners; each listener's policy speaks for what was made through it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::cleanup::Why;
use crate::audit::{Audit, new_id};
use crate::engine::{Engine, EngineError};
use crate::owner::Owner;
use crate::owner::images::Ledger;
use crate::policy::Policy;
use crate::policy::cleaning::{CleanUp, Cleaning, Keep};
use crate::reap::clean::{Cleaned, Cleaner, Order};
use crate::reap::ends::End;
use crate::reap::inventory::{Scope, owners};
use crate::reap::life::Life;
use crate::running::Running;

pub mod clean;
pub mod ends;
pub mod hand;
pub mod inventory;
pub mod life;

/// A listener whose owners are looked after
#[derive(Debug)]
pub struct Site {
    /// Its name
    pub listener: Arc<str>,
    /// The one owner of all that is made through it, where there is only one
    pub owner: Option<Arc<str>>,
    /// Its policy, as last loaded
    pub policy: watch::Receiver<Arc<Policy>>,
}

/// Looks after the owners of all listeners
#[derive(Debug)]
pub struct Reaper {
    cleaner: Cleaner,
    running: Arc<Running>,
    /// Whose image names nobody's are when the owner has ended
    ledger: Arc<Ledger>,
    sites: Vec<Site>,
    /// Told after each cleaning, for what is taken away after containers
    cleaned: Arc<Notify>,
    /// What was made under an earlier record is of an earlier run
    begun: u64,
}

/// One owner at one listener
type Key = (usize, Arc<str>);

/// What is remembered between two looks; nothing of it is needed to find what is to be cleaned
#[derive(Default)]
struct Memory {
    /// Cleanings that run
    busy: BTreeSet<Key>,
    /// Cleanings that left something, and when the next one is due
    failed: HashMap<Key, (Instant, Duration)>,
    /// With what status callers ended
    statuses: HashMap<Arc<str>, i64>,
    /// Owners named after a label that no container carries, and since when that is known
    missing: HashMap<Key, Instant>,
    /// Listeners of which an earlier run has left nothing
    swept: BTreeSet<usize>,
}

impl Reaper {
    /// Looks after what is made through listeners that do not serve yet; `cleaned` is told after each cleaning
    pub fn new(
        engine: Arc<Engine>,
        audit: Arc<Audit>,
        running: Arc<Running>,
        ledger: Arc<Ledger>,
        cleaned: Arc<Notify>,
    ) -> Self {
        let begun = u64::from_str_radix(&new_id(), 16).unwrap_or(0);
        Self { cleaner: Cleaner { engine, audit }, running, ledger, sites: Vec::new(), cleaned, begun }
    }

    /// Looks after one more listener
    pub fn add(&mut self, site: Site) {
        self.sites.push(site);
    }

    /// Cleans up after every owner that ends, until this is dropped or `ending` turns true; what has begun is finished
    pub async fn run(self: Arc<Self>, mut ending: watch::Receiver<bool>) {
        let (sender, mut ends) = mpsc::channel(ENDS);
        let wanted = {
            let reaper = Arc::clone(&self);
            move || reaper.sites.iter().any(|site| site.cleaning().when == CleanUp::WhenCallerEnds)
        };
        let listening = tokio::spawn(ends::listen(Arc::clone(&self.cleaner.engine), sender, wanted));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut memory, mut cleanings) = (Memory::default(), JoinSet::new());
        loop {
            let step = async {
                tokio::select! {
                    Some(done) = cleanings.join_next() => {
                        memory.done(done);
                        Ok(())
                    }
                    _ = look.tick() => self.sweep(&mut memory, &mut cleanings).await,
                    Some(end) = ends.recv() => match end {
                        End::Listening => self.sweep(&mut memory, &mut cleanings).await,
                        End::Of { container, status } => {
                            self.ended(container.into(), status, &mut memory, &mut cleanings).await
                        }
                    },
                }
            };
            let looked = tokio::select! {
                () = turned_true(&mut ending) => break,
                looked = step => looked,
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "owners that ended are not looked for");
            }
        }
        listening.abort();
        while cleanings.join_next().await.is_some() {}
    }

    /// Cleans up after the owners of every listener that ends with sockwarden; from now on nothing is made any more
    ///
    /// Another sockwarden on this engine may have a listener of the same name: of many owners only those go that this
    /// one has made something for.
    pub async fn finish(&self, why: Why) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let last = |site: &&Site| site.cleaning().when == CleanUp::WhenSockwardenEnds;
        for site in self.sites.iter().filter(last) {
            self.running.close();
            // What is being made shows in no list yet.
            let mut names = self.running.makers();
            names.extend(site.owner.clone());
            let (mut names, mut cleanings) = (names.into_iter(), JoinSet::new());
            loop {
                while let Some(owner) = (cleanings.len() < MOST).then(|| names.next()).flatten() {
                    cleanings.spawn(self.cleaning(site, &owner, why, None));
                }
                let Some(done) = cleanings.join_next().await else { break };
                match done {
                    Ok(Ok(done)) => cleaned.add(done),
                    Ok(Err(error)) => tracing::error!(%error, "cannot clean up"),
                    Err(error) => tracing::error!(%error, "a cleaning broke off"),
                }
            }
        }
        cleaned
    }

    /// Looks at every owner that has something
    async fn sweep(&self, memory: &mut Memory, cleanings: &mut Cleanings) -> Result<(), EngineError> {
        let (mut present, begun) = (BTreeSet::new(), Instant::now());
        for (index, site) in self.sites.iter().enumerate().filter(|(_, site)| site.cleaning().is_on()) {
            for owner in owners(&self.cleaner.engine, Some(&site.listener)).await?.into_keys() {
                present.insert((index, Arc::from(owner)));
            }
        }
        self.running.watch(&present.iter().map(|(_, owner)| Arc::clone(owner)).collect(), begun);
        memory.keep(&present);
        for key in present {
            self.look_at(key, memory, cleanings).await?;
        }
        Ok(())
    }

    /// Looks at a container that is said to have ended
    async fn ended(
        &self,
        container: Arc<str>,
        status: Option<i64>,
        memory: &mut Memory,
        cleanings: &mut Cleanings,
    ) -> Result<(), EngineError> {
        // Most containers never called.
        if !self.running.knows(&container) {
            return Ok(());
        }
        if let Some(status) = status {
            memory.statuses.insert(Arc::clone(&container), status);
        }
        let of_callers = |site: &Site| site.cleaning().when == CleanUp::WhenCallerEnds;
        for index in self.sites.iter().enumerate().filter(|(_, site)| of_callers(site)).map(|(index, _)| index) {
            self.look_at((index, Arc::clone(&container)), memory, cleanings).await?;
        }
        Ok(())
    }

    /// Cleans up after an owner if it has ended
    async fn look_at(&self, key: Key, memory: &mut Memory, cleanings: &mut Cleanings) -> Result<(), EngineError> {
        let Some(site) = self.sites.get(key.0) else { return Ok(()) };
        let later = memory.failed.get(&key).is_some_and(|(due, _)| Instant::now() < *due);
        if later || memory.busy.contains(&key) || cleanings.len() >= MOST {
            return Ok(());
        }
        if let Some(why) = self.why(site, &key, memory).await? {
            memory.busy.insert(key.clone());
            let before = (why == Why::SockwardenEnds).then_some(self.begun);
            let cleaning = self.cleaning(site, &key.1, why, before);
            let cleaned = Arc::clone(&self.cleaned);
            cleanings.spawn(async move {
                let done = cleaning.await;
                cleaned.notify_one();
                (key, done)
            });
        }
        Ok(())
    }

    /// Why an owner is cleaned up after now, if it is
    async fn why(&self, site: &Site, key: &Key, memory: &mut Memory) -> Result<Option<Why>, EngineError> {
        let (cleaning, owner) = (site.cleaning(), &key.1);
        if cleaning.lease.is_some_and(|lease| self.running.quiet(owner) >= lease) {
            return Ok(Some(Why::LeaseEnded));
        }
        if cleaning.when == CleanUp::WhenSockwardenEnds {
            // What an earlier run had no time to remove.
            let left = site.is_of(owner) && !memory.swept.contains(&key.0);
            return Ok(left.then_some(Why::SockwardenEnds));
        }
        let status = match life::of(&self.cleaner.engine, owner).await? {
            Life::Lives => {
                memory.missing.remove(key);
                return Ok(None);
            }
            Life::Gone if !life::is_container(owner) && !memory.is_missing_for_long(key) => return Ok(None),
            Life::Gone => memory.statuses.get(owner).copied(),
            Life::Ended { status } => Some(status),
        };
        let stays = cleaning.keep == Keep::OnFailure && status.is_some_and(|status| status != 0);
        Ok((!stays).then_some(Why::CallerEnded))
    }

    /// Ends an owner and removes what it made through a listener; `before` leaves the owner and what this run made alone
    fn cleaning(
        &self,
        site: &Site,
        owner: &Arc<str>,
        why: Why,
        before: Option<u64>,
    ) -> impl Future<Output = Result<Cleaned, EngineError>> + Send + use<> {
        let Cleaning { grace, images, .. } = site.cleaning();
        let (owner, listener) = (Arc::clone(owner), Some(site.listener.to_string()));
        let scope = Scope { owner: owner.to_string(), listener, before, images };
        let ending = before.is_none().then(|| self.running.end(&owner));
        let (cleaner, ledger) = (self.cleaner.clone(), Arc::clone(&self.ledger));
        async move {
            let cleaned = cleaner.clean(&Order { scope, why, grace }, ending.as_ref()).await?;
            if ending.is_some() {
                ledger.forget(&Owner::new(&owner));
            }
            let Cleaned { removed, stays, doubtful } = &cleaned;
            if !removed.is_empty() || !stays.is_empty() {
                let (removed, stays) = (removed.len(), stays.len());
                tracing::info!(owner = &*owner, removed, stays, "cleaned up");
            }
            for container in doubtful {
                tracing::warn!(container = container.id, "left alone: its labels may be its image's");
            }
            Ok(cleaned)
        }
    }
}

impl Site {
    /// Whether this is the one owner of all that is made through it
    fn is_of(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }

    fn cleaning(&self) -> Cleaning {
        self.policy.borrow().cleaning
    }
}

/// Cleanings that run
type Cleanings = JoinSet<(Key, Result<Cleaned, EngineError>)>;

impl Memory {
    /// Remembers how a cleaning ended, to try again later and later
    fn done(&mut self, done: Result<(Key, Result<Cleaned, EngineError>), tokio::task::JoinError>) {
        let (key, done) = match done {
            Ok(done) => done,
            Err(error) => return tracing::error!(%error, "a cleaning broke off"),
        };
        self.busy.remove(&key);
        if let Err(error) = &done {
            tracing::warn!(%error, owner = &*key.1, "cannot clean up");
        }
        if done.is_ok_and(|cleaned| cleaned.is_whole()) {
            self.failed.remove(&key);
            self.swept.insert(key.0);
        } else {
            let wait = self.failed.get(&key).map_or(LOOK, |(_, wait)| (*wait * 2).min(LONGEST));
            self.failed.insert(key, (Instant::now() + wait, wait));
        }
    }

    /// Forgets owners that have nothing any more
    fn keep(&mut self, present: &BTreeSet<Key>) {
        let owners: BTreeSet<&Arc<str>> = present.iter().map(|(_, owner)| owner).collect();
        self.failed.retain(|key, _| present.contains(key));
        self.missing.retain(|key, _| present.contains(key));
        self.statuses.retain(|owner, _| owners.contains(owner));
    }

    /// Whether no container has carried an owner's label for longer than a job may be without one between two steps
    ///
    /// How many looks there were does not tell: when listening begins anew, two may follow one another at once.
    fn is_missing_for_long(&mut self, key: &Key) -> bool {
        self.missing.entry(key.clone()).or_insert_with(Instant::now).elapsed() >= BETWEEN_STEPS
    }
}

async fn turned_true(flag: &mut watch::Receiver<bool>) {
    // An error is that nobody can turn it any more.
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Time between two looks at every owner, so that a missed event changes nothing
const LOOK: Duration = Duration::from_secs(10);
/// Longest moment without a container that is not a job's end; less than between two looks, so that the second one counts
const BETWEEN_STEPS: Duration = Duration::from_secs(5);
/// Longest time between two attempts to remove what stays
const LONGEST: Duration = Duration::from_secs(600);
/// Cleanings at a time
const MOST: usize = 16;
/// Ends that wait to be looked at
const ENDS: usize = 256;
