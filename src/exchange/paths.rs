//! Host paths of a request, looked at as what they are before anything is judged.
//!
//! A name says little: it may be a link to anywhere. So each source is followed on the engine's own file system, and what
//! it leads to takes its place: that is judged, and that is sent.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::api::bind::HostPath;
use crate::api::operation::Operation;
use crate::caller::Caller;
use crate::engine::{Engine, EngineError, Question};
use crate::exchange::given::{Plan, Planned};
use crate::mount::{Host, Protected, Resolved, Unresolved};
use crate::policy::Policy;
use crate::policy::given::{Given, Means};
use crate::policy::judge::{Finding, PathFact};

/// What no mount may give away, beyond the usual places
#[derive(Debug, Clone, Default)]
pub struct Ours {
    /// The engine's socket
    pub engine: PathBuf,
    /// The record's directory, our sockets, our configuration
    pub files: Vec<(&'static str, PathBuf)>,
}

/// Why the engine's files cannot be seen from here, if they cannot
pub fn unseen(engine: &Path) -> Option<String> {
    Host::open(engine, &[]).err().map(|unseen| unseen.to_string())
}

/// An operation whose host paths were looked at
#[derive(Debug)]
pub struct Followed {
    /// With what the paths lead to in their place
    pub operation: Operation,
    /// What was found where it is not plain
    pub facts: Vec<PathFact>,
    /// What the caller has itself, and engines' sockets
    pub given: Vec<Given>,
    /// What is to be pinned, opened
    pub resolved: Vec<(String, Resolved)>,
}

/// Which host paths are pinned before they are sent
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// All
    All,
    /// Those that the caller's container has itself: it can write there, and put links in the place of what was checked
    Given,
    /// None
    Nothing,
}

impl Pinning {
    /// What a policy says of a caller
    pub fn of(policy: &Policy, caller: &Caller) -> Self {
        match (&policy.pin, &policy.unpinned, &caller.container) {
            (Some(_), ..) => Self::All,
            (None, None, Some(_)) => Self::Given,
            // What is given to who runs outside of containers is given by who runs it, as the same user.
            (None, Some(_), _) | (None, None, None) => Self::Nothing,
        }
    }
}

/// Follows every host path of the operation, those that are given from where the caller has them
///
/// # Errors
/// When the engine cannot be asked where it keeps its data.
pub async fn follow(
    ours: &Ours,
    engine: &Engine,
    operation: Operation,
    plan: Plan,
    pinning: Pinning,
) -> Result<Followed, EngineError> {
    if operation.host_paths().is_empty() {
        return Ok(Followed { operation, facts: Vec::new(), given: Vec::new(), resolved: Vec::new() });
    }
    let data = Protected::engine("the engine's data", &data_root(engine).await?);
    let ours = ours.clone();
    let followed = operation.clone();
    // File systems may take their time.
    let looked = tokio::task::spawn_blocking(move || follow_all(&ours, data, followed, &plan, pinning));
    Ok(looked.await.unwrap_or_else(|_| {
        let unclear = |(field, path): (String, HostPath)| PathFact {
            field,
            source: path.to_string(),
            finding: Finding::Unclear("it could not be looked at".to_owned()),
        };
        let facts = operation.host_paths().into_iter().map(unclear).collect();
        Followed { operation, facts, given: Vec::new(), resolved: Vec::new() }
    }))
}

/// Where the engine keeps its data; asked each time, as it may come back with another
async fn data_root(engine: &Engine) -> Result<HostPath, EngineError> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "DockerRootDir")]
        root: String,
    }
    let (_, body) = engine.question(Question::Info).await?;
    let info: Option<Info> = serde_json::from_slice(&body).ok();
    let root = info.and_then(|info| HostPath::parse(&info.root));
    root.ok_or_else(|| EngineError::Broken("it does not say where it keeps its data".to_owned()))
}

fn follow_all(ours: &Ours, data: Protected, operation: Operation, plan: &Plan, pinning: Pinning) -> Followed {
    let files = ours.files.iter().filter_map(|(what, path)| Protected::ours(what, path));
    let protect: Vec<_> = files.chain([data]).collect();
    let host = Host::open(&ours.engine, &protect).map_err(|unseen| unseen.to_string());
    let mut followed = Followed { operation, facts: Vec::new(), given: Vec::new(), resolved: Vec::new() };
    for (field, path) in followed.operation.host_paths() {
        let planned = plan.field(&field);
        let pins = pinning == Pinning::All || pinning == Pinning::Given && planned.is_some();
        let looked = match (&host, planned) {
            (Ok(host), None) => look(host.resolve(&path), pins),
            (Err(unseen), None) => Looked::odd(Finding::Unseen(unseen.clone())),
            (_, Some(planned)) => look_at_given(host.as_ref(), planned, plan, pins),
        };
        let Looked { path: real, finding, resolved, given } = looked;
        if let Some(real) = real {
            followed.operation.replace_host_path(&field, &real);
        }
        followed.given.extend(given);
        followed.resolved.extend(resolved.filter(|_| pins).map(|resolved| (field.clone(), resolved)));
        followed.facts.extend(finding.map(|finding| PathFact { field, source: path.to_string(), finding }));
    }
    followed
}

