//! Asks of a build's steps, in LLB: what a client brings along, and what the engine answers to `LLBBridge/Solve`.
//!
//! The answer holds everything that will run, whatever a Dockerfile, its base images or a frontend made of it, so what is
//! refused here is refused whoever wrote it, and on every engine.

use crate::api::buildkit::bridge::{Attestation, BuildResult, Ref, RefMap, Solved};
use crate::api::buildkit::container::{ExecMessage, Init, NewContainer};
use crate::api::buildkit::llb::{Definition, SourceOp};
use crate::api::buildkit::op::{self, ExecOp, HostIp, Meta, Mount, Op, SecretEnv, StepUlimit};
use crate::api::image_ref::ImageRef;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::ask::{Ask, Flag, What};
use crate::policy::asks::Asks;
use crate::policy::asks::buildkit::options::is_of_session;
use crate::policy::asks::found::{Found, real_name};
use crate::policy::view::View;

/// What is an owner's own of what steps name; nothing is asked of what is not known
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// Its names, which its sessions have as well
    pub view: Option<&'a View>,
    /// Where it keeps caches
    pub cache: Option<&'a str>,
    /// The cgroup that its steps run in
    pub cgroup: Option<&'a str>,
}

/// What the steps ask for that an operation brings along
pub fn brought(operation: &Operation, own: Own<'_>) -> Found {
    let mut steps = Steps { own, found: Found::default() };
    match operation {
        Operation::BridgeSolve(Request { body: Protobuf(body), .. }) => {
            for (name, definition) in &body.frontend_inputs {
                steps.definition(definition, &format!("FrontendInputs.{name}"));
            }
        }
        Operation::BridgeResolveSource(Request { body: Protobuf(body), .. }) => {
            if let Some(source) = &body.source {
                steps.source(source, "Source");
            }
        }
        Operation::BridgeContainerNew(Request { body: Protobuf(body), .. }) => steps.container(body),
        Operation::BridgeContainerExec(Request { body: Protobuf(ExecMessage { init: Some(init), .. }), .. }) => {
            steps.process(init);
        }
        _ => {}
    }
    steps.found
}

/// What everything asks for that an answered build would run
pub fn answered(solved: &Solved, own: Own<'_>) -> Found {
    let mut steps = Steps { own, found: Found::default() };
    let Solved { reference, result } = solved;
    if !reference.is_empty() {
        steps.untold("ref");
    }
    if let Some(BuildResult { ref_deprecated, refs_deprecated, reference, refs, metadata: _, attestations }) = result {
        if ref_deprecated.is_some() || refs_deprecated.is_some() {
            steps.untold("result.refDeprecated");
        }
        if let Some(reference) = reference {
            steps.reference(reference, "result.ref");
        }
        for (name, reference) in refs.iter().flat_map(|RefMap { refs }| refs) {
            steps.reference(reference, &format!("result.refs.{name}"));
        }
        for (name, list) in attestations {
            for (index, attestation) in list.attestation.iter().enumerate() {
                let Attestation {
                    kind: _,
                    metadata: _,
                    reference,
                    path: _,
                    in_toto_predicate_type: _,
                    in_toto_subjects: _,
                } = attestation;
                if let Some(reference) = reference {
                    steps.reference(reference, &format!("result.attestations.{name}[{index}]"));
                }
            }
        }
    }
    steps.found
}

struct Steps<'a> {
    own: Own<'a>,
    found: Found,
}

