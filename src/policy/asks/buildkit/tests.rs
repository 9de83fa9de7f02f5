//! What calls and steps of a build ask for, and what becomes of it under a policy.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::steps::{Own, answered};
use crate::api::buildkit::BuildId;
use crate::api::buildkit::bridge::{BuildResult, Ref, RefMap, ResolveImageConfig, Solve as BridgeSolve, Solved};
use crate::api::buildkit::control::{CacheOptions, CacheOptionsEntry, Solve};
use crate::api::buildkit::llb::{Definition, SourceOp};
use crate::api::buildkit::op::{
    BuildOp, CacheOpt, CdiDevice, ExecOp, HostIp, MergeOp, Meta, Mount, Op, SecretEnv, StepUlimit,
};
use crate::api::buildkit::source_policy::Policy as Rules;
use crate::api::message::write_message;
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::asks::asks;
use crate::policy::compile::compile;
use crate::policy::judge::found::{answered as found, judge_steps};
use crate::policy::judge::{Decision, Facts, judge};
use crate::policy::view::View;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn call(body: BridgeSolve) -> Operation {
    Operation::BridgeSolve(Request {
        subject: BuildId::parse("r").unwrap(),
        query: (),
        body: Protobuf(body),
        headers: (),
    })
}

fn control(body: Solve) -> Operation {
    let body = Solve { reference: "r".to_owned(), ..body };
    Operation::BuildSolve(Request { subject: (), query: (), body: Protobuf(body), headers: () })
}

fn dockerfile(options: &[(&str, &str)]) -> BridgeSolve {
    BridgeSolve {
        frontend: "dockerfile.v0".to_owned(),
        frontend_opt: map(options),
        allow_result_return: true,
        allow_result_array_ref: true,
        ..BridgeSolve::default()
    }
}

fn said(operation: &Operation) -> Vec<String> {
    asks(operation).into_iter().skip(1).map(|ask| ask.what.to_string()).collect()
}

fn option(key: &str, value: &str) -> Vec<String> {
    said(&call(dockerfile(&[(key, value)])))
}

#[test]
fn options_ask_for_what_they_do_in_dockers_words() {
    for (key, value, expected) in [
        ("context", "https://me:pw@example.com/a.git#main", &["remote=https://***@example.com/a.git#main"][..]),
        ("context", "github.com/a/b", &["remote=github.com/a/b"]),
        ("context:x", "git://example.com/a", &["remote=git://example.com/a"]),
        ("context:x", "https://example.com/a.tar", &["remote=https://example.com/a.tar"]),
        ("context:base", "docker-image://debian:12", &["image docker.io/library/debian:12"]),
        ("source", "docker/dockerfile:1", &["frontend docker.io/docker/dockerfile:1"]),
        ("build-arg:BUILDKIT_SYNTAX", "evil/f", &["frontend docker.io/evil/f:latest"]),
        ("platform", "linux/amd64,linux/arm64", &["platform=linux/amd64", "platform=linux/arm64"]),
        ("add-hosts", "a=10.0.0.1,b=10.0.0.2", &["add_host=a:10.0.0.1", "add_host=b:10.0.0.2"]),
        ("force-network-mode", "host", &["network=host"]),
        ("cgroup-parent", "/x", &["cgroup_parent=/x"]),
        ("ulimit", "nofile=1024,nproc=1:2", &["ulimit=nofile=1024:1024", "ulimit=nproc=1:2"]),
        ("attest:provenance", "mode=max", &["attest=provenance=mode=max"]),
        ("attest:sbom", "", &["attest=sbom=", "frontend docker.io/docker/buildkit-syft-scanner:stable-1"]),
        ("attest:sbom", "generator=evil/s", &["attest=sbom=generator=evil/s", "frontend docker.io/evil/s:latest"]),
        (
            "build-arg:BUILDKIT_ATTEST_SBOM",
            "generator=evil/s",
            &["attest=sbom=generator=evil/s", "frontend docker.io/evil/s:latest"],
        ),
        ("build-arg:BUILDKIT_HOME", "x", &["arg=BUILDKIT_HOME"]),
        ("label:sockwarden.owner", "other", &["label sockwarden.owner"]),
        (
            "cache-imports",
            r#"[{"Type":"registry","Attrs":{"ref":"a"}}]"#,
            &["cache_import=type=registry,ref=docker.io/library/a:latest", "image docker.io/library/a:latest"],
        ),
    ] {
        let asked: Vec<String> =
            option(key, value).into_iter().filter(|ask| !ask.contains("in the place of")).collect();
        assert_eq!(asked, expected, "{key}={value}");
    }
}

