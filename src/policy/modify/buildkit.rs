//! What is changed in a build with BuildKit: values that a policy forces, and what keeps owners apart.
//!
//! A Dockerfile's first comment may name an image that reads the rest in BuildKit's place. Where `cmdline` is given, BuildKit
//! takes that for done already, and reads by itself (0.8 to 0.32).

use crate::api::buildkit::bridge::Solve as BridgeSolve;
use crate::api::buildkit::container::{ExecMessage, NewContainer};
use crate::api::buildkit::control::Solve;
use crate::policy::judge::Facts;
use crate::policy::modify::source_policy::source_policy;
use crate::policy::modify::{Changes, ceiling};
use crate::policy::{Force, Limits, Mode, Policy};

/// Rules that BuildKit itself holds sources against, where the engine knows them
pub(super) fn solve(policy: &Policy, facts: &Facts, body: &mut Solve, changes: &mut Changes) {
    if policy.mode == Mode::Enforce && facts.minor >= SOURCE_POLICY {
        let rules = source_policy(policy);
        changes.add("SourcePolicy", "", format!("{} rules for sources, from the policy", rules.rules.len()), None);
        body.source_policy = Some(rules);
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
    let follows = !policy.frontends.allow.is_empty() && facts.minor >= SOURCE_POLICY;
    if body.frontend == DOCKERFILE && !follows {
        let asked = options.insert(CMDLINE.to_owned(), DOCKERFILE.to_owned()).unwrap_or_default();
        if asked != DOCKERFILE {
            changes.add(&format!("FrontendOpt.{CMDLINE}"), asked, DOCKERFILE, None);
        }
    }
    if let Some(own) = &facts.cache {
        let within = options.get(CACHE).filter(|within| !within.is_empty());
        let full = within.map_or_else(|| own.clone(), |within| format!("{own}/{within}"));
        // Arguments of builds stand in no record, this one's neither.
        changes.add(&format!("FrontendOpt.{CACHE}"), "", own, None);
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

/// The network of a container of a build, where none was asked for
pub(super) fn container(policy: &Policy, body: &mut NewContainer, changes: &mut Changes) {
    let none = policy.force.network.as_ref().filter(|(network, _)| network == "none");
    if body.network == SANDBOX
        && let Some((_, line)) = none
    {
        changes.add("Network", "", "none", Some(line));
        body.network = NO_NETWORK;
    }
}

/// The cgroup of a process in one
pub(super) fn process(policy: &Policy, facts: &Facts, body: &mut ExecMessage, changes: &mut Changes) {
    let Some(meta) = body.init.as_mut().and_then(|init| init.meta.as_mut()) else { return };
    changes.text("Init.Meta.cgroupParent", &mut meta.cgroup_parent, &policy.force.cgroup_parent);
    let own = facts.cgroup.clone().zip(policy.quota.cgroup.clone());
    changes.text("Init.Meta.cgroupParent", &mut meta.cgroup_parent, &own);
}

/// `NetMode.UNSET`
const SANDBOX: i32 = 0;
/// `NetMode.NONE`
const NO_NETWORK: i32 = 2;
/// Minor of the first API version whose engine knows rules for sources (BuildKit 0.11)
const SOURCE_POLICY: u8 = 43;
/// BuildKit's own frontend
const DOCKERFILE: &str = "dockerfile.v0";
/// How a frontend was named by the Dockerfile
const CMDLINE: &str = "cmdline";
/// What cache mounts' names begin with
const CACHE: &str = "build-arg:BUILDKIT_CACHE_MOUNT_NS";
const NETWORK: &str = "force-network-mode";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::BuildId;
    use crate::api::names::Name as _;
    use crate::api::operation::Operation;
    use crate::api::request::{Protobuf, Request};
    use crate::policy::compile::compile;
    use crate::policy::judge::{Decision, judge};

    fn sent(policy: &str, facts: &Facts, options: &[(&str, &str)]) -> (BridgeSolve, Vec<String>) {
        let policy = compile("x", policy).unwrap_or_else(|report| panic!("{report}"));
        let body = BridgeSolve {
            frontend: DOCKERFILE.to_owned(),
            frontend_opt: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            allow_result_return: true,
            allow_result_array_ref: true,
            evaluate: true,
            ..BridgeSolve::default()
        };
        let request = Request { subject: BuildId::parse("r").unwrap(), query: (), body: Protobuf(body), headers: () };
        let (operation, verdict) = judge(&policy, Operation::BridgeSolve(request), facts);
        assert_ne!(verdict.decision, Decision::Deny, "{:?}", verdict.refused().collect::<Vec<_>>());
        let Operation::BridgeSolve(Request { body: Protobuf(body), .. }) = operation else { panic!() };
        (body, verdict.changes.into_iter().map(|change| change.field).collect())
    }

    fn facts(minor: u8, cache: Option<&str>) -> Facts {
        Facts { minor, cache: cache.map(str::to_owned), ..Facts::default() }
    }

    #[test]
    fn nothing_is_built_before_its_steps_are_judged() {
        let (body, changes) = sent("allow = ['build']", &facts(51, None), &[]);
        assert!(!body.evaluate);
        assert_eq!(changes, ["Evaluate", "FrontendOpt.cmdline"]);
    }

    #[test]
    fn a_dockerfiles_own_choice_of_a_frontend_counts_only_where_one_is_named_and_the_engine_can_hold_to_it() {
        let named = "allow = ['build']\n[build]\nfrontends = ['docker/dockerfile:*']";
        for (policy, minor, expected) in
            [("allow = ['build']", 51, true), ("allow = ['build']", 41, true), (named, 51, false), (named, 42, true)]
        {
            let (body, changes) = sent(policy, &facts(minor, None), &[]);
            assert_eq!(body.frontend_opt.contains_key("cmdline"), expected, "{policy} {minor}");
            assert_eq!(changes.contains(&"FrontendOpt.cmdline".to_owned()), expected, "{changes:?}");
        }
    }

    #[test]
    fn cache_mounts_are_the_owners_own_whatever_a_client_calls_them() {
        let policy = "allow = ['build']";
        for (own, given, expected) in [
            (None, None, None),
            (Some("0123"), None, Some("0123")),
            (Some("0123"), Some(""), Some("0123")),
            (Some("0123"), Some("4567"), Some("0123/4567")),
            (None, Some("4567"), Some("4567")),
        ] {
            let options: Vec<(&str, &str)> = given.map(|given| (CACHE, given)).into_iter().collect();
            let (body, changes) = sent(policy, &facts(51, own), &options);
            assert_eq!(body.frontend_opt.get(CACHE).map(String::as_str), expected, "{own:?} {given:?}");
            assert_eq!(changes.contains(&format!("FrontendOpt.{CACHE}")), own.is_some(), "{changes:?}");
        }
    }

    #[test]
    fn what_a_policy_forces_and_limits_holds_for_builds_too() {
        let policy = "allow = ['build']\n[run]\ncgroup_parent = true\n[limits]\nshm_size = '1MiB'\n[force]\n\
            cgroup_parent = '/jobs'\nnetwork = 'none'\nlabels = { team = 'a' }";
        let (body, changes) = sent(policy, &facts(51, None), &[("shm-size", "67108864"), ("cgroup-parent", "/x")]);
        let option = |key: &str| body.frontend_opt.get(key).map(String::as_str);
        assert_eq!(option("shm-size"), Some("1048576"));
        assert_eq!((option("cgroup-parent"), option(NETWORK)), (Some("/jobs"), Some("none")));
        assert_eq!(option("label:team"), Some("a"));
        assert_eq!(changes.len(), 6, "{changes:?}");
    }

    #[test]
    fn rules_for_sources_go_to_engines_that_know_them() {
        let policy = compile("x", "allow = ['build']").unwrap();
        for (minor, expected) in [(42, false), (43, true), (51, true)] {
            let (mut body, mut changes) = (Solve::default(), Changes(Vec::new()));
            solve(&policy, &facts(minor, None), &mut body, &mut changes);
            assert_eq!(body.source_policy.is_some(), expected, "{minor}");
            let named: Vec<&str> = changes.0.iter().map(|change| change.field.as_str()).collect();
            assert_eq!(named, if expected { vec!["SourcePolicy"] } else { vec![] }, "{minor}");
        }
    }
}
