//! Quotas: what one owner may have at a time, and what an operation would add to that.
//!
//! What the owner has already is looked up before judging ([`Usage`]), in a turn of its own, so that nothing is added in
//! between. What a container counts as stands in labels of ours on it, and never changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::bind::{BindSource, clean};
use crate::api::create::{Create, Update};
use crate::api::host_config::Resources;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::Line;
use crate::policy::ask::{Ask, What};
use crate::policy::judge::Facts;

/// `[quota]`
#[derive(Debug, Clone, Default)]
pub struct Quota {
    /// The most of each resource; one that is absent is not counted
    pub most: BTreeMap<Resource, (i64, Line)>,
    /// Whether each owner has a cgroup that carries the sums
    pub cgroup: Option<Line>,
}

/// What is counted
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Containers, running or not
    Containers,
    /// Networks
    Networks,
    /// Volumes
    Volumes,
    /// Execs that were made and have not ended
    Execs,
    /// Sum of the containers' limits, in bytes
    Memory,
    /// Sum of the containers' limits, in CPUs of 10⁻⁹
    Cpus,
    /// Sum of the containers' limits
    Pids,
    /// Published host ports
    Ports,
}

impl Resource {
    /// Every resource
    pub const ALL: &'static [Self] = &[
        Self::Containers,
        Self::Networks,
        Self::Volumes,
        Self::Execs,
        Self::Memory,
        Self::Cpus,
        Self::Pids,
        Self::Ports,
    ];

    /// Those that are summed up over containers, and kept in a label
    pub const SUMS: &'static [Self] = &[Self::Memory, Self::Cpus, Self::Pids, Self::Ports];

    /// Those that a cgroup carries
    pub const IN_CGROUP: &'static [Self] = &[Self::Memory, Self::Cpus, Self::Pids];

    /// Key in `[quota]`
    pub fn key(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Networks => "networks",
            Self::Volumes => "volumes",
            Self::Execs => "execs",
            Self::Memory => "memory",
            Self::Cpus => "cpus",
            Self::Pids => "pids",
            Self::Ports => "ports",
        }
    }

    /// Label on a container that says what it counts as
    pub fn label(self) -> String {
        format!("sockwarden.{}", self.key())
    }

    /// An amount in words, as `20 containers` or `4 GiB of memory`
    pub fn say(self, amount: i64) -> String {
        let (one, many) = match self {
            Self::Memory if amount % GIB == 0 => return format!("{} GiB of memory", amount / GIB),
            Self::Memory if amount % MIB == 0 => return format!("{} MiB of memory", amount / MIB),
            Self::Memory => ("byte of memory", "bytes of memory"),
            Self::Cpus if amount == NANO => return "1 CPU".to_owned(),
            Self::Cpus => return format!("{} CPUs", cpus(amount)),
            Self::Pids => ("process", "processes"),
            Self::Ports => ("published port", "published ports"),
            Self::Containers => ("container", "containers"),
            Self::Networks => ("network", "networks"),
            Self::Volumes => ("volume", "volumes"),
            Self::Execs => ("exec", "execs"),
        };
        format!("{amount} {}", if amount == 1 { one } else { many })
    }
}

fn cpus(nano: i64) -> String {
    let text = format!("{}.{:09}", nano / NANO, nano % NANO);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What an owner has already, and what else judging a quota needs to know
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its owner, for who is refused
    pub owner: String,
    /// How much of what is counted for this operation
    pub used: BTreeMap<Resource, i64>,
    /// Volumes that the operation names and that do not exist yet
    pub new_volumes: BTreeSet<String>,
    /// Volumes that the container's image declares, by path
    pub image_volumes: BTreeSet<String>,
    /// Ports that the container's image exposes
    pub image_ports: BTreeSet<String>,
    /// The container that is changed
    pub changed: Option<Counted>,
}

/// A container as it is before a change, and what it counts as
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// What it counts as; a resource that is absent has no limit
    pub amounts: BTreeMap<Resource, i64>,
    /// CPU time a period, in microseconds
    pub cpu_quota: i64,
    /// The period, in microseconds
    pub cpu_period: i64,
}

/// More of a resource than before
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct More {
    /// Of what
    pub resource: Resource,
    /// How much more; nothing for more than any number
    pub asked: Option<i64>,
    /// How much there is already
    pub used: i64,
    /// The most there may be
    pub most: i64,
    /// Whose
    pub owner: String,
}

impl More {
    /// Whether it is within the quota
    pub fn fits(&self) -> bool {
        self.asked.is_some_and(|asked| self.used.saturating_add(asked) <= self.most)
    }
}

