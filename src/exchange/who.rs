//! Who calls: from the peer that the kernel names to its container, as the engine knows it, to the owner.
//!
//! Looked up with the first request of a connection, as every record names caller and owner, and kept as long as the
//! connection. Nothing is kept beyond it: a container's name, networks and limits may change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::OnceCell;

use super::{Gate, Who};
use crate::answer::Refused;
use crate::caller::Caller;
use crate::caller::inspected::{Found, Inspected, image_labels};
use crate::caller::job::{JobLabels, names_a_project, project};
use crate::caller::peer::{Peer, Process, Sight};
use crate::engine::{Engine, EngineError, Question};
use crate::owner::are_its_own;
use crate::owner::rule::{Evidence, Rule};
use crate::policy::cache::Cache;
use crate::policy::modify::{LISTENER_LABEL, OWNER_LABEL};

/// How the callers of one listener are known
#[derive(Debug, Default)]
pub struct Callers {
    rule: Rule,
    jobs: JobLabels,
    /// Whether it was said that some cannot be seen
    told: AtomicBool,
}

impl Callers {
    /// Owners are named by `rule`, and CI jobs by the labels `jobs`
    pub fn new(rule: Rule, jobs: JobLabels) -> Self {
        Self { rule, jobs, told: AtomicBool::new(false) }
    }
}

/// Who is on the other end of one connection
#[derive(Debug)]
pub struct Identity {
    peer: Peer,
    who: OnceCell<Arc<Who>>,
}

/// A caller that is not let in, and what goes on record of it
#[derive(Debug)]
pub struct Stranger {
    /// As far as it is known
    pub who: Arc<Who>,
    /// Why
    pub refused: Refused,
}

impl Identity {
    /// That of a peer
    pub fn of(peer: Peer) -> Self {
        Self { peer, who: OnceCell::new() }
    }

    /// That of somebody who is known already
    pub fn known(who: Arc<Who>) -> Self {
        Self { peer: Peer::of_caller(who.caller.clone()), who: OnceCell::new_with(Some(who)) }
    }

    /// Who it is; asked again where it could not be said
    ///
    /// # Errors
    /// When nobody can be named as the owner.
    pub async fn who(&self, gate: &Gate) -> Result<Arc<Who>, Stranger> {
        let who = self.who.get_or_try_init(|| async { identify(gate, &self.peer).await.map(Arc::new) });
        who.await.cloned().map_err(|refused| Stranger {
            who: Arc::new(Who { caller: self.peer.caller().clone(), owner: Rule::owner_unknown() }),
            refused,
        })
    }
}

async fn identify(gate: &Gate, peer: &Peer) -> Result<Who, Refused> {
    let Callers { rule, jobs, told } = &gate.callers;
    // What it gives of its own counts where it is in no container.
    let caller = Caller { mounts: gate.gives.to_vec(), ..peer.caller().clone() };
    let process = match peer.sight() {
        Sight::Contained(process) => process,
        Sight::Host => return Ok(Who { owner: rule.owner(&caller, &Evidence::default()), caller }),
        // Whoever lets its connection outlive it must not become its user, who may own what is the host's.
        Sight::Gone if rule.asks_for_the_process() => return Err(Refused::Unidentified(GONE.to_owned())),
        Sight::Gone => return Ok(Who { owner: rule.owner_unseen(caller.uid, &gate.name), caller }),
        Sight::Unseen => {
            let owner = rule.owner_unseen(caller.uid, &gate.name);
            if rule.asks_for_the_process() && !told.swap(true, Ordering::Relaxed) {
                tracing::warn!(listener = &*gate.name, %owner, "callers in other pid namespaces cannot be told apart");
            }
            return Ok(Who { caller, owner });
        }
    };
    let Some(found) = container(&gate.engine, process).await? else {
        return Ok(Who { owner: rule.owner(&caller, &Evidence::default()), caller });
    };
    let evidence = evidence(gate, rule, &found).await?;
    let job = jobs.of(&found.container.labels);
    let project = project_of(gate, &found).await?;
    let Caller { uid, gid, pid, .. } = caller;
    let caller = Caller { uid, gid, pid, container: Some(found.container), job, project, ..Caller::default() };
    Ok(Who { owner: rule.owner(&caller, &evidence), caller })
}

/// The container in which a process is, the outermost that the engine knows
async fn container(engine: &Engine, process: &Process) -> Result<Option<Inspected>, Refused> {
    for id in process.containers() {
        let Some(body) = asked(engine, Question::Container(id)).await? else { continue };
        match Inspected::read(id, &body).map_err(|error| EngineError::Broken(error.to_string()))? {
            Found::Another => {}
            Found::Running(found) if process.is_in(id, found.first) => return Ok(Some(*found)),
            // On its way out, or somebody's who took its name: in both cases nothing may be made in its place.
            Found::Running(_) | Found::Ended => {
                let short = id.get(..12).unwrap_or(id);
                return Err(Refused::Unidentified(format!(
                    "the calling process is not in a running container {short}"
                )));
            }
        }
    }
    Ok(None)
}

/// What proves that a container's labels are its own: that its image has not brought them
///
/// Whoever made it has it call in its name through the listener that it was made through. Through another it is a caller
/// like any other: a runner that makes jobs through one listener does not own what they make through theirs.
async fn evidence(gate: &Gate, rule: &Rule, found: &Inspected) -> Result<Evidence, Refused> {
    let (engine, labels) = (&gate.engine, &found.container.labels);
    let made_here = labels.get(LISTENER_LABEL).is_some_and(|listener| **listener == *gate.name);
    let maker = labels.get(OWNER_LABEL).filter(|maker| made_here && !maker.is_empty());
    let key = match rule {
        Rule::Label(key) => Some(key).filter(|key| labels.contains_key(*key)),
        Rule::Container | Rule::Uid | Rule::Unit | Rule::Fixed(_) => None,
    };
    if maker.is_none() && key.is_none() {
        return Ok(Evidence::default());
    }
    // Without its image nothing is proved.
    let Some(body) = asked(engine, Question::Image(&found.image)).await? else { return Ok(Evidence::default()) };
    let of_image = image_labels(&body).map_err(|error| EngineError::Broken(error.to_string()))?;
    Ok(Evidence {
        made_by: maker.filter(|_| are_its_own(labels, &of_image)).cloned(),
        label_is_its_own: key.is_some_and(|key| labels.get(key) != of_image.get(key)),
    })
}

/// The project of a CI job, where caches are shared within one
///
/// What was made through sockwarden has the labels that a job wanted, and is of no project.
async fn project_of(gate: &Gate, found: &Inspected) -> Result<Option<String>, Refused> {
    let labels = &found.container.labels;
    let wanted = gate.policy.borrow().cache == Cache::Group;
    if !wanted || !names_a_project(labels) || labels.contains_key(OWNER_LABEL) {
        return Ok(None);
    }
    let Some(body) = asked(&gate.engine, Question::Image(&found.image)).await? else { return Ok(None) };
    let of_image = image_labels(&body).map_err(|error| EngineError::Broken(error.to_string()))?;
    Ok(project(labels, &of_image))
}

/// The engine's answer, if there is such an object
async fn asked(engine: &Engine, question: Question<'_>) -> Result<Option<Bytes>, Refused> {
    let (status, body) = engine.question(question).await?;
    match status {
        StatusCode::OK => Ok(Some(body)),
        status if status.is_client_error() => Ok(None),
        _ => Err(EngineError::Broken(String::from_utf8_lossy(&body).into_owned()).into()),
    }
}

const GONE: &str = "the calling process has ended, or cannot be looked at";
