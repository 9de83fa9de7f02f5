//! The name of somebody else's image, given to what the attacker has built.

use super::{ALL, Attempt, Failure, GoesWell as _, Sides, remove};
use crate::engines::buildkit::build::{Build, id};
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::http::ask;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        tokio::join!(
            play.attack("another's image, by its name", ALL, "another owner made it", async |sides: &Sides| {
                taken(sides, |name| exported(&name)).await
            }),
            play.attack(
                "another's image, by its full name behind one's own",
                ALL,
                "another owner made it",
                async |sides: &Sides| {
                    taken(sides, |name| exported(&format!("own{name},docker.io/library/{name}:latest"))).await
                }
            ),
            play.attack(
                "another's image, by the older of two fields that differ",
                &["bookworm"],
                "ExporterDeprecated",
                async |sides: &Sides| taken(sides, |name| differing(&name, "own")).await
            ),
            play.attack(
                "another's image, by the newer of two fields that differ",
                super::NEWER,
                "ExporterDeprecated",
                async |sides: &Sides| taken(sides, |name| differing("own", &name)).await
            ),
            play.attack(
                "another's image, by the older field alone",
                ALL,
                "another owner made it",
                async |sides: &Sides| {
                    taken(sides, |name| Message::new().with(3, "moby").map(4, &[("name", &name)])).await
                }
            ),
        );
    })
}

/// As clients of all ages say it, in both places
fn exported(name: &str) -> Message {
    let exporter = Message::new().with(1, "moby").map(2, &[("name", name)]);
    Message::new().with(3, "moby").map(4, &[("name", name)]).with(13, exporter)
}

/// One exporter for engines up to 25, and another for newer ones
fn differing(older: &str, newer: &str) -> Message {
    let of_nobody = |name: &str| if name == "own" { id("own") } else { name.to_owned() };
    let exporter = Message::new().with(1, "moby").map(2, &[("name", &of_nobody(newer))]);
    Message::new().with(3, "moby").map(4, &[("name", &of_nobody(older))]).with(13, exporter)
}

/// Builds something of one's own; the job's end is when it gets its names
async fn built(socket: &std::path::Path, content: &str, names: Message) -> Attempt {
    let offer = Offer::dockerfile("FROM busybox:test\nCOPY file /file\n").file("file", content);
    let build = Build::start_with(socket, &offer, names).await?;
    let result = build.dockerfile(&[]).await?;
    Ok(build.end(&result).await?)
}

/// What the engine has under a name
async fn image(sides: &Sides) -> Result<String, Failure> {
    let (engine, target) = (sides.engine.clone(), format!("/images/{}/json", sides.word));
    let found = tokio::task::spawn_blocking(move || ask(&engine, "GET", &target, "")).await.goes_well("asking")?;
    Ok(found.json()["Id"].as_str().unwrap_or_default().to_owned())
}

async fn taken(sides: &Sides, names: impl Fn(String) -> Message) -> Attempt {
    let _images = Images(sides);
    built(&sides.victim, "victim", exported(&sides.word)).await.goes_well("the victim's build")?;
    let before = image(sides).await?;
    if before.is_empty() {
        return Err(Failure::Unplayed("the victim's image has no name".to_owned()));
    }
    let end = built(&sides.attacker, "attacker", names(sides.word.clone())).await;
    if image(sides).await? != before {
        return Ok(());
    }
    end?;
    Err("the name is still the victim's".to_owned().into())
}

/// The images of an attack; removed when dropped
struct Images<'a>(&'a Sides);

impl Drop for Images<'_> {
    fn drop(&mut self) {
        for name in [self.0.word.clone(), format!("own{}", self.0.word)] {
            remove(&self.0.engine, &format!("/images/{name}?force=1"));
        }
    }
}