/// What one path was found to be
#[derive(Default)]
struct Looked {
    path: Option<HostPath>,
    finding: Option<Finding>,
    resolved: Option<Resolved>,
    given: Option<Given>,
}

impl Looked {
    fn odd(finding: Finding) -> Self {
        Self { finding: Some(finding), ..Self::default() }
    }
}

fn look(found: Result<Resolved, Unresolved>, pins: bool) -> Looked {
    match found {
        Ok(resolved) => {
            let protected = resolved.protected().map(|what| Finding::Protected(what.to_owned()));
            // A colon would end the source of a bind; a pin's name has none.
            let odd = || {
                let colon = !pins && resolved.path().as_str().contains(':');
                colon.then(|| Finding::Unclear("its real name has a colon".into()))
            };
            let finding = protected.or_else(odd);
            Looked { path: Some(resolved.path().clone()), finding, resolved: Some(resolved), given: None }
        }
        Err(Unresolved::Missing(missing)) => {
            let path = HostPath::parse(&format!("{}/{}", missing.parent.path(), missing.rest));
            let finding = match missing.protected() {
                Some(what) => Finding::Protected(what.to_owned()),
                None => Finding::Missing,
            };
            Looked { path, finding: Some(finding), ..Looked::default() }
        }
        Err(other) => Looked::odd(Finding::Unclear(other.to_string())),
    }
}

/// Looks at what the caller has itself, or for our own socket
fn look_at_given(host: Result<&Host, &String>, planned: &Planned, plan: &Plan, pins: bool) -> Looked {
    let Planned { given, at } = planned;
    let own_socket = || {
        let found = plan.socket.as_ref().map(|socket| host.map_or_else(|_| socket.unseen(), |host| socket.find(host)));
        let means = |path| Given { means: Means::Socket(path), ..given.clone() };
        match found {
            Some(Ok(path)) => Looked { given: Some(means(path)), ..Looked::default() },
            // Refused, and the word is about the socket and not about the path.
            Some(Err(why)) => Looked { given: Some(given.clone()), ..Looked::odd(Finding::Unclear(why)) },
            None => Looked::odd(Finding::Unclear("it is an engine's socket".to_owned())),
        }
    };
    let looked = match (&given.means, at, host) {
        (Means::Socket(_), ..) => return own_socket(),
        // The engine looks inside its volumes itself.
        (Means::Volume { .. }, None, _) => Looked::default(),
        (Means::Volume { .. }, Some(at), Err(_)) => Looked { path: Some(at.path.clone()), ..Looked::default() },
        (Means::Volume { .. }, Some(at), Ok(host)) => {
            let found = host.resolve_in(&at.root, &at.path, at.pardoned);
            let finding = match &found {
                Err(error @ Unresolved::Outside) => Some(Finding::Unclear(error.to_string())),
                // The engine looks for itself, and may see a volume that we do not.
                found => {
                    found.as_ref().ok().and_then(|found| found.protected()).map(|what| Finding::Protected(what.into()))
                }
            };
            let is_ours = |found: &Resolved| plan.socket.as_ref().is_some_and(|socket| socket.is(host, found));
            if found.as_ref().is_ok_and(is_ours) {
                return own_socket();
            }
            Looked { path: Some(at.path.clone()), finding, ..Looked::default() }
        }
        (Means::Path { .. }, Some(at), Ok(host)) => {
            let found = host.resolve_in(&at.root, &at.path, at.pardoned);
            let is_ours = |found: &Resolved| plan.socket.as_ref().is_some_and(|socket| socket.is(host, found));
            if found.as_ref().is_ok_and(is_ours) {
                return own_socket();
            }
            look(found, pins)
        }
        (Means::Path { .. }, Some(at), Err(unseen)) => {
            Looked { path: Some(at.path.clone()), ..Looked::odd(Finding::Unseen(unseen.clone())) }
        }
        (Means::Path { .. }, None, _) => Looked::odd(Finding::Unclear("it is out of sight".to_owned())),
    };
    Looked { given: Some(given.clone()), ..looked }
}