impl Steps<'_> {
    fn untold(&mut self, field: &str) {
        self.add(What::Raw("a result whose steps are not told"), field);
    }

    fn add(&mut self, what: What, field: impl Into<String>) {
        let Found { asks, names: _ } = &mut self.found;
        // The same in a thousand steps is one thing.
        if asks.len() <= MOST_ASKS && !asks.iter().any(|ask| ask.what == what) {
            let what = if asks.len() == MOST_ASKS { What::Raw("more than can be judged") } else { what };
            asks.push(Ask { what, field: field.into() });
        }
    }

    fn all(&mut self, ask: impl FnOnce(&mut Asks)) {
        let mut asks = Asks(Vec::new());
        ask(&mut asks);
        asks.0.into_iter().for_each(|ask| self.add(ask.what, ask.field));
    }

    fn reference(&mut self, reference: &Ref, field: &str) {
        let Ref { id, definition } = reference;
        match definition {
            Some(definition) => self.definition(definition, field),
            None if id.is_empty() => {}
            None => self.untold(field),
        }
    }

    /// What is said of steps besides only limits them, or is for people
    fn definition(&mut self, definition: &Definition, field: &str) {
        for (index, op) in op::steps(definition).enumerate() {
            let field = format!("{field}.def[{index}]");
            match op {
                Ok(op) => self.op(&op, &field),
                Err(error) => self.add(What::Odd("build step", error.to_string()), field),
            }
        }
    }

    fn op(&mut self, op: &Op, field: &str) {
        let Op {
            inputs: _,
            exec,
            source,
            build,
            // Files of the build's own, from one result to the next.
            file: _,
            merge: _,
            diff: _,
            passthrough: _,
            // Of the result; which worker runs it.
            platform: _,
            constraints: _,
        } = op;
        if let Some(exec) = exec {
            self.exec(exec, &format!("{field}.exec"));
        }
        if let Some(source) = source {
            self.source(source, &format!("{field}.source"));
        }
        if build.is_some() {
            // Its steps may stand in a file that another step makes.
            self.add(What::Raw("a build within a build"), format!("{field}.build"));
        }
    }

    fn exec(&mut self, exec: &ExecOp, field: &str) {
        let ExecOp { meta, mounts, network, security, secret_env, cdi_devices } = exec;
        self.network(*network, format!("{field}.network"));
        self.security(*security, &format!("{field}.security"));
        for device in cdi_devices {
            self.entitlement(&format!("device={}", device.name), &format!("{field}.cdiDevices"));
        }
        self.secrets(secret_env, &format!("{field}.secretenv"));
        for (index, mount) in mounts.iter().enumerate() {
            self.mount(mount, &format!("{field}.mounts[{index}]"));
        }
        match meta {
            Some(meta) => self.meta(meta, &format!("{field}.meta")),
            None => self.add(What::Odd("build step", "no command".to_owned()), field),
        }
    }

    /// A container has what a step has, but for its processes
    fn container(&mut self, container: &NewContainer) {
        let NewContainer { container_id: _, mounts, network, platform: _, constraints: _, extra_hosts, hostname: _ } =
            container;
        self.network(*network, "Network");
        for (index, mount) in mounts.iter().enumerate() {
            self.mount(mount, &format!("Mounts[{index}]"));
        }
        self.hosts(extra_hosts, "extraHosts");
    }

    fn process(&mut self, init: &Init) {
        let Init { container_id: _, meta, fds: _, tty: _, security, secret_env } = init;
        self.security(*security, "Init.Security");
        self.secrets(secret_env, "Init.secretenv");
        match meta {
            Some(meta) => self.meta(meta, "Init.Meta"),
            None => self.add(What::Odd("process", "no command".to_owned()), "Init"),
        }
    }

    fn network(&mut self, network: i32, field: impl Into<String>) {
        match network {
            0 | 2 => {}
            1 => self.add(What::Flag(Flag::Network, "host".to_owned()), field),
            other => self.add(What::Odd("network mode", other.to_string()), field),
        }
    }

    fn security(&mut self, security: i32, field: &str) {
        match security {
            0 => {}
            1 => self.entitlement("security.insecure", field),
            other => self.add(What::Odd("security mode", other.to_string()), field),
        }
    }

    fn secrets(&mut self, secrets: &[SecretEnv], field: &str) {
        for SecretEnv { id: _, name: _, optional: _ } in secrets {
            self.add(What::Flag(Flag::Secrets, "true".to_owned()), field);
        }
    }

    fn hosts(&mut self, hosts: &[HostIp], field: &str) {
        for HostIp { host, ip } in hosts {
            self.add(What::Flag(Flag::AddHost, format!("{host}:{ip}")), field);
        }
    }

    fn entitlement(&mut self, entitlement: &str, field: &str) {
        self.add(What::Flag(Flag::Entitlement, entitlement.to_owned()), field);
    }

    fn meta(&mut self, meta: &Meta, field: &str) {
        let Meta {
            extra_hosts,
            ulimit,
            cgroup_parent,
            // Only inside the step.
            args: _,
            env: _,
            cwd: _,
            user: _,
            proxy_env: _,
            hostname: _,
            remove_mount_stubs: _,
            valid_exit_codes: _,
        } = meta;
        self.hosts(extra_hosts, &format!("{field}.extraHosts"));
        for StepUlimit { name, soft, hard } in ulimit {
            self.add(What::Flag(Flag::Ulimit, format!("{name}={soft}:{hard}")), format!("{field}.ulimit"));
        }
        let field = format!("{field}.cgroupParent");
        match self.own.cgroup {
            Some(own) if own == cgroup_parent => {}
            Some(_) => self.add(What::Elsewhere("cgroup", cgroup_parent.clone()), field),
            None if cgroup_parent.is_empty() => {}
            None => self.add(What::Flag(Flag::CgroupParent, cgroup_parent.clone()), field),
        }
    }

    fn mount(&mut self, mount: &Mount, field: &str) {
        let Mount {
            mount_type,
            cache,
            // Results of other steps, and what is the client's own.
            input: _,
            selector: _,
            dest: _,
            output: _,
            readonly: _,
            tmpfs: _,
            secret: _,
            ssh: _,
            result_id: _,
            content_cache: _,
        } = mount;
        match mount_type {
            0 | 4 => {}
            1 => self.add(What::Flag(Flag::Secrets, "true".to_owned()), field),
            2 => self.add(What::Flag(Flag::Ssh, "true".to_owned()), field),
            3 => {
                let id = cache.as_ref().map_or("", |cache| &cache.id);
                let is_own = |own: &str| id.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'));
                if !self.own.cache.is_none_or(is_own) {
                    self.add(What::Elsewhere("cache mount", id.to_owned()), field);
                }
            }
            other => self.add(What::Odd("mount type", other.to_string()), field),
        }
    }

    fn source(&mut self, source: &SourceOp, field: &str) {
        let SourceOp { identifier, attrs } = source;
        let known: &[&str] = match identifier.split_once("://") {
            Some(("docker-image" | "docker-image+blob", image)) => {
                self.image(image, field);
                &["image.resolvemode", "image.recordtype", "image.layerlimit", "image.checksum", "image.blobkind"]
            }
            Some(("local", _)) => LOCAL,
            Some(("oci-layout" | "oci-layout+blob", _)) => {
                self.add(What::Layout, field);
                &["oci.session", "oci.store", "image.layerlimit"]
            }
            Some(("git", _)) => {
                // The address that is fetched; without it the identifier is.
                let url = attrs.get("git.fullurl").unwrap_or(identifier);
                self.remote(url, field);
                GIT
            }
            Some(("http" | "https", _)) => {
                self.remote(identifier, field);
                HTTP
            }
            _ => {
                self.add(What::Odd("source", identifier.clone()), field);
                return;
            }
        };
        for (key, value) in attrs {
            let here = format!("{field}.{key}");
            match key.as_str() {
                key if !known.contains(&key) => self.add(What::Odd("source option", key.to_owned()), here),
                "local.session" | "oci.session"
                    if !value.is_empty() && !self.own.view.is_none_or(|view| view.owns(value)) =>
                {
                    self.add(What::Elsewhere("session", value.clone()), here);
                }
                "git.mountsshsock" => self.add(What::Flag(Flag::Ssh, "true".to_owned()), here),
                _ => {}
            }
        }
    }

    fn remote(&mut self, url: &str, field: &str) {
        if !is_of_session(url) {
            self.add(What::Flag(Flag::Remote, url.to_owned()), field);
        }
    }

    /// The digest of a tag is found by the engine, which puts it behind the tag
    fn image(&mut self, text: &str, field: &str) {
        if let Some(name) = ImageRef::read(text).ok().and_then(|image| real_name(&image, field))
            && !self.found.names.iter().any(|real| real.given == name.given)
        {
            self.found.names.push(name);
        }
        self.all(|asks| asks.image(text, field));
    }
}

/// Different things that one build may ask for
const MOST_ASKS: usize = 1000;

const LOCAL: &[&str] = &[
    "local.session",
    "local.uniqueid",
    "local.includepatterns",
    "local.followpaths",
    "local.excludepatterns",
    "local.sharedkeyhint",
    "local.differ",
    "local.metadatatransfer",
    "local.metadatatransferexclude",
];
const GIT: &[&str] = &[
    "git.keepgitdir",
    "git.fullurl",
    "git.authheadersecret",
    "git.authtokensecret",
    "git.knownsshhosts",
    "git.mountsshsock",
    "git.checksum",
    "git.skipsubmodules",
    "git.mtime",
    "git.fetchbycommit",
    "git.bundle",
];
const HTTP: &[&str] = &[
    "http.checksum",
    "http.filename",
    "http.perm",
    "http.uid",
    "http.gid",
    "http.authheadersecret",
    "http.header.accept",
    "http.header.useragent",
    "http.signature.url",
];
