//! A program of the attacker's in the place of the frontend: it gets what a build gets, and no rule for Dockerfiles binds it.

use serde_json::json;

use super::{ALL, Attempt, Failure, GoesWell as _, NEWER, Sides, remove};
use crate::engines::buildkit::build::{Build, SOLVE, id};
use crate::engines::buildkit::client::{Client, Reply};
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::{Offer, Session};
use crate::engines::http::ask;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        tokio::join!(
            play.attack("a frontend by name", ALL, "(FrontendOpt.source) is refused", by_name),
            play.attack("a frontend by the Dockerfile", ALL, "frontend of the engine has built it", by_dockerfile),
            play.attack("a frontend by an argument", ALL, "BUILDKIT_SYNTAX) is refused", by_argument),
            play.attack(
                "a frontend that takes a known one's name",
                NEWER,
                "(FrontendOpt.source) is refused",
                by_context
            ),
            play.attack(
                "a frontend that takes a known one's name in the Dockerfile",
                NEWER,
                "frontend of the engine has built it",
                by_context_of_dockerfile
            ),
            play.attack("a frontend by a rule for sources", NEWER, "(SourcePolicy) is refused", by_rule),
            play.attack("a frontend as the job's own", ALL, "is to run by itself", by_job),
        );
    })
}

/// Two images: one says, when it is run, that it was, and one is harmless
struct Evil<'a> {
    sides: &'a Sides,
}

impl<'a> Evil<'a> {
    async fn made(sides: &'a Sides) -> Result<Self, Failure> {
        let (engine, name) = (sides.engine.clone(), sides.word.clone());
        let made = tokio::task::spawn_blocking(move || {
            let labels = json!({"moby.buildkit.frontend.caps": "moby.buildkit.frontend.contexts"});
            let body = json!({"Image": "busybox:test", "Entrypoint": ["/bin/sh", "-c", "exit 77"], "Labels": labels});
            ask(&engine, "POST", &format!("/containers/create?name={name}"), &body.to_string());
            let made = ask(&engine, "POST", &format!("/commit?container={name}&repo={name}&tag=1"), "{}");
            ask(&engine, "POST", &format!("/images/busybox:test/tag?repo={name}known&tag=1"), "");
            ask(&engine, "DELETE", &format!("/containers/{name}"), "");
            made
        });
        let made = made.await.goes_well("the image")?;
        if made.is_success() { Ok(Self { sides }) } else { Err(Failure::Unplayed(made.text())) }
    }

    fn image(&self) -> String {
        format!("docker.io/library/{}:1", self.sides.word)
    }

    /// The name of another, which a site might trust
    fn known(&self) -> String {
        format!("docker.io/library/{}known:1", self.sides.word)
    }
}

impl Drop for Evil<'_> {
    fn drop(&mut self) {
        for name in [self.image(), self.known()] {
            remove(&self.sides.engine, &format!("/images/{name}?force=1"));
        }
    }
}

fn ran(end: Result<String, Reply>) -> Attempt {
    match end {
        Err(reply) if reply.said.contains("exit code: 77") => Ok(()),
        Err(reply) => Err(reply.into()),
        Ok(_) => Err("the frontend of the engine has built it".to_owned().into()),
    }
}

/// Solves with a Dockerfile that names a frontend, or none, and a job that knows more
async fn solved(sides: &Sides, syntax: &str, message: Message, more: Message) -> Attempt {
    let offer = Offer::dockerfile(&format!("{syntax}\nFROM busybox:test\nRUN true\n"));
    let end = async {
        let build = Build::start_with(&sides.attacker, &offer, more).await?;
        build.solve(message).await
    };
    ran(end.await)
}

async fn by_name(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    let message = Message::new().with(2, "gateway.v0").map(3, &[("source", &evil.image())]);
    solved(sides, "", message, Message::new()).await
}

async fn by_dockerfile(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    let syntax = format!("# syntax={}", evil.image());
    solved(sides, &syntax, Message::new().with(2, "dockerfile.v0"), Message::new()).await
}

async fn by_argument(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    let options = [("build-arg:BUILDKIT_SYNTAX", evil.image())];
    let options = options.each_ref().map(|(name, value)| (*name, value.as_str()));
    solved(sides, "", Message::new().with(2, "dockerfile.v0").map(3, &options), Message::new()).await
}

/// Options with which a name of a frontend means the attacker's image
fn shadowed(frontend: &str, evil: &Evil<'_>) -> Message {
    let image = format!("docker-image://{}", evil.image());
    let known = evil.known();
    let context = format!("context:{}", known.trim_start_matches("docker.io/library/"));
    let options = [("source", known.as_str()), (&context, &image)];
    Message::new().with(2, frontend).map(3, if frontend == "gateway.v0" { &options } else { &options[1..] })
}

async fn by_context(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    solved(sides, "", shadowed("gateway.v0", &evil), Message::new()).await
}

async fn by_context_of_dockerfile(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    solved(sides, &format!("# syntax={}", evil.known()), shadowed("dockerfile.v0", &evil), Message::new()).await
}

/// A policy that turns the known frontend into the attacker's image
fn converting(evil: &Evil<'_>) -> Message {
    // Wherever it was resolved to.
    let selector = Message::new().with(1, format!("docker-image://{}*", evil.known())).number(2, 0);
    let update = Message::new().with(1, format!("docker-image://{}", evil.image()));
    let rule = Message::new().number(1, 2).with(2, selector).with(3, update);
    Message::new().number(1, 1).with(2, rule)
}

async fn by_rule(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    let message = Message::new().with(2, "gateway.v0").map(3, &[("source", &evil.known())]);
    solved(sides, "", message, Message::new().with(12, converting(&evil))).await
}

/// The job itself has the frontend, and no call comes after it
async fn by_job(sides: &Sides) -> Attempt {
    let evil = Evil::made(sides).await?;
    let session = id("s");
    let _offered = Session::open(&sides.attacker, &session, &Offer::default()).await?;
    let job = Message::new().with(1, id("r")).with(5, session).with(8, "");
    let job = job.with(6, "gateway.v0").map(7, &[("source", &evil.image())]);
    ran(Client::open(&sides.attacker).await?.call(SOLVE, &[], job).await.ok().map(|_| String::new()))
}