#[test]
fn what_reaches_nothing_beyond_the_build_needs_no_grant() {
    for (key, value) in [
        ("filename", "Dockerfile"),
        ("target", "app"),
        ("build-arg:A", "b"),
        ("build-arg:BUILDKIT_INLINE_CACHE", "1"),
        ("build-arg:BUILDKIT_CACHE_MOUNT_NS", "x"),
        ("label:a", "b"),
        ("no-cache", ""),
        ("hostname", "h"),
        ("frontend.caps", "moby.buildkit.frontend.contexts+forward"),
        ("image-resolve-mode", "pull"),
        ("requestid", "frontend.lint"),
        ("shm-size", "67108864"),
        ("force-network-mode", "none"),
        ("force-network-mode", "sandbox"),
        ("attest:provenance", "mode=min,inline-only=true"),
        ("attest:sbom", "disabled=true"),
        ("vcs:revision", "abc"),
        ("local-sessionid:context", "abc"),
        ("input-metadata:0-x", "{}"),
        ("context", "http://buildkit-session/abc123"),
        ("cmdline", "x"),
    ] {
        assert_eq!(option(key, value), [""; 0], "{key}={value}");
    }
    assert_eq!(option("context:x", "local:x"), ["a build context in the place of frontend docker.io/library/x:latest"]);
}

#[test]
fn options_with_another_reading_or_none_are_no_policys_to_grant() {
    for (key, value) in [
        ("gateway-devel", "1"),
        ("gateway-x", "1"),
        ("Context", "x"),
        ("unknown:x", "1"),
        ("force-network-mode", "HOST"),
        ("force-network-mode", "container:x"),
        ("add-hosts", "\"a=1\",b=2"),
        ("add-hosts", "a"),
        ("context:x", "docker-image:debian"),
        ("context:x", "DOCKER-IMAGE://debian"),
        ("context:x", "ssh://example.com"),
        ("context:x", "plain"),
        ("requestid", "frontend.other"),
        ("shm-size", "1g"),
        ("memory", "99999999999999999999"),
        ("cache-imports", "{}"),
        ("source", "Not An Image"),
        ("local-sessionid:context", "abc--sw0123456789ab"),
        ("context", "http://buildkit-session/abc/../x"),
    ] {
        let policy = compile("x", EVERYTHING).unwrap();
        let (_, verdict) = judge(&policy, call(dockerfile(&[(key, value)])), &Facts::default());
        assert!(
            verdict.decision == Decision::Deny || key == "context",
            "{key}={value}: {:?}",
            verdict.asks.iter().map(|judged| judged.ask.what.to_string()).collect::<Vec<_>>()
        );
        assert!(key != "context" || option(key, value)[0].starts_with("remote="), "{key}={value}");
    }
}

/// A policy that grants whatever a policy can
const EVERYTHING: &str = "allow = ['*']\n[images]\nallow = ['**']\n[run]\nnetwork = true\nadd_host = true\nulimit = true\n\
    cgroup_parent = true\n[build]\nremote = true\ncache_import = true\ncache_to = true\nentitlement = true\nplatform = true\n\
    attest = true\nsecrets = true\nssh = true\narg = true\noutput = true\nfrontends = true";

