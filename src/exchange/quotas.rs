//! What an owner has already, counted in its turn: the engine is asked, and nothing is remembered.
//!
//! A restart changes nothing, a create that failed has taken no place, and what somebody else removed is free at once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::Refused;
use crate::api::host_config::Resources;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::audit::cleanup::Kind;
use crate::engine::{Engine, EngineError, Question};
use crate::exchange::Gate;
use crate::exchange::facts::Found;
use crate::owner::Owner;
use crate::policy::ask::Object;
use crate::policy::judge::Pin;
use crate::policy::modify::OWNER_LABEL;
use crate::policy::quota::{Counted, Quota, Resource, Usage, labelled, limits};
use crate::policy::references::{Reference, Referent, references};
use crate::policy::{Mode, Policy};
use crate::quota::turn::Turn;

/// Whether a quota has anything to do with an operation
pub fn concern(policy: &Policy, operation: &Operation) -> bool {
    let quota = &policy.quota;
    policy.mode != Mode::Record
        && !quota.is_empty()
        && (counted(quota, operation) || quota.cgroup.is_some() && starts(operation))
}

/// Counts what the policy has a quota for; the turn is to be kept until the engine has answered
///
/// # Errors
/// When the engine cannot be asked, when the turn does not come, or when the owner's cgroup cannot be made.
pub async fn gather(
    gate: &Gate,
    quota: &Quota,
    operation: &Operation,
    owner: &Owner,
    found: &mut Found,
) -> Result<Option<Turn>, Refused> {
    let patience = gate.limits.engine_answer;
    let turn = gate.turns.take(&owner.tag().into(), patience).await.ok_or(Refused::NoTurn(patience))?;
    if quota.cgroup.is_some() && starts(operation) {
        // Each time: it may be gone with its last container, or with the last boot.
        found.facts.cgroup = gate.cgroups.make(&gate.engine, owner, quota).await?;
    }
    if !counted(quota, operation) {
        return Ok(None);
    }
    let counted = quota.counts(operation, found.facts.cgroup.is_some());
    let counting = Counting { engine: &gate.engine, owner, quota };
    found.facts.usage = Some(counting.usage(operation, &counted, found).await?);
    Ok(Some(turn))
}

/// Whether anything is counted; a container always, as its labels say for later what it counts as
fn counted(quota: &Quota, operation: &Operation) -> bool {
    matches!(operation, Operation::ContainerCreate(_)) || !quota.counts(operation, false).is_empty()
}

/// Whether containers of the owner start by it, now or later, or get other limits
fn starts(operation: &Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::ContainerCreate(_)
            | O::ContainerStart(_)
            | O::ContainerRestart(_)
            | O::ContainerUpdate(_)
            | O::BuildClassic(_)
            | O::BridgeSolve(_)
            | O::BridgeContainerExec(_)
    )
}

/// Somebody who counts for one operation
struct Counting<'a> {
    engine: &'a Engine,
    owner: &'a Owner,
    quota: &'a Quota,
}

