//! `visible = "own"`: an image is there once this owner has pulled it, with the registry's leave, or has made it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::gate::Gate;
use super::http::{Answer, Framing, ask, request, send};
use super::image_owners::owners;
use super::setting::Engine;
use super::stage::Stage;
use super::tar::tar;

/// A registry on loopback; ends when dropped
struct Registry {
    dir: TempDir,
    address: String,
}

impl Registry {
    fn start() -> Self {
        let dir = TempDir::with_prefix("swt-registry").unwrap();
        let up = Command::new(script()).arg("up").arg(dir.path()).output().unwrap();
        let address = String::from_utf8(up.stdout).unwrap().trim().to_owned();
        assert!(up.status.success() && !address.is_empty(), "{}", String::from_utf8_lossy(&up.stderr));
        Self { dir, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("down").arg(self.dir.path()).status();
    }
}

fn script() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registry").into()
}

struct Play<'a> {
    engine: &'a Engine,
    gate: Gate,
    registry: Registry,
    stage: Stage,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let stage = Stage::new(&engine.socket, &format!("swt-{}-sight-", std::process::id()));
    let registry = Registry::start();
    let policy = format!(
        "version = 1\nname = \"sight\"\nallow = [\"container\", \"image\", \"build\"]\n[images]\nallow = [\"**\"]\nvisible = \"own\"\n\
         [owner]\nisolate = true\nshare = {{ images = [\"{}shared\"] }}\n",
        stage.names["prefix"]
    );
    let gate = Gate::with_owners(&engine.socket, &policy, &owners());
    let mut play = Play { engine, gate, registry, stage, failed: Vec::new() };
    play.what_was_not_pulled_is_not_there();
    play.a_pull_that_fails_shows_nothing();
    play.a_pull_shows_an_image_to_who_pulled();
    play.what_is_pulled_by_two_is_removed_by_neither();
    play.what_is_shared_is_there_for_all();
    play.a_pull_ends_the_claim_of_who_made_the_name();
    play.a_build_shows_what_it_pulled_and_takes_nothing_else();
    play.failed
}

