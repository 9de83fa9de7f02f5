//! Listening, reloading, ending: what happens around connections.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tokio_util::task::TaskTracker;

use crate::api::bind::HostPath;
use crate::audit::Audit;
use crate::audit::cleanup::Why;
use crate::audit::file::AuditFile;
use crate::caller::CallerMount;
use crate::caller::peer::sees_all_processes;
use crate::config::{Config, DEFAULT_PATH, Listener, PolicyRef};
use crate::engine::Engine;
use crate::exchange::{Callers, Cgroups, Gate, Ours, OwnIds, OwnSocket, Pins, Room, forget_gone_names, unseen};
use crate::owner::images::{Ledger, LedgerError};
use crate::owner::rule::Rule;
use crate::quota::turn::Turns;
use crate::reap::clean::Cleaned;
use crate::reap::{Reaper, Site};
use crate::running::Running;
use crate::server::policies::{LOOK, Policies, PolicyError};
use crate::server::signals::{Signals, Told};
use crate::server::socket::{Claim, SocketError};

pub(crate) mod connection;
mod descriptors;
pub mod policies;
pub mod signals;
pub mod socket;

/// Why sockwarden does not serve
#[derive(Debug, Error)]
pub enum ServeError {
    /// A policy cannot be used
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A socket cannot be served
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The record cannot be written
    #[error("cannot open the record `{path}`: {error}")]
    Audit {
        /// The file
        path: String,
        /// Why
        error: std::io::Error,
    },
    /// The ledger of images cannot be kept
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system said no
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Everything that is open before the first request
#[derive(Debug)]
pub struct Server {
    config: Config,
    policies: Policies,
    sockets: Vec<(UnixListener, Option<Claim>)>,
    audit: Arc<Audit>,
    ledger: Arc<Ledger>,
}

/// What is served until when
#[derive(Debug)]
pub enum Role {
    /// A service, until it is told to end; its policies are loaded again when they change
    Service(Signals),
    /// One command, until it has ended; it keeps the policies that it began with
    Command {
        /// Whether the images that it built are removed, too
        images: bool,
        /// The directory that it may give to its containers: what it calls it, and what it really is
        directory: Vec<(HostPath, HostPath)>,
    },
}

/// What becomes of what was made, where that ends with sockwarden
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It is removed
    Goes,
    /// It stays where it is
    Stays,
}

impl Server {
    /// Loads policies, opens the record, and claims the sockets, which answer from now on
    ///
    /// `inherited` are the sockets that systemd handed over, by name. They take the place of the listeners of that name,
    /// or else of the first ones.
    ///
    /// # Errors
    /// When any of it cannot be had; then nothing is served.
    pub fn open(
        mut config: Config,
        inherited: Vec<(String, std::os::unix::net::UnixListener)>,
    ) -> Result<Self, ServeError> {
        config.limits.connections = descriptors::connections(config.limits.connections);
        let policies = Policies::load(config.listeners.iter().map(|listener| listener.policy.clone()))?;
        let audit = &config.audit;
        let file = AuditFile::open(&audit.path, audit.rotation, audit.sync)
            .map_err(|error| ServeError::Audit { path: audit.path.display().to_string(), error })?;
        let audit = Arc::new(Audit::new(file));
        let ledger = Ledger::open(&config.state, config.limits.grace.min(PATIENCE))?;
        let sockets = sockets(&config.listeners, inherited)?;
        Ok(Self { config, policies, sockets, audit, ledger })
    }

    /// The sockets that are served, in words
    pub fn listening(&self) -> String {
        let listener = |listener: &Listener| {
            let policy = match &listener.policy {
                PolicyRef::Shipped(name) => name.clone(),
                PolicyRef::File(path) => path.display().to_string(),
            };
            format!("{} (policy {policy})", listener.path.display())
        };
        self.config.listeners.iter().map(listener).collect::<Vec<_>>().join(", ")
    }

