//! Verdicts on what is found inside of what a client sends, or of what the engine answers.

use crate::api::buildkit::bridge::Solved;
use crate::api::operation::Operation;
use crate::policy::ask::{Ask, Object, What};
use crate::policy::asks::buildkit::steps::{self, Own};
use crate::policy::asks::found::Found;
use crate::policy::judge::{Decision, Facts, Judged, Verdict, granted, image_granted, image_names};
use crate::policy::{Mode, Policy};

/// Judges what is found in an archive while it comes: names that images are to get, and what it does not bring
pub fn judge_names(policy: &Policy, found: Found) -> Verdict {
    verdict(policy, found)
}

/// What a build would ask for, as the engine answers it
pub fn answered(policy: &Policy, solved: &Solved, facts: &Facts) -> Found {
    steps::answered(solved, own(policy, facts))
}

/// Judges what was found, and images that are another's
pub fn judge_steps(policy: &Policy, mut found: Found, foreign: Vec<(Object, String, String)>) -> Verdict {
    let ask = |(object, name, field)| Ask { what: What::Foreign(object, name), field };
    found.asks.extend(foreign.into_iter().map(ask));
    verdict(policy, found)
}

/// Judges the steps that an operation brings along
pub(super) fn brought(policy: &Policy, operation: &Operation, facts: &Facts) -> Vec<Judged> {
    judged(policy, steps::brought(operation, own(policy, facts)))
}

fn verdict(policy: &Policy, found: Found) -> Verdict {
    let asks = judged(policy, found);
    let denied = asks.iter().any(|judged| judged.granted.is_err());
    Verdict { decision: if denied { Decision::Deny } else { Decision::Allow }, asks, changes: Vec::new() }
}

fn judged(policy: &Policy, Found { asks, names }: Found) -> Vec<Judged> {
    let judged = |ask: Ask| {
        let granted = match &ask.what {
            _ if policy.mode == Mode::Record => Ok(None),
            What::Image(image) => image_granted(policy, &image_names(image, &ask.field, &names)).map(Some),
            what => granted(policy, what).map(Some),
        };
        Judged { ask, granted }
    };
    let matters = |ask: &Ask| ask.what != What::Layout || policy.isolate.is_some();
    asks.into_iter().filter(matters).map(judged).collect()
}

fn own<'a>(policy: &'a Policy, facts: &'a Facts) -> Own<'a> {
    let forced = policy.force.cgroup_parent.as_ref().map(|(parent, _)| parent.as_str());
    Own { view: facts.view.as_ref(), cache: facts.cache.as_deref(), cgroup: facts.cgroup.as_deref().or(forced) }
}
