//! What is changed in a build with BuildKit: values that a policy forces, and what keeps owners apart.
//!
//! A Dockerfile's first comment may name an image that reads the rest in BuildKit's place. Where `cmdline` is given, BuildKit
//! takes that for done already, and reads by itself (0.8 to 0.32).

use crate::api::buildkit::bridge::Solve as BridgeSolve;
use crate::api::buildkit::control::Solve;
use crate::policy::judge::Facts;
use crate::policy::modify::source_policy::source_policy;
use crate::policy::modify::{Changes, ceiling};
use crate::policy::{Force, Limits, Mode, Policy};

/// Rules that BuildKit itself holds sources against, where the engine knows them
pub(super) fn solve(policy: &Policy, facts: &Facts, body: &mut Solve) {
    if policy.mode == Mode::Enforce && facts.minor >= SOURCE_POLICY {
        body.source_policy = Some(source_policy(policy));
    }
}

pub(super) fn bridge_solve(
    policy: &Policy,
    limits: &Limits,
    facts: &Facts,
    body: &mut BridgeSolve,
    changes: &mut Changes,
) {
    if body.evaluate {
        changes.add("Evaluate", "true", "false", None);
        body.evaluate = false;
    }
    let options = &mut body.frontend_opt;
    // Neither is a change of what was asked for: a frontend that a policy names is another one.
    let follows = !policy.frontends.allow.is_empty() && facts.minor >= SOURCE_POLICY;
    if body.frontend == DOCKERFILE && !follows {
        options.insert("cmdline".to_owned(), DOCKERFILE.to_owned());
    }
    if let Some(own) = &facts.cache {
        let within = options.get(CACHE).filter(|within| !within.is_empty());
        let full = within.map_or_else(|| own.clone(), |within| format!("{own}/{within}"));
        options.insert(CACHE.to_owned(), full);
    }
    let Force { labels, cgroup_parent, network, user: _, no_new_privileges: _, cap_drop: _, runtime: _ } =
        &policy.force;
    let mut text = |key: &str, forced: &Option<(String, crate::policy::Line)>| {
        if forced.is_some() {
            let slot = options.entry(key.to_owned()).or_default();
            changes.text(&format!("FrontendOpt.{key}"), slot, forced);
        }
    };
    text("cgroup-parent", cgroup_parent);
    text("cgroup-parent", &facts.cgroup.clone().zip(policy.quota.cgroup.clone()));
    for (key, label) in labels {
        text(&format!("label:{key}"), &Some(label.clone()));
    }
    // A network of one's own is nothing to BuildKit.
    let network = network.as_ref().filter(|(network, _)| matches!(network.as_str(), "none" | "host"));
    if options.get(NETWORK).is_none_or(String::is_empty)
        && let Some((network, line)) = network
    {
        changes.add(&format!("FrontendOpt.{NETWORK}"), "", network, Some(line));
        options.insert(NETWORK.to_owned(), network.clone());
    }
    let Limits { caller: _, memory, nano_cpus: _, pids: _, shm_size, ulimits: _ } = limits;
    for (key, most) in [("shm-size", shm_size), ("memory", memory)] {
        let Some(asked) = options.get_mut(key) else { continue };
        let mut amount = asked.parse().unwrap_or(-1);
        ceiling(most, &mut amount, super::Absent::Stays, &format!("FrontendOpt.{key}"), changes);
        *asked = amount.to_string();
    }
}

/// Minor of the first API version whose engine knows rules for sources (BuildKit 0.11)
const SOURCE_POLICY: u8 = 43;
/// BuildKit's own frontend
const DOCKERFILE: &str = "dockerfile.v0";
/// What cache mounts' names begin with
const CACHE: &str = "build-arg:BUILDKIT_CACHE_MOUNT_NS";
const NETWORK: &str = "force-network-mode";
