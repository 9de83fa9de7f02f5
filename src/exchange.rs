//! One request from head to last byte.
//!
//! Route, read, look up facts, judge, record, forward, stream, record the end: `Exchange::run` is that line. Whatever
//! stops it on the way becomes an answer of our own and a record.

mod answered;
mod asked;
mod body;
mod cgroups;
mod edit;
mod facts;
mod given;
mod grpc;
mod head;
mod images;
mod lines;
mod load;
mod look;
mod lower;
mod own;
mod paths;
mod pins;
mod quotas;
mod sending;
mod show;
mod sight;
mod unnamed;
mod who;

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::EXPECT;
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::asked::{ASKED_LABEL, Asked};
pub use self::body::Room;
use self::body::Whole;
pub use self::cgroups::Cgroups;
use self::facts::Found;
pub use self::given::OwnSocket;
use self::given::{Plan, Sockets};
pub use self::images::forget_gone_names;
use self::images::{Hold, Images};
pub use self::lines::unreadable;
use self::load::{BrokenOff, JudgeOfNames, Load};
use self::look::Look;
pub use self::own::OwnIds;
use self::paths::Pinning;
pub use self::paths::{Ours, unseen};
use self::pins::Pinned;
pub use self::pins::Pins;
use self::sending::{broke_off, in_time, send};
use self::sight::Sight;
use self::unnamed::unnamed;
pub use self::who::{Callers, Identity, Stranger};
use crate::answer::{self, Body, Refused, denial};
use crate::api::call::Call;
use crate::api::operation::{Answer, Operation};
use crate::api::request::BodyKind;
use crate::api::version::ApiVersion;
use crate::audit::record::{ObjectLine, verdict_word};
use crate::audit::{Audit, Recorded, new_id};
use crate::caller::{Caller, CallerMount};
use crate::config::Limits;
use crate::engine::{Engine, Link};
use crate::owner::Owner;
use crate::owner::images::Ledger;
use crate::policy::ask::What;
use crate::policy::judge::{Facts, Verdict, approve, refused, refused_unseen};
use crate::policy::modify::{LISTENER_LABEL, RECORD_LABEL};
use crate::policy::view::View;
use crate::policy::{Mode, Policy};
use crate::quota::turn::{Turn, Turns};
use crate::running::{Making, Place, Running};
use crate::shown::sought;
use crate::stream::{Counters, End, Rest, Upload};

/// What all exchanges of one listener share
#[derive(Debug)]
pub struct Gate {
    /// Listener's name
    pub name: Arc<str>,
    /// How its callers, and the owners of what they make, are known
    pub callers: Callers,
    /// Its policy, as last loaded
    pub policy: watch::Receiver<Arc<Policy>>,
    /// The engine
    pub engine: Arc<Engine>,
    /// The record
    pub audit: Arc<Audit>,
    /// Limits
    pub limits: Limits,
    /// The requests that run, of all listeners
    pub running: Arc<Running>,
    /// Whose turn it is to count and to make, of all listeners
    pub turns: Arc<Turns>,
    /// Cgroups of owners
    pub cgroups: Arc<Cgroups>,
    /// Room for large bodies, of all listeners
    pub room: Room,
    /// What no mount may give away
    pub ours: Arc<Ours>,
    /// Its socket, which its callers' containers get in the place of the engine's
    pub socket: OwnSocket,
    /// What its callers may give to their containers, where they run in none themselves
    pub gives: Arc<[CallerMount]>,
    /// Where host paths are pinned
    pub pins: Arc<Pins>,
    /// Ids that are known to be an owner's own, of all listeners
    pub own: Arc<OwnIds>,
    /// Who made and pulled which image names, of all listeners
    pub ledger: Arc<Ledger>,
    /// Tunnels, which outlive their connection's HTTP
    pub tunnels: TaskTracker,
}

/// Who calls, of all requests of one connection
#[derive(Debug)]
pub struct Who {
    /// The peer
    pub caller: Caller,
    /// Owner of what it makes
    pub owner: Owner,
}

/// Serves one request; never fails, as every failure is an answer
pub async fn exchange(
    gate: Arc<Gate>,
    link: Arc<Link>,
    identity: Arc<Identity>,
    request: Request<Incoming>,
) -> Response<Body> {
    let who = match identity.who(&gate).await {
        Ok(who) => who,
        Err(Stranger { who, refused }) => return Exchange::begin(gate, link, who, &request).refuse(&refused),
    };
    let mut exchange = Exchange::begin(gate, link, who, &request);
    match exchange.run(request).await {
        Ok(response) => response,
        Err(refused) => exchange.refuse(&refused),
    }
}

/// An operation that can be sent
struct Ready {
    recorded: Recorded,
    images: Option<Images>,
    hold: Hold,
    /// Volumes that must be there before
    volumes: Vec<String>,
    during: During,
    /// Whether the engine answers at once
    soon: bool,
}

/// What is kept until the engine has answered
///
/// Before that nobody can count what it makes, nor miss it at the owner's end, nor see its pins used.
struct During {
    turn: Option<Turn>,
    making: Option<Making>,
    pinned: Option<Pinned>,
}

impl During {
    fn matters(&self) -> bool {
        self.turn.is_some() || self.making.is_some() || self.pinned.is_some()
    }
}

/// What is known of one request so far
struct Exchange {
    gate: Arc<Gate>,
    link: Arc<Link>,
    policy: Arc<Policy>,
    who: Arc<Who>,
    id: String,
    begun: Instant,
    request: String,
    operation: &'static str,
    api_version: Option<String>,
    objects: Vec<ObjectLine>,
    verdict: Option<Verdict>,
    view: Option<View>,
    names: Vec<String>,
    bytes: Arc<Counters>,
    place: Option<Place>,
    end: Option<End>,
    /// Whether there is a line of it
    on_record: bool,
}

