//! A frontend that a policy names by its digest, in a registry on loopback: it is run, and no other image of its name.
//!
//! The program says that it was run by the number that it ends with; it builds nothing.

use serde_json::json;

use super::build::remove;
use super::buildkit::build::{Build, id};
use super::buildkit::message::Message;
use super::buildkit::session::Offer;
use super::gate::Gate;
use super::http::{Framing, ask, request, send};
use super::registry::Registry;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let registry = Registry::start();
    let names = Names { engine, image: format!("{}/swt/{}", registry.address, id("w")) };
    let [named, other] = [7, 8].map(|number| names.pushed(&format!("f{number}"), 70 + number));
    let policy = format!("extends = 'ci'\n[build]\nfrontends = ['{named}']\n");
    let gate = Gate::with_policy(&engine.socket, &policy);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut failed = Vec::new();
    // Without rules for sources in the engine no line of a Dockerfile chooses a frontend.
    let follows = engine.name != "bookworm";
    for (what, image, is_line, expected) in [
        ("by name", &named, false, "exit code: 77"),
        ("by name, another", &other, false, "frontend 127.0.0.1:"),
        ("by the Dockerfile", &named, true, if follows { "exit code: 77" } else { "built by the engine" }),
        ("by the Dockerfile, another", &other, true, if follows { "denied by policy" } else { "built by the engine" }),
    ] {
        let said = runtime.block_on(async {
            let first = if is_line { format!("# syntax={image}\n") } else { String::new() };
            let offer = Offer::dockerfile(&format!("{first}FROM busybox:test\nCOPY file /file\n")).file("file", image);
            let message = Message::new().with(2, if is_line { "dockerfile.v0" } else { "gateway.v0" });
            let message = if is_line { message } else { message.map(3, &[("source", image)]) };
            match Build::start(&gate.socket(), &offer).await {
                Ok(build) => build.solve(message).await,
                Err(reply) => Err(reply),
            }
        });
        let said = said.map_or_else(|reply| reply.said, |_| "built by the engine".to_owned());
        if !said.contains(expected) {
            failed.push(format!("a frontend {what}: not `{expected}` but {said}"));
        }
    }
    runtime.shutdown_background();
    failed
}

/// Names of images on the engine; removed when dropped
struct Names<'a> {
    engine: &'a Engine,
    image: String,
}

impl Names<'_> {
    /// An image that ends with a number, in the registry; its name by its digest
    fn pushed(&self, tag: &str, number: u8) -> String {
        let made = |method: &str, target: &str, body: &str| {
            let answer = ask(&self.engine.socket, method, target, body);
            assert!(answer.is_success(), "{target}: {}", answer.text());
            answer.json()
        };
        let labels = json!({"moby.buildkit.frontend.caps": "moby.buildkit.frontend.contexts"});
        let body = json!({"Image": "busybox:test", "Entrypoint": ["/bin/sh", "-c", format!("exit {number}")], "Labels": labels});
        let container = made("POST", "/containers/create", &body.to_string())["Id"].as_str().unwrap().to_owned();
        made("POST", &format!("/commit?container={container}&repo={}&tag={tag}", self.image), "{}");
        ask(&self.engine.socket, "DELETE", &format!("/containers/{container}"), "");
        let nobody = ["X-Registry-Auth: e30=".to_owned()];
        let target = format!("/images/{}/push?tag={tag}", self.image);
        let pushed = send(&self.engine.socket, &request("POST", &target, &nobody, b"", Framing::Length), 1).remove(0);
        let found = made("GET", &format!("/images/{}:{tag}/json", self.image), "");
        let named = found["RepoDigests"][0].as_str().unwrap_or_else(|| panic!("{}", pushed.text()));
        named.replacen('@', &format!(":{tag}@"), 1)
    }
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        for tag in ["f7", "f8"] {
            remove(&self.engine.socket, &format!("/images/{}:{tag}?force=1", self.image));
        }
    }
}