impl Quota {
    /// What has to be counted before `operation` is judged
    ///
    /// Sums that a cgroup carries are the kernel's affair.
    pub fn counts(&self, operation: &Operation, in_cgroup: bool) -> Vec<Resource> {
        use Resource as R;
        let touched: &[Resource] = match operation {
            Operation::ContainerCreate(_) => &[R::Containers, R::Volumes, R::Memory, R::Cpus, R::Pids, R::Ports],
            Operation::ContainerUpdate(_) => R::IN_CGROUP,
            Operation::NetworkCreate(_) => &[R::Networks],
            Operation::VolumeCreate(_) => &[R::Volumes],
            Operation::ExecCreate(_) => &[R::Execs],
            _ => &[],
        };
        let counted = |resource: &&Resource| {
            self.most.contains_key(resource) && !(in_cgroup && Resource::IN_CGROUP.contains(resource))
        };
        touched.iter().filter(counted).copied().collect()
    }

    /// Whether nothing is counted or carried
    pub fn is_empty(&self) -> bool {
        self.most.is_empty() && self.cgroup.is_none()
    }

    /// Whether volumes are counted, and so have to carry their owner
    pub fn counts_volumes(&self) -> bool {
        self.most.contains_key(&Resource::Volumes)
    }

    /// The most of a resource
    pub fn most(&self, resource: Resource) -> Option<i64> {
        self.most.get(&resource).map(|(most, _)| *most)
    }
}

/// What the operation, changed as the policy says, asks for on top of what the owner has
pub fn asks(quota: &Quota, operation: &Operation, facts: &Facts) -> Vec<Ask> {
    let Some(usage) = &facts.usage else { return Vec::new() };
    let ask = |resource: Resource, what| Ask { what, field: format!("quota.{}", resource.key()) };
    let mut asks = Vec::new();
    if let Operation::ContainerUpdate(Request { body: JsonBody(body), .. }) = operation {
        let Some(counted) = &usage.changed else { return asks };
        for (resource, asked) in changed(counted, body) {
            let Some(before) = counted.amounts.get(&resource).copied().or(quota.most(resource)) else { continue };
            let counts = usage.used.contains_key(&resource);
            if counts && asked.is_none_or(|asked| asked > before) {
                asks.push(ask(resource, What::Raise { resource, counted: before, asked }));
            }
        }
        return asks;
    }
    for (resource, used) in &usage.used {
        let Some(most) = quota.most(*resource) else { continue };
        let asked = needed(*resource, operation, usage);
        if asked != Some(0) {
            let more = More { resource: *resource, asked, used: *used, most, owner: usage.owner.clone() };
            asks.push(ask(*resource, What::Quota(more)));
        }
    }
    asks
}

/// How much more of a resource there will be; nothing for no limit
fn needed(resource: Resource, operation: &Operation, usage: &Usage) -> Option<i64> {
    match (resource, operation) {
        (Resource::Volumes, Operation::ContainerCreate(Request { body: JsonBody(body), .. })) => {
            Some(count(usage.new_volumes.len() + anonymous_volumes(body, &usage.image_volumes).len()))
        }
        (Resource::Volumes, Operation::VolumeCreate(Request { body: JsonBody(body), .. })) => {
            Some(if body.name.is_empty() { 1 } else { count(usage.new_volumes.len()) })
        }
        (
            Resource::Memory | Resource::Cpus | Resource::Pids | Resource::Ports,
            Operation::ContainerCreate(Request { body: JsonBody(body), .. }),
        ) => amounts(body, usage).get(&resource).copied(),
        _ => Some(1),
    }
}

/// What a container is to count as; a resource that is absent has no limit
pub fn amounts(body: &Create, usage: &Usage) -> BTreeMap<Resource, i64> {
    let mut amounts = body.host_config.as_ref().map_or_else(BTreeMap::new, |host| limits(&host.resources));
    amounts.insert(Resource::Ports, published(body, usage));
    amounts
}

/// The labels that say what a container counts as
pub fn labels(body: &Create, usage: &Usage) -> BTreeMap<String, String> {
    let amounts = amounts(body, usage);
    let label = |resource: &Resource| {
        let amount = amounts.get(resource).map_or_else(|| UNLIMITED.to_owned(), i64::to_string);
        (resource.label(), amount)
    };
    Resource::SUMS.iter().map(label).collect()
}

/// What a container counts as by its labels: nothing for no limit, and an error where no label says so
///
/// # Errors
/// The label that is missing or unreadable.
pub fn labelled(labels: &BTreeMap<String, String>, resource: Resource) -> Result<Option<i64>, String> {
    let label = resource.label();
    match labels.get(&label).map(String::as_str) {
        Some(UNLIMITED) => Ok(None),
        Some(text) => text.parse().ok().filter(|amount| *amount >= 0).map(Some).ok_or(label),
        None => Err(label),
    }
}

