//! What builds share by a name that anybody can say: cache mounts, directories that were copied before, imported caches.

use super::{ALL, Attempt, Failure, GoesWell as _, NEWER, Sides, records};
use crate::engines::buildkit::build::{BRIDGE_SOLVE, BUILD_ID, Build, built, id};
use crate::engines::buildkit::llb::Run;
use crate::engines::buildkit::message::{Message, found, text};
use crate::engines::buildkit::session::Offer;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        tokio::join!(
            play.attack("another's cache mount, by its id", ALL, "only", mount),
            play.attack("another's cache mount, by the name the engine has for it", ALL, "only", mount_by_argument),
            play.attack("another's cache mount, by raw steps for the frontend", NEWER, "not one's own", mount_by_input),
            play.attack("another's directory, by its key and the look of its files", ALL, "only", directory),
        );
    })
}

/// The victim keeps the word in a cache mount; the full name of that on the engine
async fn kept(sides: &Sides) -> Result<String, Failure> {
    let (word, nonce) = (&sides.word, id("n"));
    let offer = Offer::dockerfile(&format!(
        "FROM busybox:test\nRUN --mount=type=cache,target=/cache,id={word} echo {word} | tee /cache/kept > /out; : {nonce}\n"
    ));
    let build = Build::start(&sides.victim, &offer).await.goes_well("the victim's build")?;
    let solve = Message::new().with(2, "dockerfile.v0").number(5, 1).number(6, 1);
    let answer = build.client.call(BRIDGE_SOLVE, &[(BUILD_ID, &build.reference)], solve).await;
    let answer = answer.ok().goes_well("the victim's Dockerfile")?;
    let result = text(&answer, &[3, 3, 1]);
    build.read(&result, "/out").await.goes_well("the victim's step")?;
    build.end(&result).await.goes_well("the victim's build")?;
    // One that is in use still would not be found by its name.
    records::cached(sides).await?;
    // Operations of the definition, their mounts, the cache's id.
    let ops = found(&answer, &[3, 3, 2, 1]);
    let names = ops.iter().flat_map(|op| found(op, &[2, 2, 20, 1]));
    let names: Vec<_> = names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
    names.first().cloned().ok_or_else(|| Failure::Unplayed("no cache mount in the definition".to_owned()))
}

fn taken(word: &str, seen: &str) -> Attempt {
    if seen.contains(word) { Ok(()) } else { Err(format!("only {seen:?}").into()) }
}

/// Reads whatever is in a cache mount of that id
async fn read(sides: &Sides, cache: &str, options: &[(&str, &str)]) -> Attempt {
    let offer = Offer::dockerfile(&format!(
        "FROM busybox:test\nRUN --mount=type=cache,target=/cache,id={cache} cat /cache/* > /out || true; : {}\n",
        id("n")
    ));
    taken(&sides.word, &built(&sides.attacker, &offer, options, "/out").await?)
}

async fn mount(sides: &Sides) -> Attempt {
    kept(sides).await?;
    read(sides, &sides.word, &[]).await
}

async fn mount_by_argument(sides: &Sides) -> Attempt {
    let name = kept(sides).await?;
    let (namespace, cache) = name.rsplit_once('/').unwrap_or_default();
    read(sides, cache, &[("build-arg:BUILDKIT_CACHE_MOUNT_NS", namespace)]).await
}

async fn mount_by_input(sides: &Sides) -> Attempt {
    let cache = kept(sides).await?;
    let run = Run { cache, ..Run::new(&format!("cat /cache/* > /out || true; : {}", id("n"))) };
    let offer = Offer::dockerfile(&format!("FROM base\nRUN : {}\n", id("n")));
    let build = Build::start(&sides.attacker, &offer).await?;
    let input = Message::new().with(1, "0-base").with(2, run.definition());
    let options = [("context:base", "input:0-base"), ("frontend.caps", "moby.buildkit.frontend.contexts+forward")];
    let result = build.solve(Message::new().with(2, "dockerfile.v0").map(3, &options).with(13, input)).await?;
    taken(&sides.word, &build.read(&result, "/out").await?)
}

/// A file of that name, length and time is not copied again where the directory is known
async fn directory(sides: &Sides) -> Attempt {
    let dockerfile = "FROM busybox:test\nCOPY file /out\n";
    let shared_key = format!("/src:{}", id("node"));
    let victim = Offer { shared_key, ..Offer::dockerfile(dockerfile).file("file", &sides.word) };
    built(&sides.victim, &victim, &[], "/out").await.goes_well("the victim's build")?;
    let another = "x".repeat(sides.word.len());
    let attacker =
        Offer { shared_key: victim.shared_key.clone(), ..Offer::dockerfile(dockerfile).file("file", &another) };
    taken(&sides.word, &built(&sides.attacker, &attacker, &[], "/out").await?)
}
