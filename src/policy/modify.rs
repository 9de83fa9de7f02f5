//! Forced values, maxima and owner labels: what a policy changes in a request, each change named.

mod buildkit;
mod builds;
mod filters;
mod given;
mod image;
mod limits;
mod names;
mod pin;
mod quota;
mod source_policy;
mod volumes;

use std::collections::BTreeMap;

use crate::api::build::Build;
use crate::api::create::Create;
use crate::api::host_config::{Resources, Ulimit};
use crate::api::image_ref::ImageRef;
use crate::api::operation::Operation;
use crate::api::parameters as q;
use crate::api::request::{JsonBody, Protobuf, Request};
use crate::api::value::{Plain, Words};
use crate::policy::judge::Facts;
use crate::policy::{Force, Limits, Line, Policy};

/// The label that names an object's owner
pub const OWNER_LABEL: &str = "sockwarden.owner";
/// The label that names the listener through which an object was made, where its policy cleans up
pub const LISTENER_LABEL: &str = "sockwarden.listener";
/// The label that names the record of an object's making, where its policy cleans up
pub const RECORD_LABEL: &str = "sockwarden.record";

/// One change to a request
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Field, as `HostConfig.Memory`
    pub field: String,
    /// What the client asked for; empty for nothing
    pub from: String,
    /// What is sent
    pub to: String,
    /// The line that says so; none for the owner's label
    pub line: Option<Line>,
}

/// Changes an operation as the policy says
pub fn modify(policy: &Policy, mut operation: Operation, facts: &Facts) -> (Operation, Vec<Change>) {
    let mut changes = Changes(Vec::new());
    let stamped = &facts.stamp;
    let labels = &policy.force.labels;
    let limits = &limits::within(&policy.limits, &facts.most);
    match &mut operation {
        Operation::ContainerCreate(Request { body: JsonBody(body), .. }) => {
            force(&policy.force, body, &mut changes);
            let host = body.host_mut();
            limit(limits, &mut host.resources, "HostConfig.", Absent::IsUnlimited, &mut changes);
            ceiling(&limits.shm_size, &mut host.settings.shm_size, Absent::Stays, "HostConfig.ShmSize", &mut changes);
            quota::create(&policy.quota, facts, body, &mut changes);
            let mut stamped = stamped.clone();
            if let Some(usage) = &facts.usage {
                stamped.extend(crate::policy::quota::labels(body, usage));
            }
            stamp(&stamped, labels, &mut body.config.labels, &mut changes);
            for mount in body.host_mut().settings.mounts.iter_mut().flatten() {
                if let (Some(owner), Some(volume)) = (stamped.get(OWNER_LABEL), mount.volume_labels_mut()) {
                    volume.insert(OWNER_LABEL.to_owned(), owner.clone());
                }
            }
        }
        Operation::ContainerUpdate(Request { body: JsonBody(body), .. }) => {
            limit(limits, &mut body.resources, "", Absent::Stays, &mut changes);
            if facts.cgroup.is_some() {
                quota::within_cgroup(&policy.quota, &mut body.resources, "", &mut changes);
            }
        }
        Operation::NetworkCreate(Request { body: JsonBody(body), .. }) => {
            stamp(stamped, labels, &mut body.labels, &mut changes);
        }
        Operation::VolumeCreate(Request { body: JsonBody(body), .. }) => {
            stamp(stamped, labels, &mut body.labels, &mut changes);
        }
        Operation::BuildClassic(Request { query, .. }) => {
            build(policy, limits, query, &mut changes);
            // Its images are pulled before, so that their triggers are judged.
            if query.pull && policy.judges_context(query) {
                query.pull = false;
                changes.add("query.pull", true, false, None);
            }
            let forced = facts.cgroup.clone().zip(policy.quota.cgroup.clone());
            changes.text("query.cgroupparent", &mut query.cgroup_parent, &forced);
            image::build(stamped, query);
        }
        Operation::BuildSolve(Request { body: Protobuf(body), .. }) => {
            buildkit::solve(policy, facts, body, &mut changes);
        }
        Operation::BridgeContainerNew(Request { body: Protobuf(body), .. }) => {
            buildkit::container(policy, body, &mut changes);
        }
        Operation::BridgeContainerExec(Request { body: Protobuf(body), .. }) => {
            buildkit::process(policy, facts, body, &mut changes);
        }
        Operation::BridgeSolve(Request { body: Protobuf(body), .. }) => {
            buildkit::bridge_solve(policy, limits, facts, body, &mut changes);
        }
        Operation::ImagePull(Request { query, .. }) => pull(facts.pulls_as.as_deref(), query, &mut changes),
        Operation::BridgeReturn(Request { body: Protobuf(body), .. }) => image::returned(stamped, body),
        Operation::BuildHistory(Request { body: Protobuf(body), .. }) => builds::history(body, &mut changes),
        Operation::ImageCommit(Request { body, .. }) => image::commit(stamped, body),
        Operation::ImageImport(Request { query, .. }) => image::import(stamped, query),
        Operation::ImagePrune(Request { query, .. }) if policy.gives_views() => image::prune(stamped, query),
        _ => {}
    }
    for pin in &facts.pins {
        pin::pin(&mut operation, pin);
    }
    // Neither are changes of what was asked for: the client sees its own names, and lists what is its own.
    if let Some(view) = &facts.view {
        names::give(view, &mut operation, facts);
        builds::give(view, &mut operation, facts);
        filters::narrow(view, &mut operation);
    }
    given::lower(policy, &mut operation, &facts.given, &mut changes);
    for (field, pinned) in &facts.pinned {
        if let Some(from) = operation.replace_host_path(field, pinned) {
            changes.add(field, from, pinned, policy.pin.as_ref().or(policy.caller.as_ref()));
        }
    }
    given::replace(policy, &mut operation, &facts.given, &mut changes);
    // Last, as it takes binds out of the list, in which the others stand by their number.
    if let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = &mut operation
        && facts.view.is_some()
    {
        volumes::label(body, facts);
    }
    (operation, changes.0)
}

struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, field: &str, from: impl ToString, to: impl ToString, line: Option<&Line>) {
        let (field, from, to) = (field.to_owned(), from.to_string(), to.to_string());
        self.0.push(Change { field, from, to, line: line.cloned() });
    }

    fn text(&mut self, field: &str, slot: &mut String, forced: &Option<(String, Line)>) {
        if let Some((value, line)) = forced.as_ref().filter(|(value, _)| value != slot) {
            self.add(field, &*slot, value, Some(line));
            slot.clone_from(value);
        }
    }
}

fn force(force: &Force, body: &mut Create, changes: &mut Changes) {
    let Force { labels: _, cgroup_parent, user, no_new_privileges, cap_drop, network, runtime } = force;
    changes.text("User", &mut body.config.user, user);
    let host = body.host_mut();
    changes.text("HostConfig.CgroupParent", &mut host.resources.cgroup_parent, cgroup_parent);
    changes.text("HostConfig.Runtime", &mut host.settings.runtime, runtime);
    if matches!(host.settings.network_mode.as_str(), "" | "default" | "bridge") {
        changes.text("HostConfig.NetworkMode", &mut host.settings.network_mode, network);
    }
    if let Some(line) = no_new_privileges {
        let options = host.settings.security_opt.get_or_insert_default();
        // The engine lets the last one win, so every other word for it goes.
        let before = options.join(" ");
        options.retain(|option| !option.starts_with("no-new-privileges"));
        options.push("no-new-privileges".to_owned());
        if before != options.join(" ") {
            changes.add("HostConfig.SecurityOpt", before, options.join(" "), Some(line));
        }
    }
    for (capability, line) in cap_drop {
        let Words(dropped) = &mut host.settings.cap_drop;
        let dropped = dropped.get_or_insert_default();
        if !dropped.contains(capability) {
            dropped.push(capability.clone());
            changes.add("HostConfig.CapDrop", "", capability, Some(line));
        }
    }
}

/// By a digest, which leaves names alone
fn pull(digest: Option<&str>, query: &mut q::Pull, changes: &mut Changes) {
    if let (Some(digest), Some(image)) = (digest.and_then(|digest| ImageRef::read(digest).ok()), &mut query.from_image)
    {
        changes.add("query.fromImage", image.given(), digest.given(), None);
        *image = digest;
        query.tag.clear();
    }
}

/// What an absent value means
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// No limit, so it gets the maximum
    IsUnlimited,
    /// The engine's own default, or what is there already
    Stays,
}

fn limit(limits: &Limits, resources: &mut Resources, prefix: &str, absent: Absent, changes: &mut Changes) {
    let Limits { caller: _, memory, nano_cpus, pids, shm_size: _, ulimits } = limits;
    ceiling(memory, &mut resources.memory, absent, &format!("{prefix}Memory"), changes);
    if let Some((max, line)) = memory {
        // Swap counts memory in; unlimited swap would undo the limit.
        let swap = &mut resources.memory_swap;
        if *swap == -1 || *swap > max.saturating_mul(2) {
            let to = resources.memory.saturating_mul(2);
            changes.add(&format!("{prefix}MemorySwap"), *swap, to, Some(line));
            *swap = to;
        }
    }
    cpus(nano_cpus, resources, prefix, absent, changes);
    if let Some((max, line)) = pids {
        let asked = resources.pids_limit;
        let unlimited = asked.is_some_and(|asked| asked <= 0) || (asked.is_none() && absent == Absent::IsUnlimited);
        if unlimited || asked.is_some_and(|asked| asked > *max) {
            let from = asked.map_or(String::new(), |asked| asked.to_string());
            changes.add(&format!("{prefix}PidsLimit"), from, max, Some(line));
            resources.pids_limit = Some(*max);
        }
    }
    for (name, (max, line)) in ulimits {
        let list = resources.ulimits.get_or_insert_default();
        match list.iter_mut().find(|Plain(ulimit)| ulimit.name == *name) {
            Some(Plain(ulimit)) if ulimit.hard < 0 || ulimit.hard > *max || ulimit.soft > *max || ulimit.soft < 0 => {
                let soft = if ulimit.soft < 0 { *max } else { ulimit.soft.min(*max) };
                let from = format!("{}:{}", ulimit.soft, ulimit.hard);
                changes.add(&format!("{prefix}Ulimits.{name}"), from, format!("{soft}:{max}"), Some(line));
                (ulimit.soft, ulimit.hard) = (soft, *max);
            }
            Some(_) => {}
            None if absent == Absent::Stays => {}
            None => {
                changes.add(&format!("{prefix}Ulimits.{name}"), "", format!("{max}:{max}"), Some(line));
                list.push(Plain(Ulimit { name: name.clone(), soft: *max, hard: *max }));
            }
        }
    }
}

