//! `docker ps` of an owner with few containers among very many: not slower than the engine's own socket.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::gate::Gate;
use super::http::ask;
use super::setting::Engine;
use super::stage::Stage;

/// Containers on the engine
const ALL: usize = 1000;
/// Those of the owner
const OWN: usize = 10;
/// Measurements of each kind, in turn
const ROUNDS: usize = 30;

/// Measures on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let prefix = format!("swt-{}-many-", std::process::id());
    let mut stage = Stage::new(&engine.socket, &prefix);
    stage.image();
    let gate = Gate::start(&engine.socket, "ci");
    let body = json!({"Image": stage.names["image"], "Cmd": ["true"]}).to_string();
    let make = |socket: &Path, number: usize| {
        let made = ask(socket, "POST", &format!("/containers/create?name={prefix}{number}"), &body);
        assert!(made.is_success(), "{} {}", made.status, made.text());
    };
    std::thread::scope(|scope| {
        for part in 0..4 {
            let make = &make;
            scope.spawn(move || (OWN..ALL).filter(|number| number % 4 == part).for_each(|n| make(&engine.socket, n)));
        }
    });
    (0..OWN).for_each(|number| make(&gate.socket(), number));

    let list = |socket: &Path| {
        let begun = Instant::now();
        let answer = ask(socket, "GET", "/containers/json?all=1", "");
        (begun.elapsed(), answer.json().as_array().map_or(0, Vec::len))
    };
    let (mut bare, mut through) = (Vec::new(), Vec::new());
    let mut counts = (0, 0);
    for _ in 0..ROUNDS {
        let (time, count) = list(&engine.socket);
        bare.push(time);
        counts.0 = count;
        let (time, count) = list(&gate.socket());
        through.push(time);
        counts.1 = count;
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (bare, through) = (median(&mut bare), median(&mut through));
    let ratio = through.as_secs_f64() / bare.as_secs_f64();
    let told = format!(
        "{}: {} containers bare in {bare:?}, {} through in {through:?}: {ratio:.2}",
        engine.name, counts.0, counts.1
    );
    eprintln!("docker ps: {told}");
    let mut failed = Vec::new();
    if counts.0 < ALL || counts.1 != OWN {
        failed.push(format!("not everything is listed, or too much: {told}"));
    }
    if ratio > 1.0 {
        failed.push(format!("slower than the bare socket: {told}"));
    }
    failed
}
