//! What an owner has of its own builds: records, logs, blobs, sessions and cache mounts, as if the engine were its own.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::buildkit::build::{built, id};
use super::buildkit::client::{Client, Reply};
use super::buildkit::message::{Message, found, text};
use super::buildkit::session::{Offer, Session};
use super::buildx::Buildx;
use super::gate::Gate;
use super::http::PATIENCE;
use super::setting::Engine;

struct Play {
    engine: PathBuf,
    generation: String,
    a: PathBuf,
    b: PathBuf,
    /// What the names of the first end with on the engine
    suffix: String,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let owners = [id("one"), id("other")];
    let gate = Gate::with_owners(&engine.socket, "extends = 'ci'", &owners);
    let [a, b] = [&owners[0], &owners[1]].map(|owner| gate.socket_of(owner));
    let suffix = gate.suffix_of(&owners[0]);
    let (engine_socket, generation) = (engine.socket.clone(), engine.generation().to_owned());
    let mut play = Play { engine: engine_socket, generation, a, b, suffix, failed: Vec::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        play.records_and_their_blobs_are_the_owners().await;
        play.a_session_is_the_owners().await;
        play.errors_speak_of_the_owners_names().await;
        play.cache_mounts_are_the_owners().await;
    });
    runtime.shutdown_background();
    play.buildx_tells_an_owner_of_its_builds_alone(engine);
    play.failed
}

impl Play {
    fn holds(&mut self, claim: &str, holds: bool, shown: impl std::fmt::Debug) {
        if !holds {
            self.failed.push(format!("{claim}: {shown:?}"));
        }
    }

    async fn records_and_their_blobs_are_the_owners(&mut self) {
        if self.generation == "bookworm" {
            return;
        }
        let word = id("w");
        let offer = Offer::dockerfile(&format!("FROM busybox:test\nARG WORD\nRUN echo {word} | tee /out\n"));
        let read = built(&self.a, &offer, &[("build-arg:WORD", &word)], "/out").await;
        self.holds("a build goes well", read.as_deref().is_ok_and(|read| read.trim() == word), &read);

        let (a, b) = (Client::open(&self.a).await.unwrap(), Client::open(&self.b).await.unwrap());
        let own = listed(&a).await;
        let record = own.iter().find(|record| contains(record, &word));
        let Some(record) = record else { return self.holds("an owner has its records", false, own.len()) };
        self.holds("nothing shows the suffix", !own.iter().any(|record| contains(record, &self.suffix)), record);
        let others = listed(&b).await;
        self.holds("another has none of them", !others.iter().any(|record| contains(record, &word)), others.len());

        let (reference, log) = (text(record, &[1]), text(record, &[8, 2]));
        let replay = a.call(STATUS, &[], Message::new().with(1, &reference)).await;
        self.holds("an owner's log is replayed", contains(&replay.messages.concat(), &word), &replay);
        let blob = a.call(READ, &[], Message::new().with(1, &log)).await;
        self.holds("an owner's log is read", contains(&blob.messages.concat(), &word), &blob);
        for (path, message) in [(INFO, Message::new().with(1, &log)), (READ, Message::new().with(1, &log))] {
            let refused = b.call(path, &[], message).await;
            let engine = Client::open(&self.engine).await.unwrap();
            let nothing = format!("sha256:{}", "0".repeat(64));
            let missing = engine.call(path, &[], Message::new().with(1, &nothing)).await;
            let same = refused.status == missing.status && refused.said == missing.said.replace(&nothing, &log);
            self.holds("another's blob is missing in the engine's own words", same, (path, refused, missing));
        }
    }

