//! `docker run` and `docker create`.

use serde_json::json;

use crate::policy::command::csv::fields;
use crate::policy::command::draft::Draft;
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::words::Word;
use crate::policy::command::{BadRequest, Http, mount, network, publish, value};

/// `docker run`: create, attach, start, wait
pub(super) fn run(draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let detached = draft.note("detach").is_some();
    let mut requests = create(draft, operands)?;
    let draft = Draft::default();
    if !detached {
        requests.push(draft.request("POST", "/containers/new/attach?stream=1&stdout=1&stderr=1", ""));
    }
    requests.push(draft.request("POST", "/containers/new/start", ""));
    if !detached {
        requests.push(draft.request("POST", "/containers/new/wait?condition=next-exit", ""));
    }
    Ok(requests)
}

/// `docker create`
pub(super) fn create(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let Some((image, command)) = operands.split_first() else { return Err(BadRequest::new("the image is missing")) };
    *draft.slot("Image") = json!(image.text);
    if !command.is_empty() {
        *draft.slot("Cmd") = json!(command.iter().map(|word| &word.text).collect::<Vec<_>>());
    }
    network::attachment(&mut draft);
    let mut requests = Vec::new();
    if draft.note("pull") == Some("always") {
        let pull = Draft::default();
        requests.push(pull.request("POST", "/images/create?fromImage={}", &image.text));
    }
    requests.push(draft.request("POST", "/containers/create", ""));
    Ok(requests)
}

