//! What each operation asks for.
//!
//! Every struct is taken apart in full: a new field does not compile until somebody has said which ask it makes, or why
//! it makes none.

mod build;
pub mod buildkit;
mod changes;
pub mod dockerfile;
mod exporter;
pub mod found;
mod host;
mod ids;
mod mount;
mod network;

use std::collections::BTreeMap;

use crate::api::create::{Config, Create, CreateExec, CreateVolume, Credentials, Update};
use crate::api::dockerfile::triggers;
use crate::api::image_ref::ImageRef;
use crate::api::names::{ContainerRef, Name};
use crate::api::operation::Operation;
use crate::api::parameters as q;
use crate::api::request::{JsonBody, OptionalBody, Protobuf, Request};
use crate::api::value::Plain;
use crate::policy::ask::{Ask, Flag, What};
use crate::policy::view::is_reserved;

/// Labels that begin with this are ours; nobody else may set them
pub const RESERVED_LABELS: &str = "sockwarden.";

/// Everything an operation asks for; the operation itself comes first
pub fn asks(operation: &Operation) -> Vec<Ask> {
    let mut asks = Asks(Vec::new());
    asks.add(What::Operation(operation.endpoint().name), "operation");
    ids::ids(operation, &mut asks);
    of(operation, &mut asks);
    asks.0
}

/// What it asks for to mount a volume that exists already: no less than to make it so
pub fn existing_volume(driver: &str, options: &Option<BTreeMap<String, String>>, field: &str) -> Vec<Ask> {
    let mut asks = Asks(Vec::new());
    mount::volume_driver(driver, field, &mut asks);
    mount::volume_options(options, field, &mut asks);
    asks.0
}

/// The asks of one operation while they are collected
struct Asks(Vec<Ask>);

impl Asks {
    fn add(&mut self, what: What, field: impl Into<String>) {
        self.0.push(Ask { what, field: field.into() });
    }

    fn flag(&mut self, flag: Flag, value: impl Into<String>, field: impl Into<String>) {
        self.add(What::Flag(flag, value.into()), field);
    }

    /// A switch that is on
    fn switch(&mut self, flag: Flag, on: bool, field: &str) {
        if on {
            self.flag(flag, "true", field);
        }
    }

    /// A text that is not empty
    fn text(&mut self, flag: Flag, value: &str, field: &str) {
        if !value.is_empty() {
            self.flag(flag, value, field);
        }
    }

    fn texts<'a>(&mut self, flag: Flag, values: impl IntoIterator<Item = &'a String>, field: &str) {
        for (index, value) in values.into_iter().enumerate() {
            self.flag(flag, value, format!("{field}[{index}]"));
        }
    }

    /// Options as `key=value`
    fn options(&mut self, flag: Flag, options: &Option<BTreeMap<String, String>>, field: &str) {
        for (key, value) in options.iter().flatten() {
            self.flag(flag, format!("{key}={value}"), format!("{field}.{key}"));
        }
    }

    fn labels<'a>(&mut self, labels: impl IntoIterator<Item = &'a String>, field: &str) {
        for key in labels {
            if key.trim().to_ascii_lowercase().starts_with(RESERVED_LABELS) {
                self.add(What::ReservedLabel(key.clone()), format!("{field}.{key}"));
            }
        }
    }

    fn label_map(&mut self, labels: &Option<BTreeMap<String, String>>, field: &str) {
        self.labels(labels.iter().flatten().map(|(key, _)| key), field);
    }

    /// A name that may be of something new
    fn new_name(&mut self, kind: &'static str, name: &str, field: &str) {
        if is_reserved(name) {
            self.add(What::Odd(kind, name.to_owned()), field);
        }
    }

    fn image(&mut self, text: &str, field: &str) {
        match ImageRef::read(text) {
            Ok(image) => self.add(What::Image(image), field),
            Err(_) => self.add(What::Odd("image", text.to_owned()), field),
        }
    }

    /// What an image that is committed fetches for whoever builds on it
    fn triggers(&mut self, lines: &Option<Vec<String>>) {
        let lines = lines.as_deref().unwrap_or_default();
        self.0.extend(dockerfile::taken(&triggers(lines), "OnBuild").asks);
    }

    /// A repository with its tag given apart
    fn tagged(&mut self, repository: &str, tag: &str, field: &str) {
        self.tagged_as(repository, tag, field, |image| image);
    }

    /// The same for pull and push, where no tag means every tag
    fn tagged_or_all(&mut self, repository: &str, tag: &str, field: &str) {
        self.tagged_as(repository, tag, field, ImageRef::every_tag);
    }

    fn tagged_as(&mut self, repository: &str, tag: &str, field: &str, meaning: fn(ImageRef) -> ImageRef) {
        // The tag given apart replaces the one in the repository, as in the engine's `reference.WithTag`.
        let bare = match repository.rsplit_once(':') {
            Some((bare, old)) if !tag.is_empty() && !old.contains('/') => bare,
            _ => repository,
        };
        match ImageRef::join(bare, tag) {
            Ok(image) => self.add(What::Image(meaning(image)), field),
            Err(_) => self.add(What::Odd("image", format!("{repository} {tag}")), field),
        }
    }
}

