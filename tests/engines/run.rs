//! Runs cases: through sockwarden, then on the bare engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::{Case, Effect, cases};
use super::gate::Gate;
use super::http::{Answer, PATIENCE, ask, send_again};
use super::setting::{Engine, on_each_engine};
use super::stage::{Needs, Stage};

/// Runs a file of `tests/cases` on each engine
pub fn family(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/{name}.toml"));
    let cases = cases(&file);
    on_each_engine(|engine| Play::open(engine, name, &cases).all(&cases));
}

/// One family on one engine
struct Play<'a> {
    engine: &'a Engine,
    family: &'a str,
    stage: Stage,
    gates: BTreeMap<String, Gate>,
    seen: BTreeMap<String, Value>,
}

impl<'a> Play<'a> {
    fn open(engine: &'a Engine, family: &'a str, cases: &[Case]) -> Self {
        let mut gates = BTreeMap::new();
        for case in cases {
            gates.entry(case.policy.clone()).or_insert_with(|| Gate::start(&engine.socket, &case.policy));
        }
        let mut stage = Stage::new(&engine.socket, &format!("swt-{}-{family}-", std::process::id()));
        stage.image();
        if cases.iter().any(|case| case.mentions("victim")) {
            stage.player("victim", &engine.socket, &Needs::all());
        }
        if cases.iter().any(|case| case.mentions("own")) {
            stage.player("own", &gates["ci"].socket(), &Needs::all());
        }
        let seen = stage.snapshot();
        Self { engine, family, stage, gates, seen }
    }

