//! What counts, what is asked for, and what is refused.

use super::*;
use crate::api::call::Call;
use crate::api::credentials::RegistryHeaders;
use crate::policy::Policy;
use crate::policy::compile::compile;
use crate::policy::judge::{Decision, Verdict, judge};

fn operation(target: &str, body: &str) -> Operation {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call::read(&hyper::Method::POST, path, query, RegistryHeaders::default()).unwrap();
    call.operation(body.as_bytes()).unwrap()
}

fn policy(quota: &str) -> Policy {
    let text = format!(
        "allow = ['*']\n[images]\nallow = ['**']\n[run]\npublish = true\npublish_all = true\ncgroup_parent = true\n[build]\ncache_from = true\n[quota]\n{quota}"
    );
    compile("x", &text).unwrap_or_else(|report| panic!("{report}"))
}

fn create(body: &str) -> Create {
    match operation("/containers/create", body) {
        Operation::ContainerCreate(Request { body: JsonBody(body), .. }) => body,
        other => panic!("{other:?}"),
    }
}

/// Judges with so much in use already
fn judged(
    policy: &Policy,
    operation: Operation,
    used: &[(Resource, i64)],
    changed: Option<Counted>,
) -> (Operation, Verdict) {
    let used = used.iter().copied().collect();
    let usage = Usage { owner: "job-7".to_owned(), used, changed, ..Usage::default() };
    judge(policy, operation, &Facts { usage: Some(usage), ..Facts::default() })
}

fn changes(verdict: &Verdict) -> Vec<String> {
    verdict.changes.iter().map(|change| format!("{}: {} -> {}", change.field, change.from, change.to)).collect()
}

#[test]
fn the_last_place_is_given_and_one_more_is_refused() {
    let policy = policy("containers = 3\nnetworks = 0");
    for (used, expected) in [(0, Decision::Allow), (2, Decision::Allow), (3, Decision::Deny), (9, Decision::Deny)] {
        let create = operation("/containers/create", r#"{"Image":"a"}"#);
        let (_, verdict) = judged(&policy, create, &[(Resource::Containers, used)], None);
        assert_eq!(verdict.decision, expected, "{used}");
    }
    let network = operation("/networks/create", r#"{"Name":"a"}"#);
    let (_, verdict) = judged(&policy, network, &[(Resource::Networks, 0)], None);
    assert_eq!(verdict.decision, Decision::Deny);
}

#[test]
fn amounts_are_said_in_words() {
    for (resource, amount, said) in [
        (Resource::Containers, 1, "1 container"),
        (Resource::Memory, 4 << 30, "4 GiB of memory"),
        (Resource::Memory, 512 << 20, "512 MiB of memory"),
        (Resource::Memory, 7, "7 bytes of memory"),
        (Resource::Cpus, 1_500_000_000, "1.5 CPUs"),
        (Resource::Cpus, 2_000_000_000, "2 CPUs"),
        (Resource::Pids, 10, "10 processes"),
    ] {
        assert_eq!(resource.say(amount), said);
    }
}

#[test]
fn cpu_time_counts_in_whichever_way_it_is_said() {
    for (nano, quota, period, expected) in [
        (0, 0, 0, None),
        (0, -1, 100_000, None),
        (0, 0, 50_000, None),
        (-5, 0, 0, None),
        (1_500_000_000, 0, 0, Some(1_500_000_000)),
        (0, 50_000, 0, Some(500_000_000)),
        (0, 50_000, 1_000, Some(50_000_000_000)),
        (0, 1, 3, Some(333_333_334)),
        (1, 200_000, 0, Some(2_000_000_000)),
        (0, i64::MAX, 1, Some(i64::MAX)),
    ] {
        assert_eq!(nano_cpus(nano, quota, period), expected, "{nano} {quota} {period}");
    }
}

#[test]
fn every_volume_that_a_container_brings_counts_once() {
    let body = create(
        r#"{"Image":"a","Volumes":{"/v":{},"/named":{},"/img/":{},"/t":{}},"HostConfig":{
            "Binds":["/anonymous","name:/named"],"Tmpfs":{"/t":""},
            "Mounts":[{"Type":"volume","Target":"/v"},{"Type":"volume","Target":"/x/../m"},{"Type":"tmpfs","Target":"/u"}]}}"#,
    );
    let image = ["/img", "/other", "/u", "/named"].map(str::to_owned).into();
    let paths = anonymous_volumes(&body, &image);
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/anonymous", "/img", "/m", "/other", "/v"]);
}

