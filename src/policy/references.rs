//! Which objects an operation touches by name, so that somebody can look up what they are and whose.

use crate::api::bind::BindSource;
use crate::api::build::Build;
use crate::api::create::Create;
use crate::api::endpoint::EndpointSettings;
use crate::api::names::Name;
use crate::api::operation::Operation;
use crate::api::parameters as q;
use crate::api::query::Filters;
use crate::api::request::{JsonBody, Request};
use crate::policy::ask::Object;

/// One object that an operation touches
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is
    pub object: Referent,
    /// As the client named it
    pub name: String,
    /// Where, as `path.id` or `HostConfig.PidMode`
    pub field: String,
    /// What for
    pub purpose: Purpose,
}

/// What an operation does to an object that it names, from the least to the most
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Says what it is; of no interest where everybody sees everything
    Inspect,
    /// Reads what it does
    See,
    /// Joins, shares or mounts it
    Use,
    /// Mounts it so that it can be written
    Write,
    /// Anything else: ends it, changes it, takes out what it holds
    Change,
}

/// What a reference names
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referent {
    /// An object that has an owner
    Object(Object),
    /// An exec instance; its owner is its container's
    Exec,
}

impl Reference {
    /// Whether it is the object that the path names
    pub fn is_subject(&self) -> bool {
        self.field == PATH || self.field == IMAGE_PATH
    }
}

/// The field of the object that the path names
const PATH: &str = "path.id";
/// The same for an image
const IMAGE_PATH: &str = "path.name";

/// Every object that `operation` names, and that must be the caller's own, or one that it may see or use
///
/// Lists are not here, nor what is made or fetched under a name, or named to a registry.
pub fn references(operation: &Operation) -> Vec<Reference> {
    let mut found = References(Vec::new());
    of(operation, &mut found);
    found.0
}

struct References(Vec<Reference>);

impl References {
    fn add(&mut self, object: Object, name: &str, field: impl Into<String>, purpose: Purpose) {
        let name = name.strip_prefix('/').unwrap_or(name).to_owned();
        self.0.push(Reference { object: Referent::Object(object), name, field: field.into(), purpose });
    }

    fn path(&mut self, object: Object, name: &impl Name) {
        self.add(object, name.as_str(), PATH, Purpose::Change);
    }

    fn seen(&mut self, object: Object, name: &impl Name, purpose: Purpose) {
        self.add(object, name.as_str(), PATH, purpose);
    }

    fn image(&mut self, name: &str, field: &str) {
        self.add(Object::Image, name, field, Purpose::Use);
    }

    /// `container:REF`
    fn join(&mut self, mode: &str, field: &str) {
        if let Some(name) = mode.strip_prefix("container:") {
            self.add(Object::Container, name, field, Purpose::Use);
        }
    }

    fn network(&mut self, mode: &str, field: &str) {
        self.join(mode, field);
        if !mode.is_empty() && !mode.contains(':') && !is_predefined(mode) {
            self.add(Object::Network, mode, field, Purpose::Use);
        }
    }

    /// `REF:alias`, `REF:mode` or `REF`
    fn first_part(&mut self, text: &str, field: &str) {
        self.add(Object::Container, text.split(':').next().unwrap_or(""), field, Purpose::Use);
    }
}

