//! One request from head to last byte.
//!
//! Route, read, look up facts, judge, record, forward, stream, record the end: `Exchange::run` is that line. Whatever
//! stops it on the way becomes an answer of our own and a record.

mod asked;
mod body;
mod cgroups;
mod edit;
mod facts;
mod given;
mod head;
mod images;
mod load;
mod look;
mod lower;
mod own;
mod paths;
mod pins;
mod quotas;
mod show;
mod sight;
mod unnamed;
mod who;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::asked::{ASKED_LABEL, Asked};
pub use self::body::Room;
use self::body::Whole;
pub use self::cgroups::Cgroups;
use self::facts::Found;
pub use self::given::OwnSocket;
use self::given::{Plan, Sockets};
pub use self::images::forget_gone_names;
use self::images::{Hold, Images, List};
use self::load::{BrokenOff, JudgeOfNames, Load};
use self::look::Look;
pub use self::own::OwnIds;
use self::paths::Pinning;
pub use self::paths::{Ours, unseen};
pub use self::pins::Pins;
use self::show::Shower;
use self::sight::Sight;
use self::unnamed::unnamed;
pub use self::who::{Callers, Identity, Stranger};
use crate::answer::{self, Body, Refused, denial};
use crate::api::call::Call;
use crate::api::operation::{Answer, Operation};
use crate::api::request::BodyKind;
use crate::api::version::ApiVersion;
use crate::audit::record::{ObjectLine, Opened, Outcome, ask_lines, change_lines, verdict_word};
use crate::audit::{Audit, Recorded, new_id};
use crate::caller::{Caller, CallerMount};
use crate::config::Limits;
use crate::engine::{Engine, EngineError, Link};
use crate::owner::Owner;
use crate::owner::images::Ledger;
use crate::policy::ask::What;
use crate::policy::judge::{Decision, Facts, Verdict, approve, refused, refused_unseen};
use crate::policy::modify::{LISTENER_LABEL, RECORD_LABEL};
use crate::policy::view::View;
use crate::policy::{Mode, Policy};
use crate::quota::turn::Turns;
use crate::running::{Making, Place, Running};
use crate::shown::sought;
use crate::shown::strip::stripped;
use crate::stream::{Counters, Download, End, Rest, Upload, one_way, open, tunnel};

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
    fn begin(gate: Arc<Gate>, link: Arc<Link>, who: Arc<Who>, request: &Request<Incoming>) -> Self {
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
        // Not before: half a body holds up nobody but its own connection.
        let limit = gate.limits.requests_per_owner;
        self.place = Some(gate.running.enter(self.who.owner.name()).ok_or(Refused::TooMany { limit })?);
        let version = match version {
            Some(version) => version,
            None => gate.engine.version().await?,
        };
        self.api_version = Some(version.to_string());

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
        let mut hold = match &images {
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
        if cleaned_up {
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
        // Until the engine has answered nobody can count what it makes, nor miss it at the owner's end, nor see its pins used.
        let to_its_end = soon && (turn.is_some() || making.is_some() || pinned.is_some());
        let sending = send(Arc::clone(&gate), link, who, Arc::clone(&recorded), volumes, version, upload);
        // Not within this future, of which every open connection has one, idle or not.
        let sending = Box::pin(async move { (sending.await, turn, making, pinned).0 });
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

    /// Turns the engine's answer into ours; its last byte ends the exchange
    async fn answer(
        &mut self,
        mut response: Response<Incoming>,
        client: Option<OnUpgrade>,
        operation: &Operation,
        images: Option<(Images, Hold)>,
    ) -> Result<Response<Body>, Refused> {
        let idle = self.gate.limits.idle;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !operation.upgrades() {
                return Err(EngineError::Broken("it left HTTP where it may not".to_owned()).into());
            }
            let engine = hyper::upgrade::on(&mut response);
            let (parts, _) = response.into_parts();
            let mut ours = Response::new(answer::empty());
            *ours.headers_mut() = lower::headers(parts.headers);
            let Some(client) = client else {
                let engine = open(engine).await.map_err(|error| EngineError::Broken(error.to_string()))?;
                *ours.body_mut() = one_way(engine, self.ending(ours.status())?);
                return Ok(ours);
            };
            *ours.status_mut() = status;
            ours.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            ours.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
            let end = self.ending(status)?;
            self.gate.tunnels.spawn(tunnel(client, engine, end, idle));
            return Ok(ours);
        }
        let (mut parts, body) = response.into_parts();
        parts.headers = lower::headers(parts.headers);
        if let Some(edit) = edit::of(operation, &self.policy).filter(|_| status == StatusCode::OK) {
            let body = Limited::new(body, self.gate.limits.body_bytes).collect().await;
            let body = body.map_err(|error| EngineError::Broken(error.to_string()))?.to_bytes();
            let body = edit::apply(edit, &body).unwrap_or(body);
            // What was put back is the client's own; the rest has the engine's names.
            let body = self.view.as_ref().map_or(body.clone(), |view| stripped(view.suffix(), &body).into());
            parts.headers.remove(CONTENT_LENGTH);
            let mut end = self.ending(status)?;
            end.counters().to_client.fetch_add(body.len() as u64, Ordering::Relaxed);
            end.outcome(Outcome::Complete);
            return Ok(Response::from_parts(parts, Full::new(body).map_err(|never| match never {}).boxed()));
        }
        if let Some((images, hold)) = images.filter(|(_, hold)| status.is_success() && Images::follows(operation, hold))
        {
            let body = match hold {
                Hold::Nothing => {
                    parts.headers.remove(CONTENT_LENGTH);
                    if images.hides() { List::new(body, images).boxed() } else { body.map_err(Into::into).boxed() }
                }
                hold => hold.follow(body, images),
            };
            return Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).boxed()));
        }
        if let Some(view) = &self.view {
            let shower = Shower {
                engine: &self.gate.engine,
                own: Arc::clone(&self.gate.own),
                who: Arc::clone(&self.who),
                policy: Arc::clone(&self.policy),
                view,
                names: &self.names,
                most: self.gate.limits.body_bytes,
            };
            let (parts, body) = shower.show(Response::from_parts(parts, body), operation).await?.into_parts();
            return Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).boxed()));
        }
        Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).map_err(Into::into).boxed()))
    }

    /// Hands over the end of the record, once nothing can fail any more before the answer
    fn ending(&mut self, status: StatusCode) -> Result<End, Refused> {
        let mut end = self.end.take().ok_or(Refused::Unrecorded)?;
        end.answered(status.as_u16());
        Ok(end)
    }

    /// Answers a refusal and records it; a refusal that cannot be recorded is still one
    fn refuse(&mut self, refused: &Refused) -> Response<Body> {
        self.on_record = true;
        let status = refused.status();
        let message = refused.message(&self.id);
        match self.end.take() {
            // Recorded already: only the end is missing.
            Some(mut end) => {
                end.answered(status.as_u16());
                end.outcome(if matches!(refused, Refused::Engine(_)) {
                    Outcome::EngineFailed
                } else {
                    Outcome::Refused
                });
            }
            None => {
                let denied = matches!(refused, Refused::Denied(_) | Refused::Ended { .. } | Refused::Unidentified(_))
                    || self.policy.mode == Mode::Enforce
                        && self.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Deny);
                let word = if denied { "deny" } else { "error" };
                if let Err(error) = self.gate.audit.refused(&self.opened(word, Some(status), Some(&message))) {
                    tracing::error!(%error, id = self.id, "a refusal could not be recorded");
                }
            }
        }
        tracing::info!(id = self.id, operation = self.operation, status = status.as_u16(), reason = message, "refused");
        let response = answer::error(status, &message);
        // The rest of a body that was not read is no next request, nor is what follows a head with two readings.
        match refused {
            Refused::Header(_)
            | Refused::TooLarge { .. }
            | Refused::NoRoom
            | Refused::TooSlow(_)
            | Refused::BodyBroken => answer::and_close(response),
            _ => response,
        }
    }

    fn opened<'a>(&'a self, verdict: &'static str, status: Option<StatusCode>, message: Option<&'a str>) -> Opened<'a> {
        let judged = self.verdict.as_ref();
        let images = judged.iter().flat_map(|verdict| &verdict.asks).filter_map(|judged| match &judged.ask.what {
            What::Image(image) => Some(image.to_string()),
            _ => None,
        });
        Opened {
            time: Timestamp::now(),
            event: "request",
            id: &self.id,
            listener: &self.gate.name,
            caller: &self.who.caller,
            owner: self.who.owner.name(),
            policy: &self.policy.name,
            operation: self.operation,
            request: &self.request,
            api_version: self.api_version.clone(),
            objects: self.objects.clone(),
            images: images.collect(),
            verdict,
            asks: judged.map(|verdict| ask_lines(&verdict.asks)).unwrap_or_default(),
            changes: judged.map(change_lines).unwrap_or_default(),
            status: status.map(|status| status.as_u16()),
            message,
        }
    }

    /// The end keeps the place among the running until it is recorded
    fn end_line(&mut self, making: Option<Making>) -> End {
        let Self { gate, id, operation, begun, bytes, place, .. } = self;
        let (audit, name) = (Arc::clone(&gate.audit), Arc::clone(&gate.name));
        End::new(audit, id.clone(), name, operation, *begun, Arc::clone(bytes), (place.take(), making))
    }
}

