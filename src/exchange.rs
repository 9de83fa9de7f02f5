//! One request from head to last byte.
//!
//! Route, read, look up facts, judge, record, forward, stream, record the end: `Exchange::run` is that line. Whatever
//! stops it on the way becomes an answer of our own and a record.

mod answered;
mod archive;
mod asked;
mod body;
mod cgroups;
mod context;
mod edit;
mod facts;
mod finding;
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
mod pull;
mod quotas;
mod ready;
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

use self::archive::{Archive, BrokenOff};
pub use self::body::Room;
use self::body::Whole;
pub use self::cgroups::Cgroups;
pub use self::given::OwnSocket;
pub use self::grpc::{Messages, only_message, speak_http2};
use self::images::Images;
pub use self::images::forget_gone_names;
pub use self::lines::unreadable;
use self::load::{JudgeOfNames, Load};
pub use self::own::OwnIds;
pub use self::paths::{Ours, unseen};
pub use self::pins::Pins;
use self::ready::Ready;
use self::sending::{broke_off, in_time, send};
pub use self::who::{Callers, Identity, Stranger};
use crate::answer::{self, Body, Refused, denial};
use crate::api::call::Call;
use crate::api::operation::Operation;
use crate::api::request::BodyKind;
use crate::audit::record::ObjectLine;
use crate::audit::{Audit, Recorded, new_id};
use crate::caller::{Caller, CallerMount};
use crate::config::Limits;
use crate::engine::{Engine, Link};
use crate::owner::Owner;
use crate::owner::images::Ledger;
use crate::policy::judge::{Facts, Verdict};
use crate::policy::view::View;
use crate::policy::{Mode, Policy};
use crate::quota::turn::Turns;
use crate::running::{Place, Running};
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
    /// Whether sockwarden ends
    pub ending: watch::Receiver<bool>,
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
    /// What an answer is judged by that holds steps
    facts: Facts,
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
            facts: Facts::default(),
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
        let puller = self.puller(&operation, version);
        let Ready { recorded, images, mut hold, volumes, during, soon } = self.prepare(operation, version).await?;

        let broken_off = BrokenOff::default();
        let upload = match upload {
            None => answer::empty(),
            Some(upload) if self.judges_names(&recorded) => {
                let judge = self.judge_of_names(images.clone());
                hold = judge.hold();
                Archive::new(upload, Load::new(judge), &broken_off).boxed()
            }
            Some(upload) => match self.judged_context(&recorded, puller, images.clone(), &mut hold)? {
                Some(context) => Archive::new(upload, context, &broken_off).boxed(),
                None => upload.map_err(Into::into).boxed(),
            },
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
        let sent = sent.map_err(|error| broken_off.take().unwrap_or(error));
        self.settle(sent, upgrade, recorded.approved().operation(), images, hold).await
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
        let most = self.gate.limits.body_bytes;
        JudgeOfNames { finding: self.finding(), most, images, claimed: Arc::default() }
    }

    /// What is somebody else's is answered like what is missing; on record it is refused
    fn deny(&mut self, verdict: Verdict, missing: Option<Refused>) -> Refused {
        let message = denial(&self.policy.name, &verdict);
        let only_foreign = verdict.is_of_others();
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
