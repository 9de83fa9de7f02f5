//! `HostConfig`: what a container asks of the host, and the `Resources` it shares with update.
//!
//! Everything that judging looks at stands here as its own field; the set is that of API 1.24 to 1.51 (engine file
//! `api/types/container/hostconfig.go`). Left out on purpose, so that a value in them is refused as unknown: the
//! Windows-only fields, `Capabilities` (1.40 only), `InitPath` (1.25 only) and `DiskQuota` (until 18.09).

use std::collections::BTreeMap;

use crate::api::bind::Bind;
use crate::api::json::Json;
use crate::api::mount::CheckedMount;
use crate::api::object::{Field, Malformed, Members, Object};
use crate::api::value::{ConsoleSize, Plain, Words};
use crate::object;

/// `HostConfig` of `POST /containers/create`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostConfig {
    /// Limits and devices, also the body of update
    pub resources: Resources,
    /// Everything else
    pub settings: Settings,
}

impl Object for HostConfig {
    const FIELDS: &'static [&'static [&'static str]] = &[Resources::NAMES, Settings::NAMES];

    fn take(members: &mut Members<'_>) -> Result<Self, Malformed> {
        Ok(Self { resources: Resources::take(members)?, settings: Settings::take(members)? })
    }

    fn append(&self, members: &mut Vec<(String, Json)>) {
        let Self { resources, settings } = self;
        resources.append(members);
        settings.append(members);
    }

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        Resources::describe(path, since, fields);
        Settings::describe(path, since, fields);
    }
}

object! {
    /// The fields of `HostConfig` that are not `Resources`
    pub struct Settings {
        /// Host paths and named volumes, `source:target[:mode]`
        "Binds" => binds: Option<Vec<Bind>>,
        /// Stored and never written by the engine
        "ContainerIDFile" => container_id_file: String,
        /// Where the container's output is kept or sent
        "LogConfig" => log_config: Plain<LogConfig>,
        /// `default`, `bridge`, `host`, `none`, `container:REF` or a network's name or id
        "NetworkMode" => network_mode: String,
        /// Published ports by container port; `null` and `[]` mean one ephemeral port
        "PortBindings" => port_bindings: Option<BTreeMap<String, Option<Vec<Plain<PortBinding>>>>>,
        /// Whether the container comes back by itself
        "RestartPolicy" => restart_policy: Plain<RestartPolicy>,
        /// Remove the container when it ends (1.25)
        "AutoRemove" since 25 => auto_remove: bool,
        /// Driver of the volumes named in `Binds` and `Volumes`
        "VolumeDriver" => volume_driver: String,
        /// Containers whose mounts are taken over, `REF[:mode]`
        "VolumesFrom" => volumes_from: Option<Vec<String>>,
        /// First size of the console
        "ConsoleSize" => console_size: ConsoleSize,
        /// Go into the OCI spec, where runtimes read them (1.43)
        "Annotations" since 43 => annotations: Option<BTreeMap<String, String>>,
        /// Capabilities beyond the default set
        "CapAdd" => cap_add: Words,
        /// Capabilities taken from the default set
        "CapDrop" => cap_drop: Words,
        /// ``, `private` or `host` (1.41)
        "CgroupnsMode" since 41 => cgroupns_mode: String,
        /// Name servers
        "Dns" => dns: Option<Vec<String>>,
        /// Options of `resolv.conf`
        "DnsOptions" => dns_options: Option<Vec<String>>,
        /// Search domains
        "DnsSearch" => dns_search: Option<Vec<String>>,
        /// Lines of `/etc/hosts`, `name:address`
        "ExtraHosts" => extra_hosts: Option<Vec<String>>,
        /// Supplementary groups
        "GroupAdd" => group_add: Option<Vec<String>>,
        /// ``, `none`, `private`, `shareable`, `host` or `container:REF`
        "IpcMode" => ipc_mode: String,
        /// `container:REF`: share another container's cgroup
        "Cgroup" => cgroup: String,
        /// Links to other containers, `REF[:alias]`
        "Links" => links: Option<Vec<String>>,
        /// -1000 to 1000; negative protects from the out-of-memory killer
        "OomScoreAdj" => oom_score_adj: i64,
        /// ``, `host` or `container:REF`
        "PidMode" => pid_mode: String,
        /// All capabilities, all devices, no seccomp, no masked path
        "Privileged" => privileged: bool,
        /// Publish every exposed port on an ephemeral one
        "PublishAllPorts" => publish_all_ports: bool,
        /// The image's file system cannot be written
        "ReadonlyRootfs" => readonly_rootfs: bool,
        /// Security options as in `docker run --security-opt`
        "SecurityOpt" => security_opt: Option<Vec<String>>,
        /// Options of the storage driver
        "StorageOpt" => storage_opt: Option<BTreeMap<String, String>>,
        /// Temporary file systems, options by path
        "Tmpfs" => tmpfs: Option<BTreeMap<String, String>>,
        /// `` or `host`
        "UTSMode" => uts_mode: String,
        /// `` or `host`
        "UsernsMode" => userns_mode: String,
        /// Size of `/dev/shm` in bytes
        "ShmSize" => shm_size: i64,
        /// Kernel parameters
        "Sysctls" => sysctls: Option<BTreeMap<String, String>>,
        /// OCI runtime, or since 23.0 any containerd shim
        "Runtime" => runtime: String,
        /// Run an init process; `null` leaves it to the engine
        "Init" => init: Option<bool>,
        /// Typed mounts (1.25)
        "Mounts" since 25 => mounts: Option<Vec<CheckedMount>>,
        /// `null` is the default list, `[]` masks nothing (1.37)
        "MaskedPaths" since 37 => masked_paths: Option<Vec<String>>,
        /// `null` is the default list, `[]` leaves everything writable (1.37)
        "ReadonlyPaths" since 37 => readonly_paths: Option<Vec<String>>,
    }
}