/// A client that goes while something is looked up, or while others of its owner are counted, leaves a line as well
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.on_record {
            return;
        }
        let line = self.opened("error", None, Some("the client went before its request was judged"));
        if let Err(error) = self.gate.audit.refused(&line) {
            tracing::error!(%error, id = self.id, "a call that was given up could not be recorded");
        }
    }
}

/// Objects or host paths that one request may name: each is looked up, and a large body could name a million
const MOST_NAMED: usize = 500;

/// Sends what was recorded, after the volumes that it needs were made
async fn send(
    gate: Arc<Gate>,
    link: Arc<Link>,
    who: Arc<Who>,
    recorded: Arc<Recorded>,
    volumes: Vec<String>,
    version: ApiVersion,
    upload: Body,
) -> Result<Response<Incoming>, Refused> {
    for volume in &volumes {
        make_volume(&gate, &who.owner, &recorded, volume).await?;
    }
    Ok(gate.engine.send(&link, &recorded, version, upload).await?)
}

fn broke_off(error: impl ToString) -> Refused {
    EngineError::Broken(error.to_string()).into()
}

/// What comes within `patience`, where there is one
async fn in_time<T>(
    patience: Option<Duration>,
    answer: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    match patience {
        Some(patience) => timeout(patience, answer).await.map_err(|_| EngineError::Slow(patience))?,
        None => answer.await,
    }
}