    /// The record
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Serves until `done`, or until its role says so; then gives what runs its grace, and cleans up meanwhile
    ///
    /// What was cleaned up is returned, or nothing when there was no time to finish.
    pub async fn serve(self, mut role: Role, done: impl Future<Output = Rest>) -> Option<Cleaned> {
        let Self { config, mut policies, sockets, audit, ledger } = self;
        let (why, gives) = match &role {
            Role::Service(_) => (Why::SockwardenEnds, Vec::new()),
            Role::Command { images, directory } => {
                policies.end_with_sockwarden(*images);
                (Why::CommandEnded, directory.iter().map(given).collect())
            }
        };
        let gives: Arc<[CallerMount]> = gives.into();
        let limits = &config.limits;
        let engine = Arc::new(Engine::new(config.engine.clone(), limits.engine_connect, limits.engine_answer));
        let (ending, ended) = watch::channel(false);
        let (connections, tunnels) = (TaskTracker::new(), TaskTracker::new());
        let all = Arc::new(Semaphore::new(limits.connections));
        let running = Arc::new(Running::new(limits.requests_per_owner));
        let turns = Arc::new(Turns::default());
        let cgroups = Arc::new(Cgroups::new(config.engine.clone(), Arc::clone(&turns), Arc::clone(&running)));
        let room = Room::new(limits);
        let ours = Arc::new(ours(&config));
        let pins = Arc::new(Pins::new(config.pins.clone()));
        let own = Arc::new(OwnIds::default());
        tell_of_sight(&config, &policies);
        tell_of_callers(&config);
        let notice = Arc::new(Notify::new());
        let (remembered, counted, kept) = (Arc::clone(&ledger), Arc::clone(&running), Arc::clone(&ledger));
        let mut reaper = Reaper::new(Arc::clone(&engine), Arc::clone(&audit), counted, remembered, Arc::clone(&notice));
        // Before anybody calls: what callers name is not looked for.
        let sweeping_names = tokio::spawn(sweep_names(Arc::clone(&ledger), Arc::clone(&engine)));
        let mut claims = Vec::new();
        for (index, (listener, (socket, claim))) in config.listeners.iter().zip(sockets).enumerate() {
            claims.extend(claim);
            let Some(policy) = policies.subscribe(index) else { continue };
            reaper.add(Site {
                listener: listener.name.as_str().into(),
                owner: match &listener.owner {
                    Rule::Fixed(owner) => Some(owner.as_str().into()),
                    Rule::Container | Rule::Label(_) | Rule::Uid | Rule::Unit => None,
                },
                policy: policy.clone(),
            });
            let gate = Arc::new(Gate {
                name: listener.name.as_str().into(),
                callers: Callers::new(listener.owner.clone(), config.job_labels.clone()),
                policy,
                engine: Arc::clone(&engine),
                audit: Arc::clone(&audit),
                limits: limits.clone(),
                running: Arc::clone(&running),
                turns: Arc::clone(&turns),
                cgroups: Arc::clone(&cgroups),
                room: room.clone(),
                ours: Arc::clone(&ours),
                socket: OwnSocket { path: listener.path.clone(), host_path: listener.host_path.clone() },
                gives: Arc::clone(&gives),
                pins: Arc::clone(&pins),
                own: Arc::clone(&own),
                ledger: Arc::clone(&ledger),
                tunnels: tunnels.clone(),
                ending: ended.clone(),
            });
            let own = Arc::new(Semaphore::new(limits.connections_per_listener));
            connections.spawn(accept(gate, socket, [Arc::clone(&all), own], ended.clone(), connections.clone()));
        }
        let reaper = Arc::new(reaper);
        let reaping = tokio::spawn(Arc::clone(&reaper).run(ended));
        let sweeping = tokio::spawn(sweep(Arc::clone(&pins), Arc::clone(&engine), notice));
        let wanted = policies.want_cgroups();
        let sweeping_cgroups = tokio::spawn(sweep_cgroups(Arc::clone(&cgroups), wanted, Arc::clone(&engine)));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(done);
        let rest = loop {
            let told = async {
                match &mut role {
                    Role::Service(signals) => signals.next().await,
                    Role::Command { .. } => std::future::pending().await,
                }
            };
            tokio::select! {
                rest = &mut done => break rest,
                told = told => match told {
                    Told::Reload => reload(&mut policies),
                    Told::End => break Rest::Goes,
                },
                _ = look.tick(), if why == Why::SockwardenEnds => if policies.changed() { reload(&mut policies) },
            }
        };
        tracing::info!(grace = ?limits.grace, "ending");
        sweeping.abort();
        sweeping_names.abort();
        sweeping_cgroups.abort();
        drop(claims);
        ending.send_replace(true);
        connections.close();
        tunnels.close();
        let mut cleaned = None;
        let finished = async {
            let cleaning = async {
                let _ = reaping.await;
                cleaned = Some(match rest {
                    Rest::Goes => reaper.finish(why).await,
                    Rest::Stays => Cleaned::default(),
                });
            };
            match why {
                // Whatever of a command still talks has nothing any more to talk of.
                Why::CommandEnded => cleaning.await,
                _ => drop(tokio::join!(connections.wait(), tunnels.wait(), cleaning)),
            }
        };
        if timeout(limits.grace, finished).await.is_err() {
            let unfinished = cleaned.is_none();
            let (connections, tunnels) = (connections.len(), tunnels.len());
            tracing::warn!(connections, tunnels, unfinished, "cut off after the grace period");
        }
        if cleaned.as_ref().is_some_and(|cleaned| !cleaned.removed.is_empty()) {
            // What they were made for is gone; what is not taken away now is at the next start.
            let _ = timeout(SWEEP, pins.sweep(&engine)).await;
            let _ = timeout(SWEEP, cgroups.sweep(&engine)).await;
        }
        // Whoever writes it behind our back may be writing what was before, and ends with the process.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || kept.save()).await {
            tracing::error!(%error, "the ledger of images could not be written");
        }
        cleaned
    }
}

