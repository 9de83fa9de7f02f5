//! Options of the Dockerfile frontend, by BuildKit's own names for them (0.8 to 0.32).

use std::collections::BTreeMap;

use crate::api::image_ref::ImageRef;
use crate::policy::ask::{Flag, What};
use crate::policy::asks::buildkit::cache;
use crate::policy::asks::exporter::is_off;
use crate::policy::asks::{Asks, network};
use crate::policy::view::is_reserved;

pub(super) fn options(options: &BTreeMap<String, String>, field: &str, asks: &mut Asks) {
    for (key, value) in options {
        let here = format!("{field}.{key}");
        match key.split_once(':') {
            None => option(key, value, &here, asks),
            Some(("build-arg", name)) => argument(name, value, &here, asks),
            Some(("label", name)) => asks.labels([&name.to_owned()], &format!("{field}.label")),
            Some(("context", name)) => named_context(name, value, &here, asks),
            Some(("local-sessionid", _)) if is_reserved(value) => asks.add(What::Odd("session", value.clone()), here),
            Some(("attest", kind)) => attestation(kind, value, &here, asks),
            // Of the client's own session, and texts for people.
            Some(("local-sessionid" | "input-metadata" | "vcs", _)) => {}
            Some(_) => asks.add(What::Odd("build option", key.clone()), here),
        }
    }
}

fn option(key: &str, value: &str, field: &str, asks: &mut Asks) {
    match key {
        // Inside the context, about the result, or about the client itself.
        "filename" | "contextsubdir" | "contextkey" | "dockerfilekey" | "target" | "no-cache" | "multi-platform" => {}
        "hostname" | "frontend.caps" | "image-resolve-mode" => {}
        // Which frontend, by a comment of the Dockerfile; put in its place for BuildKit's own one.
        "cmdline" => {}
        "context" => context(value, field, asks),
        "source" => frontend(value, field, asks),
        "platform" => {
            for platform in value.split(',') {
                asks.text(Flag::Platform, platform, field);
            }
        }
        "add-hosts" => each(value, field, asks, |host, asks| match host.split_once('=') {
            Some((name, address)) => asks.flag(Flag::AddHost, format!("{name}:{address}"), field),
            None => asks.add(What::Odd("host", host.to_owned()), field),
        }),
        "force-network-mode" => match value {
            "" | "none" | "sandbox" => {}
            "host" => network::mode(value, field, asks),
            other => asks.add(What::Odd("network mode", other.to_owned()), field),
        },
        "cgroup-parent" => asks.text(Flag::CgroupParent, value, field),
        "ulimit" => each(value, field, asks, |ulimit, asks| asks.flag(Flag::Ulimit, both_limits(ulimit), field)),
        // Under `[limits]`.
        "shm-size" | "memory" | "memswap" | "cpushares" | "cpuperiod" | "cpuquota" => {
            let digits = value.strip_prefix('-').unwrap_or(value);
            if digits.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                asks.add(What::Odd("amount", value.to_owned()), field);
            }
        }
        "cpusetcpus" | "cpusetmems" => {}
        "cache-imports" => match cache::written(value) {
            Some(imports) => imports.iter().for_each(|(kind, attrs)| cache::import(kind, attrs, field, asks)),
            None => asks.add(What::Odd("cache import", value.to_owned()), field),
        },
        "cache-from" => each(value, field, asks, |image, asks| cache::import_image(image, field, asks)),
        "requestid" => match value {
            "frontend.outline" | "frontend.targets" | "frontend.lint" | "frontend.subrequests.describe" => {}
            other => asks.add(What::Odd("request", other.to_owned()), field),
        },
        other => asks.add(What::Odd("build option", other.to_owned()), field),
    }
}

/// Elements between commas; the engine reads quotes as well, which nothing here needs
fn each(list: &str, field: &str, asks: &mut Asks, mut read: impl FnMut(&str, &mut Asks)) {
    if list.contains(['"', '\n', '\r']) {
        return asks.add(What::Odd("list", list.to_owned()), field);
    }
    list.split(',').filter(|element| !element.is_empty()).for_each(|element| read(element, asks));
}