fn of(operation: &Operation, asks: &mut Asks) {
    use Operation as O;
    match operation {
        // Nothing beyond the operation itself: an answer, or something done to the object that the path names.
        O::Ping(_) | O::PingHead(_) | O::Version(_) | O::Info(_) | O::Events(_) | O::DiskUsage(_) => {}
        O::ContainerList(_) | O::ContainerPrune(_) | O::ContainerArchiveStat(_) | O::ContainerArchiveGet(_) => {}
        O::ContainerArchivePut(_) | O::ContainerExport(_) | O::ContainerChanges(_) | O::ContainerInspect(_) => {}
        O::ContainerLogs(_) | O::ContainerStats(_) | O::ContainerKill(_) | O::ContainerPause(_) => {}
        O::ContainerUnpause(_) | O::ContainerRestart(_) | O::ContainerStart(_) | O::ContainerStop(_) => {}
        O::ContainerWait(_) | O::ContainerResize(_) | O::ContainerAttach(_) => {}
        O::ContainerRemove(_) | O::ExecStart(_) | O::ExecResize(_) | O::ExecInspect(_) => {}
        O::ImageList(_) | O::ImageHistory(_) | O::ImageInspect(_) | O::ImagePrune(_) | O::ImageLoad(_) => {}
        O::BuildPrune(_) | O::VolumeList(_) | O::VolumePrune(_) | O::VolumeInspect(_) | O::VolumeRemove(_) => {}
        O::NetworkList(_) | O::NetworkPrune(_) | O::NetworkDisconnect(_) | O::NetworkInspect(_) => {}
        O::NetworkRemove(_) => {}
        O::BuildGrpc(_) | O::BuildSession(_) | O::BuildStatus(_) | O::BuildWorkers(_) => {}
        O::BuildInfo(_) | O::BuildDiskUsage(_) | O::BuildCachePrune(_) | O::BuildHistory(_) => {}
        O::BuildHistoryUpdate(_) | O::BridgePing(_) => {}
        O::BridgeInputs(_) | O::BridgeEvaluate(_) | O::BridgeReadFile(_) | O::BridgeReadDir(_) => {}
        O::BridgeStatFile(_) | O::BridgeWarn(_) | O::BridgeContainerRelease(_) => {}
        // Spans are for people to read, and say nothing of what is done.
        O::ContentInfo(_) | O::ContentRead(_) | O::BuildTrace(_) => {}

        O::BuildSolve(Request { body: Protobuf(body), .. }) => buildkit::solve(body, asks),
        O::BridgeSolve(Request { body: Protobuf(body), .. }) => buildkit::bridge_solve(body, asks),
        O::BridgeResolveImage(Request { body: Protobuf(body), .. }) => buildkit::resolve_image(body, asks),
        O::BridgeResolveSource(Request { body: Protobuf(body), .. }) => buildkit::resolve_source(body, asks),
        // What they are made of is asked for as steps are.
        O::BridgeContainerNew(_) => asks.flag(Flag::Debug, "true", "NewContainer"),
        O::BridgeContainerExec(_) => asks.flag(Flag::Debug, "true", "Init"),

        O::Auth(Request { body: JsonBody(Credentials { server_address, .. }), .. }) => {
            let host = server_address.trim_start_matches("https://").trim_start_matches("http://");
            asks.add(What::Registry(host.split('/').next().unwrap_or("").to_owned()), "serveraddress");
        }
        O::ContainerTop(Request { query: q::Top { ps_args }, .. }) => top(ps_args, asks),
        O::ContainerCreate(Request {
            query: q::CreateContainer { name, platform: _ }, body: JsonBody(body), ..
        }) => {
            container_name(name.as_ref(), asks);
            create(body, asks);
            host::builder(name.as_ref().map_or("", Name::as_str), &mut asks.0);
        }
        O::ContainerRename(Request { query: q::Rename { name }, .. }) => container_name(name.as_ref(), asks),
        O::ContainerUpdate(Request { body: JsonBody(Update { resources, restart_policy }), .. }) => {
            host::resources(resources, "", asks);
            host::restart(restart_policy, "RestartPolicy.Name", asks);
        }
        O::ExecCreate(Request { body: JsonBody(body), .. }) => exec(body, asks),
        O::ImageSearch(Request { query: q::Search { term, limit: _, filters: _ }, .. }) => {
            // A first part that looks like a host is one.
            let host = term
                .split_once('/')
                .map(|(host, _)| host)
                .filter(|host| host.contains(['.', ':']) || *host == "localhost");
            asks.add(What::Registry(host.unwrap_or("docker.io").to_owned()), "query.term");
        }
        O::ImageExportMany(Request { query: q::ExportImages { names, platform: _ }, .. }) => {
            for (index, name) in names.iter().enumerate() {
                asks.image(name, &format!("query.names[{index}]"));
            }
        }
        O::ImageExport(Request { subject, .. })
        | O::ImageRemove(Request { subject, .. })
        | O::DistributionInspect(Request { subject, headers: _, .. }) => {
            asks.add(What::Image(subject.clone()), "path.name")
        }
        O::ImagePull(Request { query: q::Pull { from_image, tag, .. }, .. }) => {
            let repository = from_image.as_ref().map_or("", |image| image.given());
            asks.tagged_or_all(repository, tag, "query.fromImage");
        }
        O::ImageImport(Request { query: q::Import { from_src, repo, tag, changes, .. }, .. }) => {
            if from_src != "-" {
                asks.flag(Flag::Remote, from_src, "query.fromSrc");
            }
            if !repo.is_empty() {
                asks.tagged(repo, tag, "query.repo");
            }
            changes::changes(changes, asks);
        }
        O::ImagePush(Request { subject, query: q::Push { tag, platform: _ }, .. }) => {
            asks.tagged_or_all(subject.given(), tag, "path.name");
        }
        O::ImageTag(Request { subject, query: q::Tag { repo, tag, force: _ }, .. }) => {
            asks.add(What::Image(subject.clone()), "path.name");
            asks.tagged(repo, tag, "query.repo");
        }
        O::ImageCommit(Request { query, body: OptionalBody(body), .. }) => {
            let q::Commit { container: _, repo, tag, pause: _, author: _, comment: _, changes } = query;
            if !repo.is_empty() {
                asks.tagged(repo, tag, "query.repo");
            }
            changes::changes(changes, asks);
            if let Some(body) = body {
                asks.label_map(&body.labels, "Labels");
                asks.triggers(&body.on_build);
            }
        }
        O::BuildClassic(Request { query, .. }) => build::build(query, asks),
        O::BridgeReturn(Request { body: Protobuf(returned), .. }) => exporter::returned(returned, asks),
        O::VolumeCreate(Request { body: JsonBody(body), .. }) => {
            let CreateVolume { name, driver, driver_opts, labels } = body;
            asks.new_name("volume name", name, "Name");
            mount::volume_driver(driver, "Driver", asks);
            mount::volume_options(driver_opts, "DriverOpts", asks);
            asks.label_map(labels, "Labels");
        }
        O::NetworkCreate(Request { body: JsonBody(body), .. }) => network::create(body, asks),
        O::NetworkConnect(Request { body: JsonBody(body), subject, .. }) => network::connect(subject, body, asks),
    }
}

