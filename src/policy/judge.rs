//! The verdict: every ask held against the policy, with a reason for each that is refused.

pub mod found;
mod grants;

use std::collections::BTreeMap;

use crate::api::bind::HostPath;
use crate::api::image_ref::ImageRef;
use crate::api::operation::Operation;
use crate::policy::amend::{Amended, amend};
use crate::policy::ask::{Ask, Flag, Object, What};
use crate::policy::asks::asks;
use crate::policy::facts::named_facts;
use crate::policy::given::{self, Given};
pub use crate::policy::judge::grants::may;
use crate::policy::judge::grants::{forbidding_rules, image_granted, is_frontend, operation_granted};
pub(super) use crate::policy::judge::grants::{granted, matches};
use crate::policy::modify::{Change, modify};
use crate::policy::quota::{self, Usage};
use crate::policy::view::View;
use crate::policy::{Effect, Fact, Line, Mode, Policy};

/// What was looked up before judging
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Labels in our namespace that new objects get, first of all their owner
    pub stamp: BTreeMap<String, String>,
    /// The owner's own names; none where names are everybody's
    pub view: Option<View>,
    /// The word that parts this owner's build caches from others'; none where they are everybody's
    pub cache: Option<String>,
    /// Objects the operation touches that belong to somebody else: kind, name, field
    pub foreign: Vec<(Object, String, String)>,
    /// Objects that the caller may see and use, and that the operation does more to
    pub borrowed: Vec<(Object, String, String)>,
    /// Full ids of objects the operation touches, to be sent in place of their names
    pub pins: Vec<Pin>,
    /// The digest by which an image is pulled whose name has to stay what it is, in full
    pub pulls_as: Option<String>,
    /// What objects are called, which the operation may call otherwise
    pub names: Vec<RealName>,
    /// What only the look-up showed to be asked for
    pub asks: Vec<Ask>,
    /// Volumes without a name that the image of a new container declares, by path in the container
    pub image_volumes: Vec<String>,
    /// Paths at which a new container takes over mounts of others
    pub taken: Vec<String>,
    /// What was found at host paths, where it is not plain
    pub paths: Vec<PathFact>,
    /// Fields whose host path was pinned, and the path to send in its place
    pub pinned: Vec<(String, HostPath)>,
    /// What the owner has already, where a quota counts it
    pub usage: Option<Usage>,
    /// The owner's cgroup, as the engine is to name it
    pub cgroup: Option<String>,
    /// Minor of the engine's API version, for what older engines do not know
    pub minor: u8,
    /// Host paths that the caller has itself, or that name an engine's socket
    pub given: Vec<Given>,
    /// What a caller in a container has, in words, for who asks for something else
    pub has: Option<String>,
    /// The caller's own limits
    pub most: Most,
}

/// Limits of the caller; none is no limit
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    /// Bytes
    pub memory: Option<i64>,
    /// CPUs in units of 10⁻⁹
    pub nano_cpus: Option<i64>,
    /// Processes
    pub pids: Option<i64>,
}

impl Facts {
    /// What stands behind the host path of a field
    fn given(&self, field: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.field == field)
    }

    /// The same for the source of a mount that a client would have made where it is missing
    fn given_to_make(&self, field: &str) -> Option<&Given> {
        let mount = field.strip_suffix(".BindOptions.CreateMountpoint")?;
        self.given(&format!("{mount}.Source"))
    }
}

/// What an object is called that a field names, perhaps in another way
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealName {
    /// What it is
    pub object: Object,
    /// Field
    pub field: String,
    /// As the client named it
    pub given: String,
    /// Its own names; an image has several, and its id is one of them
    pub names: Vec<String>,
}

/// What was found at a host path
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFact {
    /// Field
    pub field: String,
    /// As the client named it
    pub source: String,
    /// What was found
    pub finding: Finding,
}

/// What may be found at a host path, other than a plain file or directory
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It would give away something that no mount may
    Protected(String),
    /// Nothing is there, and the engine would make a directory as root
    Missing,
    /// It could not be followed to one certain end
    Unclear(String),
    /// The engine's files cannot be seen from here
    Unseen(String),
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
    /// The name or id by which it was found; stands where the engine wants a name
    pub found: String,
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

    /// Whether all that it refuses is another's, which is answered like what is missing
    pub fn is_of_others(&self) -> bool {
        self.refused().all(|(ask, _)| matches!(ask.what, What::Foreign(..)))
    }
}