object! {
    /// `Resources`: limits, devices and cgroup of a container
    pub struct Resources {
        /// Relative CPU weight
        "CpuShares" => cpu_shares: i64,
        /// Bytes; 0 is no limit
        "Memory" => memory: i64,
        /// CPUs in units of 10⁻⁹
        "NanoCpus" => nano_cpus: i64,
        /// Parent cgroup, a path or a systemd slice
        "CgroupParent" => cgroup_parent: String,
        /// Block I/O weight, 10 to 1000
        "BlkioWeight" => blkio_weight: u16,
        /// Block I/O weight by host device
        "BlkioWeightDevice" => blkio_weight_device: Option<Vec<Plain<WeightDevice>>>,
        /// Bytes a second by host device
        "BlkioDeviceReadBps" => blkio_device_read_bps: Option<Vec<Plain<ThrottleDevice>>>,
        /// Bytes a second by host device
        "BlkioDeviceWriteBps" => blkio_device_write_bps: Option<Vec<Plain<ThrottleDevice>>>,
        /// Operations a second by host device
        "BlkioDeviceReadIOps" => blkio_device_read_iops: Option<Vec<Plain<ThrottleDevice>>>,
        /// Operations a second by host device
        "BlkioDeviceWriteIOps" => blkio_device_write_iops: Option<Vec<Plain<ThrottleDevice>>>,
        /// Microseconds
        "CpuPeriod" => cpu_period: i64,
        /// Microseconds a period; -1 is no limit
        "CpuQuota" => cpu_quota: i64,
        /// Microseconds of the real-time scheduler
        "CpuRealtimePeriod" => cpu_realtime_period: i64,
        /// Microseconds of the real-time scheduler
        "CpuRealtimeRuntime" => cpu_realtime_runtime: i64,
        /// CPUs as `0-3,7`
        "CpusetCpus" => cpuset_cpus: String,
        /// Memory nodes as `0-3,7`
        "CpusetMems" => cpuset_mems: String,
        /// Host devices
        "Devices" => devices: Option<Vec<Plain<DeviceMapping>>>,
        /// Rules of the device cgroup, as `c 13:* rwm`
        "DeviceCgroupRules" => device_cgroup_rules: Option<Vec<String>>,
        /// GPUs and CDI devices (1.40)
        "DeviceRequests" since 40 => device_requests: Option<Vec<Plain<DeviceRequest>>>,
        /// Bytes; ignored since 1.42
        "KernelMemory" => kernel_memory: i64,
        /// Bytes (1.40)
        "KernelMemoryTCP" since 40 => kernel_memory_tcp: i64,
        /// Soft limit in bytes
        "MemoryReservation" => memory_reservation: i64,
        /// Memory and swap in bytes; -1 is no limit
        "MemorySwap" => memory_swap: i64,
        /// 0 to 100; -1 or `null` is the engine's default
        "MemorySwappiness" => memory_swappiness: Option<i64>,
        /// Never kill on out of memory
        "OomKillDisable" => oom_kill_disable: Option<bool>,
        /// Processes; 0, -1 and `null` are no limit
        "PidsLimit" => pids_limit: Option<i64>,
        /// Limits as of `setrlimit`
        "Ulimits" => ulimits: Option<Vec<Plain<Ulimit>>>,
    }
}

object! {
    /// `HostConfig.LogConfig`
    pub struct LogConfig {
        /// Driver or plugin
        "Type" => driver: String,
        /// Options of the driver
        "Config" => config: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// One host side of a published port
    pub struct PortBinding {
        /// Address; empty is every address
        "HostIp" => host_ip: String,
        /// Port, range, or empty for an ephemeral one
        "HostPort" => host_port: String,
    }
}

object! {
    /// `HostConfig.RestartPolicy`
    pub struct RestartPolicy {
        /// ``, `no`, `always`, `on-failure` or `unless-stopped`
        "Name" => name: String,
        /// Only for `on-failure`
        "MaximumRetryCount" => maximum_retry_count: i64,
    }
}

object! {
    /// Block I/O weight of one host device
    pub struct WeightDevice {
        /// Path on the host, looked up by the engine
        "Path" => path: String,
        /// 10 to 1000
        "Weight" => weight: u16,
    }
}

object! {
    /// Block I/O rate of one host device
    pub struct ThrottleDevice {
        /// Path on the host, looked up by the engine
        "Path" => path: String,
        /// Bytes or operations a second
        "Rate" => rate: u64,
    }
}

object! {
    /// One host device, or all below a directory
    pub struct DeviceMapping {
        /// Path on the host; links are resolved by the engine
        "PathOnHost" => path_on_host: String,
        /// Path in the container
        "PathInContainer" => path_in_container: String,
        /// Any of `rwm`
        "CgroupPermissions" => cgroup_permissions: String,
    }
}

object! {
    /// GPUs and CDI devices
    pub struct DeviceRequest {
        /// `nvidia`, `cdi` or empty
        "Driver" => driver: String,
        /// -1 is all
        "Count" => count: i64,
        /// Devices by name
        "DeviceIDs" => device_ids: Option<Vec<String>>,
        /// Alternatives of needed capabilities
        "Capabilities" => capabilities: Option<Vec<Option<Vec<String>>>>,
        /// Options of the driver
        "Options" => options: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// One `setrlimit` limit
    pub struct Ulimit {
        /// As `nofile`
        "Name" => name: String,
        /// Hard limit; -1 is none
        "Hard" => hard: i64,
        /// Soft limit; -1 is none
        "Soft" => soft: i64,
    }
}
