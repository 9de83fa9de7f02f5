//! `docker buildx build`, which `docker build` is today: both connections, and the two calls that say what is built.

use std::collections::BTreeMap;

use crate::api::build::Build;
use crate::api::buildkit::BuildId;
use crate::api::buildkit::bridge::Solve as BridgeSolve;
use crate::api::buildkit::control::{CacheOptions, CacheOptionsEntry, Solve};
use crate::api::buildkit::session::Session;
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::api::value::Plain;
use crate::policy::asks::buildkit::cache::write;
use crate::policy::command::buildx::{Words, cache};
use crate::policy::command::{Asked, BadRequest};

/// The same build with BuildKit; any other request as it is
pub(super) fn with_buildkit(asked: Asked, words: &Words) -> Result<Vec<Asked>, BadRequest> {
    let Asked::Operation(operation) = asked else { return Ok(vec![asked]) };
    let Operation::BuildClassic(Request { query, .. }) = *operation else {
        return Ok(vec![Asked::Operation(operation)]);
    };
    let imports = query.cache_from.0.iter().flatten().map(|text| cache(text)).collect::<Result<Vec<_>, _>>()?;
    let mut options = options(&query, imports.clone());
    options.extend(words.options()?);
    let entry = |(kind, attrs)| CacheOptionsEntry { kind, attrs };
    let host = [HOST].iter().filter(|mode| **mode == query.network_mode).map(|_| "network.host".to_owned());
    let solve = Solve {
        reference: ID.to_owned(),
        session: ID.to_owned(),
        frontend_attrs: options.clone(),
        entitlements: host.chain(words.entitlements()).collect(),
        exporters: words.exporters(&query.tags)?,
        cache: Some(CacheOptions {
            imports: imports.into_iter().map(entry).collect(),
            exports: words.exports()?,
            ..CacheOptions::default()
        }),
        ..Solve::default()
    };
    let bridge = BridgeSolve {
        frontend: "dockerfile.v0".to_owned(),
        frontend_opt: options,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..BridgeSolve::default()
    };
    let session = Session { id: ID.to_owned(), ..Session::default() };
    let connections = [
        Operation::BuildGrpc(Request { subject: (), query: (), body: (), headers: () }),
        Operation::BuildSession(Request { subject: (), query: (), body: (), headers: session }),
        Operation::BuildSolve(Request { subject: (), query: (), body: Protobuf(solve), headers: () }),
    ];
    let bridge = BuildId::parse(ID)
        .ok()
        .map(|subject| Operation::BridgeSolve(Request { subject, query: (), body: Protobuf(bridge), headers: () }));
    Ok(connections.into_iter().chain(bridge).map(|operation| Asked::Operation(Box::new(operation))).collect())
}