/// The engine shows the lines of `ps` whose column `PID` holds a process of the container; `rss=PID` would give another
/// column that name, and with it the arguments of the host's processes
fn top(arguments: &str, asks: &mut Asks) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ',' | ' ' | '_' | '%');
    if arguments.chars().all(plain) {
        asks.text(Flag::Top, arguments, "query.ps_args");
    } else {
        asks.add(What::Odd("ps argument", arguments.to_owned()), "query.ps_args");
    }
}

/// A name like an id would be found in its place: names win over prefixes of ids
fn container_name(name: Option<&ContainerRef>, asks: &mut Asks) {
    asks.new_name("container name", name.map_or("", Name::as_str), "query.name");
    let like_an_id = |name: &&str| name.len() >= 12 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(name) = name.map(Name::as_str).filter(like_an_id) {
        asks.add(What::Odd("container name", name.to_owned()), "query.name");
    }
}

fn create(body: &Create, asks: &mut Asks) {
    let Create { config, host_config, networking_config } = body;
    container(config, asks);
    if let Some(host) = host_config {
        host::settings(&host.settings, asks);
        host::resources(&host.resources, "HostConfig.", asks);
    }
    if let Some(networking) = networking_config {
        network::networking(networking, asks);
    }
}

fn container(config: &Config, asks: &mut Asks) {
    let Config {
        user,
        image,
        labels,
        working_dir,
        mac_address,
        on_build,
        // Only inside the container.
        hostname: _,
        domainname: _,
        attach_stdin: _,
        attach_stdout: _,
        attach_stderr: _,
        tty: _,
        open_stdin: _,
        stdin_once: _,
        env: _,
        cmd: _,
        healthcheck: _,
        args_escaped: _,
        entrypoint: _,
        network_disabled: _,
        stop_signal: _,
        stop_timeout: _,
        shell: _,
        // Reaches the host only with `PublishAllPorts`, which is an ask.
        exposed_ports: _,
        // Anonymous; their driver is `HostConfig.VolumeDriver`, which is an ask.
        volumes,
    } = config;
    for path in volumes.iter().flatten().map(|(path, _)| path) {
        mount::target(path, "Volumes", asks);
    }
    asks.text(Flag::User, user, "User");
    asks.image(image, "Image");
    asks.label_map(labels, "Labels");
    asks.triggers(on_build);
    workdir(working_dir, "WorkingDir", asks);
    asks.text(Flag::MacAddress, mac_address, "MacAddress");
}

fn exec(body: &CreateExec, asks: &mut Asks) {
    let CreateExec {
        user,
        privileged,
        working_dir,
        tty: _,
        console_size: _,
        attach_stdin: _,
        attach_stderr: _,
        attach_stdout: _,
        detach: _,
        detach_keys: _,
        env: _,
        cmd: _,
        container: _,
    } = body;
    asks.text(Flag::ExecUser, user, "User");
    asks.switch(Flag::ExecPrivileged, *privileged, "Privileged");
    workdir(working_dir, "WorkingDir", asks);
}

/// A working directory below `/proc` reaches file descriptors that runc left open (CVE-2024-21626)
fn workdir(path: &str, field: &str, asks: &mut Asks) {
    let path = crate::api::bind::clean(path);
    if path == "/proc" || path.starts_with("/proc/") {
        asks.flag(Flag::Workdir, path, field);
    }
}

/// An object that stands where a policy has one section for it
fn plain<T>(value: &Plain<T>) -> &T {
    &value.0
}
