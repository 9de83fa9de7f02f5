//! Asks of `HostConfig` and its `Resources`.

use crate::api::host_config::{
    DeviceMapping, DeviceRequest, LogConfig, PortBinding, Resources, RestartPolicy, Settings, Ulimit,
};
use crate::api::image_ref::Meaning;
use crate::api::value::Plain;
use crate::policy::ask::{Ask, Flag, Publish, What};
use crate::policy::asks::{Asks, mount, network, plain};

pub(super) fn settings(settings: &Settings, asks: &mut Asks) {
    let Settings {
        binds,
        log_config,
        network_mode,
        port_bindings,
        restart_policy,
        volume_driver,
        volumes_from,
        annotations,
        cap_add,
        cgroupns_mode,
        dns,
        extra_hosts,
        group_add,
        ipc_mode,
        cgroup,
        links,
        oom_score_adj,
        pid_mode,
        privileged,
        publish_all_ports,
        security_opt,
        storage_opt,
        tmpfs,
        uts_mode,
        userns_mode,
        sysctls,
        runtime,
        mounts,
        masked_paths,
        readonly_paths,
        // Stored by the engine, never opened.
        container_id_file: _,
        // Take something away, or only shape the inside.
        auto_remove: _,
        console_size: _,
        cap_drop: _,
        dns_options: _,
        dns_search: _,
        readonly_rootfs: _,
        init: _,
        // Under `[limits]`.
        shm_size: _,
    } = settings;
    mount::binds(binds, asks);
    mount::mounts(mounts, asks);
    log(plain(log_config), asks);
    network::mode(network_mode, "HostConfig.NetworkMode", asks);
    for (port, bindings) in port_bindings.iter().flatten() {
        publish(port, bindings.as_deref().unwrap_or_default(), asks);
    }
    restart(restart_policy, "HostConfig.RestartPolicy.Name", asks);
    mount::volume_driver(volume_driver, "HostConfig.VolumeDriver", asks);
    asks.texts(Flag::VolumesFrom, volumes_from.iter().flatten(), "HostConfig.VolumesFrom");
    asks.options(Flag::Annotation, annotations, "HostConfig.Annotations");
    for (index, capability) in cap_add.iter().enumerate() {
        self::capability(capability, &format!("HostConfig.CapAdd[{index}]"), asks);
    }
    namespace(Flag::Cgroupns, cgroupns_mode, &["private"], "HostConfig.CgroupnsMode", asks);
    namespace(Flag::Ipc, ipc_mode, &["none", "private", "shareable"], "HostConfig.IpcMode", asks);
    namespace(Flag::Pid, pid_mode, &[], "HostConfig.PidMode", asks);
    namespace(Flag::Uts, uts_mode, &[], "HostConfig.UTSMode", asks);
    namespace(Flag::Userns, userns_mode, &[], "HostConfig.UsernsMode", asks);
    asks.text(Flag::Cgroup, cgroup, "HostConfig.Cgroup");
    asks.texts(Flag::Dns, dns.iter().flatten(), "HostConfig.Dns");
    asks.texts(Flag::AddHost, extra_hosts.iter().flatten(), "HostConfig.ExtraHosts");
    asks.texts(Flag::GroupAdd, group_add.iter().flatten(), "HostConfig.GroupAdd");
    asks.texts(Flag::Link, links.iter().flatten(), "HostConfig.Links");
    if *oom_score_adj < 0 {
        asks.flag(Flag::Oom, format!("score_adj={oom_score_adj}"), "HostConfig.OomScoreAdj");
    }
    asks.switch(Flag::Privileged, *privileged, "HostConfig.Privileged");
    asks.switch(Flag::PublishAll, *publish_all_ports, "HostConfig.PublishAllPorts");
    for (index, option) in security_opt.iter().flatten().enumerate() {
        if let Some(option) = security_option(option) {
            asks.flag(Flag::SecurityOpt, option, format!("HostConfig.SecurityOpt[{index}]"));
        }
    }
    asks.options(Flag::StorageOpt, storage_opt, "HostConfig.StorageOpt");
    for (path, options) in tmpfs.iter().flatten() {
        mount::target(path, &format!("HostConfig.Tmpfs.{path}"), asks);
        mount::tmpfs(options.split(','), &format!("HostConfig.Tmpfs.{path}"), asks);
    }
    asks.options(Flag::Sysctl, sysctls, "HostConfig.Sysctls");
    asks.text(Flag::Runtime, runtime, "HostConfig.Runtime");
    // Any list replaces the engine's; an empty one masks nothing.
    if let Some(paths) = masked_paths {
        asks.flag(Flag::Systempaths, format!("masked=[{}]", paths.join(",")), "HostConfig.MaskedPaths");
    }
    if let Some(paths) = readonly_paths {
        asks.flag(Flag::Systempaths, format!("readonly=[{}]", paths.join(",")), "HostConfig.ReadonlyPaths");
    }
}

