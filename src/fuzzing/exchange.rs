//! Whole exchanges: the bytes of a client's connection go to the code that serves it, and what an engine hears of it is
//! held against the record.
//!
//! The engine is a few lines of our own that know nothing of hyper: it writes down what comes, and answers well or badly.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::audit::Audit;
use crate::audit::file::AuditFile;
use crate::caller::job::JobLabels;
use crate::config::{Config, Flags};
use crate::engine::Engine;
use crate::exchange::{Callers, Cgroups, Gate, Ours, Pins, Room};
use crate::owner::rule::Rule;
use crate::policy::compile::compile;
use crate::policy::shipped;
use crate::policy::{Mode, Policy};
use crate::running::Running;
use crate::server::connection;

mod fake;
mod heard;

/// A connection: a byte for the policy, one for how the engine answers, and what the client sends
pub fn exchange(data: &[u8]) {
    if let Some(Played { heard, record, asks }) = play(data) {
        heard::check(&heard, &record, asks);
    }
}

/// What came of a connection
struct Played {
    heard: Vec<fake::Heard>,
    record: Vec<u8>,
    asks: bool,
}

fn play(data: &[u8]) -> Option<Played> {
    let [policy, answers, sent @ ..] = data else { return None };
    let policy = POLICIES.get(usize::from(*policy) % POLICIES.len().max(1))?;
    let place = Place::make();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let heard = runtime.block_on(serve(&place.0, policy, *answers, sent));
    let record = std::fs::read(place.0.join(RECORD)).unwrap_or_default();
    Some(Played { heard, record, asks: policy.mode != Mode::Record })
}

/// Serves one connection to its end; returns what the engine heard meanwhile
async fn serve(place: &Path, policy: &Arc<Policy>, answers: u8, sent: &[u8]) -> Vec<fake::Heard> {
    let socket = place.join("engine.sock");
    let (Ok(gate), Ok(listener)) = (gate(place, policy), UnixListener::bind(&socket)) else { return Vec::new() };
    let engine = fake::Engine::new(answers, place.join(RECORD));
    let listening = tokio::spawn(Arc::clone(&engine).listen(listener));
    let Ok((mut client, served)) = UnixStream::pair() else { return Vec::new() };
    let (_ending, ended) = watch::channel(false);
    let tunnels = gate.tunnels.clone();

    let all = async {
        let client = async {
            let (mut read, mut write) = client.split();
            let (mut received, mut piece) = (0, vec![0; 1 << 16]);
            let sending = async {
                // Whoever is refused early may not get rid of the rest.
                let _ = write.write_all(sent).await;
                let _ = write.shutdown().await;
            };
            let receiving = async {
                while let Ok(length @ 1..) = read.read(&mut piece).await {
                    received += length;
                }
            };
            tokio::join!(sending, receiving);
            received
        };
        let (received, ()) = tokio::join!(client, connection::serve(Arc::new(gate), served, ended));
        tunnels.close();
        tunnels.wait().await;
        received
    };
    let received = timeout(MOST, all).await;
    assert!(received.is_ok(), "a connection did not end after its client had sent all");
    listening.abort();
    engine.heard()
}

fn gate(place: &Path, policy: &Arc<Policy>) -> std::io::Result<Gate> {
    let flags = Flags {
        engine: Some(format!("unix://{}", place.join("engine.sock").display())),
        listen: Some(place.join("proxy.sock")),
        audit: Some(place.join(RECORD)),
        ..Flags::default()
    };
    let config = Config::load(Some(Path::new("/dev/null")), flags).map_err(std::io::Error::other)?;
    let (_, policy) = watch::channel(Arc::clone(policy));
    let limits = config.limits;
    let (turns, running) = (Arc::default(), Arc::new(Running::new(limits.requests_per_owner)));
    Ok(Gate {
        name: "fuzz".into(),
        callers: Callers::new(Rule::Fixed(fake::OWNER.to_owned()), JobLabels::default()),
        policy,
        engine: Arc::new(Engine::new(config.engine.clone(), limits.engine_connect, limits.engine_answer)),
        audit: Arc::new(Audit::new(AuditFile::open(&config.audit.path, config.audit.rotation, false)?)),
        cgroups: Arc::new(Cgroups::new(config.engine, Arc::clone(&turns), Arc::clone(&running))),
        turns,
        running,
        room: Room::new(&limits),
        limits,
        ours: Arc::new(Ours::default()),
        socket: crate::exchange::OwnSocket::default(),
        gives: [].into(),
        // Nowhere: whatever were pinned in the place would be removed with it.
        pins: Arc::new(Pins::new("/dev/null/pins".into())),
        ledger: Arc::default(),
        own: Arc::default(),
        tunnels: tokio_util::task::TaskTracker::new(),
        ending: watch::channel(false).1,
    })
}