/// A directory of a process on the host, as if it were mounted under the name that the process has for it
fn given((name, real): &(HostPath, HostPath)) -> CallerMount {
    let (destination, source) = (name.clone(), Some(real.clone()));
    CallerMount { destination, source, volume: None, subpath: String::new(), writable: true }
}

/// Takes pins away soon after their containers, at once after a cleaning
async fn sweep(pins: Arc<Pins>, engine: Arc<Engine>, cleaned: Arc<Notify>) {
    let mut turn = interval(SWEEP);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turn.tick() => {}
            () = cleaned.notified() => {}
        }
        if let Err(error) = pins.sweep(&engine).await {
            tracing::warn!(%error, root = %pins.root().display(), "pins are not swept");
        }
    }
}

/// Takes cgroups away soon after their owners' last containers; `wanted` says at once whether they can be made
async fn sweep_cgroups(cgroups: Arc<Cgroups>, wanted: bool, engine: Arc<Engine>) {
    let mut turn = interval(SWEEP);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        // What a crash left behind is seen only once it is known where to look.
        if wanted && let Err(error) = cgroups.ground(&engine).await {
            tracing::warn!(%error, "it is not known yet whether owners can have cgroups");
        }
        if let Err(error) = cgroups.sweep(&engine).await {
            tracing::warn!(%error, "cgroups are not swept");
        }
    }
}

/// Forgets image names that are gone: at once those that went while no sockwarden ran
fn sweep_names(ledger: Arc<Ledger>, engine: Arc<Engine>) -> impl Future<Output = ()> {
    let first = if ledger.is_empty() { SWEEP_NAMES } else { Duration::ZERO };
    let mut turn = interval_at(Instant::now() + first, SWEEP_NAMES);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    async move {
        loop {
            turn.tick().await;
            if let Err(error) = forget_gone_names(&ledger, &engine).await {
                tracing::warn!(%error, "image names that are gone are not forgotten");
            }
        }
    }
}