fn of(operation: &Operation, found: &mut References) {
    use Operation as O;
    match operation {
        O::Ping(_) | O::PingHead(_) | O::Version(_) | O::Info(_) | O::Events(_) | O::DiskUsage(_) | O::Auth(_) => {}
        O::ContainerPrune(_) => {}
        // Names here are looked up by the engine as in a path.
        O::ContainerList(Request { query, .. }) => {
            for (key, name) in anchors(&query.filters) {
                found.add(Object::Container, name, format!("query.filters.{key}"), Purpose::Inspect);
            }
        }
        O::ContainerInspect(Request { subject, .. }) => found.seen(Object::Container, subject, Purpose::Inspect),
        O::VolumeInspect(Request { subject, .. }) => found.seen(Object::Volume, subject, Purpose::Inspect),
        O::NetworkInspect(Request { subject, .. }) => {
            if !is_predefined(subject.as_str()) {
                found.seen(Object::Network, subject, Purpose::Inspect);
            }
        }
        O::ImageList(_) | O::ImageSearch(_) | O::ImageHistory(_) | O::ImageInspect(_) | O::ImageLoad(_) => {}
        O::ImagePull(_) | O::ImageImport(_) | O::ImagePrune(_) | O::ImagePush(_) | O::DistributionInspect(_) => {}
        O::BuildPrune(_) | O::VolumeList(_) | O::VolumePrune(_) => {}
        // Builds and sessions are their owner's by their names; images of a build are made, or fetched.
        O::BuildGrpc(_) | O::BuildSession(_) | O::BuildSolve(_) | O::BuildStatus(_) | O::BuildWorkers(_) => {}
        O::BuildInfo(_) | O::BuildDiskUsage(_) | O::BuildCachePrune(_) | O::BuildHistory(_) => {}
        O::BuildHistoryUpdate(_) | O::BridgeSolve(_) | O::BridgePing(_) | O::BridgeReturn(_) => {}
        O::BridgeInputs(_) | O::BridgeEvaluate(_) | O::BridgeReadFile(_) | O::BridgeReadDir(_) => {}
        O::BridgeStatFile(_) | O::BridgeResolveImage(_) | O::BridgeResolveSource(_) | O::BridgeWarn(_) => {}
        O::BridgeContainerNew(_) | O::BridgeContainerRelease(_) | O::BridgeContainerExec(_) => {}
        O::ContentInfo(_) | O::ContentRead(_) | O::BuildTrace(_) => {}
        O::NetworkList(_) | O::NetworkPrune(_) => {}
        O::NetworkCreate(Request { body: JsonBody(body), .. }) => {
            if let Some(from) = &body.config_from {
                found.add(Object::Network, &from.network, "ConfigFrom.Network", Purpose::Use);
            }
        }

        O::ContainerArchiveStat(Request { subject, .. }) | O::ContainerArchiveGet(Request { subject, .. }) => {
            found.path(Object::Container, subject);
        }
        O::ContainerArchivePut(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerExport(Request { subject, .. })
        | O::ContainerChanges(Request { subject, .. })
        | O::ContainerPause(Request { subject, .. })
        | O::ContainerUnpause(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerTop(Request { subject, .. }) => found.seen(Object::Container, subject, Purpose::See),
        O::ContainerLogs(Request { subject, .. }) => found.seen(Object::Container, subject, Purpose::See),
        O::ContainerStats(Request { subject, .. }) => found.seen(Object::Container, subject, Purpose::See),
        O::ContainerKill(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerRestart(Request { subject, .. }) | O::ContainerStop(Request { subject, .. }) => {
            found.path(Object::Container, subject);
        }
        O::ContainerStart(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerWait(Request { subject, .. }) => found.seen(Object::Container, subject, Purpose::See),
        O::ContainerResize(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerAttach(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerRename(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerUpdate(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ContainerRemove(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ExecCreate(Request { subject, .. }) => found.path(Object::Container, subject),
        O::ExecStart(Request { subject, .. }) => found.0.push(exec(subject.as_str())),
        O::ExecResize(Request { subject, .. }) => found.0.push(exec(subject.as_str())),
        O::ExecInspect(Request { subject, .. }) => found.0.push(exec(subject.as_str())),
        O::ImageCommit(Request { query: q::Commit { container, .. }, .. }) => {
            found.add(
                Object::Container,
                container.as_ref().map_or("", Name::as_str),
                "query.container",
                Purpose::Change,
            );
        }
        O::BuildClassic(Request { query: Build { network_mode, .. }, .. }) => {
            found.network(network_mode, "query.networkmode");
        }
        O::ImageExport(Request { subject, .. }) => found.image(subject.as_str(), IMAGE_PATH),
        O::ImageTag(Request { subject, .. }) => found.image(subject.as_str(), IMAGE_PATH),
        O::ImageRemove(Request { subject, .. }) => found.image(subject.as_str(), IMAGE_PATH),
        O::ImageExportMany(Request { query: q::ExportImages { names, .. }, .. }) => {
            for (index, name) in names.iter().enumerate() {
                found.image(name, &format!("query.names[{index}]"));
            }
        }
        O::VolumeRemove(Request { subject, .. }) => found.path(Object::Volume, subject),
        // The engine makes no volume of a name that it has, and answers with the one that it has.
        O::VolumeCreate(Request { body: JsonBody(body), .. }) => {
            if !body.name.is_empty() {
                found.add(Object::Volume, &body.name, "Name", Purpose::Use);
            }
        }
        O::NetworkConnect(Request { subject, body: JsonBody(body), .. }) => {
            found.network(subject.as_str(), PATH);
            found.add(Object::Container, &body.container, "Container", Purpose::Use);
            if let Some(settings) = &body.endpoint_config {
                endpoint(settings, "EndpointConfig", found);
            }
        }
        O::NetworkDisconnect(Request { subject, body: JsonBody(body), .. }) => {
            found.network(subject.as_str(), PATH);
            found.add(Object::Container, &body.container, "Container", Purpose::Use);
        }
        O::NetworkRemove(Request { subject, .. }) => found.path(Object::Network, subject),
        O::ContainerCreate(Request { body: JsonBody(body), .. }) => create(body, found),
    }
}

fn exec(id: &str) -> Reference {
    Reference { object: Referent::Exec, name: id.to_owned(), field: PATH.to_owned(), purpose: Purpose::Change }
}

fn create(body: &Create, found: &mut References) {
    found.image(&body.config.image, "Image");
    if let Some(settings) = body.host_config.as_ref().map(|host| &host.settings) {
        found.network(&settings.network_mode, "HostConfig.NetworkMode");
        found.join(&settings.pid_mode, "HostConfig.PidMode");
        found.join(&settings.ipc_mode, "HostConfig.IpcMode");
        found.join(&settings.cgroup, "HostConfig.Cgroup");
        for from in settings.volumes_from.iter().flatten() {
            found.first_part(from, "HostConfig.VolumesFrom");
        }
        for link in settings.links.iter().flatten() {
            found.first_part(link, "HostConfig.Links");
        }
        for (index, bind) in settings.binds.iter().flatten().enumerate() {
            if let BindSource::Volume(name) = &bind.source {
                let purpose = if bind.is_read_only() { Purpose::Use } else { Purpose::Write };
                found.add(Object::Volume, name.as_str(), format!("HostConfig.Binds[{index}]"), purpose);
            }
        }
        for (index, mount) in settings.mounts.iter().flatten().map(|mount| mount.get()).enumerate() {
            match mount.kind.as_str() {
                "volume" if !mount.source.is_empty() => {
                    let purpose = if mount.read_only { Purpose::Use } else { Purpose::Write };
                    found.add(Object::Volume, &mount.source, format!("HostConfig.Mounts[{index}].Source"), purpose);
                }
                "image" => found.image(&mount.source, &format!("HostConfig.Mounts[{index}].Source")),
                _ => {}
            }
        }
    }
    for (network, settings) in body.networking_config.iter().flat_map(|config| config.endpoints_config.iter().flatten())
    {
        let field = format!("NetworkingConfig.EndpointsConfig.{network}");
        found.network(network, &field);
        if let Some(settings) = settings {
            endpoint(settings, &field, found);
        }
    }
}

fn endpoint(settings: &EndpointSettings, field: &str, found: &mut References) {
    found.network(&settings.network_id, &format!("{field}.NetworkID"));
    for link in settings.links.iter().flatten() {
        found.first_part(link, &format!("{field}.Links"));
    }
}

/// The filters of a list that the engine takes for containers' names, with what they name
pub fn anchors(filters: &Filters) -> impl Iterator<Item = (&'static str, &str)> {
    let of = |key: &'static str| filters.0.get(key).into_iter().flatten().map(move |name| (key, name.as_str()));
    ["before", "since"].into_iter().flat_map(of)
}

/// Whether a network is one that every engine has and nobody owns; `host` is an ask of its own
pub fn is_predefined(network: &str) -> bool {
    PREDEFINED.contains(&network)
}

const PREDEFINED: &[&str] = &["default", "bridge", "none", "host"];
