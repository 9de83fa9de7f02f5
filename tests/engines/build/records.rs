//! What the engine remembers of builds: its history, their logs and attestations, the cache and what it says of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::{ALL, Attempt, Failure, GoesWell as _, NEWER, Play, Sides, tried};
use crate::engines::buildkit::build::built;
use crate::engines::buildkit::client::Client;
use crate::engines::buildkit::message::{Message, found, number, text};
use crate::engines::buildkit::session::Offer;
use crate::engines::http::{PATIENCE, ask};
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let built = play.sides();
        if let (Err(why), _) | (_, Err(why)) = tokio::join!(build(&built[0]), build(&built[1])) {
            return play.failed(format!("the victim does not build: {why:?}"));
        }
        tokio::join!(
            play.attack("commands of others in the use of the disk", ALL, "nothing of it", of(&built, usage)),
            play.attack("commands of others in the engine's own list", ALL, "200 without it", of(&built, listed)),
            play.attack("another's cache pruned", ALL, r#""CachesDeleted":null"#, pruned),
            async {
                if play.engine.name != "bookworm" {
                    remembered(play, &built).await;
                }
            }
        );
    })
}

/// What only engines with a history have
async fn remembered(play: &Play<'_>, built: &[Sides; 2]) {
    tokio::join!(
        play.attack("builds of others in the history", NEWER, "nothing of it", of(built, history)),
        play.attack("another's log from the history, by its build", NEWER, "no such job", of(built, replayed)),
        play.attack("another's log from the store of contents", NEWER, ": not found", of(built, content)),
        play.attack("every content of the store", &["sid"], "`build.content.list` is closed", of(built, contents)),
        async {
            // What a removal leaves behind ends the newest engine when somebody lists its history with a limit.
            if play.engine.name == "trixie" {
                play.attack("another's record removed", NEWER, "not found", removed).await;
            }
        },
    );
}

/// An attack on what was built where it is played: on the engine itself, or through sockwarden
fn of(built: &[Sides; 2], attack: impl AsyncFn(&Sides) -> Attempt) -> impl AsyncFn(&Sides) -> Attempt {
    async move |sides: &Sides| attack(if sides.suffix.is_empty() { &built[0] } else { &built[1] }).await
}

/// A build of the victim's that has ended, with a word in its arguments, its commands and its log
async fn build(sides: &Sides) -> Result<(), Failure> {
    let word = &sides.word;
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nARG WORD\nRUN echo {word} | tee /out\n"));
    let seen = built(&sides.victim, &offer, &[("build-arg:WORD", word)], "/out").await;
    let seen = seen.goes_well("the victim's build")?;
    if seen.trim() == word { Ok(()) } else { Err(Failure::Unplayed(format!("the victim has built {seen:?}"))) }
}

/// Records of builds that have the word in them
async fn records(client: &Client, word: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let events = client.call(LISTEN, &[], Message::new().number(3, 1)).await;
    if events.status != "0" {
        return Err(events.into());
    }
    let records = events.messages.iter().flat_map(|event| found(event, &[2]));
    Ok(records.filter(|record| contains(record, word)).collect())
}

/// The record of the victim's build, as the engine has it
async fn record(sides: &Sides) -> Result<Vec<u8>, Failure> {
    let client = Client::open(&sides.engine).await?;
    // An engine without a history has nothing to attack.
    let mut records = records(&client, &sides.word).await?;
    records.pop().ok_or_else(|| Failure::Unplayed("the engine has no record of the build".to_owned()))
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn none() -> Failure {
    "nothing of it".to_owned().into()
}

async fn history(sides: &Sides) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    let seen = records(&client, &sides.word).await?;
    let running = client.call(LISTEN, &[], Message::new().number(1, 1).number(3, 1)).await;
    let running = running.messages.iter().any(|event| contains(event, &sides.word));
    if seen.is_empty() && !running { Err(none()) } else { Ok(()) }
}

async fn replayed(sides: &Sides) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    let engines = text(&record(sides).await?, &[1]);
    let owners = engines.strip_suffix(&sides.suffix).unwrap_or(&engines).to_owned();
    tried([owners, engines], async |name| {
        let log = client.call(STATUS, &[], Message::new().with(1, name)).await.ok()?;
        if contains(&log, &sides.word) { Ok(()) } else { Err(none()) }
    })
    .await
}

async fn content(sides: &Sides) -> Attempt {
    let digest = text(&record(sides).await?, &[8, 2]);
    if digest.is_empty() {
        return Err(Failure::Unplayed("the record has no log".to_owned()));
    }
    let client = Client::open(&sides.attacker).await?;
    let asked = Message::new().with(1, digest).number(2, 0).number(3, 0);
    let log = client.call("/containerd.services.content.v1.Content/Read", &[], asked).await.ok()?;
    if contains(&log, &sides.word) { Ok(()) } else { Err(none()) }
}

async fn contents(sides: &Sides) -> Attempt {
    let digest = text(&record(sides).await?, &[8, 2]);
    let client = Client::open(&sides.attacker).await?;
    let list = client.call("/containerd.services.content.v1.Content/List", &[], "").await.ok()?;
    if contains(&list, &digest) { Ok(()) } else { Err(none()) }
}

