//! The maxima of a policy, and where it says so those of the caller: a child gets no more than its parent has.

use crate::policy::judge::Most;
use crate::policy::{Limits, Line};

/// The lower of the policy's and the caller's maxima
pub(super) fn within(limits: &Limits, most: &Most) -> Limits {
    let Some(caller) = &limits.caller else { return limits.clone() };
    let Most { memory, nano_cpus, pids } = most;
    Limits {
        memory: lower(&limits.memory, *memory, caller),
        nano_cpus: lower(&limits.nano_cpus, *nano_cpus, caller),
        pids: lower(&limits.pids, *pids, caller),
        ..limits.clone()
    }
}

fn lower(limit: &Option<(i64, Line)>, most: Option<i64>, caller: &Line) -> Option<(i64, Line)> {
    match (limit, most) {
        (Some((limit, line)), Some(most)) if *limit <= most => Some((*limit, line.clone())),
        (_, Some(most)) => Some((most, caller.clone())),
        (limit, None) => limit.clone(),
    }
}