/// A directory for one run; removed when dropped
struct Place(PathBuf);

impl Place {
    fn make() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = std::env::temp_dir().join(format!("sockwarden-fuzz-{}-{number}", std::process::id()));
        let made = std::fs::create_dir(&place);
        assert!(made.is_ok(), "{}: {made:?}", place.display());
        Self(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left lies among temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The shipped policies, the strictest first
pub static POLICIES: LazyLock<Vec<Arc<Policy>>> = LazyLock::new(|| {
    shipped::ALL.iter().filter_map(|(name, text)| compile(&format!("{name}.toml"), text).ok()).map(Arc::new).collect()
});

/// The record's name
const RECORD: &str = "audit.jsonl";
/// Longest that a connection may last whose client has sent all and waits for nothing
const MOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Owner;
    use crate::policy::view::suffix;

    const DENY_ALL: u8 = 0;
    const CI: u8 = 2;
    const UNRESTRICTED: u8 = 3;

    fn heard(policy: u8, sent: &str) -> Played {
        play(&[&[policy, 0], sent.as_bytes()].concat()).unwrap()
    }

    const TWO: &str = "GET /v1.41/images/search?term=a HTTP/1.1\r\nHost: x\r\n\r\nDELETE /v1.41/volumes/data HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn the_engine_hears_what_the_policy_lets_pass() {
        let lines = |played: Played| -> Vec<String> {
            played.heard.iter().map(|heard| heard.head.lines().next().unwrap_or("").to_owned()).collect()
        };
        let [images, delete] = ["GET /v1.41/images/search?term=a HTTP/1.1", "DELETE /v1.41/volumes/data HTTP/1.1"];
        assert_eq!(lines(heard(UNRESTRICTED, TWO)), [images, delete]);
        // Under a policy that asks, the object is looked up by the owner's own name for it.
        let own = lines(heard(CI, TWO));
        assert_eq!(own.len(), 4, "{own:?}");
        let name = format!("data{}", suffix(Owner::new(fake::OWNER).tag()));
        assert_eq!(own[..3], [images, "GET /_ping HTTP/1.1", &format!("GET /v1.51/volumes/{name} HTTP/1.1")]);
        assert!(lines(heard(DENY_ALL, TWO)).is_empty());
    }

    #[test]
    #[should_panic(expected = "not on record when it came")]
    fn a_request_that_was_not_recorded_before_is_noticed() {
        let Played { mut heard, record, asks } = heard(UNRESTRICTED, TWO);
        heard.iter_mut().for_each(|heard| heard.recorded = 0);
        heard::check(&heard, &record, asks);
    }

    #[test]
    #[should_panic(expected = "not on record when it came")]
    fn two_requests_for_one_are_noticed() {
        let Played { mut heard, record, asks } = heard(UNRESTRICTED, TWO);
        heard.push(heard[1].clone());
        heard::check(&heard, &record, asks);
    }

    #[test]
    #[should_panic(expected = "no version")]
    fn a_request_without_a_version_is_noticed() {
        let Played { mut heard, record, asks } = heard(UNRESTRICTED, TWO);
        heard[0].head = heard[0].head.replace("/v1.41", "");
        heard::check(&heard, &record, asks);
    }
}