#[test]
fn forms_that_say_nothing_of_what_they_build_are_refused_whatever_a_policy_says() {
    let (definition, rules) = (Some(Definition::default()), Rules::default());
    let inputs: BTreeMap<String, Definition> = [("x".to_owned(), Definition::default())].into();
    for operation in [
        control(Solve { definition: definition.clone(), ..Solve::default() }),
        control(Solve { frontend: "dockerfile.v0".to_owned(), ..Solve::default() }),
        control(Solve { frontend_inputs: inputs, ..Solve::default() }),
        control(Solve { source_policy: Some(rules.clone()), ..Solve::default() }),
        control(Solve { source_policy_session: "x".to_owned(), ..Solve::default() }),
        control(Solve { enable_session_exporter: true, ..Solve::default() }),
        call(BridgeSolve { definition, ..dockerfile(&[]) }),
        call(BridgeSolve { source_policies: vec![rules], ..dockerfile(&[]) }),
        call(BridgeSolve { allow_result_array_ref: false, ..dockerfile(&[]) }),
        call(BridgeSolve { allow_result_return: false, ..dockerfile(&[]) }),
        call(BridgeSolve { is_final: true, ..dockerfile(&[]) }),
        call(BridgeSolve { exporter_attr: Bytes::from_static(b"{}"), ..dockerfile(&[]) }),
        call(BridgeSolve { frontend: "other.v0".to_owned(), ..dockerfile(&[]) }),
        call(BridgeSolve { frontend: "gateway.v0".to_owned(), ..dockerfile(&[]) }),
    ] {
        let policy = compile("x", EVERYTHING).unwrap();
        let (_, verdict) = judge(&policy, operation.clone(), &Facts::default());
        assert_eq!(verdict.decision, Decision::Deny, "{operation:?}");
    }
}

#[test]
fn a_frontend_runs_only_where_a_policy_names_it_and_nothing_takes_its_place() {
    let gateway =
        |options: &[(&str, &str)]| call(BridgeSolve { frontend: "gateway.v0".to_owned(), ..dockerfile(options) });
    let named = "allow = ['build']\n[images]\nallow = ['**']\n[build]\nfrontends = ['docker/dockerfile:*']";
    let unnamed = "allow = ['build']\n[images]\nallow = ['**']";
    let source = ("source", "docker/dockerfile:1");
    for (policy, options, expected) in [
        (named, &[source][..], true),
        (named, &[("source", "docker.io/docker/dockerfile:1.7")], true),
        (named, &[("source", "evil/dockerfile:1")], false),
        (unnamed, &[source], false),
        (named, &[source, ("context:docker/dockerfile:1", "docker-image://evil")], false),
        (named, &[source, ("context:docker.io/docker/dockerfile", "docker-image://evil")], false),
        (named, &[source, ("context:docker/dockerfile:1::linux/amd64", "docker-image://evil")], false),
        (named, &[source, ("context:base", "docker-image://debian")], true),
    ] {
        let policy = compile("x", policy).unwrap();
        let (_, verdict) = judge(&policy, gateway(options), &Facts::default());
        assert_eq!(verdict.decision != Decision::Deny, expected, "{options:?}");
    }
    // The line of the Dockerfile counts there as well.
    for (policy, expected) in [(named, false), (unnamed, true)] {
        let policy = compile("x", policy).unwrap();
        let shadow = dockerfile(&[("context:docker/dockerfile:1", "docker-image://debian")]);
        let (_, verdict) = judge(&policy, call(shadow), &Facts::default());
        assert_eq!(verdict.decision != Decision::Deny, expected);
    }
}

#[test]
fn a_builds_rights_caches_and_options_are_asked_for_in_both_calls() {
    let entry = |kind: &str, image: &str| CacheOptionsEntry { kind: kind.to_owned(), attrs: map(&[("ref", image)]) };
    let cache = CacheOptions {
        export_ref: "a".to_owned(),
        import_refs: vec!["b".to_owned()],
        exports: vec![CacheOptionsEntry { kind: "inline".to_owned(), ..CacheOptionsEntry::default() }],
        imports: vec![entry("registry", "c")],
        ..CacheOptions::default()
    };
    let solve = Solve {
        entitlements: vec!["network.host".to_owned(), "device=x".to_owned()],
        frontend_attrs: map(&[("force-network-mode", "host")]),
        cache: Some(cache),
        ..Solve::default()
    };
    let expected = [
        "network=host",
        "cache_to=type=registry,ref=docker.io/library/a:latest",
        "image.push",
        "image docker.io/library/a:latest",
        "cache_import=type=registry,ref=docker.io/library/b:latest",
        "image docker.io/library/b:latest",
        "cache_to=type=inline",
        "cache_import=type=registry,ref=docker.io/library/c:latest",
        "image docker.io/library/c:latest",
        "entitlement=network.host",
        "entitlement=device=x",
    ];
    assert_eq!(said(&control(solve)), expected);
    let body = BridgeSolve {
        import_cache_refs: vec!["a".to_owned()],
        cache_imports: vec![entry("registry", "b")],
        ..dockerfile(&[])
    };
    let expected = [
        "cache_import=type=registry,ref=docker.io/library/a:latest",
        "image docker.io/library/a:latest",
        "cache_import=type=registry,ref=docker.io/library/b:latest",
        "image docker.io/library/b:latest",
    ];
    assert_eq!(said(&call(body)), expected);
}

