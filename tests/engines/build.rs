//! Attacks on builds, each played twice: on the engine itself, where it comes to something, and through sockwarden with the
//! shipped policy for jobs, where it does not.
//!
//! Two owners play: a victim, whose own build must go well both times, and an attacker, who speaks raw gRPC.

pub mod crowd;
pub mod fetch;
pub mod frontends;
pub mod host;
pub mod images;
pub mod loopback;
pub mod poison;
pub mod push;
pub mod records;
pub mod rights;
pub mod shared;
pub mod tags;
pub mod takeover;
pub mod wire;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::buildkit::build::{built, id};
use super::buildkit::client::Reply;
use super::buildkit::session::Offer;
use super::gate::Gate;
use super::http::removed;
use super::setting::Engine;

/// Where the two sit in one playing of an attack
#[derive(Debug, Clone)]
pub struct Sides {
    /// Whose build it is
    pub victim: PathBuf,
    /// Who reaches for it
    pub attacker: PathBuf,
    /// The engine, for a look at what became of it
    pub engine: PathBuf,
    /// What sockwarden puts at the end of the victim's names; the attacker has found that out
    pub suffix: String,
    /// A word that is in no other playing
    pub word: String,
}

/// What came of an attack
pub type Attempt = Result<(), Failure>;

/// Why nothing came of it
#[derive(Debug)]
pub enum Failure {
    /// What the attacker was told
    Refused(String),
    /// What went wrong before there was anything to attack
    Unplayed(String),
}

impl From<Reply> for Failure {
    fn from(Reply { status, said, .. }: Reply) -> Self {
        Self::Refused(format!("{status} {said}"))
    }
}

impl From<String> for Failure {
    fn from(said: String) -> Self {
        Self::Refused(said)
    }
}

/// What the victim, or the stage, needs to go well
pub trait GoesWell<T> {
    /// Its value
    fn goes_well(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Debug> GoesWell<T> for Result<T, E> {
    fn goes_well(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Unplayed(format!("{what}: {error:?}")))
    }
}

/// A group of attacks on one engine
pub struct Play<'a> {
    /// The engine it is played on
    pub engine: &'a Engine,
    _gate: Gate,
    through: Sides,
    bare: Sides,
    failed: Mutex<Vec<String>>,
}

impl Play<'_> {
    /// Both playings, for what several attacks share: on the engine itself, and through sockwarden
    pub fn sides(&self) -> [Sides; 2] {
        [&self.bare, &self.through].map(|sides| Sides { word: id("w"), ..sides.clone() })
    }

    /// Plays an attack both ways; on the engine itself it must work where `works_on` has the engine
    ///
    /// `refused` is in what the attacker is told by sockwarden. On the engine itself an attacker has several tries: what a
    /// victim has just let go of may not be free yet, and other tests clean the engine up. One that comes to nothing there has
    /// them for what it needs.
    pub async fn attack(&self, what: &str, works_on: &[&str], refused: &str, attack: impl AsyncFn(&Sides) -> Attempt) {
        let expected = self.engine.is_among(works_on);
        let bare = async {
            let mut tries = 4;
            loop {
                let [bare, _] = self.sides();
                match attack(&bare).await {
                    Err(Failure::Refused(why)) if !expected => return Err(Failure::Refused(why)),
                    Err(_) if tries > 0 => tries -= 1,
                    came => return came,
                }
            }
        };
        let (bare, ()) = tokio::join!(bare, self.through(what, refused, &attack));
        match bare {
            Err(Failure::Unplayed(why)) => self.failed(format!("{what}: not played on the engine itself: {why}")),
            Err(Failure::Refused(why)) if expected => {
                self.failed(format!("{what}: does not work on the engine itself: {why}"));
            }
            Ok(()) if !expected => self.failed(format!("{what}: works on this engine too, and is not said to")),
            Ok(()) | Err(_) => {}
        }
    }

    /// Plays it through sockwarden alone, where nobody would survive it on the engine
    pub async fn through(&self, what: &str, refused: &str, attack: impl AsyncFn(&Sides) -> Attempt) {
        match attack(&Sides { word: id("w"), ..self.through.clone() }).await {
            Ok(()) => self.failed(format!("{what}: WORKS THROUGH SOCKWARDEN")),
            Err(Failure::Unplayed(why)) => self.failed(format!("{what}: not played through sockwarden: {why}")),
            Err(Failure::Refused(why)) if !why.contains(refused) => {
                self.failed(format!("{what}: refused without `{refused}`: {why}"));
            }
            Err(Failure::Refused(_)) => {}
        }
    }

    /// Plays what is not stopped on this engine, and said so: a test that fails when it is stopped after all
    pub async fn not_stopped(&self, what: &str, attack: impl AsyncFn(&Sides) -> Attempt) {
        if let Err(why) = attack(&Sides { word: id("w"), ..self.through.clone() }).await {
            self.failed(format!("{what}: is stopped after all: {why:?}"));
        }
    }

    /// Something went wrong
    pub fn failed(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }
}

/// Plays a group on one engine; what failed
pub fn play(engine: &Engine, attacks: impl AsyncFn(&Play<'_>)) -> Vec<String> {
    play_within(engine, "", attacks)
}

/// The same where sockwarden's own configuration says more
pub fn play_within(engine: &Engine, config: &str, attacks: impl AsyncFn(&Play<'_>)) -> Vec<String> {
    let owners = [id("victim"), id("attacker")];
    let gate = Gate::with_owners_within(&engine.socket, "extends = 'ci'", &owners, config);
    let [victim, attacker] = [&owners[0], &owners[1]].map(|owner| gate.socket_of(owner));
    let suffix = gate.suffix_of(&owners[0]);
    let through = Sides { victim, attacker, engine: engine.socket.clone(), suffix, word: String::new() };
    let bare = Sides {
        victim: engine.socket.clone(),
        attacker: engine.socket.clone(),
        suffix: String::new(),
        ..through.clone()
    };
    let play = Play { engine, _gate: gate, through, bare, failed: Mutex::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Where nobody can build, nothing is shown by an attack that fails.
        for owner in [play.through.victim.clone(), play.through.attacker.clone()] {
            let offer =
                Offer::dockerfile("FROM busybox:test\nCOPY file /file\nRUN cat /file > /out\n").file("file", "built");
            match built(&owner, &offer, &[], "/out").await {
                Ok(seen) if seen == "built" => {}
                other => play.failed(format!("a plain build through sockwarden: {other:?}")),
            }
        }
        attacks(&play).await;
    });
    // Sessions that are still open would hold it up.
    runtime.shutdown_background();
    play.failed.into_inner().unwrap()
}

/// The first attempt that comes to something, under each of several names
pub async fn tried(names: impl IntoIterator<Item = String>, attempt: impl AsyncFn(&str) -> Attempt) -> Attempt {
    let mut why = Vec::new();
    for name in names {
        match attempt(&name).await {
            Err(Failure::Refused(next)) => why.push(format!("{name}: {next}")),
            other => return other,
        }
    }
    Err(why.join("; ").into())
}

/// Removes an object of an attack, as far as there is one, and an engine
pub fn remove(engine: &Path, target: &str) {
    if UnixStream::connect(engine).is_ok() {
        removed(engine, target);
    }
}

/// Every engine
pub const ALL: &[&str] = &["bookworm", "trixie", "sid"];
/// Those with a history of builds
pub const NEWER: &[&str] = &["trixie", "sid"];
