//! A build context on its way to the engine: what its Dockerfile fetches is judged before the engine has the end of it.
//!
//! The classic builder fetches as it goes, and begins when it has the whole context. What is refused breaks it off before
//! that, so nothing of it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::Refused;
use crate::api::build::Build;
use crate::api::context::BuildContext;
use crate::api::dockerfile::{BadDockerfile, Source, Taken, sources, triggers};
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
use crate::exchange::pull::Puller;
use crate::owner::images::{Keeping, Kept};
use crate::policy::Mode;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::dockerfile::{place, taken};
use crate::policy::asks::found::Found;
use crate::policy::images::{missing, name};
use crate::policy::judge::found::judge_steps;
use crate::policy::judge::{Decision, RealName};

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
    puller: Puller,
    /// The build, as the ledger knows it
    build: String,
    arguments: BTreeMap<String, Option<String>>,
    target: String,
}

impl Exchange {
    /// Reads the context of a build that is pulled for; what the build is made of is added to what is held
    ///
    /// # Errors
    /// When its Dockerfile lies outside of it.
    pub(super) fn judged_context(
        &self,
        recorded: &Recorded,
        puller: Option<Puller>,
        images: Option<Images>,
        hold: &mut Hold,
    ) -> Result<Option<JudgedContext>, Refused> {
        let Operation::BuildClassic(Request { query, .. }) = recorded.approved().operation() else { return Ok(None) };
        let Some(puller) = puller else { return Ok(None) };
        let Build { dockerfile, build_args, target, .. } = query;
        let context = BuildContext::new(&dockerfile.0, self.gate.limits.body_bytes)?;
        let build = self.id.clone();
        if let Some(images) = &images {
            let building = images.ledger.begin_build(&images.owner, &build, Kept::FromAll(hold.makes()));
            *hold = std::mem::take(hold).building(building);
        }
        let judge = JudgeOfDockerfile {
            finding: self.finding(),
            engine: Arc::clone(&self.gate.engine),
            images,
            puller,
            build,
            arguments: build_args.0.clone().unwrap_or_default(),
            target: target.clone(),
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

    fn verdict(&mut self) -> Option<AbortOnDropHandle<Result<(), Refused>>> {
        let dockerfile = self.context.dockerfile()?;
        let judge = Arc::clone(&self.judge);
        Some(AbortOnDropHandle::new(tokio::spawn(async move { judge.judge(&dockerfile).await })))
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
    /// Bases whose triggers were read
    bases: BTreeSet<String>,
    /// Images that were pulled, each for a platform
    pulled: BTreeSet<(String, String)>,
}

/// Lines that were read, and whose they are
struct Lines {
    of: String,
    read: Result<Vec<Source>, BadDockerfile>,
    /// Whether they are of a stage that is built
    are_built: bool,
}

impl JudgeOfDockerfile {
    async fn judge(&self, dockerfile: &[u8]) -> Result<(), Refused> {
        let mut findings = Findings::default();
        let read = sources(dockerfile, &self.arguments, &self.target);
        let mut unread = vec![Lines { of: "Dockerfile".to_owned(), read, are_built: true }];
        while let Some(Lines { of, read, are_built }) = unread.pop() {
            let taken = taken(&read, &of);
            // Nothing is pulled for what is refused anyway.
            let passes = judge_steps(&self.finding.policy, taken.clone(), Vec::new()).decision != Decision::Deny;
            findings.found.asks.extend(taken.asks);
            findings.found.names.extend(taken.names);
            for source in read.iter().flatten() {
                let Taken::Image(image) = &source.what else { continue };
                let is_built = are_built && source.is_built;
                let pulls = is_built && (passes || self.finding.policy.mode == Mode::Warn);
                let lines = self.look(image, source, place(&of, source), pulls, &mut findings).await?;
                // The engine puts them behind the FROM.
                if source.instruction == "FROM" && !lines.is_empty() && findings.bases.insert(image.to_string()) {
                    let of = format!("ONBUILD of {image}");
                    unread.push(Lines { of, read: triggers(&lines), are_built: is_built });
                }
            }
        }
        let Findings { found, foreign, .. } = findings;
        let said = foreign.first().map(|(_, given, _)| missing(given));
        let verdict = judge_steps(&self.finding.policy, found, foreign);
        self.finding.settle("dockerfile", &verdict, said)
    }

    /// Looks up an image that a build takes, and returns its triggers
    async fn look(
        &self,
        image: &ImageRef,
        source: &Source,
        field: String,
        pulls: bool,
        findings: &mut Findings,
    ) -> Result<Vec<String>, Refused> {
        let platform = source.platform.as_ref().unwrap_or(&self.puller.platform);
        if pulls {
            self.pull(image, platform, findings).await?;
        }
        let is_named = matches!(image.meaning(), Meaning::Named(_));
        // From here on the name stays what is looked at.
        let is_kept = match &self.images {
            Some(images) if is_named => self.keep(images, &name(image)).await,
            _ => true,
        };
        let seen = look::image(&self.engine, image.given(), &field).await?;
        let sees = |images: &Images| is_kept && seen.as_ref().is_none_or(|seen| images.sees(seen));
        if !self.images.as_ref().is_none_or(sees) {
            findings.foreign.push((Object::Image, image.given().to_owned(), field));
            return Ok(Vec::new());
        }
        // The engine would pull it while it builds, and its triggers with it.
        let unread = match &seen {
            None if pulls && is_named => Some("its image is not there any more; build again".to_owned()),
            Some(seen) if pulls && !seen.is_of(platform) => {
                Some(format!("its image is of {:?}, not of {platform:?}", seen.platform))
            }
            _ => None,
        };
        findings.found.asks.extend(unread.map(|why| Ask { what: What::Unread(why), field: field.clone() }));
        let Some(SeenImage { given, field, found_as, id, tags, digests, triggers, .. }) = seen else {
            return Ok(Vec::new());
        };
        if found_as.is_none() {
            // By its id, and so by all its names.
            let names = tags.into_iter().chain(digests).chain([id]).collect();
            findings.found.names.push(RealName { object: Object::Image, field, given, names });
        }
        Ok(triggers)
    }

    /// Pulls what the engine would pull while it builds
    async fn pull(&self, image: &ImageRef, platform: &str, findings: &mut Findings) -> Result<(), Refused> {
        let there = look::image(&self.engine, image.given(), "").await?;
        let lacks = !there.is_some_and(|there| there.is_of(platform));
        if (self.puller.anew || lacks) && findings.pulled.insert((image.to_string(), platform.to_owned())) {
            self.puller.pull(image, platform).await?;
        }
        Ok(())
    }

    /// Keeps a name for the build, if need be when others have pulled it
    async fn keep(&self, images: &Images, name: &str) -> bool {
        let begun = Instant::now();
        loop {
            match images.ledger.keep(&images.owner, &self.build, name) {
                Keeping::Kept => return true,
                Keeping::IsPulled if begun.elapsed() < PATIENCE => sleep(AGAIN).await,
                Keeping::IsPulled | Keeping::Moves => return false,
            }
        }
    }
}

/// Longest time that a build waits for others who pull what it is made of
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it looks
const AGAIN: Duration = Duration::from_millis(50);