/// `nofile=1024` is soft and hard
fn both_limits(ulimit: &str) -> String {
    match ulimit.split_once('=') {
        Some((name, limit)) if !limit.contains(':') => format!("{name}={limit}:{limit}"),
        _ => ulimit.to_owned(),
    }
}

/// The main context, where the engine fetches it; the client's own has no value
fn context(value: &str, field: &str, asks: &mut Asks) {
    if !is_of_session(value) {
        asks.text(Flag::Remote, value, field);
    }
}

/// What the client sends through its session has an address as well
pub(super) fn is_of_session(url: &str) -> bool {
    let name = url.strip_prefix("http://buildkit-session/");
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A context that has the name of an image is used in the place of that image
fn named_context(name: &str, value: &str, field: &str, asks: &mut Asks) {
    let image = name.split_once("::").map_or(name, |(image, _platform)| image);
    if let Ok(image) = ImageRef::read(image) {
        asks.add(What::Shadow(image), field);
    }
    match value.split_once(':') {
        Some(("docker-image", image)) => match image.strip_prefix("//") {
            Some(image) => asks.image(image, field),
            None => asks.add(What::Odd("build context", value.to_owned()), field),
        },
        Some(("git" | "http" | "https", _)) if !is_of_session(value) => asks.flag(Flag::Remote, value, field),
        // Of the client's own session, or steps that are judged as such.
        Some(("oci-layout", _)) => asks.add(What::Layout, field),
        Some(("git" | "http" | "https" | "local" | "input", _)) => {}
        Some(_) | None => asks.add(What::Odd("build context", value.to_owned()), field),
    }
}

fn frontend(image: &str, field: &str, asks: &mut Asks) {
    match ImageRef::read(image) {
        Ok(image) => asks.add(What::Frontend(image), field),
        Err(_) => asks.add(What::Odd("frontend", image.to_owned()), field),
    }
}

fn argument(name: &str, value: &str, field: &str, asks: &mut Asks) {
    match name {
        "BUILDKIT_SYNTAX" => frontend(value, field, asks),
        // About the form of the result.
        "BUILDKIT_INLINE_CACHE" | "BUILDKIT_MULTI_PLATFORM" | "BUILDKIT_SANDBOX_HOSTNAME" => {}
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR" | "BUILDKIT_DOCKERFILE_CHECK" | "BUILDKIT_BUILD_NAME" => {}
        "BUILDKIT_SBOM_SCAN_CONTEXT" | "BUILDKIT_SBOM_SCAN_STAGE" => {}
        // Within the owner's own, which stands before it.
        "BUILDKIT_CACHE_MOUNT_NS" => {}
        other => match other.strip_prefix("BUILDKIT_ATTEST_") {
            Some(kind) => attestation(&kind.to_ascii_lowercase(), value, field, asks),
            None if other.starts_with("BUILDKIT_") => asks.flag(Flag::BuildArg, other, field),
            None => {}
        },
    }
}

/// A scanner is an image that runs with what was built
fn attestation(kind: &str, value: &str, field: &str, asks: &mut Asks) {
    if value.contains(['"', '\n', '\r']) {
        return asks.add(What::Odd("list", value.to_owned()), field);
    }
    let words: Vec<&str> = value.split(',').filter(|word| !word.is_empty()).collect();
    let said = |key: &str| words.iter().filter_map(move |word| word.strip_prefix(key)?.strip_prefix('=')).next();
    if said("disabled").is_some_and(|disabled| !is_off(disabled)) {
        return;
    }
    // What clients say by default, and what shows nothing but how the client built it.
    let by_default = words.iter().all(|word| matches!(*word, "mode=min" | "inline-only=true"));
    if kind == "provenance" && by_default {
        return;
    }
    asks.flag(Flag::Attest, format!("{kind}={value}"), field);
    if kind == "sbom" {
        frontend(said("generator").unwrap_or(SCANNER), field, asks);
    }
}

/// BuildKit's own choice
const SCANNER: &str = "docker/buildkit-syft-scanner:stable-1";