fn definition(ops: &[Op]) -> Definition {
    Definition { def: ops.iter().map(|op| write_message(op).into()).collect(), ..Definition::default() }
}

fn solved(ops: &[Op]) -> Solved {
    let reference = Some(Ref { id: "r".to_owned(), definition: Some(definition(ops)) });
    Solved { result: Some(BuildResult { reference, ..BuildResult::default() }), ..Solved::default() }
}

fn exec(exec: ExecOp) -> Op {
    let meta = exec.meta.or_else(|| Some(Meta::default()));
    Op { exec: Some(ExecOp { meta, ..exec }), ..Op::default() }
}

fn with(meta: Meta) -> Op {
    exec(ExecOp { meta: Some(meta), ..ExecOp::default() })
}

fn mounting(mount_type: i32) -> Op {
    exec(ExecOp { mounts: vec![Mount { mount_type, ..Mount::default() }], ..ExecOp::default() })
}

fn caching(id: &str) -> Op {
    let cache = Some(CacheOpt { id: id.to_owned(), sharing: 0 });
    exec(ExecOp { mounts: vec![Mount { mount_type: 3, cache, ..Mount::default() }], ..ExecOp::default() })
}

fn from(identifier: &str, attrs: &[(&str, &str)]) -> Op {
    let source = Some(SourceOp { identifier: identifier.to_owned(), attrs: map(attrs) });
    Op { source, ..Op::default() }
}

fn told(op: Op) -> Vec<String> {
    let view = View::new("a", "0123456789ab", "x");
    let own = Own { view: Some(&view), cache: Some("0123456789ab"), cgroup: None };
    answered(&solved(&[op]), own).asks.into_iter().map(|ask| ask.what.to_string()).collect()
}

#[test]
fn steps_ask_for_what_they_do_whoever_wrote_them() {
    let device = CdiDevice { name: "vendor.com/gpu=all".to_owned(), optional: true };
    let (host, ip) = ("h".to_owned(), "10.0.0.1".to_owned());
    let digest = format!("sha256:{}", "0".repeat(64));
    let image = format!("docker-image://docker.io/library/debian:12@{digest}");
    let fetched =
        from("git://example.com/a", &[("git.fullurl", "https://example.com/a.git"), ("git.mountsshsock", "x")]);
    for (op, expected) in [
        (exec(ExecOp { network: 1, ..ExecOp::default() }), &["network=host"][..]),
        (exec(ExecOp { security: 1, ..ExecOp::default() }), &["entitlement=security.insecure"]),
        (exec(ExecOp { cdi_devices: vec![device], ..ExecOp::default() }), &["entitlement=device=vendor.com/gpu=all"]),
        (exec(ExecOp { secret_env: vec![SecretEnv::default()], ..ExecOp::default() }), &["secrets"]),
        (mounting(1), &["secrets"]),
        (mounting(2), &["ssh"]),
        (with(Meta { extra_hosts: vec![HostIp { host, ip }], ..Meta::default() }), &["add_host=h:10.0.0.1"]),
        (
            with(Meta { ulimit: vec![StepUlimit { name: "nofile".to_owned(), soft: 1, hard: 2 }], ..Meta::default() }),
            &["ulimit=nofile=1:2"],
        ),
        (with(Meta { cgroup_parent: "/x".to_owned(), ..Meta::default() }), &["cgroup_parent=/x"]),
        (from(&image, &[("image.resolvemode", "local")]), &[&format!("image docker.io/library/debian:12@{digest}")]),
        (from("http://127.0.0.1:8899/x", &[("http.checksum", "x")]), &["remote=http://127.0.0.1:8899/x"]),
        (from("git://example.com/a", &[]), &["remote=git://example.com/a"]),
        (fetched, &["remote=https://example.com/a.git", "ssh"]),
        (caching("/victimcache"), &["cache mount `/victimcache`, which is not one's own,"]),
        (caching("0123456789abc/x"), &["cache mount `0123456789abc/x`, which is not one's own,"]),
        (from("local://c", &[("local.session", "other")]), &["session `other`, which is not one's own,"]),
        (
            from("oci-layout://c", &[("oci.session", "x--sw0123456789ac")]),
            &[LAYOUT, "session `x--sw0123456789ac`, which is not one's own,"],
        ),
        (Op { build: Some(BuildOp::default()), ..Op::default() }, &["a build within a build"]),
    ] {
        assert_eq!(told(op.clone()), expected, "{op:?}");
    }
}