/// CPU time comes as `NanoCpus` or as quota and period; the engine refuses both at once
fn cpus(max: &Option<(i64, Line)>, resources: &mut Resources, prefix: &str, absent: Absent, changes: &mut Changes) {
    let Some((max, line)) = max else { return };
    if resources.cpu_quota == 0 && resources.cpu_period == 0 {
        return ceiling(
            &Some((*max, line.clone())),
            &mut resources.nano_cpus,
            absent,
            &format!("{prefix}NanoCpus"),
            changes,
        );
    }
    let period = if resources.cpu_period > 0 { resources.cpu_period } else { DEFAULT_PERIOD };
    let most = i64::try_from(i128::from(period) * i128::from(*max) / NANO).unwrap_or(i64::MAX);
    if resources.cpu_quota <= 0 || resources.cpu_quota > most {
        changes.add(&format!("{prefix}CpuQuota"), resources.cpu_quota, most, Some(line));
        resources.cpu_quota = most;
    }
}

fn ceiling(max: &Option<(i64, Line)>, slot: &mut i64, absent: Absent, field: &str, changes: &mut Changes) {
    let Some((max, line)) = max else { return };
    let unlimited = *slot < 0 || (*slot == 0 && absent == Absent::IsUnlimited);
    if unlimited || *slot > *max {
        changes.add(field, *slot, max, Some(line));
        *slot = *max;
    }
}

fn build(policy: &Policy, limits: &Limits, query: &mut Build, changes: &mut Changes) {
    let Force { cgroup_parent, network, .. } = &policy.force;
    changes.text("query.cgroupparent", &mut query.cgroup_parent, cgroup_parent);
    if matches!(query.network_mode.as_str(), "" | "default" | "bridge") {
        changes.text("query.networkmode", &mut query.network_mode, network);
    }
    // The same limits as a container's: a step of a build is one.
    let mut resources = Resources {
        memory: query.memory.unwrap_or_default(),
        memory_swap: query.memory_swap.unwrap_or_default(),
        cpu_period: query.cpu_period.unwrap_or_default(),
        cpu_quota: query.cpu_quota.unwrap_or_default(),
        ..Resources::default()
    };
    if limits.nano_cpus.is_some() && resources.cpu_period == 0 {
        resources.cpu_period = DEFAULT_PERIOD;
    }
    let Limits { caller: _, memory, nano_cpus, pids: _, shm_size, ulimits: _ } = limits;
    let limits = Limits { memory: memory.clone(), nano_cpus: nano_cpus.clone(), ..Limits::default() };
    limit(&limits, &mut resources, "query.", Absent::IsUnlimited, changes);
    let mut shm = query.shm_size.unwrap_or_default();
    ceiling(shm_size, &mut shm, Absent::Stays, "query.shmsize", changes);
    let said = |value: i64| Some(value).filter(|value| *value != 0);
    (query.memory, query.memory_swap) = (said(resources.memory), said(resources.memory_swap));
    (query.cpu_period, query.cpu_quota) = (said(resources.cpu_period), said(resources.cpu_quota));
    query.shm_size = said(shm);
    for (key, (value, line)) in &policy.force.labels {
        let labels = query.labels.0.get_or_insert_default();
        if labels.get(key) != Some(value) {
            changes.add(&format!("query.labels.{key}"), "", value, Some(line));
            labels.insert(key.clone(), value.clone());
        }
    }
}

fn stamp(
    stamped: &BTreeMap<String, String>,
    forced: &BTreeMap<String, (String, Line)>,
    labels: &mut Option<BTreeMap<String, String>>,
    changes: &mut Changes,
) {
    for (key, (value, line)) in forced {
        let labels = labels.get_or_insert_default();
        if labels.get(key) != Some(value) {
            let from = labels.get(key).cloned().unwrap_or_default();
            changes.add(&format!("Labels.{key}"), from, value, Some(line));
            labels.insert(key.clone(), value.clone());
        }
    }
    // Not a change of what was asked for: every object has it.
    if !stamped.is_empty() {
        labels.get_or_insert_default().extend(stamped.clone());
    }
}

/// The kernel's default CPU period, in microseconds
const DEFAULT_PERIOD: i64 = 100_000;
/// `NanoCpus` of one CPU
const NANO: i128 = 1_000_000_000;