impl Exchange {
    fn begin<T>(gate: Arc<Gate>, link: Arc<Link>, who: Arc<Who>, request: &Request<T>) -> Self {
        let policy = Arc::clone(&gate.policy.borrow());
        let request = format!("{} {}", request.method(), request.uri().path());
        Self {
            gate,
            link,
            policy,
            who,
            id: new_id(),
            begun: Instant::now(),
            request,
            operation: "unknown",
            api_version: None,
            objects: Vec::new(),
            verdict: None,
            view: None,
            names: Vec::new(),
            bytes: Arc::default(),
            place: None,
            end: None,
            on_record: false,
        }
    }

    async fn run(&mut self, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
        let gate = Arc::clone(&self.gate);
        let upgrade = head::wants_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let rest = if parts.headers.contains_key(EXPECT) { Rest::Left } else { Rest::Read };
        let body = Upload::new(body, Arc::clone(&self.bytes), rest);

        let call = head::read(&parts, gate.limits.target_bytes)?;
        self.operation = call.route.endpoint.name;
        let version = call.version;
        self.api_version = version.as_ref().map(ToString::to_string);
        let (operation, upload, _room) = self.read(call, body).await?;
        let version = self.enter(version).await?;
        let Ready { recorded, images, mut hold, volumes, during, soon } = self.prepare(operation, version).await?;

        let broken_off = BrokenOff::default();
        let upload = match upload {
            None => answer::empty(),
            Some(upload) if self.judges_names(&recorded) => {
                let judge = self.judge_of_names(images.clone());
                hold = judge.hold();
                Load::new(upload, judge, &broken_off).boxed()
            }
            Some(upload) => upload.map_err(Into::into).boxed(),
        };
        hold.sent();
        let recorded = Arc::new(recorded);
        let (link, who) = (Arc::clone(&self.link), Arc::clone(&self.who));
        let patience = soon.then_some(gate.limits.engine_answer);
        let to_its_end = soon && during.matters();
        let sending = send(Arc::clone(&gate), link, who, Arc::clone(&recorded), volumes, version, upload);
        // Not within this future, of which every open connection has one, idle or not.
        let sending = Box::pin(async move { (sending.await, during).0 });
        let sent = match to_its_end {
            false => in_time(patience, sending).await,
            // Whatever becomes of the client.
            true => {
                let task = tokio::spawn(sending);
                in_time(patience, async { task.await.map_err(broke_off)? }).await
            }
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                let why = broken_off.take().unwrap_or(error);
                hold.lost(&why, images.as_ref()).await;
                return Err(why);
            }
        };

        let operation = recorded.approved().operation();
        if let Some(images) = &images {
            hold = hold.answered(response.status(), operation, images).await;
        }
        self.answer(response, upgrade, operation, images.map(|images| (images, hold))).await
    }

    /// Enters the request among those that run, and says which version of the API it is sent in
    ///
    /// Not before it was read whole: half a body holds up nobody but its own connection.
    async fn enter(&mut self, version: Option<ApiVersion>) -> Result<ApiVersion, Refused> {
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
    async fn prepare(&mut self, operation: Operation, version: ApiVersion) -> Result<Ready, Refused> {
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
        found.facts = Facts { given, has, most, ..found.facts };
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

    fn judges_names(&self, recorded: &Recorded) -> bool {
        matches!(recorded.approved().operation(), Operation::ImageLoad(_)) && self.policy.mode != Mode::Record
    }

    /// The images as this owner may see and change them; none where they are everybody's
    fn images(&self) -> Option<Images> {
        let judges = self.policy.isolate.is_some() && self.policy.mode != Mode::Record;
        judges.then(|| Images {
            engine: Arc::clone(&self.gate.engine),
            ledger: Arc::clone(&self.gate.ledger),
            policy: Arc::clone(&self.policy),
            owner: self.who.owner.clone(),
        })
    }

    fn judge_of_names(&self, images: Option<Images>) -> JudgeOfNames {
        let (policy, audit) = (Arc::clone(&self.policy), Arc::clone(&self.gate.audit));
        let (id, listener) = (self.id.clone(), Arc::clone(&self.gate.name));
        let (operation, most) = (self.operation, self.gate.limits.body_bytes);
        JudgeOfNames { policy, audit, id, listener, operation, most, images, claimed: Arc::default() }
    }

    /// What is somebody else's is answered like what is missing; on record it is refused
    fn deny(&mut self, verdict: Verdict, missing: Option<Refused>) -> Refused {
        let message = denial(&self.policy.name, &verdict);
        let only_foreign = verdict.refused().all(|(ask, _)| matches!(ask.what, What::Foreign(..)));
        self.verdict = Some(verdict);
        missing.filter(|_| only_foreign).unwrap_or(Refused::Denied(message))
    }

    /// Reads the operation; a stream is left for later, and a large body keeps its room
    async fn read(&self, call: Call, body: Upload) -> Result<(Operation, Option<Upload>, Whole), Refused> {
        if call.route.endpoint.body == BodyKind::Stream {
            return Ok((call.operation(&[])?, Some(body), Whole::default()));
        }
        let mut whole = body::read(body, &self.gate.limits, &self.gate.room).await?;
        Ok((call.operation(&std::mem::take(&mut whole.bytes))?, None, whole))
    }
}

/// Objects or host paths that one request may name: each is looked up, and a large body could name a million
const MOST_NAMED: usize = 500;