/// Makes a volume that a container is about to mount, so that it carries its owner from the start
async fn make_volume(gate: &Gate, owner: &Owner, recorded: &Recorded, name: &str) -> Result<(), Refused> {
    let (status, body) = gate.engine.make_volume(recorded, name, owner.name()).await?;
    let made: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let its_owner =
        made.as_ref().and_then(|made| made.pointer("/Labels/sockwarden.owner")).and_then(|owner| owner.as_str());
    // Somebody may have made it in between: an existing volume comes back with its own labels.
    match status.is_success() {
        true if its_owner == Some(&**owner.name()) => Ok(()),
        true => Err(Refused::Denied(format!("volume {name} of another owner is refused: use another name"))),
        false => Err(EngineError::Broken(String::from_utf8_lossy(&body).into_owned()).into()),
    }
}

/// Records what came on a connection and was no request, and returns the answer where hyper has sent none
///
/// `begun` says whether a part of a head was read. A connection that ends between two requests is nobody's call.
pub fn unreadable(gate: &Gate, who: &Who, error: &hyper::Error, begun: bool) -> Option<Vec<u8>> {
    let (refused, answered) = match error {
        error if error.is_parse_version_h2() => (Refused::Http2, false),
        error if error.is_parse_too_large() => (Refused::HeadTooLarge, true),
        error if error.is_parse() => (Refused::NoHttp(error.to_string()), true),
        error if error.is_timeout() && begun => (Refused::HeadTooSlow(gate.limits.head_time), false),
        error if error.is_incomplete_message() && begun => (Refused::HeadBroken, false),
        error => {
            tracing::debug!(%error, listener = &*gate.name, "connection ended");
            return None;
        }
    };
    let id = new_id();
    let (status, message) = (refused.status(), refused.message(&id));
    let policy = Arc::clone(&gate.policy.borrow());
    let line = Opened {
        time: Timestamp::now(),
        event: "request",
        id: &id,
        listener: &gate.name,
        caller: &who.caller,
        owner: who.owner.name(),
        policy: &policy.name,
        operation: "unknown",
        request: "",
        api_version: None,
        objects: Vec::new(),
        images: Vec::new(),
        verdict: "error",
        asks: Vec::new(),
        changes: Vec::new(),
        status: Some(status.as_u16()),
        message: Some(&message),
    };
    if let Err(error) = gate.audit.refused(&line) {
        tracing::error!(%error, "a refusal could not be recorded");
    }
    (!answered).then(|| answer::last_words(status, &message))
}
