//! Host paths of a request, looked at as what they are before anything is judged.
//!
//! A name says little: it may be a link to anywhere. So each source is followed on the engine's own file system, and what
//! it leads to takes its place: that is judged, and that is sent.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::api::bind::HostPath;
use crate::api::operation::Operation;
use crate::engine::{Engine, EngineError, Question};
use crate::mount::{Host, Protected, Resolved, Unresolved};
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
    /// What the fields lead to, opened
    pub resolved: Vec<(String, Resolved)>,
}

/// Follows every host path of the operation; `pins` says that what is found is pinned before it is sent
///
/// # Errors
/// When the engine cannot be asked where it keeps its data.
pub async fn follow(ours: &Ours, engine: &Engine, operation: Operation, pins: bool) -> Result<Followed, EngineError> {
    if operation.host_paths().is_empty() {
        return Ok(Followed { operation, facts: Vec::new(), resolved: Vec::new() });
    }
    let data = Protected::engine("the engine's data", &data_root(engine).await?);
    let ours = ours.clone();
    let followed = operation.clone();
    // File systems may take their time.
    let looked = tokio::task::spawn_blocking(move || follow_all(&ours, data, followed, pins));
    Ok(looked.await.unwrap_or_else(|_| {
        let unclear = |(field, path): (String, HostPath)| PathFact {
            field,
            source: path.to_string(),
            finding: Finding::Unclear("it could not be looked at".to_owned()),
        };
        let facts = operation.host_paths().into_iter().map(unclear).collect();
        Followed { operation, facts, resolved: Vec::new() }
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

fn follow_all(ours: &Ours, data: Protected, mut operation: Operation, pins: bool) -> Followed {
    let files = ours.files.iter().filter_map(|(what, path)| Protected::ours(what, path));
    let protect: Vec<_> = files.chain([data]).collect();
    let host = Host::open(&ours.engine, &protect);
    let (mut facts, mut resolved) = (Vec::new(), Vec::new());
    for (field, path) in operation.host_paths() {
        let looked = match &host {
            Ok(host) => look(host, &path, pins),
            Err(unseen) => Looked::odd(Finding::Unseen(unseen.to_string())),
        };
        if let Some(real) = looked.path {
            operation.replace_host_path(&field, &real);
        }
        resolved.extend(looked.resolved.map(|resolved| (field.clone(), resolved)));
        facts.extend(looked.finding.map(|finding| PathFact { field, source: path.to_string(), finding }));
    }
    Followed { operation, facts, resolved }
}

/// What one path was found to be
#[derive(Default)]
struct Looked {
    path: Option<HostPath>,
    finding: Option<Finding>,
    resolved: Option<Resolved>,
}

impl Looked {
    fn odd(finding: Finding) -> Self {
        Self { finding: Some(finding), ..Self::default() }
    }
}

fn look(host: &Host, path: &HostPath, pins: bool) -> Looked {
    match host.resolve(path) {
        Ok(resolved) => {
            let protected = resolved.protected().map(|what| Finding::Protected(what.to_owned()));
            // A colon would end the source of a bind; a pin's name has none.
            let odd = || {
                let colon = !pins && resolved.path().as_str().contains(':');
                colon.then(|| Finding::Unclear("its real name has a colon".into()))
            };
            let finding = protected.or_else(odd);
            Looked { path: Some(resolved.path().clone()), finding, resolved: Some(resolved) }
        }
        Err(Unresolved::Missing(missing)) => {
            let path = HostPath::parse(&format!("{}/{}", missing.parent.path(), missing.rest));
            let finding = match missing.protected() {
                Some(what) => Finding::Protected(what.to_owned()),
                None => Finding::Missing,
            };
            Looked { path, finding: Some(finding), resolved: None }
        }
        Err(other) => Looked::odd(Finding::Unclear(other.to_string())),
    }
}
