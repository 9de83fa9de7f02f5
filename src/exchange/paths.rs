//! Host paths of a request, looked at as what they are before anything is judged.
//!
//! A name says little: it may be a link to anywhere. So each source is followed on the engine's own file system, and what
//! it leads to takes its place: that is judged, and that is sent.

use std::path::{Path, PathBuf};

use crate::api::bind::{BindSource, HostPath};
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::mount::{Host, Protected, Unresolved};
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

/// Follows every host path of the operation; says what was found where it is not plain
pub async fn follow(ours: &Ours, operation: Operation) -> (Operation, Vec<PathFact>) {
    if sources(&operation).is_empty() {
        return (operation, Vec::new());
    }
    let ours = ours.clone();
    let mut followed = operation.clone();
    // File systems may take their time.
    let looked = tokio::task::spawn_blocking(move || {
        let facts = follow_all(&ours, &mut followed);
        (followed, facts)
    });
    looked.await.unwrap_or_else(|_| {
        let unclear = |(field, path): (String, HostPath)| PathFact {
            field,
            source: path.to_string(),
            finding: Finding::Unclear("it could not be looked at".to_owned()),
        };
        let facts = sources(&operation).into_iter().map(unclear).collect();
        (operation, facts)
    })
}

fn follow_all(ours: &Ours, operation: &mut Operation) -> Vec<PathFact> {
    let protect: Vec<_> = ours.files.iter().filter_map(|(what, path)| Protected::ours(what, path)).collect();
    let host = Host::open(&ours.engine, &protect);
    let mut facts = Vec::new();
    for (field, path) in sources(operation) {
        let (real, finding) = match &host {
            Ok(host) => look(host, &path),
            Err(unseen) => (None, Some(Finding::Unseen(unseen.to_string()))),
        };
        if let Some(real) = real {
            replace(operation, &field, &real);
        }
        facts.extend(finding.map(|finding| PathFact { field, source: path.to_string(), finding }));
    }
    facts
}

/// The real path, and what is not plain about it
fn look(host: &Host, path: &HostPath) -> (Option<HostPath>, Option<Finding>) {
    match host.resolve(path) {
        Ok(resolved) => {
            let protected = resolved.protected().map(|what| Finding::Protected(what.to_owned()));
            // A colon would end the source of a bind.
            let odd =
                || resolved.path().as_str().contains(':').then(|| Finding::Unclear("its real name has a colon".into()));
            (Some(resolved.path().clone()), protected.or_else(odd))
        }
        Err(Unresolved::Missing(missing)) => {
            let real = HostPath::parse(&format!("{}/{}", missing.parent.path(), missing.rest));
            let finding = match missing.protected() {
                Some(what) => Finding::Protected(what.to_owned()),
                None => Finding::Missing,
            };
            (real, Some(finding))
        }
        Err(other) => (None, Some(Finding::Unclear(other.to_string()))),
    }
}

/// Every host path of an operation, with the field it stands in
fn sources(operation: &Operation) -> Vec<(String, HostPath)> {
    let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = operation else { return Vec::new() };
    let Some(settings) = body.host_config.as_ref().map(|host| &host.settings) else { return Vec::new() };
    let binds = settings.binds.iter().flatten().enumerate().filter_map(|(index, bind)| match &bind.source {
        BindSource::Host(path) => Some((format!("HostConfig.Binds[{index}]"), path.clone())),
        BindSource::Anonymous | BindSource::Volume(_) => None,
    });
    let mounts = settings.mounts.iter().flatten().enumerate().filter_map(|(index, mount)| {
        let path = mount.host_path()?;
        Some((format!("HostConfig.Mounts[{index}].Source"), path))
    });
    binds.chain(mounts).collect()
}

fn replace(operation: &mut Operation, field: &str, real: &HostPath) {
    let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = operation else { return };
    let settings = &mut body.host_mut().settings;
    for (index, bind) in settings.binds.iter_mut().flatten().enumerate() {
        if field == format!("HostConfig.Binds[{index}]") {
            bind.source = BindSource::Host(real.clone());
        }
    }
    for (index, mount) in settings.mounts.iter_mut().flatten().enumerate() {
        if field == format!("HostConfig.Mounts[{index}].Source") {
            mount.set_host_path(real);
        }
    }
}
