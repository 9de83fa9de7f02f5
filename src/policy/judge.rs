//! The verdict: every ask held against the policy, with a reason for each that is refused.

use crate::api::operation::Operation;
use crate::policy::ask::{Ask, Flag, GrantKind, Object, What};
use crate::policy::asks::asks;
use crate::policy::facts::named_facts;
use crate::policy::modify::{Change, modify};
use crate::policy::{Effect, Fact, Grants, Line, Mode, Policy, Rule};

/// What was looked up before judging
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The owner that new objects get; none when the listener names none
    pub owner: Option<String>,
    /// Objects the operation touches that belong to somebody else: kind, name, field
    pub foreign: Vec<(Object, String, String)>,
    /// Full ids of objects the operation touches, to be sent in place of their names
    pub pins: Vec<Pin>,
}

/// A name that was looked up, and what it stood for
///
/// The engine would look it up again, some names only when a container starts, and might find another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it is
    pub object: Object,
    /// As the client named it
    pub name: String,
    /// Full id
    pub id: String,
    /// Whether it is the object that the path names
    pub subject: bool,
}

/// A verdict, with every reason
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What comes of the request
    pub decision: Decision,
    /// Every ask, in the order of the fields
    pub asks: Vec<Judged>,
    /// What was changed before it is sent
    pub changes: Vec<Change>,
}

/// What comes of a request
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Sent as asked
    Allow,
    /// Sent with changes
    Modify,
    /// Not sent, or with `mode = "warn"` sent all the same
    Deny,
}

/// One ask and what the policy says of it
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The ask
    pub ask: Ask,
    /// The line that grants it (none when nothing is judged), or the refusal
    pub granted: Result<Option<Line>, Refusal>,
}

/// Why an ask is refused
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line that forbids it; none when no line allows it
    pub line: Option<Line>,
    /// The reason, and the way out
    pub why: String,
}

impl Verdict {
    /// The refused asks
    pub fn refused(&self) -> impl Iterator<Item = (&Ask, &Refusal)> {
        self.asks.iter().filter_map(|judged| Some((&judged.ask, judged.granted.as_ref().err()?)))
    }
}

/// Judges an operation, and changes it as the policy says
pub fn judge(policy: &Policy, operation: Operation, facts: &Facts) -> (Operation, Verdict) {
    let mut found = asks(&operation);
    if policy.mode == Mode::Record {
        let asks = found.into_iter().map(|ask| Judged { ask, granted: Ok(None) }).collect();
        return (operation, Verdict { decision: Decision::Allow, asks, changes: Vec::new() });
    }
    if policy.isolate.is_some() {
        found.extend(
            facts
                .foreign
                .iter()
                .map(|(object, name, field)| Ask { what: What::Foreign(*object, name.clone()), field: field.clone() }),
        );
    }
    let named = if policy.rules.is_empty() { Vec::new() } else { named_facts(&operation) };
    let name = operation.endpoint().name;
    let mut asks: Vec<Judged> = found
        .into_iter()
        .map(|ask| {
            let granted = match &ask.what {
                What::Operation(name) => operation_granted(policy, name, &named),
                other => granted(policy, other),
            };
            Judged { ask, granted: granted.map(Some) }
        })
        .collect();
    asks.extend(forbidding_rules(policy, name, &named).map(|rule| Judged {
        ask: Ask { what: What::Operation(name), field: format!("rule {}", rule.id) },
        granted: Err(Refusal { line: Some(rule.line.clone()), why: rule.reason.clone() }),
    }));
    if asks.iter().any(|judged| judged.granted.is_err()) && policy.mode == Mode::Enforce {
        return (operation, Verdict { decision: Decision::Deny, asks, changes: Vec::new() });
    }
    let denied = asks.iter().any(|judged| judged.granted.is_err());
    let (operation, changes) = modify(policy, operation, facts);
    let decision = match (denied, changes.is_empty()) {
        (true, _) => Decision::Deny,
        (false, true) => Decision::Allow,
        (false, false) => Decision::Modify,
    };
    (operation, Verdict { decision, asks, changes })
}

fn operation_granted(policy: &Policy, name: &str, named: &[(Fact, String)]) -> Result<Line, Refusal> {
    let by_list = decide(
        &policy.operations,
        |pattern| pattern.0 == name,
        || format!("add it to `allow`; policy `{}` allows what it names only", policy.name),
    );
    match by_list {
        Err(Refusal { line: None, why }) => {
            let allowing = |rule: &&Rule| rule.effect == Effect::Allow && matches(rule, name, named);
            policy.rules.iter().find(allowing).map(|rule| rule.line.clone()).ok_or(Refusal { line: None, why })
        }
        decided => decided,
    }
}

