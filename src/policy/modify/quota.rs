//! What a quota changes in a request: the parent cgroup, a limit where there is none, and the labels it is counted by.

use crate::api::create::Create;
use crate::api::host_config::Resources;
use crate::policy::judge::Facts;
use crate::policy::modify::{Absent, Changes, limit};
use crate::policy::quota::{DEFAULT_PERIOD, NANO, Quota, Resource, Usage, limits};
use crate::policy::{Limits, Line};

/// Puts a new container into its owner's cgroup, or gives it a limit of its own where it has none
pub(super) fn create(quota: &Quota, facts: &Facts, body: &mut Create, changes: &mut Changes) {
    let Some(usage) = &facts.usage else { return };
    let resources = &mut body.host_mut().resources;
    match &facts.cgroup {
        Some(parent) => {
            let forced = Some(parent.clone()).zip(quota.cgroup.clone());
            changes.text("HostConfig.CgroupParent", &mut resources.cgroup_parent, &forced);
            within_cgroup(quota, resources, "HostConfig.", changes);
        }
        None => fill(quota, usage, resources, changes),
    }
}

/// The kernel refuses a container that may have more CPU time than the cgroup it is in, and more of the rest means nothing
pub(super) fn within_cgroup(quota: &Quota, resources: &mut Resources, prefix: &str, changes: &mut Changes) {
    let most = |resource| quota.most.get(&resource).cloned();
    let (memory, nano_cpus, pids) = (most(Resource::Memory), most(Resource::Cpus), most(Resource::Pids));
    let limits = Limits { memory, nano_cpus, pids, ..Limits::default() };
    limit(&limits, resources, prefix, Absent::Stays, changes);
}

/// Where nothing else keeps the sum, a container without a limit gets what is left
fn fill(quota: &Quota, usage: &Usage, resources: &mut Resources, changes: &mut Changes) {
    let own = limits(resources);
    for resource in Resource::IN_CGROUP.iter().filter(|resource| !own.contains_key(resource)) {
        let Some(((most, line), used)) = quota.most.get(resource).zip(usage.used.get(resource)) else { continue };
        let left = most.saturating_sub(*used);
        match resource {
            Resource::Memory if left >= LEAST_MEMORY => memory(left, line, resources, changes),
            Resource::Cpus => cpus(left, line, resources, changes),
            Resource::Pids if left > 0 => {
                let from = resources.pids_limit.map_or_else(String::new, |limit| limit.to_string());
                changes.add("HostConfig.PidsLimit", from, left, Some(line));
                resources.pids_limit = Some(left);
            }
            // Nothing is left: it stays without a limit, and so does not fit.
            _ => {}
        }
    }
}

fn memory(left: i64, line: &Line, resources: &mut Resources, changes: &mut Changes) {
    changes.add("HostConfig.Memory", resources.memory, left, Some(line));
    resources.memory = left;
    if resources.memory_swap != 0 && resources.memory_swap < left {
        // Swap counts memory in, and the engine refuses less than that.
        changes.add("HostConfig.MemorySwap", resources.memory_swap, left, Some(line));
        resources.memory_swap = left;
    }
}

/// By quota and period: the engine refuses more `NanoCpus` than the host has
fn cpus(left: i64, line: &Line, resources: &mut Resources, changes: &mut Changes) {
    let period = if resources.cpu_period > 0 { resources.cpu_period } else { DEFAULT_PERIOD };
    let quota = i64::try_from(i128::from(left) * i128::from(period) / i128::from(NANO)).unwrap_or(i64::MAX);
    if quota >= LEAST_CPU {
        changes.add("HostConfig.CpuQuota", resources.cpu_quota, quota, Some(line));
        (resources.cpu_period, resources.cpu_quota) = (period, quota);
    }
}

/// Less memory the engine gives to no container, in bytes
const LEAST_MEMORY: i64 = 6 << 20;
/// Less CPU time a period the kernel gives to nobody, in microseconds
const LEAST_CPU: i64 = 1000;