/// How long an image name may be remembered that is gone
const SWEEP_NAMES: Duration = Duration::from_secs(600);
/// How long an instance that ends may keep the ledger from the one that follows it
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a pin or a cgroup may outlive its container
const SWEEP: Duration = Duration::from_secs(5);

fn sockets(
    listeners: &[Listener],
    inherited: Vec<(String, std::os::unix::net::UnixListener)>,
) -> Result<Vec<(UnixListener, Option<Claim>)>, ServeError> {
    let (mut named, mut rest) = (Vec::new(), Vec::new());
    for (name, socket) in inherited {
        if listeners.iter().any(|listener| listener.name == name) {
            named.push((name, socket))
        } else {
            rest.push(socket)
        }
    }
    let mut rest = rest.into_iter();
    let mut sockets = Vec::new();
    for listener in listeners {
        let handed = match named.iter().position(|(name, _)| *name == listener.name) {
            Some(index) => Some(named.swap_remove(index).1),
            None => rest.next(),
        };
        sockets.push(match handed {
            Some(socket) => (UnixListener::from_std(socket)?, None),
            None => {
                let (socket, claim) = Claim::take(&listener.path, listener.mode, listener.group)?;
                (UnixListener::from_std(socket)?, Some(claim))
            }
        });
    }
    Ok(sockets)
}

/// Says at the start whether host paths can be judged as what they are
fn tell_of_sight(config: &Config, policies: &Policies) {
    if !policies.grant_host_paths() {
        return;
    }
    if let Some(unseen) = unseen(&config.engine) {
        tracing::warn!(
            unseen,
            "host paths are refused, or judged by their names where a policy says `resolve = \"lexical\"`"
        );
    }
}

/// Says at the start whether callers can be told apart
fn tell_of_callers(config: &Config) {
    if sees_all_processes() {
        return;
    }
    for listener in config.listeners.iter().filter(|listener| listener.owner.asks_for_the_process()) {
        tracing::warn!(
            listener = listener.name,
            "processes outside of this pid namespace cannot be seen: all of them are one owner, the listener; \
             share the host's pid namespace, or name the owner (`owner = \"env:NAME\"`)"
        );
    }
}

/// What is ours and no mount may give away
fn ours(config: &Config) -> Ours {
    let mut files = vec![
        ("sockwarden's record", config.audit.path.clone()),
        ("sockwarden's configuration", DEFAULT_PATH.into()),
        ("sockwarden's pins", config.pins.clone()),
        ("sockwarden's state", config.state.clone()),
    ];
    for listener in &config.listeners {
        files.push(("sockwarden's socket", listener.path.clone()));
        if let PolicyRef::File(path) = &listener.policy {
            files.push(("sockwarden's policy", path.clone()));
        }
    }
    Ours { engine: config.engine.clone(), files }
}

async fn accept(
    gate: Arc<Gate>,
    socket: UnixListener,
    limits: [Arc<Semaphore>; 2],
    mut ended: watch::Receiver<bool>,
    connections: TaskTracker,
) {
    let ending = ended.clone();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = ended.wait_for(|ended| *ended) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: whoever is connected goes on, and frees some.
                tracing::error!(%error, listener = &*gate.name, "cannot accept");
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        let places: Option<Vec<_>> = limits.iter().map(|limit| Arc::clone(limit).try_acquire_owned().ok()).collect();
        let (gate, ending) = (Arc::clone(&gate), ending.clone());
        connections.spawn(async move {
            match places {
                Some(_places) => connection::serve(gate, stream, ending).await,
                None => {
                    tracing::warn!(listener = &*gate.name, "too many connections");
                    connection::turn_away(stream).await;
                }
            }
        });
    }
}

fn reload(policies: &mut Policies) {
    match policies.reload() {
        Ok(()) => tracing::info!("policies reloaded"),
        Err(error) => tracing::error!(%error, "policies stay as they are"),
    }
}