    /// What failed
    fn all(mut self, cases: &[Case]) -> Vec<String> {
        let mut failed = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let mut problems = Vec::new();
            self.through_the_gate(case, number, &mut problems);
            if case.is_attack() && case.direct && case.effect.is_some() {
                self.on_the_bare_engine(case, number, &mut problems);
            }
            if !problems.is_empty() {
                failed.push(format!("{}: {}\n  {}", self.family, case.name, problems.join("\n  ")));
            }
        }
        failed
    }

    fn through_the_gate(&mut self, case: &Case, number: usize, problems: &mut Vec<String>) {
        let gate = &self.gates[&case.policy];
        let mut names = self.stage.names.clone();
        names.insert("name".to_owned(), format!("{}{number}", names["prefix"]));
        let answers = send_again(&gate.socket(), &case.bytes(&names), case.answers.len());
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        if statuses != case.answers {
            problems.push(format!("expected {:?}, got {}", case.answers, told(&answers)));
        }
        let last = answers.last().map(Answer::text).unwrap_or_default();
        let message = case.message.as_deref().map(|message| case.fill(message, &names));
        if let Some(message) = message.filter(|message| !last.contains(message)) {
            problems.push(format!("expected `{message}` in: {last}"));
        }
        for id in last.split("[record ").skip(1).filter_map(|rest| rest.split(']').next()) {
            if !gate.record().contains(id) {
                problems.push(format!("nothing on record under {id}"));
            }
        }
        let suffix = if case.policy == "ci" { gate.suffix() } else { String::new() };
        let look = |effect| self.sees(case, effect, &names, &suffix);
        let worked =
            case.effect.as_ref().map(|effect| if case.is_attack() { look(effect) } else { comes(|| look(effect)) });
        let now = self.stage.snapshot();
        if case.is_attack() {
            if let Some(Ok(seen)) = worked {
                problems.push(format!("IT WORKED: {seen}"));
            }
            problems.extend(differences(&self.seen, &now));
        } else if let Some(Err(seen)) = worked {
            problems.push(format!("it had no effect: {seen}"));
        }
        if now != self.seen {
            self.stage.clean(&self.seen);
            self.seen = self.stage.snapshot();
        }
    }

    /// The same bytes with other names, where nothing stands between
    fn on_the_bare_engine(&self, case: &Case, number: usize, problems: &mut Vec<String>) {
        let mut stage = self.stage.guest(&format!("direct{number}-"));
        for who in ["victim", "own"] {
            if case.mentions(who) {
                stage.player(who, &self.engine.socket, &case.needs());
            }
        }
        let answers = send_again(&self.engine.socket, &case.bytes(&stage.names), case.answers.len());
        let expected = case.works_on.as_ref().is_none_or(|engines| self.engine.is_among(engines));
        let Some(effect) = &case.effect else { return };
        let look = || self.sees(case, effect, &stage.names, "");
        match (if expected { comes(look) } else { look() }, expected) {
            (Err(seen), true) => {
                problems.push(format!("no attack at all: the bare engine said {} and shows {seen}", told(&answers)));
            }
            (Ok(_), false) => problems.push(format!("`works_on` is wrong: it works on {}", self.engine.name)),
            (Ok(_), true) | (Err(_), false) => {}
        }
        self.stage.clean(&self.seen);
    }

    /// Whether the engine shows the effect, and what it shows; `suffix` ends the names of what an owner made
    fn sees(
        &self,
        case: &Case,
        effect: &Effect,
        names: &BTreeMap<String, String>,
        suffix: &str,
    ) -> Result<String, String> {
        let target = case.fill(&effect.get, names);
        let plain = self.shows(case, effect, names, &target);
        match on_the_engine(&target, suffix).filter(|_| !target.contains("victim")) {
            // What an attack makes is found under either name; what is made as it may be, under its owner's.
            Some(there) if case.is_attack() => plain.or_else(|_| self.shows(case, effect, names, &there)),
            Some(there) => self.shows(case, effect, names, &there),
            None => plain,
        }
    }

    fn shows(
        &self,
        case: &Case,
        effect: &Effect,
        names: &BTreeMap<String, String>,
        target: &str,
    ) -> Result<String, String> {
        let Effect { get: _, at, is, has, lacks, gone } = effect;
        let answer = ask(&self.engine.socket, "GET", target, "");
        let found = if *gone {
            answer.status == 404
        } else {
            let json = answer.json();
            let value = at.as_ref().map_or(Some(&json), |at| json.pointer(&case.fill(at, names)));
            let text = value.map(Value::to_string).unwrap_or_default();
            answer.is_success()
                && value.is_some()
                && is.as_ref().is_none_or(|is| value == Some(is))
                && has.as_ref().is_none_or(|has| text.contains(&case.fill(has, names)))
                && lacks.as_ref().is_none_or(|lacks| !text.contains(&case.fill(lacks, names)))
        };
        let mut shown = format!("GET {target}: {} {}", answer.status, answer.text());
        if let Some(at) = at {
            shown = format!("GET {target} {at}: {:?}", answer.json().pointer(at));
        }
        if found { Ok(shown) } else { Err(shown) }
    }
}

/// The target with the name of a container, network or volume as its owner's suffix makes it; ids stay
fn on_the_engine(target: &str, suffix: &str) -> Option<String> {
    let (kind, rest) = target.strip_prefix('/')?.split_once('/')?;
    let (name, rest) = rest.split_once('/').map_or((rest, String::new()), |(name, rest)| (name, format!("/{rest}")));
    let named = ["containers", "networks", "volumes"].contains(&kind) && !name.starts_with("json");
    let is_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (named && !is_id && !suffix.is_empty()).then(|| format!("/{kind}/{name}{suffix}{rest}"))
}

/// What an engine does may come after its answer, to the second of two requests above all
fn comes(look: impl Fn() -> Result<String, String>) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        let seen = look();
        if seen.is_ok() || begun.elapsed() > PATIENCE {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn told(answers: &[Answer]) -> String {
    let one = |answer: &Answer| format!("{} {:.400}", answer.status, answer.text());
    answers.iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn differences(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("CHANGED {key}: {:?} -> {:?}", before.get(key), after.get(key)))
        .collect()
}