#[test]
fn every_published_port_counts() {
    let usage = Usage { image_ports: ["80/tcp", "443/tcp"].map(str::to_owned).into(), ..Usage::default() };
    for (host, expected) in [
        ("{}", 0),
        (r#"{"PortBindings":{"80/tcp":null,"81/tcp":[],"82/tcp":[{"HostPort":"1"},{"HostPort":"2"}]}}"#, 4),
        (r#"{"PublishAllPorts":true}"#, 2 + 1 + 3),
        (r#"{"PublishAllPorts":true,"PortBindings":{"80/tcp":[{"HostPort":"1"}]}}"#, 1 + 1 + 1 + 3),
    ] {
        let text = format!(
            r#"{{"Image":"a","ExposedPorts":{{"80/tcp":{{}},"9/udp":{{}},"5-7/tcp":{{}}}},"HostConfig":{host}}}"#
        );
        assert_eq!(published(&create(&text), &usage), expected, "{host}");
    }
}

#[test]
fn an_update_lowers_and_never_raises_what_was_counted() {
    let policy = policy("memory = '1GiB'\ncpus = 1\npids = 100");
    let used = [(Resource::Memory, 0), (Resource::Cpus, 0), (Resource::Pids, 0)];
    let amounts = [(Resource::Memory, 1 << 20), (Resource::Cpus, 500_000_000)].into();
    let counted = Counted { amounts, cpu_quota: 50_000, cpu_period: 100_000 };
    for (body, expected) in [
        (r#"{"Memory":1048576}"#, Decision::Allow),
        (r#"{"Memory":1048577}"#, Decision::Deny),
        (r#"{"Memory":-1}"#, Decision::Deny),
        (r#"{"CpuQuota":40000}"#, Decision::Allow),
        (r#"{"CpuQuota":60000}"#, Decision::Deny),
        (r#"{"CpuQuota":-1}"#, Decision::Deny),
        (r#"{"CpuPeriod":1000}"#, Decision::Deny),
        (r#"{"CpuPeriod":1000,"CpuQuota":500}"#, Decision::Allow),
        (r#"{"NanoCpus":600000000}"#, Decision::Deny),
        // It has no limit, and so counts as all there is.
        (r#"{"PidsLimit":100}"#, Decision::Allow),
        (r#"{"PidsLimit":101}"#, Decision::Deny),
        (r#"{"PidsLimit":0}"#, Decision::Deny),
        (r#"{"CpuShares":5}"#, Decision::Allow),
    ] {
        let update = operation("/containers/x/update", body);
        let (_, verdict) = judged(&policy, update, &used, Some(counted.clone()));
        assert_eq!(verdict.decision, expected, "{body}");
    }
}

#[test]
fn in_a_cgroup_nothing_is_counted_but_no_container_asks_for_more_than_all() {
    let policy = policy("memory = '1GiB'\ncpus = 1\npids = 100\ncgroup = true");
    let body =
        r#"{"Image":"a","HostConfig":{"Memory":2147483648,"CpuQuota":200000,"PidsLimit":0,"CgroupParent":"/mine"}}"#;
    let cgroup = Some("/sockwarden/0123456789ab".to_owned());
    let facts = Facts { usage: Some(Usage::default()), cgroup, ..Facts::default() };
    let (changed, verdict) = judge(&policy, operation("/containers/create", body), &facts);
    assert_eq!(
        changes(&verdict),
        [
            "HostConfig.CgroupParent: /mine -> /sockwarden/0123456789ab",
            "HostConfig.Memory: 2147483648 -> 1073741824",
            "HostConfig.CpuQuota: 200000 -> 100000",
            "HostConfig.PidsLimit: 0 -> 100",
        ]
    );
    let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = changed else { panic!() };
    assert_eq!(body.config.labels.unwrap()["sockwarden.pids"], "100");
    let plain = operation("/containers/create", r#"{"Image":"a"}"#);
    let (changed, verdict) = judge(&policy, plain, &facts);
    assert_eq!(changes(&verdict), ["HostConfig.CgroupParent:  -> /sockwarden/0123456789ab"]);
    let Operation::ContainerCreate(Request { body: JsonBody(body), .. }) = changed else { panic!() };
    let labels = body.config.labels.unwrap();
    assert_eq!(labelled(&labels, Resource::Memory), Ok(None));
    assert_eq!(labelled(&labels, Resource::Ports), Ok(Some(0)));
    let (changed, verdict) = judge(&policy, operation("/build?cgroupparent=mine", ""), &facts);
    assert_eq!(changes(&verdict), ["query.cgroupparent: mine -> /sockwarden/0123456789ab"]);
    let Operation::BuildClassic(Request { query, .. }) = changed else { panic!() };
    assert_eq!(query.cgroup_parent, "/sockwarden/0123456789ab");
}

#[test]
fn without_a_cgroup_what_has_no_limit_gets_what_is_left() {
    let policy = policy("memory = '1GiB'\ncpus = 1.5\npids = 100");
    let used = [(Resource::Memory, 1 << 29), (Resource::Cpus, NANO / 2), (Resource::Pids, 99)];
    let create = |host: &str| operation("/containers/create", &format!(r#"{{"Image":"a","HostConfig":{host}}}"#));
    let (_, verdict) = judged(&policy, create(r#"{"Memory":-1,"CpuPeriod":50000}"#), &used, None);
    assert_eq!(
        changes(&verdict),
        ["HostConfig.Memory: -1 -> 536870912", "HostConfig.CpuQuota: 0 -> 50000", "HostConfig.PidsLimit:  -> 1"]
    );
    let none = [(Resource::Memory, 1 << 30), (Resource::Cpus, NANO), (Resource::Pids, 100)];
    let (_, verdict) = judged(&policy, create("{}"), &none, None);
    let refused: Vec<String> = verdict.refused().map(|(ask, _)| ask.field.clone()).collect();
    assert_eq!(refused, ["quota.memory", "quota.pids"]);
}

#[test]
fn what_a_label_does_not_say_is_not_guessed() {
    let labels = |text: &str| [("sockwarden.memory".to_owned(), text.to_owned())].into();
    assert_eq!(labelled(&labels("5"), Resource::Memory), Ok(Some(5)));
    assert_eq!(labelled(&labels("unlimited"), Resource::Memory), Ok(None));
    for text in ["", "-1", "five", "99999999999999999999"] {
        assert!(labelled(&labels(text), Resource::Memory).is_err(), "{text}");
    }
    assert!(labelled(&BTreeMap::new(), Resource::Memory).is_err());
}
