//! The closed world against lists taken from the engine's sources: nothing may be forgotten, and nothing be there that
//! has no treatment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;

use sockwarden::api::closed::CLOSED;
use sockwarden::api::operation::ENDPOINTS;
use sockwarden::policy::compile::compile;
use sockwarden::policy::coverage::{Row, coverage};
use sockwarden::policy::shipped;

/// Fields of the list that are not modelled on purpose, so that a value in them is refused, each with its reason
const REFUSED: &[(&str, &str)] = &[
    ("container.create Cpuset", "top-level key of engines up to 26, HostConfig.CpusetCpus is the same"),
    ("container.create (any HostConfig key at TOP LEVEL)", "engines up to 26 read HostConfig there"),
    ("container.create HostConfig.Capabilities", "API 1.40 only"),
    ("container.create HostConfig.InitPath", "API 1.25 only"),
    ("container.create HostConfig.DiskQuota", "engines up to 18.09"),
    ("container.create HostConfig.Isolation", "Windows"),
    ("container.create HostConfig.CpuCount", "Windows"),
    ("container.create HostConfig.CpuPercent", "Windows"),
    ("container.create HostConfig.IOMaximumIOps", "Windows"),
    ("container.create HostConfig.IOMaximumBandwidth", "Windows"),
    ("container.create HostConfig.Mounts[].ClusterOptions", "swarm"),
    ("container.update CpuCount", "Windows"),
    ("container.update CpuPercent", "Windows"),
    ("container.update IOMaximumIOps", "Windows"),
    ("container.update IOMaximumBandwidth", "Windows"),
    ("container.start (whole body)", "API below 1.24"),
    ("volume.create ClusterVolumeSpec", "swarm"),
];

fn rows(policy: &str) -> Vec<Row> {
    coverage(&compile(policy, shipped::text(policy).unwrap()).unwrap())
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

#[test]
fn every_field_of_the_engine_is_modelled_or_refused_with_a_reason() {
    let known: BTreeSet<String> = rows("ci").iter().map(|row| format!("{} {}", row.operation, row.field)).collect();
    let is_known = |line: &str| {
        // The list writes lists, maps and objects of one line as the field itself.
        let forms = [
            line.to_owned(),
            format!("{line}[]"),
            format!("{line}.*"),
            line.replace("<key>", "*"),
            format!("{}[]", line.replace("<key>", "*")),
            format!("{}.*", line.replace("<key>", "*")),
            format!("{line}.*[]"),
        ];
        forms
            .iter()
            .any(|form| known.contains(form) || known.iter().any(|known| known.starts_with(&format!("{form}."))))
            || line.ends_with(" body")
            || line.contains("DriverOpts.")
            || line.contains("Options.")
            || line.contains(" header.")
    };
    let forgotten: Vec<&str> = lines(include_str!("data/engine-fields.txt"))
        .filter(|line| !is_known(line) && !REFUSED.iter().any(|(refused, _)| refused == line))
        .collect();
    assert!(forgotten.is_empty(), "not modelled: {forgotten:#?}");
}

#[test]
fn every_route_of_the_engine_is_an_operation_open_or_closed() {
    let mut forgotten = Vec::new();
    for line in lines(include_str!("data/engine-routes.txt")) {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let _operation = words.next();
        let path = path
            .replace("{name:.*}", "x")
            .replace("{id:.*}", "x")
            .replace("{id:.+}", "x")
            .replace("{anyroute:.*}", "x");
        let path = path.replace("{name}", "x").replace("{id}", "x").replace("{checkpoint}", "x");
        if method == "PRI" || path == "/debug/pprof/" {
            continue;
        }
        let target = sockwarden::api::target::Target::read(&path, None).unwrap();
        match sockwarden::api::route::route(&method.parse().unwrap(), &target) {
            Ok(route) => {
                for parameter in words {
                    if !route.endpoint.parameters.iter().any(|(name, _)| *name == parameter)
                        && !NEWER.contains(&parameter)
                    {
                        forgotten.push(format!("{line}: {parameter}"));
                    }
                }
            }
            Err(sockwarden::api::route::NoRoute::Closed(_)) => {}
            Err(sockwarden::api::route::NoRoute::Unknown { .. }) => forgotten.push(line.to_owned()),
        }
    }
    // `fromSrc` and its like belong to the other operation of the same route.
    forgotten.retain(|line| !line.starts_with("POST /images/create image.import"));
    assert!(forgotten.is_empty(), "not modelled: {forgotten:#?}");
}

/// Parameters of API versions above 1.51
const NEWER: &[&str] = &["identity", "format"];

#[test]
fn what_can_hurt_makes_an_ask_and_ci_refuses_it() {
    let rows = rows("ci");
    for field in [
        "HostConfig.Privileged",
        "HostConfig.CapAdd[]",
        "HostConfig.Binds[]",
        "HostConfig.Mounts[].Source",
        "HostConfig.Mounts[].BindOptions.Propagation",
        "HostConfig.Mounts[].VolumeOptions.DriverConfig.Options.*",
        "HostConfig.PidMode",
        "HostConfig.IpcMode",
        "HostConfig.UTSMode",
        "HostConfig.UsernsMode",
        "HostConfig.CgroupnsMode",
        "HostConfig.Cgroup",
        "HostConfig.CgroupParent",
        "HostConfig.Devices[].PathOnHost",
        "HostConfig.DeviceCgroupRules[]",
        "HostConfig.DeviceRequests[].Driver",
        "HostConfig.SecurityOpt[]",
        "HostConfig.MaskedPaths[]",
        "HostConfig.ReadonlyPaths[]",
        "HostConfig.Runtime",
        "HostConfig.Annotations.*",
        "HostConfig.OomScoreAdj",
        "HostConfig.OomKillDisable",
        "HostConfig.LogConfig.Type",
        "HostConfig.StorageOpt.*",
        "HostConfig.VolumeDriver",
        "HostConfig.RestartPolicy.Name",
        "HostConfig.PortBindings.*[].HostPort",
        "WorkingDir",
    ] {
        let row = rows.iter().find(|row| row.operation == "container.create" && row.field == field);
        let row = row.unwrap_or_else(|| panic!("{field} is not listed"));
        assert!(row.treatment.starts_with("asks"), "{field}: {}", row.treatment);
        assert!(row.verdict.starts_with("refused"), "{field}: {}", row.verdict);
    }
}

#[test]
fn an_operation_is_open_or_closed_and_not_both() {
    let open: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
    for closed in CLOSED {
        assert!(!open.contains(closed.name), "{}", closed.name);
    }
}