fn device(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    if !text.starts_with('/') && text.contains('=') {
        draft.push("HostConfig.DeviceRequests", json!({ "Driver": "cdi", "DeviceIDs": [text] }));
        return Ok(());
    }
    let is_mode = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
    let (host, inside, mode) = match text.split(':').collect::<Vec<_>>().as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] => (*host, *inside, *mode),
        _ => return Err(BadRequest::new(format!("`{text}` is no device"))),
    };
    let device = json!({ "PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode });
    draft.push("HostConfig.Devices", device);
    Ok(())
}

fn gpus(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let mut count = if text == "all" { -1 } else { text.parse().unwrap_or(0) };
    let mut ids = Vec::new();
    // `device=0,1` comes in quotes of its own: '"device=0,1",capabilities=utility'.
    for (key, value) in fields(text)? {
        let value = value.unwrap_or_default();
        match key.as_str() {
            "device" => ids.extend(value.split(',').map(str::to_owned)),
            "count" if value == "all" => count = -1,
            "count" => count = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    draft.push("HostConfig.DeviceRequests", json!({ "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]] }));
    Ok(())
}

fn security(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let profile = text.strip_prefix("seccomp=").filter(|profile| !matches!(*profile, "unconfined" | "builtin"));
    if text == "systempaths=unconfined" {
        *draft.slot("HostConfig.MaskedPaths") = json!([]);
        *draft.slot("HostConfig.ReadonlyPaths") = json!([]);
    } else if profile.is_some_and(|profile| !profile.starts_with('{')) {
        // The CLI sends what is in the file.
        draft.push("HostConfig.SecurityOpt", json!("seccomp={}"));
    } else {
        draft.push("HostConfig.SecurityOpt", json!(text));
    }
    Ok(())
}

pub(super) fn restart(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let count: i64 = count.parse().map_err(|_| BadRequest::new(format!("`{count}` is no number of restarts")))?;
    *draft.slot("HostConfig.RestartPolicy") = json!({ "Name": name, "MaximumRetryCount": count });
    Ok(())
}

fn ulimit(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let ulimit = value::ulimit(text)?;
    draft.push("HostConfig.Ulimits", ulimit);
    Ok(())
}

fn entrypoint(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    *draft.slot("Entrypoint") = json!([text]);
    Ok(())
}

fn health(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    *draft.slot("Healthcheck.Test") = json!(["CMD-SHELL", text]);
    Ok(())
}

fn add_host(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let Some((name, address)) = text.split_once(['=', ':']) else {
        return Err(BadRequest::new("a host is `name:address`"));
    };
    draft.push("HostConfig.ExtraHosts", json!(format!("{name}:{address}")));
    Ok(())
}

/// A device and a weight or rate
fn throttle(draft: &mut Draft, field: &str, key: &str, text: &str) -> Result<(), BadRequest> {
    let Some((path, rate)) = text.rsplit_once(':') else { return Err(BadRequest::new("this is no `device:number`")) };
    let rate = value::bytes(rate).map_err(BadRequest::new)?;
    draft.push(field, json!({ "Path": path, key: rate }));
    Ok(())
}

pub(super) const RUN: &[Opt] = &[
    opt("detach", "d", "", Kind::SwitchNote),
    opt("detach-keys", "", "", Kind::Note),
    opt("sig-proxy", "", "", Kind::SwitchNote),
];

/// Options of what runs inside
pub(super) const INSIDE: &[Opt] = &[
    opt("attach", "a", "", Kind::Note),
    opt("disable-content-trust", "", "", Kind::SwitchNote),
    opt("domainname", "", "Domainname", Kind::Text),
    opt("entrypoint", "", "Entrypoint", Kind::Special(entrypoint)),
    opt("env", "e", "Env", Kind::List),
    opt("env-file", "", "", Kind::File),
    opt("expose", "", "", Kind::Special(publish::expose)),
    opt("health-cmd", "", "", Kind::Special(health)),
    opt("health-interval", "", "Healthcheck.Interval", Kind::Duration),
    opt("health-retries", "", "Healthcheck.Retries", Kind::Int),
    opt("health-start-interval", "", "Healthcheck.StartInterval", Kind::Duration),
    opt("health-start-period", "", "Healthcheck.StartPeriod", Kind::Duration),
    opt("health-timeout", "", "Healthcheck.Timeout", Kind::Duration),
    opt("hostname", "h", "Hostname", Kind::Text),
    opt("interactive", "i", "OpenStdin", Kind::Switch),
    opt("label", "l", "Labels", Kind::Map),
    opt("label-file", "", "", Kind::File),
    opt("mac-address", "", "MacAddress", Kind::Text),
    opt("name", "", "?name", Kind::Text),
    opt("no-healthcheck", "", "", Kind::SwitchNote),
    opt("platform", "", "?platform", Kind::Text),
    opt("pull", "", "", Kind::Note),
    opt("quiet", "q", "", Kind::SwitchNote),
    opt("stop-signal", "", "StopSignal", Kind::Text),
    opt("stop-timeout", "", "StopTimeout", Kind::Int),
    opt("tty", "t", "Tty", Kind::Switch),
    opt("user", "u", "User", Kind::Text),
    opt("workdir", "w", "WorkingDir", Kind::Text),
];

/// Options of what it asks of the host
pub(super) const HOST: &[Opt] = &[
    opt("add-host", "", "", Kind::Special(add_host)),
    opt("annotation", "", "HostConfig.Annotations", Kind::Map),
    opt("cap-add", "", "HostConfig.CapAdd", Kind::List),
    opt("cap-drop", "", "HostConfig.CapDrop", Kind::List),
    opt("cgroup-parent", "", "HostConfig.CgroupParent", Kind::Text),
    opt("cgroupns", "", "HostConfig.CgroupnsMode", Kind::Text),
    opt("cidfile", "", "", Kind::Note),
    opt("device", "", "", Kind::Special(device)),
    opt("device-cgroup-rule", "", "HostConfig.DeviceCgroupRules", Kind::List),
    opt("dns", "", "HostConfig.Dns", Kind::List),
    opt("dns-option", "", "HostConfig.DnsOptions", Kind::List),
    opt("dns-search", "", "HostConfig.DnsSearch", Kind::List),
    opt("gpus", "", "", Kind::Special(gpus)),
    opt("group-add", "", "HostConfig.GroupAdd", Kind::List),
    opt("init", "", "HostConfig.Init", Kind::Switch),
    opt("ipc", "", "HostConfig.IpcMode", Kind::Text),
    opt("ip", "", "", Kind::Note),
    opt("ip6", "", "", Kind::Note),
    opt("link", "", "HostConfig.Links", Kind::List),
    opt("link-local-ip", "", "", Kind::Note),
    opt("log-driver", "", "HostConfig.LogConfig.Type", Kind::Text),
    opt("log-opt", "", "HostConfig.LogConfig.Config", Kind::Map),
    opt("mount", "", "", Kind::Special(mount::mount)),
    opt("net", "", "", Kind::Special(network::network)),
    opt("network", "", "", Kind::Special(network::network)),
    opt("network-alias", "", "", Kind::Note),
    opt("oom-kill-disable", "", "HostConfig.OomKillDisable", Kind::Switch),
    opt("oom-score-adj", "", "HostConfig.OomScoreAdj", Kind::Int),
    opt("pid", "", "HostConfig.PidMode", Kind::Text),
    opt("privileged", "", "HostConfig.Privileged", Kind::Switch),
    opt("publish", "p", "", Kind::Special(publish::publish)),
    opt("publish-all", "P", "HostConfig.PublishAllPorts", Kind::Switch),
    opt("read-only", "", "HostConfig.ReadonlyRootfs", Kind::Switch),
    opt("restart", "", "", Kind::Special(restart)),
    opt("rm", "", "HostConfig.AutoRemove", Kind::Switch),
    opt("runtime", "", "HostConfig.Runtime", Kind::Text),
    opt("security-opt", "", "", Kind::Special(security)),
    opt("shm-size", "", "HostConfig.ShmSize", Kind::Bytes),
    opt("storage-opt", "", "HostConfig.StorageOpt", Kind::Map),
    opt("sysctl", "", "HostConfig.Sysctls", Kind::Map),
    opt("tmpfs", "", "", Kind::Special(mount::tmpfs)),
    opt("ulimit", "", "", Kind::Special(ulimit)),
    opt("userns", "", "HostConfig.UsernsMode", Kind::Text),
    opt("uts", "", "HostConfig.UTSMode", Kind::Text),
    opt("volume", "v", "", Kind::Special(mount::volume)),
    opt("volume-driver", "", "HostConfig.VolumeDriver", Kind::Text),
    opt("volumes-from", "", "HostConfig.VolumesFrom", Kind::List),
];

/// Options of its limits
pub(super) const LIMITS: &[Opt] = &[
    opt("blkio-weight", "", "HostConfig.BlkioWeight", Kind::Int),
    opt(
        "blkio-weight-device",
        "",
        "",
        Kind::Special(|draft, text| throttle(draft, "HostConfig.BlkioWeightDevice", "Weight", text)),
    ),
    opt("cpu-period", "", "HostConfig.CpuPeriod", Kind::Int),
    opt("cpu-quota", "", "HostConfig.CpuQuota", Kind::Int),
    opt("cpu-rt-period", "", "HostConfig.CpuRealtimePeriod", Kind::Int),
    opt("cpu-rt-runtime", "", "HostConfig.CpuRealtimeRuntime", Kind::Int),
    opt("cpu-shares", "c", "HostConfig.CpuShares", Kind::Int),
    opt("cpus", "", "HostConfig.NanoCpus", Kind::Cpus),
    opt("cpuset-cpus", "", "HostConfig.CpusetCpus", Kind::Text),
    opt("cpuset-mems", "", "HostConfig.CpusetMems", Kind::Text),
    opt(
        "device-read-bps",
        "",
        "",
        Kind::Special(|draft, text| throttle(draft, "HostConfig.BlkioDeviceReadBps", "Rate", text)),
    ),
    opt(
        "device-read-iops",
        "",
        "",
        Kind::Special(|draft, text| throttle(draft, "HostConfig.BlkioDeviceReadIOps", "Rate", text)),
    ),
    opt(
        "device-write-bps",
        "",
        "",
        Kind::Special(|draft, text| throttle(draft, "HostConfig.BlkioDeviceWriteBps", "Rate", text)),
    ),
    opt(
        "device-write-iops",
        "",
        "",
        Kind::Special(|draft, text| throttle(draft, "HostConfig.BlkioDeviceWriteIOps", "Rate", text)),
    ),
    opt("memory", "m", "HostConfig.Memory", Kind::Bytes),
    opt("memory-reservation", "", "HostConfig.MemoryReservation", Kind::Bytes),
    opt("memory-swap", "", "HostConfig.MemorySwap", Kind::Bytes),
    opt("memory-swappiness", "", "HostConfig.MemorySwappiness", Kind::Int),
    opt("pids-limit", "", "HostConfig.PidsLimit", Kind::Int),
];