    async fn a_session_is_the_owners(&mut self) {
        let (session, offer) = (id("s"), Offer::dockerfile("FROM scratch\n"));
        let first = Session::open(&self.a, &session, &offer).await;
        self.holds("an owner opens a session", first.is_ok(), first.as_ref().err());
        let other = Session::open(&self.b, &session, &offer).await;
        self.holds("another's may have the same id", other.is_ok(), other.as_ref().err());
        let again = Session::open(&self.a, &session, &offer).await.err().unwrap_or_default();
        let bare = Session::open(&self.engine, &session, &offer).await;
        let twice = Session::open(&self.engine, &session, &offer).await.err().unwrap_or_default();
        let body = |answer: &str| answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned();
        let same = !body(&twice).is_empty() && body(&again) == body(&twice);
        self.holds("its own id twice is refused in the engine's own words", same, (again, twice));
        drop((first, bare));
        let opened = Instant::now();
        let free = loop {
            match Session::open(&self.a, &session, &offer).await {
                Ok(_) => break true,
                Err(_) if opened.elapsed() > PATIENCE => break false,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.holds("a session that has ended leaves its id free", free, &session);
    }

    async fn errors_speak_of_the_owners_names(&mut self) {
        let nobody = id("r");
        let (a, engine) = (Client::open(&self.a).await.unwrap(), Client::open(&self.engine).await.unwrap());
        let ask = || Message::new().with(1, &nobody);
        let (through, bare) = tokio::join!(a.call(STATUS, &[], ask()), engine.call(STATUS, &[], ask()));
        let same = through.said == bare.said && through.status == bare.status && bare.said.contains(&nobody);
        self.holds("a build that is not there is told of as on the engine", same, (through, bare));
    }

    async fn cache_mounts_are_the_owners(&mut self) {
        // Engines of 20.10 do not say which mount a record is of.
        if self.generation == "bookworm" {
            return;
        }
        let word = id("w");
        let mount = format!("--mount=type=cache,target=/cache,id={word}");
        let offer =
            Offer::dockerfile(&format!("FROM busybox:test\nRUN {mount} echo {word} | tee /cache/kept > /out\n"));
        let read = built(&self.a, &offer, &[], "/out").await;
        self.holds(
            "a build with a cache mount goes well",
            read.as_deref().is_ok_and(|read| read.trim() == word),
            &read,
        );
        let (a, b) = (Client::open(&self.a).await.unwrap(), Client::open(&self.b).await.unwrap());
        let records = listed(&a).await.len();
        self.holds("an engine is asked for no limit, which can end it", records > 1, records);
        let mine = used(&a).await;
        let said: Vec<String> = mine.iter().map(|record| text(record, &[9])).collect();
        self.holds("an owner sees its mount", said.iter().any(|said| said.contains(&word)), &said);
        self.holds("and nothing else of the cache", mine.iter().all(|it| text(it, &[10]) == "exec.cachemount"), &said);
        let others = used(&b).await;
        self.holds("another does not", !others.iter().any(|record| contains(record, &word)), others.len());
        let pruned = b.call(PRUNE, &[], Message::new().number(2, 1)).await;
        let left = used(&a).await.iter().any(|record| contains(record, &word));
        self.holds("another's prune leaves it alone", pruned.status == "0" && left, &pruned);
        // Before 28, prunes know nothing of descriptions, and remove none.
        if self.generation == "sid" {
            let begun = Instant::now();
            let (pruned, left) = loop {
                let pruned = a.call(PRUNE, &[], Message::new()).await;
                let left = used(&a).await.iter().any(|record| contains(record, &word));
                // Whoever asks for the use of the disk holds each record for a moment, and then it cannot be removed.
                if pruned.status != "0" || !left || begun.elapsed() > PATIENCE {
                    break (pruned, left);
                }
            };
            self.holds("its own prune removes it", pruned.status == "0" && !left, &pruned);
        }
    }

    /// As of 28.5, whose buildx knows of records
    fn buildx_tells_an_owner_of_its_builds_alone(&mut self, engine: &Engine) {
        if self.generation != "sid" {
            return;
        }
        let (a, b) = (Buildx::new(engine, &self.a), Buildx::new(engine, &self.b));
        let word = id("w");
        let metadata = a.file("metadata.json", "");
        let dockerfile = format!("FROM busybox:test\nRUN echo {word}\n");
        let built = a.build(&dockerfile, &["--metadata-file", metadata.to_str().unwrap()]);
        self.holds("buildx builds", built.is_ok(), &built);
        let metadata: Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap_or_default();
        let has_provenance = metadata.pointer("/buildx.build.provenance/buildType").is_some();
        self.holds("the file of metadata has the provenance, which is a blob", has_provenance, &metadata);
        let reference = metadata["buildx.build.ref"].as_str().unwrap_or_default();
        let reference = reference.rsplit('/').next().unwrap_or_default().to_owned();

        let list = |of: &Buildx| said(&of.run(&["history", "ls", "--format", "{{.Ref}}"]));
        let (own, others) = (list(&a), list(&b));
        self.holds("an owner's build is listed", own.contains(&reference), &own);
        self.holds("and no other's", !others.contains(&reference), &others);
        let sifted = said(&a.run(&["history", "ls", "--filter", "status=error"]));
        self.holds("a list is sifted", !sifted.contains(&reference), &sifted);
        let logs = said(&a.run(&["history", "logs", "--progress", "plain", &reference]));
        self.holds("an owner's log is shown", logs.contains(&word), &logs);
        let inspected = said(&a.run(&["history", "inspect", &reference]));
        self.holds("an owner's build is inspected", inspected.contains("provenance"), &inspected);
        let attached = a.run(&["history", "inspect", "attachment", "--type", "provenance", &reference]);
        self.holds("its attachments as well", said(&attached).contains("buildType"), &attached);
        for command in ["logs", "inspect"] {
            let refused = said(&b.run(&["history", command, &reference]));
            let none = refused.contains("no record found for ref") && !refused.contains(&word);
            self.holds("another's build is not there", none, &refused);
        }
    }
}

async fn listed(client: &Client) -> Vec<Vec<u8>> {
    // With a limit, as buildx asks.
    let listed = client.call(LISTEN, &[], Message::new().number(3, 1).number(5, 1)).await;
    assert_eq!(listed.status, "0", "{listed:?}");
    listed.messages.iter().flat_map(|event| found(event, &[2])).collect()
}

async fn used(client: &Client) -> Vec<Vec<u8>> {
    let Reply { messages, status, said } = client.call(DISK_USAGE, &[], Message::new().with(1, "")).await;
    assert_eq!(status, "0", "{said}");
    messages.iter().flat_map(|usage| found(usage, &[1])).collect()
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const LISTEN: &str = "/moby.buildkit.v1.Control/ListenBuildHistory";
const STATUS: &str = "/moby.buildkit.v1.Control/Status";
const PRUNE: &str = "/moby.buildkit.v1.Control/Prune";
const DISK_USAGE: &str = "/moby.buildkit.v1.Control/DiskUsage";
const INFO: &str = "/containerd.services.content.v1.Content/Info";
const READ: &str = "/containerd.services.content.v1.Content/Read";