/// Judges an operation, and changes it as the policy says
pub fn judge(policy: &Policy, operation: Operation, facts: &Facts) -> (Operation, Verdict) {
    if policy.mode == Mode::Record {
        let mut asks = weigh(policy, &Amended::default(), &operation, facts);
        asks.extend(found::brought(policy, &operation, facts));
        return (operation, Verdict { decision: Decision::Allow, asks, changes: Vec::new() });
    }
    let amended = amend(policy, &operation, facts);
    let mut asks = weigh(policy, &amended, &operation, facts);
    asks.extend(found::brought(policy, amended.judged(&operation), facts));
    let denied = asks.iter().any(|judged| judged.granted.is_err());
    if denied && policy.mode == Mode::Enforce {
        return (operation, Verdict { decision: Decision::Deny, asks, changes: Vec::new() });
    }
    let (operation, changes) = amended.finish(operation, |operation| modify(policy, operation, facts));
    let decision = match (denied, changes.is_empty()) {
        (true, _) => Decision::Deny,
        (false, true) => Decision::Allow,
        (false, false) => Decision::Modify,
    };
    (operation, Verdict { decision, asks, changes })
}

/// The refusal, if it is one, before anything is done for what would pass
pub fn refused(policy: &Policy, operation: &Operation, facts: &Facts) -> Option<Verdict> {
    refusal(policy, weigh(policy, &amend(policy, operation, facts), operation, facts))
}

/// The refusal that nothing looked up can change, so that the engine is not even asked
pub fn refused_unseen(policy: &Policy, operation: &Operation, facts: &Facts) -> Option<Verdict> {
    let amended = amend(policy, operation, facts);
    let mut asks = weigh(policy, &amended, operation, facts);
    let by_id = asks.iter().any(|judged| matches!(&judged.ask.what, What::Image(image) if image.may_be_id()));
    let changing = policy.rules.iter().any(|rule| rule.effect == Effect::Change);
    // A path may lead elsewhere, and what looks like an image's name may be the beginning of an id, of which a rule knows.
    asks.retain(|judged| match &judged.ask.what {
        What::Builder | What::Flag(Flag::Privileged | Flag::Runtime, _) => {
            judged.granted.is_ok() || !(by_id && changing)
        }
        What::Mount(_) => judged.granted.is_ok() || policy.mounts.allow.is_empty(),
        What::Image(image) => judged.granted.is_ok() || !image.may_be_id(),
        _ => true,
    });
    refusal(policy, asks)
}

fn refusal(policy: &Policy, asks: Vec<Judged>) -> Option<Verdict> {
    let refused = policy.mode == Mode::Enforce && asks.iter().any(|judged| judged.granted.is_err());
    refused.then_some(Verdict { decision: Decision::Deny, asks, changes: Vec::new() })
}

