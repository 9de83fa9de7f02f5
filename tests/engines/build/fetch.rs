//! What the engine would fetch for a build, from where it stands: services on the host's loopback address.
//!
//! One connection is an attack that has come to something, whatever is made of the answer.

use futures_util::future::join_all;

use super::loopback::Loopback;
use super::{ALL, Attempt, NEWER, Sides};
use crate::engines::buildkit::build::{BUILD_ID, Build, SOLVE, id};
use crate::engines::buildkit::client::{Client, Reply};
use crate::engines::buildkit::llb::Run;
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let of_a_dockerfile = STEPS.iter().map(|(step, refused)| {
            play.attack(step, ALL, refused, async |sides: &Sides| dockerfile(sides, step).await)
        });
        let of_an_option = OPTIONS.iter().map(|(name, value, works_on)| {
            let what = format!("{name}={value}");
            async move {
                play.attack(&what, works_on, refused(name), async |sides: &Sides| option(sides, name, value).await)
                    .await
            }
        });
        tokio::join!(
            join_all(of_a_dockerfile),
            join_all(of_an_option),
            async {
                let base = async |sides: &Sides| dockerfile(sides, BASE).await;
                match play.engine.name.as_str() {
                    "bookworm" => play.not_stopped(BASE, base).await,
                    _ => play.attack(BASE, ALL, "denied by policy", base).await,
                }
            },
            play.attack("a raw source", ALL, "steps that no frontend made", raw),
            play.attack("a raw source for the frontend", NEWER, "remote=http://", input),
            play.attack("an image's configuration", ALL, "image 127.0.0.2:", configuration),
            play.attack("what a source is", NEWER, "image 127.0.0.2:", source),
            play.attack("a frontend", ALL, "frontend 127.0.0.2:", frontend),
            play.attack("a cache, by the job", ALL, "is to run by itself", job_cache),
            play.attack("a cache, by the build", ALL, "steps that no frontend made", cache),
        );
    })
}

/// Steps of a Dockerfile, and what the attacker is told; `PORT` is the service's
///
/// Images are refused by the engine itself where it takes rules for sources, and by sockwarden where not.
const STEPS: &[(&str, &str)] = &[
    ("ADD http://127.0.0.1:PORT/x /out", "remote=http://"),
    ("ADD http://localhost:PORT/x /out", "remote=http://"),
    ("ADD http://[::ffff:127.0.0.1]:PORT/x /out", "remote=http://"),
    ("ADD http://0.0.0.0:PORT/x /out", "remote=http://"),
    ("ADD http://user@127.0.0.1:PORT/x /out", "remote=http://"),
    ("ADD http://127.0.0.1:PORT/x.git#main /out", "remote=http://"),
    ("COPY --from=127.0.0.2:PORT/x /x /out", "127.0.0.2:"),
    ("RUN --mount=from=127.0.0.2:PORT/x,target=/x true", "127.0.0.2:"),
    ("# syntax=127.0.0.2:PORT/x", "nobody came"),
];

/// What an engine before Docker 24 asks a registry for before it says what it would build
const BASE: &str = "FROM 127.0.0.2:PORT/x";

/// What the attacker is told of an option
fn refused(option: &str) -> &'static str {
    match option {
        "context" | "context:busybox:test" | "context:busybox:test::linux/amd64" => ") is refused",
        "build-arg:BUILDKIT_SYNTAX" => "frontend 127.0.0.2:",
        // Caches are refused or left out, as the policy says.
        _ => "",
    }
}

