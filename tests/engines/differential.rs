//! The same bent requests through sockwarden and to the bare engine, and what each did to the engine.
//!
//! A request is played in two worlds on one engine: raw in one, through sockwarden in the other. The engine is then asked
//! what is there. Whatever a request did through sockwarden must be granted by what `oracle` says of the policy, and where
//! both did something it must be the same thing. That the bare engine does what must not be is counted, for each request
//! as it stands and for each way to bend it: a run in which nothing would have hurt proves nothing, and neither does one in
//! which nothing gets through.
//!
//! Every request comes from a seed and its number. `SOCKWARDEN_DIFFERENTIAL` chooses them: `seed=7 count=5000 first=0`, each
//! of which may be left out; without a word on it a short run of one seed is made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use self::base::Base;
use self::bend::Bend;
use self::draft::Draft;
use self::granted::Granted;
use self::oracle::Ground;
use self::random::Random;
use self::world::{Effect, Side, World};
use super::gate::Gate;
use super::http::ask;
use super::setting::Engine;

mod base;
mod bend;
mod bend_body;
mod draft;
mod essence;
mod granted;
mod objects;
mod oracle;
pub mod random;
mod world;

/// Which requests are played
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    first: usize,
    count: usize,
}

/// A policy of the run, and what it grants beyond `ci`
struct Phase<'a> {
    name: &'static str,
    text: Option<String>,
    capabilities: &'static [&'static str],
    directory: Option<&'a str>,
}

impl<'a> Phase<'a> {
    /// Some grants, and none; most requests meet the second
    fn both(granted: &'a Granted) -> [Self; 2] {
        let path = &granted.path;
        let text = format!(
            "extends = \"ci\"\n[run]\ncap_add = [\"SYS_PTRACE\"]\n[mounts]\nallow = [{{ source = \"{path}/**\", access = \"ro\" }}]\n"
        );
        let (capabilities, directory): (&[_], _) = (&["SYS_PTRACE"], Some(path.as_str()));
        [
            Self { name: "some grants", text: Some(text), capabilities, directory },
            Self { name: "ci", text: None, capabilities: &[], directory: None },
        ]
    }
}

/// A request of the run
struct Request<'a> {
    number: usize,
    base: &'a Base,
    bends: Vec<Bend>,
}

impl Request<'_> {
    /// Which of the policies it meets
    fn meets_grants(&self) -> bool {
        self.number % 5 == 4 || self.base.mentions("granted")
    }
}

/// What happened so far
#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    hurt: usize,
    same: usize,
    stopped: usize,
    bites: BTreeMap<Bend, usize>,
    tried: BTreeMap<Bend, usize>,
    passed_bent: usize,
    /// Harmless, and taken by sockwarden alone
    alone: Vec<String>,
}

/// Plays the requests on one engine
pub fn run(engine: &Engine) -> Vec<String> {
    let plan = Plan::asked();
    let bases = base::all();
    let requests: Vec<Request> =
        (plan.first..plan.first + plan.count).map(|number| plan.request(&bases, number)).collect();
    let (mut failed, mut tally) = (Vec::new(), Tally::default());
    let (plain, granted) = (plain_container(engine), Granted::make());
    let (some, none): (Vec<_>, Vec<_>) = requests.into_iter().partition(Request::meets_grants);
    for (phase, requests) in Phase::both(&granted).iter().zip([some, none]) {
        if !requests.is_empty() {
            Play::open(engine, phase, plan, &plain, &granted).all(&requests, &bases, &mut tally, &mut failed);
        }
    }
    tell(engine, plan, &tally);
    if plan.is_whole() {
        failed.extend(tally.proves_nothing(engine.generation()));
    }
    failed.into_iter().map(|what| format!("seed={}: {what}", plan.seed)).collect()
}

impl Plan {
    /// Enough that each way to bend a request that an engine takes has bitten
    const SHORT: usize = 400;

    fn asked() -> Self {
        let mut plan = Self { seed: 1, first: 0, count: Self::SHORT };
        let asked = std::env::var("SOCKWARDEN_DIFFERENTIAL").unwrap_or_default();
        for word in asked.split_whitespace() {
            let (name, number) = word.split_once('=').unwrap_or((word, ""));
            let number: usize = number.parse().unwrap_or_else(|_| panic!("`{word}` is not name=number"));
            match name {
                "seed" => plan.seed = number as u64,
                "first" => plan.first = number,
                "count" => plan.count = number,
                _ => panic!("`{word}` is neither seed, first nor count"),
            }
        }
        plan
    }