impl Counting<'_> {
    async fn usage(&self, operation: &Operation, counted: &[Resource], found: &Found) -> Result<Usage, Refused> {
        let mut usage = Usage { owner: self.owner.to_string(), ..Usage::default() };
        let counts = |resource| counted.contains(&resource);
        if let Operation::ContainerUpdate(_) = operation {
            usage.used = counted.iter().map(|resource| (*resource, 0)).collect();
            let subject = found.facts.pins.iter().find(|pin| pin.subject);
            if let Some(subject) = subject.filter(|_| !counted.is_empty()) {
                usage.changed = Some(self.container(&subject.id).await?.counted());
            }
            return Ok(usage);
        }
        if counts(Resource::Networks) {
            let networks: Vec<Labelled> = self.ask(Question::Labelled(Kind::Network, &self.label())).await?;
            usage.used.insert(Resource::Networks, count(networks.iter().filter(|network| self.owns(&network.labels))));
        }
        if counts(Resource::Volumes) {
            let Volumes { volumes } = self.ask(Question::Labelled(Kind::Volume, &self.label())).await?;
            let own = volumes.into_iter().flatten().filter(|volume| self.owns(&volume.labels));
            let own: BTreeSet<String> = own.map(|volume| volume.name).collect();
            usage.used.insert(Resource::Volumes, count(own.iter()));
            usage.new_volumes = self.new_volumes(operation, &found.facts.pins, &own).await?;
        }
        if counted.iter().any(|resource| !matches!(resource, Resource::Networks | Resource::Volumes)) {
            let containers: Vec<Listed> = self.ask(Question::Labelled(Kind::Container, &self.label())).await?;
            let own: Vec<Listed> = containers.into_iter().filter(|container| self.owns(&container.labels)).collect();
            if counts(Resource::Containers) {
                usage.used.insert(Resource::Containers, count(own.iter()));
            }
            if counts(Resource::Execs) {
                usage.used.insert(Resource::Execs, self.execs(&own).await?);
            }
            let sums: Vec<Resource> = Resource::SUMS.iter().filter(|sum| counts(**sum)).copied().collect();
            usage.used.extend(self.sums(&own, &sums).await?);
        }
        if let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = operation {
            let publish_all = body.host_config.as_ref().is_some_and(|host| host.settings.publish_all_ports);
            if counts(Resource::Volumes) || publish_all {
                let Image { config } = self.ask(Question::Image(&body.config.image)).await?;
                let config = config.unwrap_or_default();
                usage.image_volumes = config.volumes.unwrap_or_default().into_keys().collect();
                usage.image_ports = config.exposed_ports.unwrap_or_default().into_keys().collect();
            }
        }
        Ok(usage)
    }

    /// The label that the owner's objects have
    fn label(&self) -> String {
        format!("{OWNER_LABEL}={}", self.owner.name())
    }

    /// The label filter is asked for, and what comes is not believed
    fn owns(&self, labels: &Option<BTreeMap<String, String>>) -> bool {
        labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL)).is_some_and(|owner| **owner == **self.owner.name())
    }

    /// Volumes that the operation names and that do not exist, in this very turn
    async fn new_volumes(
        &self,
        operation: &Operation,
        pins: &[Pin],
        own: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Refused> {
        let mut new = BTreeSet::new();
        for Reference { object, name, .. } in references(operation) {
            if object != Referent::Object(Object::Volume) {
                continue;
            }
            // As it is called on the engine.
            let pin = pins.iter().find(|pin| pin.object == Object::Volume && pin.name == name);
            let name = pin.map_or(&name, |pin| &pin.id);
            if own.contains(name) || new.contains(name) {
                continue;
            }
            if self.engine.question(Question::Volume(name)).await?.0 == StatusCode::NOT_FOUND {
                new.insert(name.clone());
            }
        }
        Ok(new)
    }

    /// The engine lists in a container the execs that were made and have not ended
    async fn execs(&self, own: &[Listed]) -> Result<i64, Refused> {
        let mut execs = 0;
        for container in
            own.iter().filter(|container| !matches!(container.state.as_str(), "created" | "exited" | "dead"))
        {
            execs += match self.container_if_there(&container.id).await? {
                Some(container) => count(container.exec_ids.iter().flatten()),
                None => 0,
            };
        }
        Ok(execs)
    }

    /// What the containers count as; one without our labels, made before there was a quota, is looked at
    async fn sums(&self, own: &[Listed], sums: &[Resource]) -> Result<BTreeMap<Resource, i64>, Refused> {
        let mut used: BTreeMap<Resource, i64> = sums.iter().map(|sum| (*sum, 0)).collect();
        for Listed { id, labels, .. } in own {
            let none = BTreeMap::new();
            let labels = labels.as_ref().unwrap_or(&none);
            let read = |sum: &Resource| Some((*sum, labelled(labels, *sum).ok()?));
            let amounts: Option<BTreeMap<Resource, Option<i64>>> = sums.iter().map(read).collect();
            let amounts = match amounts {
                Some(amounts) => amounts,
                None => match self.container_if_there(id).await? {
                    Some(container) => container.amounts(sums),
                    None => continue,
                },
            };
            for (sum, amount) in amounts {
                // Without a limit it may take all there is.
                let amount = amount.or(self.quota.most(sum)).unwrap_or(i64::MAX);
                let total = used.entry(sum).or_default();
                *total = total.saturating_add(amount);
            }
        }
        Ok(used)
    }

    async fn container(&self, id: &str) -> Result<Inspected, Refused> {
        self.ask(Question::Container(id)).await
    }

    /// A container of a list may be gone by now
    async fn container_if_there(&self, id: &str) -> Result<Option<Inspected>, Refused> {
        let (status, body) = self.engine.question(Question::Container(id)).await?;
        if status == StatusCode::NOT_FOUND { Ok(None) } else { parse(status.is_success(), &body).map(Some) }
    }

    async fn ask<T: DeserializeOwned>(&self, question: Question<'_>) -> Result<T, Refused> {
        let (status, body) = self.engine.question(question).await?;
        parse(status.is_success(), &body)
    }
}