/// Options of the frontend
const OPTIONS: &[(&str, &str, &[&str])] = &[
    ("context", "http://127.0.0.1:PORT/x", ALL),
    ("context", "http://127.0.0.1:PORT/x.git", ALL),
    ("context", "http://127.0.0.1:PORT/x.tar.gz", ALL),
    ("context:busybox:test", "http://127.0.0.1:PORT/x", &["trixie"]),
    ("context:busybox:test", "docker-image://127.0.0.2:PORT/x", NEWER),
    ("context:busybox:test", "http://127.0.0.1:PORT/x.git", NEWER),
    ("context:busybox:test::linux/amd64", "docker-image://127.0.0.2:PORT/x", NEWER),
    ("build-arg:BUILDKIT_SYNTAX", "127.0.0.2:PORT/x", ALL),
    ("cache-from", "127.0.0.2:PORT/x", ALL),
    ("cache-imports", r#"[{"Type":"registry","Attrs":{"ref":"127.0.0.2:PORT/x"}}]"#, ALL),
    ("cache-imports", r#"[{"Type":"registry","Attrs":{"ref":"127.0.0.2:PORT/x","registry.insecure":"true"}}]"#, ALL),
];

fn at(text: &str, service: &Loopback) -> String {
    text.replace("PORT", &service.port().to_string())
}

/// Whether anybody came
fn came(service: &Loopback, end: Result<String, Reply>) -> Attempt {
    if service.came() > 0 {
        return Ok(());
    }
    match end {
        Err(reply) => Err(reply.into()),
        Ok(_) => Err("nobody came".to_owned().into()),
    }
}

/// An image from nothing and a file, so that the first stage and the context are beside the point
async fn dockerfile(sides: &Sides, step: &str) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let step = at(step, &service);
    let text = match step.split(' ').next() {
        Some("FROM") => format!("{step}\nCOPY file /out\n"),
        Some("#") => format!("{step}\nFROM busybox:test\nCOPY file /out\n"),
        _ => format!("FROM busybox:test\n{step}\nCOPY file /out\n"),
    };
    let end = built(sides, &Offer::dockerfile(&text).file("file", &sides.word), &[]).await;
    came(&service, end)
}

async fn built(sides: &Sides, offer: &Offer, options: &[(&str, &str)]) -> Result<String, Reply> {
    let build = Build::start(&sides.attacker, offer).await?;
    let result = build.dockerfile(options).await?;
    build.read(&result, "/out").await
}

fn plain(sides: &Sides) -> Offer {
    Offer::dockerfile("FROM busybox:test\nCOPY file /out\n").file("file", &sides.word)
}

async fn option(sides: &Sides, name: &str, value: &str) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let mut options = vec![(name, at(value, &service))];
    if name.starts_with("context:") {
        options.push(("frontend.caps", "moby.buildkit.frontend.contexts+forward".to_owned()));
    }
    let options: Vec<_> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let end = built(sides, &plain(sides), &options).await;
    came(&service, end)
}

/// Solves what a message asks for, and reads what the steps have left
async fn solved(sides: &Sides, message: Message) -> Result<String, Reply> {
    let build = Build::start(&sides.attacker, &plain(sides)).await?;
    let result = build.solve(message).await?;
    build.read(&result, "/out").await
}

fn from(source: String) -> Run {
    Run { source, ..Run::new(&format!(": {}", id("n"))) }
}

async fn raw(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = from(at("http://127.0.0.1:PORT/x", &service));
    let end = solved(sides, Message::new().with(1, run.definition())).await;
    came(&service, end)
}

async fn input(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = from(at("http://127.0.0.1:PORT/x", &service));
    let input = Message::new().with(1, "0-busybox").with(2, run.definition());
    let options =
        [("context:busybox:test", "input:0-busybox"), ("frontend.caps", "moby.buildkit.frontend.contexts+forward")];
    let end = solved(sides, Message::new().with(2, "dockerfile.v0").map(3, &options).with(13, input)).await;
    came(&service, end)
}

async fn frontend(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let source = at("127.0.0.2:PORT/x", &service);
    let end = solved(sides, Message::new().with(2, "gateway.v0").map(3, &[("source", &source)])).await;
    came(&service, end)
}

/// Where a cache is, as the job and the build have it
fn imported(service: &Loopback) -> Message {
    let place = at("127.0.0.2:PORT/x", service);
    Message::new().with(1, "registry").map(2, &[("ref", &place)])
}

async fn cache(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = Run::new(&format!(": {}", id("n")));
    let end = solved(sides, Message::new().with(1, run.definition()).with(12, imported(&service))).await;
    came(&service, end)
}

/// The job itself has the steps, and no call comes after it
async fn job_cache(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = Run::new(&format!(": {}", id("n")));
    let cache = Message::new().with(5, imported(&service));
    let job = Message::new().with(1, id("r")).with(2, run.definition()).with(5, id("s")).with(8, cache);
    let end = Client::open(&sides.attacker).await?.call(SOLVE, &[], job).await;
    came(&service, end.ok().map(|_| String::new()))
}

/// A call of the build's that only asks
async fn asked(sides: &Sides, service: &Loopback, call: &str, message: Message) -> Attempt {
    let build = Build::start(&sides.attacker, &plain(sides)).await?;
    let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{call}");
    let answer = build.client.call(&path, &[(BUILD_ID, &build.reference)], message).await;
    came(service, answer.ok().map(|_| String::new()))
}

async fn configuration(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let place = at("127.0.0.2:PORT/x:1", &service);
    asked(sides, &service, "ResolveImageConfig", Message::new().with(1, place)).await
}

async fn source(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let source = Message::new().with(1, at("docker-image://127.0.0.2:PORT/x:1", &service));
    asked(sides, &service, "ResolveSourceMeta", Message::new().with(1, source)).await
}