    /// Whether it is long enough to prove something
    fn is_whole(&self) -> bool {
        self.first == 0 && self.count >= Self::SHORT
    }

    /// The bend whose turn it is
    fn bend(number: usize) -> Bend {
        Bend::ALL[number % Bend::ALL.len()]
    }

    /// First each request as it stands, then bent ones, each bend in its turn
    fn request<'a>(&self, bases: &'a [Base], number: usize) -> Request<'a> {
        if let Some(base) = bases.get(number) {
            return Request { number, base, bends: Vec::new() };
        }
        let mut random = Random::of(self.seed, number as u64, 0);
        let first = Self::bend(number);
        let more = [0, 0, 0, 1, 1, 2][random.below(6)];
        let bends: Vec<Bend> = [first].into_iter().chain((0..more).map(|_| random.pick(Bend::ALL))).collect();
        // A request that the first bend can do something with
        let names = BTreeMap::from([("octet".to_owned(), "1".to_owned())]);
        let base = (0..2000).find_map(|_| {
            let base = &bases[random.below(bases.len())];
            let mut draft = base.draft(&names);
            let bent = first.apply(&mut draft, &base.aim, &mut Random::of(self.seed, number as u64, 1));
            (bent && (base.hurts || random.chance(1, 2))).then_some(base)
        });
        Request { number, base: base.unwrap_or_else(|| panic!("{first:?} bends nothing")), bends }
    }

    /// The request among the names of a world, with only these of its bends; and those that found something to bend
    fn draft(&self, request: &Request, kept: &[usize], names: &BTreeMap<String, String>) -> (Draft, Vec<usize>) {
        let mut draft = request.base.draft(names);
        let mut bent = kept.to_vec();
        bent.retain(|index| {
            let mut random = Random::of(self.seed, request.number as u64, *index as u64 + 1);
            request.bends[*index].apply(&mut draft, &request.base.aim, &mut random)
        });
        (draft, bent)
    }
}

/// One policy on one engine
struct Play<'a> {
    engine: &'a Engine,
    phase: &'a Phase<'a>,
    plan: Plan,
    plain: &'a Value,
    bare: World,
    gated: World,
    _gate: Gate,
}