/// `docker buildx create --driver docker-container` asks for all rights of the host: who is refused them here is told what
/// builds without, and of no lesser ask beside them
pub(super) fn builder(name: &str, asks: &mut [Ask]) {
    let of_buildkit = |ask: &Ask| match &ask.what {
        What::Image(image) => matches!(image.meaning(), Meaning::Named(named) if named.repository == BUILDKIT),
        _ => false,
    };
    if !name.starts_with(BUILDER) && !asks.iter().any(of_buildkit) {
        return;
    }
    for ask in asks.iter_mut().filter(|ask| matches!(ask.what, What::Flag(Flag::Privileged, _))) {
        ask.what = What::Builder;
    }
}

/// How buildx calls its containers
const BUILDER: &str = "buildx_buildkit_";
/// The image of its containers, unless told otherwise
const BUILDKIT: &str = "docker.io/moby/buildkit";

pub(super) fn resources(resources: &Resources, prefix: &str, asks: &mut Asks) {
    let Resources {
        cgroup_parent,
        blkio_weight_device,
        blkio_device_read_bps,
        blkio_device_write_bps,
        blkio_device_read_iops,
        blkio_device_write_iops,
        cpu_realtime_period,
        cpu_realtime_runtime,
        devices,
        device_cgroup_rules,
        device_requests,
        memory_swappiness,
        oom_kill_disable,
        ulimits,
        // Under `[limits]`.
        memory: _,
        memory_swap: _,
        nano_cpus: _,
        cpu_period: _,
        cpu_quota: _,
        pids_limit: _,
        // Relative to others, or only less for oneself.
        cpu_shares: _,
        blkio_weight: _,
        cpuset_cpus: _,
        cpuset_mems: _,
        kernel_memory: _,
        kernel_memory_tcp: _,
        memory_reservation: _,
    } = resources;
    asks.text(Flag::CgroupParent, cgroup_parent, &format!("{prefix}CgroupParent"));
    let weights = blkio_weight_device.iter().flatten().map(|device| &plain(device).path);
    asks.texts(Flag::BlkioDevice, weights, &format!("{prefix}BlkioWeightDevice"));
    for (list, name) in [
        (blkio_device_read_bps, "BlkioDeviceReadBps"),
        (blkio_device_write_bps, "BlkioDeviceWriteBps"),
        (blkio_device_read_iops, "BlkioDeviceReadIOps"),
        (blkio_device_write_iops, "BlkioDeviceWriteIOps"),
    ] {
        let paths = list.iter().flatten().map(|device| &plain(device).path);
        asks.texts(Flag::BlkioDevice, paths, &format!("{prefix}{name}"));
    }
    for (value, name) in [(cpu_realtime_period, "CpuRealtimePeriod"), (cpu_realtime_runtime, "CpuRealtimeRuntime")] {
        if *value != 0 {
            asks.flag(Flag::Scheduling, format!("{name}={value}"), format!("{prefix}{name}"));
        }
    }
    // The engine's own default is written -1 by some clients.
    if let Some(value) = memory_swappiness.filter(|value| *value != -1) {
        asks.flag(Flag::Scheduling, format!("MemorySwappiness={value}"), format!("{prefix}MemorySwappiness"));
    }
    if *oom_kill_disable == Some(true) {
        asks.flag(Flag::Oom, "kill_disable", format!("{prefix}OomKillDisable"));
    }
    for (index, device) in devices.iter().flatten().enumerate() {
        let DeviceMapping { path_on_host, path_in_container: _, cgroup_permissions } = plain(device);
        let path = crate::api::bind::clean(path_on_host);
        asks.flag(Flag::Device, format!("{path}:{cgroup_permissions}"), format!("{prefix}Devices[{index}]"));
    }
    asks.texts(Flag::DeviceCgroupRule, device_cgroup_rules.iter().flatten(), &format!("{prefix}DeviceCgroupRules"));
    for (index, request) in device_requests.iter().flatten().enumerate() {
        asks.flag(Flag::Gpus, device_request(plain(request)), format!("{prefix}DeviceRequests[{index}]"));
    }
    for (index, ulimit) in ulimits.iter().flatten().enumerate() {
        ulimits_one(plain(ulimit), &format!("{prefix}Ulimits[{index}]"), asks);
    }
}

