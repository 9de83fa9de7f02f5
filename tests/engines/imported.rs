//! A cache that the real buildx takes from a registry where a policy grants it, as it does from the engine itself.

use serde_json::Value;

use super::build::{Failure, Sides, records, remove};
use super::buildkit::build::id;
use super::buildx::Buildx;
use super::gate::Gate;
use super::generation::Store;
use super::http::ask;
use super::registry::Registry;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let registry = Registry::start();
    let named = "[build]\ncache_import = ['type=registry,ref=127.0.0.1:*/**']\n";
    let granted = Gate::with_policy(&engine.socket, &format!("extends = 'ci'\n{named}"));
    let plain = Gate::start(&engine.socket, "ci");
    let mut failed = Vec::new();
    for (way, socket, is_taken) in [
        ("bare", engine.socket.clone(), true),
        ("through a policy that names it", granted.socket(), true),
        ("through `ci`", plain.socket(), false),
    ] {
        let word = id("w");
        let image = Image { engine, name: format!("{}/swt/{word}:1", registry.address), word };
        let buildx = Buildx::new(engine, &socket);
        match image.built_twice(&buildx) {
            Ok(Builds { first, second, said }) => {
                // What a step draws by chance is the same only if it has not run again. With containerd's store its layer is
                // fetched at once, which is all that is told then.
                let is_told = is_cached(&said) == is_taken || (is_taken && engine.store() == Store::Containerd);
                if (first == second) != is_taken || !is_told {
                    failed.push(format!("{way}: is the cache taken: {first} {second}\n{said}"));
                }
            }
            Err(why) => failed.push(format!("{way}: {why}")),
        }
    }
    failed
}

/// Whether the step is told to have been done before
fn is_cached(said: &str) -> bool {
    let step = said.lines().find_map(|line| line.split_once(" [2/2] RUN ").map(|(number, _)| number));
    step.is_some_and(|number| said.lines().any(|line| line == format!("{number} CACHED")))
}

/// What is built, pushed with its cache, and built again; removed when dropped
struct Image<'a> {
    engine: &'a Engine,
    name: String,
    word: String,
}

/// The layers of both images, and what the second build said
struct Builds {
    first: Value,
    second: Value,
    said: String,
}

impl Image<'_> {
    fn built_twice(&self, buildx: &Buildx) -> Result<Builds, String> {
        let dockerfile = format!("FROM busybox:test\nRUN : {}; head -c 16 /dev/urandom >/drawn\n", self.word);
        let cache = format!("type=registry,ref={}", self.name);
        buildx.build(&dockerfile, &["-t", &self.name, "--push", "--cache-to", "type=inline"])?;
        let first = self.layers()?;
        self.forgotten()?;
        let said = buildx.build(&dockerfile, &["-t", &self.name, "--cache-from", &cache])?;
        let second = self.layers()?;
        Ok(Builds { first, second, said })
    }

    fn layers(&self) -> Result<Value, String> {
        let found = ask(&self.engine.socket, "GET", &format!("/images/{}/json", self.name), "");
        if found.is_success() { Ok(found.json()["RootFS"]["Layers"].clone()) } else { Err(found.text()) }
    }

    /// Leaves the image and its cache in the registry alone
    fn forgotten(&self) -> Result<(), String> {
        remove(&self.engine.socket, &format!("/images/{}?force=1", self.name));
        let engine = self.engine.socket.clone();
        let (victim, attacker) = (engine.clone(), engine.clone());
        let sides = Sides { victim, attacker, engine, suffix: String::new(), word: self.word.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let forgotten = runtime.block_on(records::forgotten(&sides));
        forgotten.map_err(|failure: Failure| format!("{failure:?}"))
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        remove(&self.engine.socket, &format!("/images/{}?force=1", self.name));
    }
}