fn forbidding_rules<'a>(
    policy: &'a Policy,
    name: &'a str,
    named: &'a [(Fact, String)],
) -> impl Iterator<Item = &'a Rule> {
    policy.rules.iter().filter(move |rule| rule.effect == Effect::Forbid && matches(rule, name, named))
}

fn matches(rule: &Rule, operation: &str, named: &[(Fact, String)]) -> bool {
    rule.operations.contains(&operation)
        && rule.when.iter().all(|(fact, regex)| named.iter().any(|(name, value)| name == fact && regex.is_match(value)))
}

fn granted(policy: &Policy, what: &What) -> Result<Line, Refusal> {
    match what {
        What::Operation(name) => operation_granted(policy, name, &[]),
        What::Image(image) => {
            let text = image.to_string();
            decide(
                &policy.images,
                |pattern| pattern.matches(&text),
                || "use an image that `[images] allow` names, or have the registry added there".to_owned(),
            )
        }
        What::Registry(host) => {
            let image = format!("{}/x:latest", if host.is_empty() { "docker.io" } else { host });
            decide(
                &policy.images,
                |pattern| pattern.matches_registry(&image),
                || "use a registry that `[images] allow` names".to_owned(),
            )
        }
        What::Mount(mount) => decide(
            &policy.mounts,
            |pattern| pattern.grants(mount),
            || "use a named volume or docker cp, or have the path added to `[mounts] allow`".to_owned(),
        )
        .and_then(|line| match policy.mounts.forbid.iter().find(|(pattern, _)| pattern.touches(mount)) {
            Some((_, line)) => {
                Err(Refusal { line: Some(line.clone()), why: "use a named volume or docker cp".to_owned() })
            }
            None => Ok(line),
        }),
        What::Publish(publish) => decide(
            &policy.publish,
            |pattern| pattern.grants(publish),
            || "publish an ephemeral port (-p CONTAINER_PORT), or one that `[run] publish` names".to_owned(),
        ),
        What::Flag(flag, value) => {
            let empty = Grants::default();
            let grants = policy.flags.get(flag).unwrap_or(&empty);
            decide(grants, |pattern| pattern.0.is_match(value), || way_out(*flag))
        }
        What::Foreign(object, _) => Err(Refusal {
            line: policy.isolate.clone(),
            why: format!("touch only the {}s that were made through this socket", object.as_str()),
        }),
        What::ReservedLabel(_) => {
            Err(Refusal { line: None, why: "leave out labels that begin with `sockwarden.`".to_owned() })
        }
        What::Odd(..) => Err(Refusal { line: None, why: "write it plainly; no policy grants this".to_owned() }),
    }
}

fn way_out(flag: Flag) -> String {
    let value = if flag.grant() == GrantKind::Switch { " = true" } else { "" };
    format!("{}, or have it allowed by `{}{value}` in `[{}]`", flag.hint(), flag.key(), flag.section())
}

/// Forbid beats allow, in any order; nothing is allowed that no line allows
fn decide<P>(grants: &Grants<P>, hit: impl Fn(&P) -> bool, way_out: impl Fn() -> String) -> Result<Line, Refusal> {
    if let Some((_, line)) = grants.forbid.iter().find(|(pattern, _)| hit(pattern)) {
        return Err(Refusal { line: Some(line.clone()), why: way_out() });
    }
    let allowed = grants.allow.iter().find(|(pattern, _)| hit(pattern));
    allowed.map(|(_, line)| line.clone()).ok_or_else(|| Refusal { line: None, why: way_out() })
}

/// An operation that a policy lets pass, as it is to be sent
///
/// Only [`approve`] makes one, so whatever holds one was judged.
#[derive(Debug)]
pub struct Approved {
    operation: Operation,
}

impl Approved {
    /// The operation, changed as the policy says
    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}

/// Judges an operation; what passes comes back as the only value that can go on
pub fn approve(policy: &Policy, operation: Operation, facts: &Facts) -> (Verdict, Option<Approved>) {
    let (operation, verdict) = judge(policy, operation, facts);
    let passes = verdict.decision != Decision::Deny || policy.mode == Mode::Warn;
    (verdict, passes.then_some(Approved { operation }))
}
