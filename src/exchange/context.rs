//! A build context on its way to the engine: what its Dockerfile fetches is judged before the engine has the end of it.
//!
//! The classic builder fetches as it goes, and begins when it has the whole context. What is refused breaks it off before
//! that, so nothing of it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use crate::answer::Refused;
use crate::api::build::Build;
use crate::api::context::BuildContext;
use crate::api::dockerfile::{Taken, sources, triggers};
use crate::api::image_ref::{ImageRef, Meaning};
use crate::api::operation::Operation;
use crate::api::request::Request;
use crate::audit::Recorded;
use crate::engine::Engine;
use crate::exchange::Exchange;
use crate::exchange::archive::Reading;
use crate::exchange::body::{Room, Share};
use crate::exchange::finding::Finding;
use crate::exchange::images::{Hold, Images};
use crate::exchange::look::{self, SeenImage};
use crate::owner::images::{Kept, Pulling};
use crate::policy::Mode;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::dockerfile::{place, taken};
use crate::policy::asks::found::Found;
use crate::policy::images::{missing, name};
use crate::policy::judge::RealName;
use crate::policy::judge::found::judge_steps;

/// A build context that is read, and its judge
pub struct JudgedContext {
    context: BuildContext,
    judge: Arc<JudgeOfDockerfile>,
    /// For what is held of it
    share: Share,
    room: Room,
}

/// Holds what a Dockerfile fetches against a policy, and records what comes of it
struct JudgeOfDockerfile {
    finding: Finding,
    engine: Arc<Engine>,
    /// Whose images are whose; none where they are everybody's
    images: Option<Images>,
    /// The build, as the ledger knows it
    build: String,
    arguments: BTreeMap<String, Option<String>>,
    /// Whether every stage is built
    is_whole: bool,
    /// What the engine will pull
    pulled: Arc<Mutex<Vec<Pulling>>>,
}

impl Exchange {
    /// Reads the context of a build with the classic builder; what the build is made of is added to what is held
    ///
    /// # Errors
    /// When its Dockerfile lies outside of it.
    pub(super) fn judged_context(
        &self,
        recorded: &Recorded,
        images: Option<Images>,
        hold: &mut Hold,
    ) -> Result<Option<JudgedContext>, Refused> {
        let Operation::BuildClassic(Request { query, .. }) = recorded.approved().operation() else { return Ok(None) };
        let Build { remote, version, dockerfile, build_args, target, .. } = query;
        // What is read elsewhere is not judged here, and passes only where a policy merely warns.
        if self.policy.mode == Mode::Record || !remote.is_empty() || version == "2" {
            return Ok(None);
        }
        let context = BuildContext::new(&dockerfile.0, self.gate.limits.body_bytes)?;
        let (build, pulled) = (self.id.clone(), Arc::default());
        if let Some(images) = &images {
            let building = images.ledger.begin_build(&images.owner, &build, Kept::FromAll(hold.makes()));
            *hold = std::mem::take(hold).building(building, Arc::clone(&pulled));
        }
        let judge = JudgeOfDockerfile {
            finding: self.finding(),
            engine: Arc::clone(&self.gate.engine),
            images,
            build,
            arguments: build_args.0.clone().unwrap_or_default(),
            is_whole: target.is_empty(),
            pulled,
        };
        let (share, room) = (Share::default(), self.gate.room.clone());
        Ok(Some(JudgedContext { context, judge: Arc::new(judge), share, room }))
    }
}

impl Reading for JudgedContext {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        self.context.push(bytes, out)?;
        self.share.grow(self.context.held(), &self.room)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        Ok(self.context.finish(out)?)
    }

    fn verdict(&mut self) -> Option<JoinHandle<Result<(), Refused>>> {
        let dockerfile = self.context.dockerfile()?;
        let judge = Arc::clone(&self.judge);
        Some(tokio::spawn(async move { judge.judge(&dockerfile).await }))
    }

    fn broken(&self, why: &'static str) -> Refused {
        Refused::Context(why.to_owned())
    }
}

/// What was found out about a Dockerfile
#[derive(Default)]
struct Findings {
    found: Found,
    foreign: Vec<(Object, String, String)>,
    pulled: Vec<Pulling>,
}

impl JudgeOfDockerfile {
    async fn judge(&self, dockerfile: &[u8]) -> Result<(), Refused> {
        let mut findings = Findings::default();
        let mut unread = vec![("Dockerfile".to_owned(), sources(dockerfile, &self.arguments))];
        let mut bases = BTreeSet::new();
        while let Some((of, read)) = unread.pop() {
            for source in read.iter().flatten() {
                let Taken::Image(image) = &source.what else { continue };
                let lines = self.look(image, place(&of, source), &mut findings).await?;
                // The engine puts them behind the FROM.
                if source.instruction == "FROM" && !lines.is_empty() && bases.insert(image.to_string()) {
                    unread.push((format!("ONBUILD of {image}"), triggers(&lines)));
                }
            }
            let Found { asks, names } = taken(read, &of);
            findings.found.asks.extend(asks);
            findings.found.names.extend(names);
        }
        let Findings { found, foreign, pulled } = findings;
        let said = foreign.first().map(|(_, given, _)| missing(given));
        let verdict = judge_steps(&self.finding.policy, found, foreign);
        self.finding.settle("dockerfile", &verdict, said)?;
        if let Ok(mut all) = self.pulled.lock() {
            all.extend(pulled);
        }
        Ok(())
    }

    /// Looks up an image that a build takes, and returns its triggers
    ///
    /// What the engine does not have it pulls while it builds. Its triggers are known to nobody before.
    async fn look(&self, image: &ImageRef, field: String, findings: &mut Findings) -> Result<Vec<String>, Refused> {
        let is_named = matches!(image.meaning(), Meaning::Named(_));
        // From here on the name stays what is looked at.
        let kept = |images: &Images| images.ledger.build_on(&images.owner, &self.build, &name(image));
        let is_kept = !is_named || self.images.as_ref().is_none_or(kept);
        let seen = look::image(&self.engine, image.given(), &field).await?;
        if let Some(images) = &self.images {
            if !is_kept || seen.as_ref().is_some_and(|seen| !images.sees(seen)) {
                findings.foreign.push((Object::Image, image.given().to_owned(), field));
                return Ok(Vec::new());
            }
            // Behind the stage that is wanted nothing is pulled, and a claim would show the image as soon as another pulls it.
            if seen.is_none() && is_named && self.is_whole {
                match images.ledger.pull(&images.owner, &name(image), false) {
                    Ok(pulling) => findings.pulled.push(pulling),
                    Err(why) => {
                        findings.found.asks.push(Ask { what: What::Taken(name(image), why.to_string()), field })
                    }
                }
            }
        }
        let Some(SeenImage { given, field, found_as, id, tags, digests, triggers, owner: _ }) = seen else {
            return Ok(Vec::new());
        };
        if found_as.is_none() {
            // By its id, and so by all its names.
            let names = tags.into_iter().chain(digests).chain([id]).collect();
            findings.found.names.push(RealName { object: Object::Image, field, given, names });
        }
        Ok(triggers)
    }
}
