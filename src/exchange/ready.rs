//! From an operation that was read to one that may be sent: counted in, looked up, judged, and recorded.

use std::sync::Arc;

use crate::answer::Refused;
use crate::api::operation::{Answer, Operation};
use crate::api::version::ApiVersion;
use crate::audit::Recorded;
use crate::audit::record::verdict_word;
use crate::exchange::asked::{ASKED_LABEL, Asked};
use crate::exchange::facts::{self, Found};
use crate::exchange::given::{Plan, Sockets};
use crate::exchange::images::{Hold, Images};
use crate::exchange::look::Look;
use crate::exchange::paths::{self, Pinning};
use crate::exchange::pins::Pinned;
use crate::exchange::sight::Sight;
use crate::exchange::unnamed::unnamed;
use crate::exchange::{Exchange, quotas};
use crate::policy::Mode;
use crate::policy::judge::{Facts, approve, refused, refused_unseen};
use crate::policy::modify::{LISTENER_LABEL, RECORD_LABEL};
use crate::quota::turn::Turn;
use crate::running::Making;
use crate::shown::sought;

/// An operation that can be sent
pub(super) struct Ready {
    pub(super) recorded: Recorded,
    pub(super) images: Option<Images>,
    pub(super) hold: Hold,
    /// Volumes that must be there before
    pub(super) volumes: Vec<String>,
    pub(super) during: During,
    /// Whether the engine answers at once
    pub(super) soon: bool,
}

/// What is kept until the engine has answered
///
/// Before that nobody can count what it makes, nor miss it at the owner's end, nor see its pins used.
pub(super) struct During {
    turn: Option<Turn>,
    making: Option<Making>,
    pinned: Option<Pinned>,
}

impl During {
    pub(super) fn matters(&self) -> bool {
        self.turn.is_some() || self.making.is_some() || self.pinned.is_some()
    }
}

impl Exchange {
    /// Enters the request among those that run, and says which version of the API it is sent in
    ///
    /// Not before it was read whole: half a body holds up nobody but its own connection.
    pub(super) async fn enter(&mut self, version: Option<ApiVersion>) -> Result<ApiVersion, Refused> {
        let gate = &self.gate;
        let limit = gate.limits.requests_per_owner;
        self.place = Some(gate.running.enter(self.who.owner.name()).ok_or(Refused::TooMany { limit })?);
        let version = match version {
            Some(version) => version,
            None => gate.engine.version().await?,
        };
        self.api_version = Some(version.to_string());
        Ok(version)
    }