fn parse<T: DeserializeOwned>(success: bool, body: &Bytes) -> Result<T, Refused> {
    let parsed = if success {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    } else {
        Err(String::from_utf8_lossy(body).into_owned())
    };
    parsed.map_err(|error| EngineError::Broken(format!("what an owner has could not be counted: {error}")).into())
}

fn count(things: impl Iterator) -> i64 {
    i64::try_from(things.count()).unwrap_or(i64::MAX)
}

#[derive(Deserialize)]
struct Labelled {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Volumes {
    #[serde(rename = "Volumes")]
    volumes: Option<Vec<Labelled>>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "State", default)]
    state: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "Config")]
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "Volumes")]
    volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    #[serde(rename = "ExposedPorts")]
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    #[serde(rename = "Config", default)]
    config: Config,
    #[serde(rename = "HostConfig")]
    host: Host,
}

#[derive(Deserialize)]
struct Host {
    #[serde(rename = "Memory", default)]
    memory: i64,
    #[serde(rename = "NanoCpus", default)]
    nano_cpus: i64,
    #[serde(rename = "CpuQuota", default)]
    cpu_quota: i64,
    #[serde(rename = "CpuPeriod", default)]
    cpu_period: i64,
    #[serde(rename = "PidsLimit")]
    pids_limit: Option<i64>,
    #[serde(rename = "PortBindings")]
    port_bindings: Option<BTreeMap<String, Option<Vec<serde::de::IgnoredAny>>>>,
}

impl Inspected {
    /// What it counts as by its limits, as they are now
    fn amounts(&self, sums: &[Resource]) -> BTreeMap<Resource, Option<i64>> {
        let Host { memory, nano_cpus, cpu_quota, cpu_period, pids_limit, port_bindings } = &self.host;
        let resources = Resources {
            memory: *memory,
            nano_cpus: *nano_cpus,
            cpu_quota: *cpu_quota,
            cpu_period: *cpu_period,
            pids_limit: *pids_limit,
            ..Resources::default()
        };
        let mut amounts = limits(&resources);
        let ports =
            port_bindings.iter().flatten().map(|(_, bindings)| bindings.as_ref().map_or(1, |list| list.len().max(1)));
        amounts.insert(Resource::Ports, i64::try_from(ports.sum::<usize>()).unwrap_or(i64::MAX));
        sums.iter().map(|sum| (*sum, amounts.get(sum).copied())).collect()
    }

    /// What it counts as by its labels, or by its limits
    fn counted(&self) -> Counted {
        let mut amounts = BTreeMap::new();
        let now = self.amounts(Resource::IN_CGROUP);
        let none = BTreeMap::new();
        let labels = self.config.labels.as_ref().unwrap_or(&none);
        for resource in Resource::IN_CGROUP {
            let by_limit = now.get(resource).copied().flatten();
            if let Some(amount) = labelled(labels, *resource).unwrap_or(by_limit) {
                amounts.insert(*resource, amount);
            }
        }
        Counted { amounts, cpu_quota: self.host.cpu_quota, cpu_period: self.host.cpu_period }
    }
}