pub(super) fn ulimits_one(ulimit: &Ulimit, field: &str, asks: &mut Asks) {
    let Ulimit { name, hard, soft } = ulimit;
    asks.flag(Flag::Ulimit, format!("{name}={soft}:{hard}"), field);
}

pub(super) fn restart(policy: &Plain<RestartPolicy>, field: &str, asks: &mut Asks) {
    let RestartPolicy { name, maximum_retry_count: _ } = plain(policy);
    if name != "no" {
        asks.text(Flag::Restart, name, field);
    }
}

fn log(config: &LogConfig, asks: &mut Asks) {
    let LogConfig { driver, config } = config;
    asks.text(Flag::LogDriver, driver, "HostConfig.LogConfig.Type");
    asks.options(Flag::LogOpt, config, "HostConfig.LogConfig.Config");
}

/// The engine upper-cases by Unicode, so that `ſys_admın` is `SYS_ADMIN`; only plain letters are taken here
fn capability(name: &str, field: &str, asks: &mut Asks) {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return asks.add(What::Odd("capability", name.to_owned()), field);
    }
    let upper = name.to_ascii_uppercase();
    asks.flag(Flag::CapAdd, upper.strip_prefix("CAP_").unwrap_or(&upper), field);
}

fn namespace(flag: Flag, mode: &str, own: &[&str], field: &str, asks: &mut Asks) {
    if !own.contains(&mode) {
        asks.text(flag, mode, field);
    }
}

/// A security option in one spelling; `None` if it changes nothing or only tightens
fn security_option(option: &str) -> Option<String> {
    let (key, value) = match option {
        "no-new-privileges" => return None,
        "disable" => ("label", "disable"),
        "writable-cgroups" => ("writable-cgroups", "true"),
        // The engine splits at the first `=`, or at the first `:` when there is no `=`.
        other => other.split_once('=').or_else(|| other.split_once(':')).unwrap_or((other, "")),
    };
    let on = matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True");
    let off = matches!(value, "0" | "f" | "F" | "FALSE" | "false" | "False");
    match (key, value) {
        ("no-new-privileges", _) if on => None,
        ("writable-cgroups", _) if off => None,
        // The engine's own profile.
        ("seccomp", "builtin") => None,
        (key, value) => Some(format!("{key}={value}")),
    }
}

fn device_request(request: &DeviceRequest) -> String {
    let DeviceRequest { driver, count, device_ids, capabilities, options: _ } = request;
    let which = match device_ids.as_deref().unwrap_or_default() {
        [] if *count == -1 => "all".to_owned(),
        [] => count.to_string(),
        ids => ids.join(","),
    };
    let needs: Vec<&str> = capabilities.iter().flatten().flatten().flatten().map(String::as_str).collect();
    let driver = if driver.is_empty() { needs.join(",") } else { driver.clone() };
    format!("{driver}:{which}")
}

fn publish(port: &str, bindings: &[Plain<PortBinding>], asks: &mut Asks) {
    let field = format!("HostConfig.PortBindings.{port}");
    if bindings.is_empty() {
        return asks.add(What::Publish(Publish { address: String::new(), ports: (0, 0) }), field);
    }
    for binding in bindings {
        let PortBinding { host_ip, host_port } = plain(binding);
        match ports(host_port) {
            Some(ports) => asks.add(What::Publish(Publish { address: host_ip.clone(), ports }), field.clone()),
            None => asks.add(What::Odd("host port", host_port.clone()), field.clone()),
        }
    }
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    match text.split_once('-') {
        _ if text.is_empty() => Some((0, 0)),
        None => number(text).map(|port| (port, port)),
        Some((first, last)) => Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last),
    }
}