impl<'a> Play<'a> {
    fn open(engine: &'a Engine, phase: &'a Phase, plan: Plan, plain: &'a Value, granted: &Granted) -> Self {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        let policy = match &phase.text {
            None => phase.name.to_owned(),
            Some(text) => {
                std::fs::write(file.path(), text).unwrap();
                file.path().display().to_string()
            }
        };
        let gate = Gate::start(&engine.socket, &policy);
        let bare = World::open(engine, engine.socket.clone(), Side::Bare, &granted.path, String::new());
        let gated = World::open(engine, gate.socket(), Side::Gated, &granted.path, gate.suffix());
        assert!(gated.owner().is_some(), "what is made through sockwarden carries no owner");
        Self { engine, phase, plan, plain, bare, gated, _gate: gate }
    }

    fn all(mut self, requests: &[Request], bases: &[Base], tally: &mut Tally, failed: &mut Vec<String>) {
        for request in requests {
            self.one(request, tally, failed);
            if request.number % 25 == 24 {
                let ground = ground(&self.gated, self.phase, self.plain);
                let changed = self.gated.look_around(&ground);
                failed.extend(changed.iter().map(|effect| {
                    format!(
                        "one of the 25 requests up to first={} did what it does not say: {:?}",
                        request.number, effect.wrong
                    )
                }));
            }
        }
        // Chance may have left out a bend, so it gets some requests more.
        if self.phase.directory.is_none() && self.plan.is_whole() {
            let last = self.plan.first + self.plan.count - 1;
            for turn in (last + 1..).take(MORE * Bend::ALL.len()) {
                if tally.idle(self.engine.generation()).contains(&Plan::bend(turn)) {
                    self.one(&self.plan.request(bases, turn), tally, failed);
                }
            }
        }
    }

    fn one(&mut self, request: &Request, tally: &mut Tally, failed: &mut Vec<String>) {
        let Request { number, base, bends } = request;
        let (_, all) = self.plan.draft(request, &(0..bends.len()).collect::<Vec<_>>(), &self.bare.names(*number));
        let through = self.through(request, &all);
        let raw = self.raw(request, &all);
        tally.sent += 1;
        let hurts = raw.iter().any(|effect| !effect.wrong.is_empty());
        for index in &all {
            *tally.tried.entry(bends[*index]).or_default() += 1;
            *tally.bites.entry(bends[*index]).or_default() += usize::from(hurts);
        }
        tally.hurt += usize::from(hurts);
        tally.stopped += usize::from(hurts && through.is_empty());
        if bends.is_empty() && base.hurts && hurts != base.works_on(self.engine.generation()) {
            failed.push(format!(
                "first={number}: {}: the bare engine {} it",
                base.name,
                if hurts { "does" } else { "does not do" }
            ));
        }
        if bends.is_empty() && !base.hurts && !hurts && through.is_empty() {
            failed.push(format!("first={number}: {} is refused: {}", base.name, self.said(request, &all)));
        }
        if wrong(&through) {
            failed.push(self.shrunk(request, all, "DOES WHAT THE POLICY DOES NOT GRANT", &wrong));
        } else if !through.is_empty() && raw.is_empty() {
            tally.alone.push(self.told(request, &all, "is taken by sockwarden alone"));
        } else if !through.is_empty() {
            let own_instead = hurts && self.names_anothers_volume(request, &all);
            if essences(&through) == essences(&raw) || dropped(base, bends) || own_instead {
                tally.same += 1;
                tally.passed_bent += usize::from(!bends.is_empty());
            } else {
                let (one, other) = (essences(&raw), essences(&through));
                let told = self.told(request, &all, "MEANS SOMETHING ELSE");
                failed.push(format!("{told}\n  raw -> through: {}", differences("", &one, &other).join("\n    ")));
            }
        }
    }

    /// Whether it asks for a volume by the name of another's, which through sockwarden is one of the caller's own
    fn names_anothers_volume(&self, request: &Request, kept: &[usize]) -> bool {
        let names = self.gated.names(request.number);
        let bytes = self.plan.draft(request, kept, &names).0.bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ["victim_volume", "spare_volume"].iter().any(|name| text.contains(&names[*name]))
    }

    fn through(&mut self, request: &Request, kept: &[usize]) -> Vec<Effect> {
        let ground = ground(&self.gated, self.phase, self.plain);
        let bytes = self.plan.draft(request, kept, &self.gated.names(request.number)).0.bytes();
        let answers = self.gated.send(&bytes);
        self.gated.look(request.base, &answers, &ground)
    }

    fn raw(&mut self, request: &Request, kept: &[usize]) -> Vec<Effect> {
        let ground = ground(&self.bare, self.phase, self.plain);
        let bytes = self.plan.draft(request, kept, &self.bare.names(request.number)).0.bytes();
        let answers = self.bare.send(&bytes);
        self.bare.look(request.base, &answers, &ground)
    }

    fn said(&mut self, request: &Request, kept: &[usize]) -> String {
        let bytes = self.plan.draft(request, kept, &self.gated.names(request.number)).0.bytes();
        let answers = self.gated.send(&bytes);
        let ground = ground(&self.gated, self.phase, self.plain);
        self.gated.look(request.base, &answers, &ground);
        answers.iter().map(|answer| format!("{} {}", answer.status, answer.text())).collect()
    }

    /// The failure with as few bends as still show it
    fn shrunk(
        &mut self,
        request: &Request,
        mut kept: Vec<usize>,
        what: &str,
        shows: &dyn Fn(&[Effect]) -> bool,
    ) -> String {
        let mut index = 0;
        while index < kept.len() {
            let fewer: Vec<usize> =
                kept.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, bend)| *bend).collect();
            if shows(&self.through(request, &fewer)) {
                kept = fewer;
            } else {
                index += 1;
            }
        }
        let seen = self.through(request, &kept);
        let wrong: Vec<_> = seen.iter().flat_map(|effect| &effect.wrong).collect();
        format!("{}\n  {wrong:?}", self.told(request, &kept, what))
    }

    fn told(&self, request: &Request, kept: &[usize], what: &str) -> String {
        let bytes = self.plan.draft(request, kept, &self.gated.names(request.number)).0.bytes();
        let bends: Vec<_> = kept.iter().map(|index| request.bends[*index]).collect();
        let sent = bytes.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n    ");
        format!(
            "first={}: policy {}: {} {bends:?} {what}:\n    {sent:.4000}",
            request.number, self.phase.name, request.base.name
        )
    }
}

