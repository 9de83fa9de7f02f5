//! Listening, reloading, ending: what happens around connections.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::audit::file::AuditFile;
use crate::config::{Config, DEFAULT_PATH, Listener, PolicyRef};
use crate::engine::Engine;
use crate::exchange::{Gate, Ours, OwnIds, OwnSocket, Pins, Room, unseen};
use crate::owner::Owner;
use crate::quota::turn::Turns;
use crate::running::Running;
use crate::server::policies::{LOOK, Policies, PolicyError};
use crate::server::socket::{Claim, SocketError};

pub(crate) mod connection;
mod descriptors;
pub mod policies;
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
    hangups: Signal,
    terminations: Signal,
    interrupts: Signal,
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
        let [hangups, terminations, interrupts] =
            [signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let sockets = sockets(&config.listeners, inherited)?;
        Ok(Self { config, policies, sockets, audit, hangups, terminations, interrupts })
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

    /// Serves until SIGTERM or SIGINT, then gives what runs its grace
    pub async fn serve(self) {
        let Self { config, mut policies, sockets, audit, mut hangups, mut terminations, mut interrupts } = self;
        let limits = &config.limits;
        let engine = Arc::new(Engine::new(config.engine.clone(), limits.engine_connect, limits.engine_answer));
        let (ending, ended) = watch::channel(false);
        let (connections, tunnels) = (TaskTracker::new(), TaskTracker::new());
        let all = Arc::new(Semaphore::new(limits.connections));
        let running = Arc::new(Running::new(limits.requests_per_owner));
        let turns = Arc::new(Turns::default());
        let room = Room::new(limits);
        let ours = Arc::new(ours(&config));
        let pins = Arc::new(Pins::new(config.pins.clone()));
        let own = Arc::new(OwnIds::default());
        tell_of_sight(&config, &policies);
        let mut claims = Vec::new();
        for (index, (listener, (socket, claim))) in config.listeners.iter().zip(sockets).enumerate() {
            claims.extend(claim);
            let Some(policy) = policies.subscribe(index) else { continue };
            let gate = Arc::new(Gate {
                name: listener.name.as_str().into(),
                owner: Owner::new(&listener.owner),
                policy,
                engine: Arc::clone(&engine),
                audit: Arc::clone(&audit),
                limits: limits.clone(),
                running: Arc::clone(&running),
                turns: Arc::clone(&turns),
                room: room.clone(),
                ours: Arc::clone(&ours),
                socket: OwnSocket { path: listener.path.clone(), host_path: listener.host_path.clone() },
                pins: Arc::clone(&pins),
                own: Arc::clone(&own),
                tunnels: tunnels.clone(),
            });
            let own = Arc::new(Semaphore::new(limits.connections_per_listener));
            connections.spawn(accept(gate, socket, [Arc::clone(&all), own], ended.clone(), connections.clone()));
        }
        let sweeping = tokio::spawn(sweep(pins, Arc::clone(&engine)));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = terminations.recv() => break,
                _ = interrupts.recv() => break,
                _ = hangups.recv() => reload(&mut policies),
                _ = look.tick() => if policies.changed() { reload(&mut policies) },
            }
        }
        tracing::info!(grace = ?limits.grace, "ending");
        sweeping.abort();
        drop(claims);
        ending.send_replace(true);
        connections.close();
        tunnels.close();
        let finished = async { tokio::join!(connections.wait(), tunnels.wait()) };
        if timeout(limits.grace, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), tunnels = tunnels.len(), "cut off after the grace period");
        }
    }
}

/// Takes pins away soon after their containers
async fn sweep(pins: Arc<Pins>, engine: Arc<Engine>) {
    let mut turn = interval(SWEEP);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        if let Err(error) = pins.sweep(&engine).await {
            tracing::warn!(%error, root = %pins.root().display(), "pins are not swept");
        }
    }
}

/// How long a pin may outlive its container
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

/// What is ours and no mount may give away
fn ours(config: &Config) -> Ours {
    let mut files = vec![
        ("sockwarden's record", config.audit.path.clone()),
        ("sockwarden's configuration", DEFAULT_PATH.into()),
        ("sockwarden's pins", config.pins.clone()),
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