/// Every ask of an operation, held against the policy
fn weigh(policy: &Policy, amended: &Amended<'_>, came: &Operation, facts: &Facts) -> Vec<Judged> {
    let operation = amended.judged(came);
    let mut found = asks(operation);
    found.retain(|ask| !matches!(&ask.what, What::Shadow(image) if !is_frontend(policy, image)));
    found.retain(|ask| ask.what != What::Layout || policy.isolate.is_some());
    if policy.mode == Mode::Record {
        return found.into_iter().map(|ask| Judged { ask, granted: Ok(None) }).collect();
    }
    if policy.isolate.is_some() {
        let foreign = |(object, name, field): &(Object, String, String)| Ask {
            what: What::Foreign(*object, name.clone()),
            field: field.clone(),
        };
        found.extend(facts.foreign.iter().map(foreign));
        let borrowed = |(object, name, field): &(Object, String, String)| Ask {
            what: What::Borrowed(*object, name.clone()),
            field: field.clone(),
        };
        found.extend(facts.borrowed.iter().map(borrowed));
    }
    found.extend(facts.paths.iter().map(path_ask));
    found.extend(facts.asks.iter().cloned());
    let called_otherwise: Vec<Ask> = found.iter().flat_map(|ask| by_real_names(ask, &facts.names)).collect();
    found.extend(called_otherwise);
    if facts.usage.is_some() {
        // What is counted is what would be sent.
        let (changed, _) = modify(policy, operation.clone(), facts);
        found.extend(quota::asks(&policy.quota, &changed, facts));
    }
    let mut named = if policy.rules.is_empty() { Vec::new() } else { named_facts(operation) };
    if !policy.rules.is_empty() {
        named.extend(facts.names.iter().flat_map(real_name_facts));
    }
    // A build that pushes is a push as well.
    let operations: Vec<&'static str> = found.iter().filter_map(named_operation).collect();
    let mut asks: Vec<Judged> = found
        .into_iter()
        .map(|ask| {
            let granted = match &ask.what {
                What::Operation(name) => operation_granted(policy, name, &named),
                What::Image(image) => image_granted(policy, &image_names(image, &ask.field, &facts.names)),
                What::Mount(mount) => {
                    let by_lines = granted(policy, &ask.what);
                    given::granted(policy, mount, facts.given(&ask.field), facts.has.as_deref(), by_lines)
                }
                What::Builder | What::Flag(Flag::Privileged, _) => {
                    let by_rule = |refusal| amended.privileged().cloned().ok_or(refusal);
                    granted(policy, &ask.what).or_else(by_rule)
                }
                // What is there is not made, and what is not there is an ask of its own.
                other => match facts.given_to_make(&ask.field).and_then(|given| given.line(policy)) {
                    Some(line) => Ok(line.clone()),
                    None => granted(policy, other),
                },
            };
            Judged { ask, granted: granted.map(Some) }
        })
        .collect();
    for name in operations {
        asks.extend(forbidding_rules(policy, name, &named).map(|rule| Judged {
            ask: Ask { what: What::Operation(name), field: format!("rule {}", rule.id) },
            granted: Err(Refusal { line: Some(rule.line.clone()), why: rule.reason.clone() }),
        }));
    }
    asks
}

fn named_operation(ask: &Ask) -> Option<&'static str> {
    match ask.what {
        What::Operation(name) => Some(name),
        _ => None,
    }
}

/// The same ask with the real name of what it names: who is kept from `host` is kept from it by its id as well
fn by_real_names<'a>(ask: &'a Ask, names: &'a [RealName]) -> impl Iterator<Item = Ask> + 'a {
    let flag = match &ask.what {
        What::Flag(flag, value) => Some((*flag, value)),
        _ => None,
    };
    flag.into_iter().flat_map(move |(flag, value)| {
        let here = names.iter().filter(|real| ask.field.starts_with(&real.field));
        let is = |part: &str, real: &RealName| part.strip_prefix('/').unwrap_or(part) == real.given;
        here.filter(move |real| value.split(':').any(|part| is(part, real))).flat_map(move |real| {
            let say = |name: &String| {
                let parts: Vec<&str> = value.split(':').map(|part| if is(part, real) { name } else { part }).collect();
                Ask { what: What::Flag(flag, parts.join(":")), field: ask.field.clone() }
            };
            real.names.iter().map(say).filter(|other| other != ask).collect::<Vec<_>>()
        })
    })
}

/// What rules are told of an object that may be called otherwise
pub(super) fn real_name_facts(real: &RealName) -> impl Iterator<Item = (Fact, String)> + '_ {
    let fact = match real.object {
        _ if real.field.starts_with("path.") => Some(Fact::Target),
        Object::Image => Some(Fact::Image),
        Object::Network => Some(Fact::Network),
        Object::Volume => Some(Fact::Mount),
        Object::Container => None,
    };
    fact.into_iter().flat_map(|fact| real.names.iter().map(move |name| (fact, name.clone())))
}

/// What an image is judged by: its name as given, or where the engine takes that for an id, all its names
fn image_names(image: &ImageRef, field: &str, names: &[RealName]) -> Vec<String> {
    let found = names.iter().find(|real| real.field == field && real.given == image.given());
    found.map_or_else(|| vec![image.to_string()], |real| real.names.clone())
}

fn path_ask(PathFact { field, source, finding }: &PathFact) -> Ask {
    let what = match finding {
        Finding::Missing => What::Flag(Flag::CreateMountpoint, source.clone()),
        Finding::Protected(what) => What::Protected { source: source.clone(), what: what.clone() },
        Finding::Unclear(why) => What::Unclear { source: source.clone(), why: why.clone() },
        Finding::Unseen(why) => What::Unseen { source: source.clone(), why: why.clone() },
    };
    Ask { what, field: field.clone() }
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