impl Tally {
    /// Ways to bend a request that the engine takes, and of which nothing shows it yet
    fn idle(&self, engine: &str) -> Vec<Bend> {
        let idle = |bend: &Bend| bend.bites(engine) && self.bites.get(bend).copied().unwrap_or(0) == 0;
        Bend::ALL.iter().copied().filter(idle).collect()
    }

    /// What the run did not show that a run must show
    fn proves_nothing(&self, engine: &str) -> Vec<String> {
        let told =
            |bend| format!("{bend:?} never hurt the bare engine in {} requests", self.tried.get(&bend).unwrap_or(&0));
        let mut nothing: Vec<String> = self.idle(engine).into_iter().map(told).collect();
        if self.passed_bent == 0 {
            nothing.push("no bent request got through with its effect".to_owned());
        }
        nothing
    }
}

fn tell(engine: &Engine, plan: Plan, tally: &Tally) {
    let Tally { sent, hurt, same, stopped, passed_bent, bites, tried, alone } = tally;
    let mut text = format!(
        "differential: {}: seed {}: {sent} requests, {hurt} hurt the bare engine, {stopped} of them did nothing through \
         sockwarden, {same} got through with the same effect, {passed_bent} of them bent; {} were taken by sockwarden alone\n",
        engine.name,
        plan.seed,
        alone.len()
    );
    if std::env::var_os("SOCKWARDEN_DIFFERENTIAL").is_some() {
        for (bend, tried) in tried {
            let _ = writeln!(text, "  {bend:?}: {} of {tried}", bites.get(bend).unwrap_or(&0));
        }
        alone.iter().for_each(|told| text += &format!("  {told}\n"));
    }
    // Not through `println`, which a passing test swallows.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn ground<'a>(world: &World, phase: &Phase<'a>, plain: &'a Value) -> Ground<'a> {
    let Phase { capabilities, directory, .. } = *phase;
    Ground { plain, foreign: world.foreign(), owner: world.owner(), capabilities, directory }
}

fn wrong(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| !effect.wrong.is_empty())
}

/// Whether sockwarden drops what the engine takes
///
/// An unknown field with an empty value is dropped. To engines up to 26.1 `MaskedPaths` is one of the container's own fields
/// too, and empty is not the same as absent: through sockwarden the paths stay masked, which is less than was asked for.
fn dropped(base: &Base, bends: &[Bend]) -> bool {
    let unmasks = base.aim.last().is_some_and(|field| field == "MaskedPaths" || field == "ReadonlyPaths");
    unmasks && bends.contains(&Bend::Hoist)
}

fn essences(effects: &[Effect]) -> Value {
    effects.iter().map(|effect| json!([effect.what, effect.essence])).collect()
}

/// Where two values differ
fn differences(at: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let side = |side: &serde_json::Map<String, Value>, key| side.get(key).cloned().unwrap_or_default();
            keys.flat_map(|key| differences(&format!("{at}/{key}"), &side(left, key), &side(right, key))).collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs.flat_map(|(index, (left, right))| differences(&format!("{at}/{index}"), left, right)).collect()
        }
        _ if one == other => Vec::new(),
        _ => vec![format!("{at}: {one} -> {other}")],
    }
}

/// What a container is that was asked for nothing
fn plain_container(engine: &Engine) -> Value {
    let name = format!("swd{}plain", std::process::id());
    let made = ask(
        &engine.socket,
        "POST",
        &format!("/containers/create?name={name}"),
        r#"{"Image":"busybox:test","Cmd":["true"],"HostConfig":{}}"#,
    );
    assert!(made.is_success(), "{}", made.text());
    let plain = ask(&engine.socket, "GET", &format!("/containers/{name}/json"), "").json();
    ask(&engine.socket, "DELETE", &format!("/containers/{name}"), "");
    plain
}

/// How many more requests a bend gets that has not bitten
const MORE: usize = 40;