/// The limits of a container; a resource that is absent has none
pub fn limits(resources: &Resources) -> BTreeMap<Resource, i64> {
    let mut found = BTreeMap::new();
    if resources.memory > 0 {
        found.insert(Resource::Memory, resources.memory);
    }
    if let Some(nano) = nano_cpus(resources.nano_cpus, resources.cpu_quota, resources.cpu_period) {
        found.insert(Resource::Cpus, nano);
    }
    if let Some(pids) = resources.pids_limit.filter(|pids| *pids > 0) {
        found.insert(Resource::Pids, pids);
    }
    found
}

/// CPUs of 10⁻⁹, rounded up; of two ways to say it, the one that gives more
fn nano_cpus(nano: i64, quota: i64, period: i64) -> Option<i64> {
    let period = if period > 0 { period } else { DEFAULT_PERIOD };
    let by_quota = i128::from(quota) * i128::from(NANO);
    let by_quota = (by_quota + i128::from(period) - 1) / i128::from(period);
    let by_quota = (quota > 0).then(|| i64::try_from(by_quota).unwrap_or(i64::MAX));
    let nano = Some(nano).filter(|nano| *nano > 0);
    nano.max(by_quota)
}

/// What an update would make of the limits it touches; nothing for no limit
fn changed(counted: &Counted, update: &Update) -> Vec<(Resource, Option<i64>)> {
    let resources = &update.resources;
    let mut found = Vec::new();
    if resources.memory != 0 {
        found.push((Resource::Memory, Some(resources.memory).filter(|memory| *memory > 0)));
    }
    if (resources.nano_cpus, resources.cpu_quota, resources.cpu_period) != (0, 0, 0) {
        // What is left out stays: a shorter period alone makes more of the same quota.
        let or = |new: i64, old: i64| if new == 0 { old } else { new };
        let quota = or(resources.cpu_quota, counted.cpu_quota);
        found.push((
            Resource::Cpus,
            nano_cpus(resources.nano_cpus, quota, or(resources.cpu_period, counted.cpu_period)),
        ));
    }
    if let Some(pids) = resources.pids_limit {
        found.push((Resource::Pids, Some(pids).filter(|pids| *pids > 0)));
    }
    found
}

/// Paths at which a volume without a name is made
fn anonymous_volumes(body: &Create, of_image: &BTreeSet<String>) -> BTreeSet<String> {
    let settings = body.host_config.as_ref().map(|host| &host.settings);
    let (mut named, mut anonymous) = (BTreeSet::new(), BTreeSet::new());
    for bind in settings.iter().flat_map(|settings| settings.binds.iter().flatten()) {
        match bind.source {
            BindSource::Anonymous => anonymous.insert(clean(&bind.target)),
            BindSource::Volume(_) | BindSource::Host(_) => named.insert(clean(&bind.target)),
        };
    }
    for mount in settings.iter().flat_map(|settings| settings.mounts.iter().flatten()).map(|mount| mount.get()) {
        let target = clean(&mount.target);
        if mount.kind == "volume" && mount.source.is_empty() {
            anonymous.insert(target)
        } else {
            named.insert(target)
        };
    }
    named.extend(settings.iter().flat_map(|settings| settings.tmpfs.iter().flatten()).map(|(path, _)| clean(path)));
    let declared = body.config.volumes.iter().flatten().map(|(path, _)| path).chain(of_image);
    anonymous.extend(declared.map(|path| clean(path)).filter(|path| !named.contains(path)));
    anonymous
}

/// How many host ports are taken
fn published(body: &Create, usage: &Usage) -> i64 {
    let Some(settings) = body.host_config.as_ref().map(|host| &host.settings) else { return 0 };
    let mut bound = BTreeSet::new();
    let mut ports = 0;
    for (port, bindings) in settings.port_bindings.iter().flatten() {
        bound.insert(port.as_str());
        // None given is one that the engine chooses.
        ports += bindings.as_ref().map_or(1, |bindings| bindings.len().max(1));
    }
    if settings.publish_all_ports {
        let exposed = body.config.exposed_ports.iter().flatten().map(|(port, _)| port).chain(&usage.image_ports);
        let exposed: BTreeSet<&str> = exposed.map(String::as_str).filter(|port| !bound.contains(port)).collect();
        ports += exposed.iter().map(|port| range(port)).sum::<usize>();
    }
    count(ports)
}

/// How many ports `8000-8010/tcp` are
fn range(port: &str) -> usize {
    let numbers = port.split('/').next().unwrap_or("");
    let ends = numbers.split_once('-').map(|(first, last)| (first.parse::<u16>(), last.parse::<u16>()));
    match ends {
        Some((Ok(first), Ok(last))) => usize::from(last.saturating_sub(first)) + 1,
        _ => 1,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a label says of a resource without a limit
const UNLIMITED: &str = "unlimited";
/// The kernel's default CPU period, in microseconds
pub const DEFAULT_PERIOD: i64 = 100_000;
/// `NanoCpus` of one CPU
pub const NANO: i64 = 1_000_000_000;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

#[cfg(test)]
mod tests;