const LAYOUT: &str = "an image out of the client's own files (oci-layout)";

#[test]
fn where_owners_are_apart_no_image_comes_out_of_a_clients_own_files() {
    let option = [("context:base", "oci-layout://s@sha256:0")];
    let resolve = ResolveImageConfig { reference: "x".to_owned(), resolver_type: 1, ..ResolveImageConfig::default() };
    let subject = BuildId::parse("r").unwrap();
    let resolve = Operation::BridgeResolveImage(Request { subject, query: (), body: Protobuf(resolve), headers: () });
    for (policy, expected) in [("", Decision::Allow), ("[owner]\nisolate = true", Decision::Deny)] {
        let policy = compile("x", &format!("allow = ['build']\n[images]\nallow = ['**']\n{policy}")).unwrap();
        let found = found(&policy, &solved(&[from("oci-layout://s", &[])]), &Facts::default());
        assert_eq!(judge_steps(&policy, found, Vec::new()).decision, expected);
        for operation in [call(dockerfile(&option)), resolve.clone()] {
            let refused = judge(&policy, operation, &Facts::default()).1;
            let said: Vec<String> = refused.refused().map(|(ask, _)| ask.what.to_string()).collect();
            assert_eq!(said.contains(&LAYOUT.to_owned()), expected == Decision::Deny, "{said:?}");
        }
    }
}

#[test]
fn steps_within_the_build_ask_for_nothing() {
    for op in [
        with(Meta { args: vec!["true".to_owned()], hostname: "h".to_owned(), ..Meta::default() }),
        exec(ExecOp { network: 2, ..ExecOp::default() }),
        mounting(0),
        mounting(4),
        caching("0123456789ab/x"),
        from("local://c", &[("local.session", "x--sw0123456789ab"), ("local.includepatterns", "[]")]),
        from("http://buildkit-session/abc", &[]),
        Op { merge: Some(MergeOp::default()), ..Op::default() },
        Op::default(),
    ] {
        assert_eq!(told(op.clone()), [""; 0], "{op:?}");
    }
}

#[test]
fn steps_that_cannot_be_read_or_are_not_told_are_no_policys_to_grant() {
    let untold = |result: BuildResult| Solved { result: Some(result), ..Solved::default() };
    let bare = Ref { id: "r".to_owned(), definition: None };
    let two = Op { exec: Some(ExecOp::default()), merge: Some(MergeOp::default()), ..Op::default() };
    let refs = RefMap { refs: [("linux/amd64".to_owned(), bare.clone())].into() };
    let broken = Definition { def: vec![Bytes::from_static(b"\x7a\x00")], ..Definition::default() };
    let unread = Ref { id: "r".to_owned(), definition: Some(broken) };
    for solved in [
        Solved { reference: "r".to_owned(), ..Solved::default() },
        untold(BuildResult { ref_deprecated: Some("r".to_owned()), ..BuildResult::default() }),
        untold(BuildResult { refs_deprecated: Some(Default::default()), ..BuildResult::default() }),
        untold(BuildResult { reference: Some(bare), ..BuildResult::default() }),
        untold(BuildResult { refs: Some(refs), ..BuildResult::default() }),
        untold(BuildResult { reference: Some(unread), ..BuildResult::default() }),
        solved(&[two]),
        solved(&[exec(ExecOp { network: 7, ..ExecOp::default() })]),
        solved(&[exec(ExecOp { security: 2, ..ExecOp::default() })]),
        solved(&[Op { exec: Some(ExecOp::default()), ..Op::default() }]),
        solved(&[mounting(5)]),
        solved(&[from("ftp://x", &[])]),
        solved(&[from("nothing", &[])]),
        solved(&[from("local://x", &[("local.unknown", "")])]),
    ] {
        let policy = compile("x", EVERYTHING).unwrap();
        let found = found(&policy, &solved, &Facts::default());
        assert_eq!(judge_steps(&policy, found, Vec::new()).decision, Decision::Deny, "{solved:?}");
    }
}

