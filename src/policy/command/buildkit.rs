//! `DOCKER_BUILDKIT=1 docker build`: the two calls in which today's clients ask for a build.

use std::collections::BTreeMap;

use crate::api::build::Build;
use crate::api::buildkit::BuildId;
use crate::api::buildkit::bridge::Solve as BridgeSolve;
use crate::api::buildkit::control::{CacheOptions, CacheOptionsEntry, Exporter, Solve};
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::api::value::Plain;
use crate::policy::asks::buildkit::cache::write;
use crate::policy::command::Asked;

/// The same build with BuildKit; any other request as it is
pub(super) fn with_buildkit(asked: Asked) -> Vec<Asked> {
    let Asked::Operation(operation) = asked else { return vec![asked] };
    let Operation::BuildClassic(Request { query, .. }) = *operation else { return vec![Asked::Operation(operation)] };
    let (options, imports) = (options(&query), imports(&query));
    let named = [("name".to_owned(), query.tags.join(","))].into_iter().filter(|_| !query.tags.is_empty());
    let entry = |(kind, attrs)| CacheOptionsEntry { kind, attrs };
    let solve = Solve {
        reference: ID.to_owned(),
        frontend_attrs: options.clone(),
        entitlements: [HOST]
            .iter()
            .filter(|mode| **mode == query.network_mode)
            .map(|_| "network.host".to_owned())
            .collect(),
        exporters: vec![Exporter { kind: "moby".to_owned(), attrs: named.collect() }],
        cache: Some(CacheOptions { imports: imports.into_iter().map(entry).collect(), ..CacheOptions::default() }),
        ..Solve::default()
    };
    let bridge = BridgeSolve {
        frontend: "dockerfile.v0".to_owned(),
        frontend_opt: options,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..BridgeSolve::default()
    };
    let solve = Operation::BuildSolve(Request { subject: (), query: (), body: Protobuf(solve), headers: () });
    let bridge = BuildId::parse(ID)
        .ok()
        .map(|subject| Operation::BridgeSolve(Request { subject, query: (), body: Protobuf(bridge), headers: () }));
    [Some(solve), bridge].into_iter().flatten().map(|operation| Asked::Operation(Box::new(operation))).collect()
}

fn imports(query: &Build) -> Vec<(String, BTreeMap<String, String>)> {
    let import = |image: &String| ("registry".to_owned(), [("ref".to_owned(), image.clone())].into());
    query.cache_from.0.iter().flatten().map(import).collect()
}

fn options(query: &Build) -> BTreeMap<String, String> {
    let join = |values: Vec<String>| values.join(",");
    let hosts = query.extra_hosts.iter().map(|host| host.replacen(':', "=", 1)).collect();
    let ulimit = |Plain(ulimit): &Plain<_>| {
        let crate::api::host_config::Ulimit { name, soft, hard } = ulimit;
        format!("{name}={soft}:{hard}")
    };
    let network = Some(query.network_mode.clone()).filter(|mode| mode != "default").unwrap_or_default();
    let imports = imports(query);
    let plain = [
        ("context", query.remote.clone()),
        ("add-hosts", join(hosts)),
        ("force-network-mode", network),
        ("cgroup-parent", query.cgroup_parent.clone()),
        ("ulimit", join(query.ulimits.0.iter().flatten().map(ulimit).collect())),
        ("shm-size", query.shm_size.map(|size| size.to_string()).unwrap_or_default()),
        ("target", query.target.clone()),
        ("filename", query.dockerfile.clone()),
        ("platform", query.platform.clone()),
        ("cache-imports", if imports.is_empty() { String::new() } else { write(imports) }),
    ];
    let plain = plain.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value));
    let arguments = query.build_args.0.iter().flatten();
    let arguments = arguments.map(|(name, value)| (format!("build-arg:{name}"), value.clone().unwrap_or_default()));
    let labels = query.labels.0.iter().flatten().map(|(key, value)| (format!("label:{key}"), value.clone()));
    plain.chain(arguments).chain(labels).collect()
}

/// An id as clients make them
const ID: &str = "build";
const HOST: &str = "host";

#[cfg(test)]
mod tests {
    use crate::policy::check::check;

    #[test]
    fn a_build_with_buildkit_is_tested_like_any_other_command() {
        let test = |request: &str, expect: &str, because: &str| {
            let because = if because.is_empty() { String::new() } else { format!("because = '{because}'\n") };
            format!("[[test]]\nrequest = 'DOCKER_BUILDKIT=1 docker build {request} .'\nexpect = '{expect}'\n{because}")
        };
        let tests = [
            test(
                "-t app --build-arg A=b --network none --add-host x:1.2.3.4 --platform linux/arm64",
                "modify",
                "FrontendOpt.cmdline",
            ),
            test(
                "--label team=a --ulimit nofile=1024 --shm-size 64m --target app -f Dockerfile.app",
                "modify",
                "FrontendOpt.cmdline",
            ),
            test("--cache-from app", "modify", "Cache.Imports"),
            test("--network host", "deny", "network=host"),
            test("--network host", "deny", "entitlement=network.host"),
            test("-t evil.example/app", "deny", "image"),
            test("--build-arg BUILDKIT_SYNTAX=evil/frontend", "deny", "frontend"),
            test("--cgroup-parent /evil", "deny", "cgroup_parent"),
            test("--label sockwarden.owner=other", "deny", "reserved_label"),
        ];
        let checked = check("x", &format!("extends = 'ci'\n{}", tests.concat()));
        assert!(checked.report.is_empty(), "{}", checked.report);
        assert_eq!(checked.tests, tests.len());
    }
}
