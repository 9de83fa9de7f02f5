//! What buildx tells of its own doings at the end of a build: allowed, like all else that a plain build asks.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::buildx::Buildx;
use super::gate::Gate;
use super::http::PATIENCE;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let gate = Gate::start(&engine.socket, "ci");
    let buildx = Buildx::new(engine, &gate.socket());
    buildx.file("file", "of the context");
    let dockerfile = "FROM busybox:test\nCOPY file /file\nRUN cat /file\n";
    if let Err(said) = buildx.build(dockerfile, &OPTIONS) {
        failed.push(format!("a build fails: {said}"));
    }
    // One that fails tells more: why.
    match buildx.build("FROM busybox:test\nRUN false\n", &OPTIONS) {
        Err(said) if said.contains("exit code: 1") => {}
        other => failed.push(format!("a build that cannot go well: {other:?}")),
    }
    let exports = |lines: &[Value], event: &str| -> Vec<Value> {
        let is_one = |line: &&Value| line["event"] == event && line["operation"] == "build.trace";
        lines.iter().filter(is_one).cloned().collect()
    };
    let started = Instant::now();
    let lines = loop {
        let lines = lines(&gate);
        if exports(&lines, "end").len() >= 2 || started.elapsed() > PATIENCE {
            break lines;
        }
        sleep(Duration::from_millis(10));
    };
    let ends = exports(&lines, "end");
    if ends.len() < 2 || ends.iter().any(|end| end["grpc_status"] != 0) {
        failed.push(format!("spans are not taken: {ends:#?}"));
    }
    if exports(&lines, "request").iter().any(|line| line["verdict"] != "allow") {
        failed.push(format!("spans are not allowed as they are: {lines:#?}"));
    }
    let is_refused =
        |line: &&Value| line["event"] == "request" && line["verdict"] != "allow" && line["verdict"] != "modify";
    for line in lines.iter().filter(is_refused) {
        failed.push(format!("a refused line: {line}"));
    }
    failed
}

fn lines(gate: &Gate) -> Vec<Value> {
    gate.record().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Nothing stays of them
const OPTIONS: [&str; 3] = ["--no-cache", "--output", "type=cacheonly"];