    /// Looks up, judges and records an operation that was read: what comes of it can be sent
    pub(super) async fn prepare(&mut self, operation: Operation, version: ApiVersion) -> Result<Ready, Refused> {
        let gate = Arc::clone(&self.gate);
        self.objects = facts::named(&operation);
        let sockets = Sockets { own: &gate.socket, engine: &gate.ours.engine };
        let plan = Plan::of(&self.policy, &operation, &self.who.caller, version, &sockets);
        let by_name = plan.facts(&self.policy, &self.who.caller);
        if let Some(verdict) = refused_unseen(&self.policy, &operation, &by_name) {
            return Err(self.deny(verdict, None));
        }
        let named = self.objects.len().max(operation.host_paths().len());
        if named > MOST_NAMED && self.policy.mode != Mode::Record {
            return Err(Refused::Crowded { limit: MOST_NAMED });
        }
        let sight = Sight { who: &self.who, policy: &self.policy };
        let view = sight.view(&unnamed(&self.id));
        self.view.clone_from(&view);
        self.names = sought(&operation);
        let mut found = match self.policy.mode {
            Mode::Record => Found::of(&self.who.owner),
            Mode::Enforce | Mode::Warn => {
                let look = Look { engine: &gate.engine, sight, view: view.as_ref(), own: &gate.own };
                facts::gather(look, &operation).await?
            }
        };
        let images = self.images();
        let hold = match &images {
            Some(images) => images.look(&operation, &mut found).await?,
            None => Hold::Nothing,
        };
        if !found.objects.is_empty() {
            self.objects = std::mem::take(&mut found.objects);
        }
        let Facts { given, has, most, .. } = by_name;
        found.facts = Facts { given, has, most, cache: sight.cache(), ..found.facts };
        let asked = Asked::of(&operation);
        // Safe from a sweep until the engine has answered.
        let mut pinned = None;
        // Where no line grants a path, its name is refused already.
        let operation = match self.policy.mounts.allow.is_empty() && plan.is_empty() {
            true => operation,
            false => {
                let pinning = Pinning::of(&self.policy, &self.who.caller);
                let followed = paths::follow(&gate.ours, &gate.engine, operation, plan, pinning).await?;
                (found.facts.paths, found.facts.given) = (followed.facts, followed.given);
                if let Some(verdict) = refused(&self.policy, &followed.operation, &found.facts) {
                    return Err(self.deny(verdict, found.missing));
                }
                // Nothing is mounted for a call that goes no further.
                if !followed.resolved.is_empty() && found.missing.is_none() {
                    let made = pinned.insert(gate.pins.make(followed.resolved).await?);
                    found.facts.pinned = std::mem::take(&mut made.paths);
                }
                followed.operation
            }
        };

        if let Some(asked) = asked {
            let is_given = !found.facts.given.is_empty() || !found.facts.pinned.is_empty();
            let kept = asked.label(&operation.host_paths(), is_given)?;
            found.facts.stamp.insert(ASKED_LABEL.to_owned(), kept);
        }
        let mut turn = None;
        if found.missing.is_none() && quotas::concern(&self.policy, &operation) {
            if let Some(verdict) = refused(&self.policy, &operation, &found.facts) {
                return Err(self.deny(verdict, None));
            }
            turn = quotas::gather(&gate, &self.policy.quota, &operation, &self.who.owner, &mut found).await?;
        }

        let cleaned_up = self.policy.cleaning.is_on();
        if cleaned_up || self.policy.isolate.is_some() {
            // Tells what was made here from what an image of the same owner only brings along.
            let (listener, record) = (self.gate.name.to_string(), self.id.clone());
            found.facts.stamp.extend([(LISTENER_LABEL.to_owned(), listener), (RECORD_LABEL.to_owned(), record)]);
        }
        found.facts.minor = version.minor();
        if matches!(operation, Operation::BridgeSolve(_)) {
            self.facts.clone_from(&found.facts);
        }
        let (verdict, approved) = approve(&self.policy, operation, &found.facts);
        let word = verdict_word(verdict.decision, true);
        let Some(approved) = approved else { return Err(self.deny(verdict, found.missing)) };
        self.verdict = Some(verdict);
        if let Some(missing) = found.missing {
            return Err(missing);
        }

        hold.write_down(&gate.ledger).await?;
        let soon = approved.operation().endpoint().answer == Answer::Whole;
        let mut making = match approved.operation().makes() {
            true => Some(self.make(cleaned_up)?),
            false => None,
        };
        let recorded = gate.audit.record(&self.opened(word, None, None), approved).map_err(|error| {
            tracing::error!(%error, "the record cannot be written");
            Refused::Unrecorded
        })?;
        self.on_record = true;
        // What takes its time is made with the last byte of its answer.
        let slowly = making.take_if(|_| !soon);
        self.end = Some(self.end_line(slowly));

        let makes_volumes = self.policy.isolate.is_some() || self.policy.quota.counts_volumes();
        let volumes = if makes_volumes { std::mem::take(&mut found.new_volumes) } else { Vec::new() };
        Ok(Ready { recorded, images, hold, volumes, during: During { turn, making, pinned }, soon })
    }

    /// Says that something is about to be made; refused when the owner has ended
    fn make(&self, cleaned_up: bool) -> Result<Making, Refused> {
        let owner = self.who.owner.name();
        let ended = || Refused::Ended { owner: owner.to_string() };
        self.gate.running.make(owner, cleaned_up).ok_or_else(ended)
    }
}

/// Objects or host paths that one request may name: each is looked up, and a large body could name a million
const MOST_NAMED: usize = 500;
