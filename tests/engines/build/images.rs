//! Somebody else's image: to build on, to look into, and to be taken for.

use std::path::Path;

use super::{ALL, Attempt, Failure, GoesWell as _, Sides, remove};
use crate::engines::buildkit::build::{BUILD_ID, Build, built};
use crate::engines::buildkit::message::{Message, text};
use crate::engines::buildkit::session::Offer;
use crate::engines::generation::Store;
use crate::engines::http::ask;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    // With containerd's store a build has what its name stood for when it was judged, by its digest.
    let swap: (&[&str], &str) = match engine.store() {
        Store::Own => (ALL, "is made of what had it"),
        Store::Containerd => (&[], "seen: the attacker's own"),
    };
    super::play(engine, async |play| {
        tokio::join!(
            play.attack("another's image, as a base", ALL, "not found", base),
            play.attack("another's image, to copy from", ALL, "not found", copied),
            play.attack("another's image, by a name that was one's own", swap.0, swap.1, swapped),
            play.attack("the configuration of another's image", ALL, "not found", configuration),
            play.attack(
                "another's label on one's own image",
                ALL,
                "the label says \"swtattacker",
                async |sides: &Sides| { label(sides, |label| format!(r#"{{"config":{{"Labels":{label}}}}}"#)).await }
            ),
            play.attack("another's label, behind one's own", ALL, "image configuration", async |sides: &Sides| {
                label(sides, |label| format!(r#"{{"config":{{"Labels":{{}}}},"Config":{{"Labels":{label}}}}}"#)).await
            }),
            play.attack("another's label, in other letters", ALL, "image configuration", async |sides: &Sides| {
                label(sides, |label| format!(r#"{{"config":{{"label\u017f":{label}}}}}"#)).await
            }),
        );
    })
}

/// The victim's image, with its secret in a file and in its environment; removed when dropped
struct Image<'a>(&'a Sides);

impl<'a> Image<'a> {
    async fn of_the_victim(sides: &'a Sides) -> Result<Self, Failure> {
        let image = Self(sides);
        match make(sides, &sides.victim, &secret(sides)).await {
            Err(Failure::Refused(why)) => Err(Failure::Unplayed(format!("the victim's image: {why}"))),
            made => made.map(|()| image),
        }
    }
}

/// Makes the image, with something in a file and in its environment
async fn make(sides: &Sides, socket: &Path, content: &str) -> Attempt {
    let offer = Offer::dockerfile("FROM busybox:test\nCOPY file /file\n").file("file", content);
    let exporter = Message::new().with(1, "moby").map(2, &[("name", &sides.word)]);
    let more = Message::new().with(3, "moby").map(4, &[("name", &sides.word)]).with(13, exporter);
    let build = Build::start_with(socket, &offer, more).await?;
    let result = build.dockerfile(&[]).await?;
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["SECRET={content}"]}},"rootfs":{{"type":"layers"}}}}"#
    );
    Ok(build.end_with(&result, &config).await?)
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        remove(&self.0.engine, &format!("/images/{}?force=1", self.0.word));
    }
}

fn secret(sides: &Sides) -> String {
    format!("secret{}", sides.word)
}

/// Whether what was seen is the victim's
fn seen(sides: &Sides, seen: &str) -> Attempt {
    if seen.contains(&secret(sides)) { Ok(()) } else { Err(format!("seen: {seen}").into()) }
}

async fn base(sides: &Sides) -> Attempt {
    let _image = Image::of_the_victim(sides).await?;
    let offer = Offer::dockerfile(&format!("FROM {}\nRUN cat /file > /out\n", sides.word));
    seen(sides, &built(&sides.attacker, &offer, &[], "/out").await?)
}

async fn copied(sides: &Sides) -> Attempt {
    let _image = Image::of_the_victim(sides).await?;
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nCOPY --from={} /file /out\n", sides.word));
    seen(sides, &built(&sides.attacker, &offer, &[], "/out").await?)
}

/// A name is looked up when a build is judged, and once more when it runs
async fn swapped(sides: &Sides) -> Attempt {
    let _image = Image(sides);
    make(sides, &sides.attacker, "the attacker's own").await.goes_well("an image of one's own")?;
    let offer = Offer::dockerfile(&format!("FROM {}\nRUN cat /file > /out\n", sides.word));
    let build = Build::start(&sides.attacker, &offer).await.goes_well("a build")?;
    let result = build.dockerfile(&[]).await.goes_well("its Dockerfile")?;
    let (attacker, target) = (sides.attacker.clone(), format!("/images/{}?force=1", sides.word));
    let gone = tokio::task::spawn_blocking(move || ask(&attacker, "DELETE", &target, "")).await.goes_well("asking")?;
    if !gone.is_success() {
        return Err(Failure::Unplayed(format!("one's own image stays: {}", gone.text())));
    }
    make(sides, &sides.victim, &secret(sides)).await?;
    seen(sides, &build.read(&result, "/out").await?)
}

async fn configuration(sides: &Sides) -> Attempt {
    let _image = Image::of_the_victim(sides).await?;
    let build = Build::start(&sides.attacker, &Offer::dockerfile("FROM busybox:test\n")).await.goes_well("a build")?;
    let asked = Message::new().with(1, format!("docker.io/library/{}:latest", sides.word));
    let answer = build.client.call(RESOLVE, &[(BUILD_ID, &build.reference)], asked).await.ok()?;
    seen(sides, &text(&answer, &[2]))
}

/// A frontend returns the image's configuration with its result, and here the attacker is it
async fn label(sides: &Sides, config: impl Fn(&str) -> String) -> Attempt {
    let _image = Image(sides);
    let forged = format!("forged{}", sides.word);
    let config = config(&format!(r#"{{"sockwarden.owner":"{forged}"}}"#));
    let shape = r#""architecture":"amd64","os":"linux","rootfs":{"type":"layers"},"#;
    let config = config.replacen('{', &format!("{{{shape}"), 1);
    let exporter = Message::new().with(1, "moby").map(2, &[("name", &sides.word)]);
    let more = Message::new().with(3, "moby").map(4, &[("name", &sides.word)]).with(13, exporter);
    let offer = Offer::dockerfile("FROM busybox:test\n");
    let build = Build::start_with(&sides.attacker, &offer, more).await.goes_well("a build")?;
    let result = build.dockerfile(&[]).await.goes_well("its Dockerfile")?;
    build.end_with(&result, &config).await?;
    let (engine, target) = (sides.engine.clone(), format!("/images/{}/json", sides.word));
    let found = tokio::task::spawn_blocking(move || ask(&engine, "GET", &target, "")).await.goes_well("asking")?.json();
    let label = &found["Config"]["Labels"]["sockwarden.owner"];
    if *label == forged.as_str() { Ok(()) } else { Err(format!("the label says {label}").into()) }
}

const RESOLVE: &str = "/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig";