fn options(query: &Build, imports: Vec<(String, BTreeMap<String, String>)>) -> BTreeMap<String, String> {
    let join = |values: Vec<String>| values.join(",");
    let hosts = query.extra_hosts.iter().map(|host| host.replacen(':', "=", 1)).collect();
    let ulimit = |Plain(ulimit): &Plain<_>| {
        let crate::api::host_config::Ulimit { name, soft, hard } = ulimit;
        format!("{name}={soft}:{hard}")
    };
    let network = Some(query.network_mode.clone()).filter(|mode| mode != "default").unwrap_or_default();
    let plain = [
        ("context", query.remote.clone()),
        ("add-hosts", join(hosts)),
        ("force-network-mode", network),
        ("cgroup-parent", query.cgroup_parent.clone()),
        ("ulimit", join(query.ulimits.0.iter().flatten().map(ulimit).collect())),
        ("shm-size", query.shm_size.map(|size| size.to_string()).unwrap_or_default()),
        ("target", query.target.clone()),
        ("filename", query.dockerfile.0.clone()),
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

    /// What `ci` and a little more says of builds, by both names of the command
    fn holds(more: &str, tests: &[(&str, &str, &str)]) {
        let test = |(words, expect, because): &(&str, &str, &str)| {
            ["DOCKER_BUILDKIT=1 docker build", "docker buildx build"].map(|command| {
                format!("[[test]]\nrequest = '{command} {words} .'\nexpect = '{expect}'\nbecause = '{because}'\n")
            })
        };
        let written: Vec<String> = tests.iter().flat_map(test).collect();
        let checked = check("x", &format!("extends = 'ci'\n{more}{}", written.concat()));
        assert!(checked.report.is_empty(), "{}", checked.report);
        assert_eq!(checked.tests, written.len());
    }

    #[test]
    fn a_build_with_buildkit_is_tested_like_any_other_command() {
        holds(
            "",
            &[
                ("-t app --build-arg A=b --network none --add-host x:1.2.3.4 --platform linux/arm64", "modify", PLAIN),
                ("--label team=a --ulimit nofile=1024 --shm-size 64m --target app -f Dockerfile.app", "modify", PLAIN),
                ("--cache-from app", "modify", "Cache.Imports"),
                ("--network host", "deny", "network=host"),
                ("--network host", "deny", "entitlement=network.host"),
                ("-t evil.example/app", "deny", "image"),
                ("--build-arg BUILDKIT_SYNTAX=evil/frontend", "deny", "frontend"),
                ("--cgroup-parent /evil", "deny", "cgroup_parent"),
                ("--label sockwarden.owner=other", "deny", "reserved_label"),
            ],
        );
    }

    #[test]
    fn words_that_only_buildx_has_ask_for_what_they_mean() {
        holds(
            "",
            &[
                ("--secret id=a,src=b --ssh default --load --progress plain --builder default", "modify", PLAIN),
                ("--output out", "modify", PLAIN),
                ("-o -", "modify", PLAIN),
                ("-o type=oci,dest=x.tar", "modify", PLAIN),
                ("--build-context files=../files --build-context base=docker-image://alpine", "modify", PLAIN),
                ("--cache-to type=inline --check --provenance=mode=max", "modify", PLAIN),
                ("--allow network.host", "deny", "entitlement=network.host"),
                ("--allow security.insecure", "deny", "entitlement=security.insecure"),
                ("--allow device=vendor.example/gpu=all", "deny", "entitlement=device=vendor.example/gpu=all"),
                ("--push -t evil.example/app", "deny", "image evil.example/app:latest"),
                ("-o type=registry,name=evil.example/app", "deny", "image evil.example/app:latest"),
                ("-o type=nydus,name=app", "deny", "odd"),
                ("--build-context base=docker-image://evil.example/x", "deny", "image evil.example/x:latest"),
                ("--build-context files=http://127.0.0.1/x", "deny", "remote=http://127.0.0.1/x"),
                ("--cache-to type=registry,ref=evil.example/x", "deny", "image evil.example/x:latest"),
                ("--cache-to type=gha", "deny", "cache_to=type=gha"),
                ("--cache-from type=registry,ref=evil.example/x", "modify", "Cache.Imports"),
                ("--sbom=true", "deny", "attest"),
            ],
        );
        holds(
            "forbid = ['image.push']\n[build]\nentitlement = ['network.host']\n",
            &[
                ("--allow network.host", "modify", PLAIN),
                ("--push -t app", "deny", "image.push"),
                ("-o type=registry,name=app", "deny", "image.push"),
                ("-o type=image,name=app", "modify", PLAIN),
            ],
        );
        holds("forbid = ['build.session']\n", &[("", "deny", "build.session")]);
    }

    #[test]
    fn a_context_that_the_engine_fetches_is_asked_for() {
        let context = "[[test]]\nrequest = 'docker buildx build https://example.com/x.git'\nexpect = 'deny'\nbecause = 'remote'\n";
        let checked = check("x", &format!("extends = 'ci'\n{context}"));
        assert!(checked.report.is_empty(), "{}", checked.report);
    }

    /// What every build gets
    const PLAIN: &str = "FrontendOpt.cmdline";
}