impl Play<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}/{}{name}", self.registry.address, self.stage.names["prefix"])
    }

    fn by(&self, owner: usize, method: &str, target: &str) -> Answer {
        ask(&self.gate.socket_of(&owners()[owner]), method, target, "")
    }

    fn engine(&self, method: &str, target: &str) -> Answer {
        ask(&self.engine.socket, method, target, "")
    }

    fn holds(&mut self, claim: &str, holds: bool, shown: impl std::fmt::Display) {
        if !holds {
            self.failed.push(format!("{claim}: {shown}"));
        }
    }

    /// Whether an owner has the image, by every way to ask
    fn sees(&self, owner: usize, name: &str) -> Vec<bool> {
        let socket = self.gate.socket_of(&owners()[owner]);
        let id =
            self.engine("GET", &format!("/images/{name}/json")).json()["Id"].as_str().unwrap_or_default().to_owned();
        let create = |image: &str| {
            let answer =
                ask(&socket, "POST", "/containers/create", &json!({ "Image": image, "Cmd": ["true"] }).to_string());
            if let Some(id) = answer.json()["Id"].as_str() {
                ask(&socket, "DELETE", &format!("/containers/{id}"), "");
            }
            answer.status == 201
        };
        let list = self.by(owner, "GET", "/images/json").text();
        vec![
            self.by(owner, "GET", &format!("/images/{name}/json")).status == 200,
            self.by(owner, "GET", &format!("/images/{name}/history")).status == 200,
            create(name),
            create(&id[7..19]),
            list.contains(&format!("\"{name}\"")),
        ]
    }

    fn expect_sight(&mut self, claim: &str, owner: usize, name: &str, sees: bool) {
        let found = self.sees(owner, name);
        self.holds(claim, found.iter().all(|found| *found == sees), format!("{found:?}"));
    }

    /// The host makes an image of its own under a name
    fn host_makes(&self, name: &str) {
        let made = json!({"Image": "busybox:test", "Cmd": ["true"], "Labels": {"swt": name}}).to_string();
        let made = ask(&self.engine.socket, "POST", "/containers/create", &made).json()["Id"].clone();
        let (container, (repository, tag)) = (made.as_str().unwrap(), name.rsplit_once(':').unwrap());
        self.engine("POST", &format!("/commit?container={container}&repo={repository}&tag={tag}"));
        self.engine("DELETE", &format!("/containers/{container}"));
    }

    fn host_pushes(&self, name: &str) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let auth = ["X-Registry-Auth: e30=".to_owned()];
        let push = request("POST", &format!("/images/{repository}/push?tag={tag}"), &auth, &[], Framing::Length);
        let pushed = send(&self.engine.socket, &push, 1).remove(0);
        assert!(!pushed.text().contains("errorDetail"), "{}", pushed.text());
    }

    fn pull(&self, owner: usize, name: &str) -> Answer {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        self.by(owner, "POST", &format!("/images/create?fromImage={repository}&tag={tag}"))
    }

    fn what_was_not_pulled_is_not_there(&mut self) {
        let name = self.name("app:1");
        self.host_makes(&name);
        self.expect_sight("an image that nobody pulled is not there", 0, &name, false);
        let busybox = self.by(0, "GET", "/images/busybox:test/json");
        self.holds("nor is any other of the host's", busybox.status == 404, busybox.text());
    }

    fn a_pull_that_fails_shows_nothing(&mut self) {
        let name = self.name("app:1");
        let answer = self.pull(0, &name);
        let failed = answer.status >= 400 || answer.text().contains("errorDetail");
        self.holds("the registry does not have it", failed, answer.text());
        self.expect_sight("a pull that failed shows nothing", 0, &name, false);
        // What the registry will not answer, it does not show either.
        let nobody = format!("127.0.0.1:1/{}app:1", self.stage.names["prefix"]);
        self.host_makes(&nobody);
        self.pull(0, &nobody);
        self.expect_sight("nor does one from where nobody answers", 0, &nobody, false);
    }

    fn a_pull_shows_an_image_to_who_pulled(&mut self) {
        let name = self.name("app:1");
        self.host_pushes(&name);
        let answer = self.pull(0, &name);
        self.holds("it is pulled", answer.status == 200 && !answer.text().contains("errorDetail"), answer.text());
        self.holds("no layer comes twice", !answer.text().contains("Pull complete"), answer.text());
        self.expect_sight("who pulled it has it", 0, &name, true);
        self.expect_sight("who did not has it not", 1, &name, false);
        let answer = self.by(0, "DELETE", &format!("/images/{name}"));
        self.holds("what the host had before is not removed", answer.status == 403, answer.text());
    }

    fn a_build_shows_what_it_pulled_and_takes_nothing_else(&mut self) {
        let name = self.name("base:1");
        self.host_makes(&name);
        self.host_pushes(&name);
        let built = self.builds_from(0, &name);
        let missing = built.status == 404 && built.text().contains("No such image: ");
        self.holds("what the host has and nobody pulled is no base", missing, built.text());
        self.engine("DELETE", &format!("/images/{name}"));
        for _ in 0..2 {
            let built = self.builds_from(0, &name);
            self.holds("a build pulls its base, and finds it again", built.text().contains("built"), built.text());
        }
        if self.engine("GET", &format!("/images/{name}/json")).status != 200 {
            return;
        }
        self.expect_sight("who built on it has it", 0, &name, true);
        self.expect_sight("who did not has it not", 1, &name, false);
        let built = self.builds_from(1, &name);
        self.holds("nor for a build", built.status == 404, built.text());
        let later = self.name("later:1");
        self.host_makes(&later);
        self.host_pushes(&later);
        self.engine("DELETE", &format!("/images/{later}"));
        let built = self.builds(0, "target=a&", &format!("FROM scratch AS a\nCOPY . /\nFROM {later}\n"));
        self.holds("a build that does not come to it", built.text().contains("built"), built.text());
        self.pull(1, &later);
        self.expect_sight("has not pulled it", 0, &later, false);
    }

    fn builds_from(&self, owner: usize, name: &str) -> Answer {
        self.builds(owner, "", &format!("FROM {name}\nENV a=b\n"))
    }

    fn builds(&self, owner: usize, query: &str, dockerfile: &str) -> Answer {
        let context = tar(&[("Dockerfile", dockerfile.as_bytes())]);
        let headers = ["Content-Type: application/x-tar".to_owned()];
        let build = request("POST", &format!("/build?{query}nocache=1"), &headers, &context, Framing::Length);
        send(&self.gate.socket_of(&owners()[owner]), &build, 1).remove(0)
    }

    fn what_is_pulled_by_two_is_removed_by_neither(&mut self) {
        let name = self.name("two:1");
        self.host_makes(&name);
        self.host_pushes(&name);
        self.engine("DELETE", &format!("/images/{name}"));
        self.pull(0, &name);
        self.pull(1, &name);
        for owner in [0, 1] {
            let answer = self.by(owner, "DELETE", &format!("/images/{name}"));
            let told = answer.status == 403 && answer.text().contains("is there for others");
            self.holds("what two pulled is removed by neither", told, answer.text());
        }
        self.engine("DELETE", &format!("/images/{name}"));
        let alone = self.name("alone:1");
        self.host_makes(&alone);
        self.host_pushes(&alone);
        self.engine("DELETE", &format!("/images/{alone}"));
        self.pull(0, &alone);
        let answer = self.by(0, "DELETE", &format!("/images/{alone}"));
        self.holds("what one pulled alone is removed by it", answer.status == 200, answer.text());
    }

    fn what_is_shared_is_there_for_all(&mut self) {
        let name = format!("{}shared:1", self.stage.names["prefix"]);
        self.host_makes(&name);
        for owner in [0, 1] {
            self.expect_sight("what is shared is there for all", owner, &name, true);
            let answer = self.by(owner, "DELETE", &format!("/images/{name}"));
            self.holds("and not removed by any", answer.status == 403, answer.text());
            let target = format!("/images/{name}/tag?repo={}shared&tag=1", self.stage.names["prefix"]);
            let answer = self.by(owner, "POST", &target);
            let told = answer.status == 403 && answer.text().contains("exists already");
            self.holds("nor made", told, answer.text());
        }
        let made = format!("{}shared:2", self.stage.names["prefix"]);
        self.by(0, "POST", &format!("/images/{name}/tag?repo={}shared&tag=2", self.stage.names["prefix"]));
        let answer = self.by(1, "GET", &format!("/images/{made}/json"));
        self.holds("what an owner makes is shared by no pattern", answer.status == 404, answer.text());
    }

    fn a_pull_ends_the_claim_of_who_made_the_name(&mut self) {
        let name = self.name("claimed:1");
        self.host_makes(&name);
        self.host_pushes(&name);
        self.engine("DELETE", &format!("/images/{name}"));
        let context = tar(&[("Dockerfile", b"FROM scratch\nCOPY . /\nCMD [\"true\"]\n".as_slice())]);
        let headers = ["Content-Type: application/x-tar".to_owned()];
        let build = request("POST", &format!("/build?t={name}"), &headers, &context, Framing::Length);
        let answer = send(&self.gate.socket_of(&owners()[0]), &build, 1).remove(0);
        let made = answer.status == 200 && answer.text().contains("Successfully tagged");
        self.holds("a name is made before it is pulled", made, answer.text());
        self.expect_sight("who made it has it", 0, &name, true);
        self.expect_sight("the other has it not", 1, &name, false);
        self.pull(1, &name);
        self.expect_sight("the registry's image is there for who pulled", 1, &name, true);
        self.expect_sight("and its former maker has to pull it", 0, &name, false);
    }
}
