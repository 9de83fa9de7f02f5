//! Whose the images are that BuildKit builds, by their names and by their labels: two owners with the real buildx.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

use super::buildx::Buildx;
use super::gate::Gate;
use super::http::{ask, listed};
use super::setting::Engine;
use super::stage::Stage;

const POLICY: &str = "version = 1\nextends = 'ci'\n[owner]\nclean_up = 'when-sockwarden-ends'\nimages = true\n";

struct Play<'a> {
    engine: &'a Engine,
    gate: Gate,
    a: Buildx,
    b: Buildx,
    /// Begins every name
    prefix: String,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut stage = Stage::new(&engine.socket, &format!("swt-{}-bn-", std::process::id()));
    stage.image();
    let prefix = stage.names["prefix"].clone();
    let owners = ["a", "b"].map(|name| format!("{prefix}{name}"));
    let gate = Gate::with_owners(&engine.socket, POLICY, &owners);
    let [a, b] = owners.map(|owner| Buildx::new(engine, &gate.socket_of(&owner)));
    let mut play = Play { engine, gate, a, b, prefix, failed: Vec::new() };
    play.what_is_built_is_its_owners();
    play.a_name_of_another_is_not_given();
    play.what_the_host_has_is_not_given();
    play.a_build_that_fails_gives_its_names_back();
    play.a_build_whose_end_nobody_saw_keeps_its_names();
    play.what_goes_to_the_client_claims_nothing();
    play.an_image_without_a_name_is_its_owners();
    play.what_was_not_pulled_is_no_base();
    play.what_was_built_goes_with_its_owner();
    play.failed
}