#[test]
fn a_tags_digest_is_the_engines_to_find() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (pattern, image, expected) in [
        ("debian:12", format!("debian:12@{digest}"), true),
        (&format!("debian@{digest}"), format!("debian:12@{digest}"), true),
        ("debian:12", format!("debian:13@{digest}"), false),
        ("debian:12", format!("debian@{digest}"), false),
        ("debian:12", "debian:12".to_owned(), true),
    ] {
        let policy = compile("x", &format!("allow = ['build']\n[images]\nallow = ['{pattern}']")).unwrap();
        let solved = solved(&[from(&format!("docker-image://docker.io/library/{image}"), &[])]);
        let found = found(&policy, &solved, &Facts::default());
        let passes = judge_steps(&policy, found, Vec::new()).decision == Decision::Allow;
        assert_eq!(passes, expected, "{pattern} {image}");
    }
}

#[test]
fn steps_run_in_their_owners_cgroup_or_not_at_all() {
    let policy = compile("x", "allow = ['build']\n[run]\ncgroup_parent = true").unwrap();
    let facts = Facts { cgroup: Some("/own".to_owned()), ..Facts::default() };
    for (parent, expected) in [("/own", Decision::Allow), ("", Decision::Deny), ("/other", Decision::Deny)] {
        let solved = solved(&[with(Meta { cgroup_parent: parent.to_owned(), ..Meta::default() })]);
        let found = found(&policy, &solved, &facts);
        assert_eq!(judge_steps(&policy, found, Vec::new()).decision, expected, "{parent}");
    }
}

#[test]
fn inputs_that_a_client_brings_are_judged_like_what_the_engine_answers() {
    let policy = compile("x", "allow = ['build']\n[owner]\nisolate = true").unwrap();
    let view = Some(View::new("a", "0123456789ab", "x"));
    let facts = Facts { view, cache: Some("0123456789ab".to_owned()), ..Facts::default() };
    for (op, expected) in [
        (caching("0123456789ab/x"), true),
        (caching("/x"), false),
        (exec(ExecOp { network: 1, ..ExecOp::default() }), false),
        (from("http://169.254.169.254/", &[]), false),
        (from("docker-image://evil/x", &[]), false),
        (with(Meta { cgroup_parent: "/evil".to_owned(), ..Meta::default() }), false),
    ] {
        let inputs = [("0-x".to_owned(), definition(std::slice::from_ref(&op)))].into();
        let body = BridgeSolve { frontend_inputs: inputs, ..dockerfile(&[]) };
        let (_, verdict) = judge(&policy, call(body), &facts);
        assert_eq!(verdict.decision != Decision::Deny, expected, "{op:?}");
    }
}

#[test]
fn the_same_in_many_steps_is_asked_for_once_and_too_much_is_refused() {
    let own = Own::default();
    let same: Vec<Op> = (0..5000).map(|_| mounting(1)).collect();
    assert_eq!(answered(&solved(&same), own).asks.len(), 1);
    let many: Vec<Op> = (0..1500).map(|number| from(&format!("docker-image://a{number}"), &[])).collect();
    let asks = answered(&solved(&many), own).asks;
    assert_eq!(asks.last().unwrap().what.to_string(), "more than can be judged");
    assert_eq!(asks.len(), 1001);
}