async fn removed(sides: &Sides) -> Attempt {
    build(sides).await?;
    let client = Client::open(&sides.attacker).await?;
    let engines = text(&record(sides).await?, &[1]);
    let owners = engines.strip_suffix(&sides.suffix).unwrap_or(&engines).to_owned();
    tried([owners, engines], async |name| {
        let update = Message::new().with(1, name).number(3, 1);
        let answer = client.call("/moby.buildkit.v1.Control/UpdateBuildHistory", &[], update).await;
        let engine = Client::open(&sides.engine).await?;
        let left = records(&engine, &sides.word).await.goes_well("the engine's history")?;
        if left.is_empty() { Ok(()) } else { Err(answer.into()) }
    })
    .await
}

/// What the use of the disk has with the word
async fn used(client: &Client, word: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let answer = client.call(DISK_USAGE, &[], "").await.ok()?;
    Ok(found(&answer, &[1]).into_iter().filter(|used| contains(used, word)).collect())
}

async fn usage(sides: &Sides) -> Attempt {
    let seen = used(&Client::open(&sides.attacker).await?, &sides.word).await?;
    if seen.is_empty() { Err(none()) } else { Ok(()) }
}

/// Whether an answer to the attacker speaks of what the victim has built
pub async fn told_of_victim(sides: &Sides, path: &str, metadata: &[(&str, &str)], body: Bytes) -> Attempt {
    build(sides).await?;
    let client = Client::open(&sides.attacker).await?;
    let answer = client.framed(path, metadata, body).await.ok()?;
    if contains(&answer, &sides.word) { Ok(()) } else { Err(none()) }
}

async fn listed(sides: &Sides) -> Attempt {
    let begun = Instant::now();
    loop {
        let attacker = sides.attacker.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&attacker, "GET", "/v1.41/system/df", "")).await;
        let answer = answer.goes_well("asking")?;
        // The engine's own error, as something that it adds up is removed by another test.
        if answer.status >= 500 && !answer.text().contains("sockwarden") && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        return match answer.text().contains(&sides.word) {
            true => Ok(()),
            false => Err(format!("{} without it", answer.status).into()),
        };
    }
}

/// Steps with the word in the engine's cache: their ids, once nothing uses them
pub async fn cached(sides: &Sides) -> Result<Vec<String>, Failure> {
    let engine = Client::open(&sides.engine).await?;
    let waiting = async {
        loop {
            let used = used(&engine, &sides.word).await.goes_well("the engine's use of the disk")?;
            if !used.is_empty() && used.iter().all(|used| number(used, 3) == 0) {
                return Ok(used.iter().map(|used| text(used, &[1])).collect());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = tokio::time::timeout(PATIENCE, waiting).await;
    patience.unwrap_or_else(|_| Err(Failure::Unplayed("the steps stay in use, or are not in the cache".to_owned())))
}

/// Takes the steps with the word out of the engine's cache
pub async fn forgotten(sides: &Sides) -> Result<(), Failure> {
    let ids = cached(sides).await?;
    let (engine, begun) = (Client::open(&sides.engine).await?, Instant::now());
    loop {
        engine.call(PRUNE, &[], these(&ids)).await.ok().map(|_| ()).goes_well("forgetting")?;
        // Whoever asks for the use of the disk holds each record for a moment, and then it stays.
        match left(sides).await? {
            0 => return Ok(()),
            left if begun.elapsed() > PATIENCE => return Err(Failure::Unplayed(format!("{left} steps stay"))),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// These records alone: others build on the engine, too
fn these(ids: &[String]) -> Message {
    ids.iter().fold(Message::new().number(2, 1), |asked, id| asked.with(1, format!("id=={id}")))
}

/// How many of the steps are left
async fn left(sides: &Sides) -> Result<usize, Failure> {
    let engine = Client::open(&sides.engine).await?;
    Ok(used(&engine, &sides.word).await.goes_well("the engine's use of the disk")?.len())
}

/// By BuildKit's door, and by the classic one
async fn pruned(sides: &Sides) -> Attempt {
    build(sides).await?;
    let ids = cached(sides).await?;
    let answer = Client::open(&sides.attacker).await?.call(PRUNE, &[], these(&ids)).await;
    let mut said = format!("{} {}", answer.status, answer.said);
    for id in &ids {
        let target = format!("/v1.41/build/prune?all=1&filters={}", escaped(&json!({"id": {id: true}}).to_string()));
        let attacker = sides.attacker.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&attacker, "POST", &target, "")).await;
        said += &answer.goes_well("asking")?.text();
    }
    if left(sides).await? < ids.len() { Ok(()) } else { Err(said.into()) }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02x}"))
}

const LISTEN: &str = "/moby.buildkit.v1.Control/ListenBuildHistory";
const STATUS: &str = "/moby.buildkit.v1.Control/Status";
const PRUNE: &str = "/moby.buildkit.v1.Control/Prune";
const DISK_USAGE: &str = "/moby.buildkit.v1.Control/DiskUsage";