impl Play<'_> {
    /// A Dockerfile whose image is none that was there before
    fn file(&self, what: &str) -> String {
        format!("FROM busybox:test\nLABEL swt={}{what} sockwarden.owner=zed sockwarden.memory=1\n", self.prefix)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn through(&self, owner: &str, method: &str, target: &str) -> (u16, Value) {
        asked(&self.gate.socket_of(&self.name(owner)), method, target)
    }

    fn image(&self, name: &str) -> (u16, Value) {
        asked(&self.engine.socket, "GET", &format!("/images/{name}/json"))
    }

    fn holds(&mut self, claim: &str, holds: bool, shown: impl std::fmt::Display) {
        if !holds {
            self.failed.push(format!("{claim}: {shown}"));
        }
    }

    fn builds(&mut self, claim: &str, built: Result<String, String>) {
        if let Err(said) = built {
            self.failed.push(format!("{claim}: {said}"));
        }
    }

    /// One clean line, and nothing that is not told of
    fn refuses(&mut self, claim: &str, built: Result<String, String>, why: &str) {
        let said = built.unwrap_or_else(|said| said);
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("ERROR: ")).collect();
        let clean = lines.len() == 1 && lines[0].contains("PermissionDenied: sockwarden: ") && lines[0].contains(why);
        self.holds(claim, clean, &said);
    }

    fn what_is_built_is_its_owners(&mut self) {
        let names = [self.name("app:1"), self.name("app:2")];
        let built = self.a.build(&self.file("app"), &["-t", &names[0], "-t", &names[1]]);
        self.builds("a build with two names", built);
        let owner = self.name("a");
        for name in &names {
            let (_, found) = self.image(name);
            let labels = &found["Config"]["Labels"];
            let its = labels["sockwarden.owner"] == owner.as_str() && labels["sockwarden.listener"] == owner.as_str();
            self.holds("the image says whose it is", its, labels);
            let rest = labels.get("sockwarden.memory").is_none() && labels["swt"].is_string();
            self.holds("other labels of ours are gone, and those of others stay", rest, labels);
            let (status, _) = self.through("a", "GET", &format!("/images/{name}/json"));
            self.holds("its owner sees it", status == 200, status);
        }
    }

    fn a_name_of_another_is_not_given(&mut self) {
        let (taken, new) = (self.name("app:1"), self.name("new:1"));
        let (status, _) = self.through("b", "GET", &format!("/images/{taken}/json"));
        self.holds("another does not see it", status == 404, status);
        let before = self.image(&taken).1["Id"].clone();
        let built = self.b.build(&self.file("other"), &["-t", &new, "-t", &taken]);
        self.refuses("another gives its name", built, "another owner made it");
        self.holds("the name leads to what it led to", self.image(&taken).1["Id"] == before, &before);
        self.holds("of a build that is refused no name is given", self.image(&new).0 == 404, &new);
        let built = self.a.build(&self.file("new"), &["-t", &new]);
        self.builds("nor claimed", built);
        let built = self.a.build(&self.file("again"), &["-t", &taken]);
        self.builds("its owner builds it anew", built);
        self.holds("and it is another image then", self.image(&taken).1["Id"] != before, &before);
    }

    fn what_the_host_has_is_not_given(&mut self) {
        let name = self.name("image:1");
        let before = self.image(&name).1["Id"].clone();
        let built = self.a.build(&self.file("host"), &["-t", &name]);
        self.refuses("a name that the host has", built, "it exists already");
        self.holds("it is the host's still", self.image(&name).1["Id"] == before, &before);
    }

    fn a_build_that_fails_gives_its_names_back(&mut self) {
        let name = self.name("bad:1");
        let failing = format!("{}RUN false\n", self.file("bad"));
        let built = self.a.build(&failing, &["-t", &name]);
        self.holds(
            "a build that fails",
            built.as_ref().is_err_and(|said| !said.contains("sockwarden:")),
            format!("{built:?}"),
        );
        // What became of the names is looked up beside the answer.
        let built = (0..50).find_map(|_| self.b.build(&self.file("good"), &["-t", &name]).ok());
        self.holds("another builds under its name", built.is_some(), &name);
    }

    fn a_build_whose_end_nobody_saw_keeps_its_names(&mut self) {
        let name = self.name("cut:1");
        self.a.file("Dockerfile", &format!("{}RUN echo begun && sleep 1000\n", self.file("cut")));
        let mut child = self.a.command(&["build", "-t", &name, "."]).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let begun = said.any(|line| line.ends_with(" begun"));
        child.kill().unwrap();
        child.wait().unwrap();
        self.holds("a build runs", begun, "it did not");
        let built = self.b.build(&self.file("cut"), &["-t", &name]);
        self.refuses("another takes a name that is still being given", built, "another owner made it");
        let built = self.a.build(&self.file("cut"), &["-t", &name]);
        self.builds("its owner builds again", built);
    }

    fn what_goes_to_the_client_claims_nothing(&mut self) {
        let name = self.name("app:1");
        let there = self.b.file("there", "");
        std::fs::remove_file(&there).unwrap();
        let option = format!("type=local,dest={}", there.display());
        let built = self.b.build(&self.file("local"), &["-o", &option]);
        self.builds("a directory", built);
        self.holds("it is there", there.join("bin").is_dir(), there.display());
        let option = format!("type=tar,dest={},name={name}", there.with_extension("tar").display());
        let built = self.b.build(&self.file("tar"), &["-o", &option]);
        self.builds("an archive", built);
    }

    fn an_image_without_a_name_is_its_owners(&mut self) {
        let built = self.a.build(&self.file("nameless"), &["-q"]);
        let id = built.clone().unwrap_or_default().trim().to_owned();
        self.builds("a build without a name", built);
        let owner = self.name("a");
        let found = self.image(&id).1;
        self.holds(
            "its label says whose it is",
            found["Config"]["Labels"]["sockwarden.owner"] == owner.as_str(),
            &found,
        );
        let [(ours, _), (others, _)] =
            ["a", "b"].map(|owner| self.through(owner, "GET", &format!("/images/{id}/json")));
        self.holds("it is there for its owner alone", (ours, others) == (200, 404), format!("{ours} {others}"));
    }

    fn what_was_not_pulled_is_no_base(&mut self) {
        let policy = format!("{POLICY}[images]\nvisible = 'own'\n");
        let gate = Gate::with_owner(&self.engine.socket, &policy, &self.name("sight"));
        let buildx = Buildx::new(self.engine, &gate.socket());
        let (hosts, own) = (self.name("image:1"), self.name("own:1"));
        let built = buildx.build(&format!("FROM {hosts}\nRUN true\n"), &[]);
        let told = built.as_ref().is_err_and(|said| said.contains("not found"));
        self.holds("what the host has is not there", told, format!("{built:?}"));
        let built = buildx.build(&format!("FROM scratch\nLABEL swt={own}\nCOPY Dockerfile /file\n"), &["-t", &own]);
        self.builds("an image of one's own", built);
        let built = buildx.build(&format!("FROM {own}\nCOPY Dockerfile /again\n"), &[]);
        self.builds("and one that is built on it", built);
    }

    fn what_was_built_goes_with_its_owner(&mut self) {
        self.gate.stop();
        let left = listed(&self.engine.socket, "/images/json").json();
        let of_this_run = |image: &&Value| image.to_string().contains(&self.prefix);
        let left: Vec<String> = left.as_array().unwrap().iter().filter(of_this_run).map(Value::to_string).collect();
        let only_the_hosts = left.len() == 1 && left[0].contains(&self.name("image:1"));
        self.holds("with its owner goes what it built", only_the_hosts, left.join("\n"));
    }
}

fn asked(socket: &Path, method: &str, target: &str) -> (u16, Value) {
    let answer = ask(socket, method, target, "");
    (answer.status, answer.json())
}
