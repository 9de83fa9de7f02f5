//! `POST /build`: all that a build asks for in its query; the context is its body.

use std::collections::BTreeMap;

use crate::api::host_config::Ulimit;
use crate::api::query::{First, JsonParam, Vacant};
use crate::api::value::Plain;
use crate::{object, query};

object! {
    /// An output of BuildKit
    pub struct BuildOutput {
        /// As `local`
        "Type" => kind: String,
        /// Options of the type
        "Attrs" => attributes: Option<BTreeMap<String, String>>,
    }
}

query! {
    /// `POST /build`: the classic builder, or with version 2 BuildKit as the docker CLI before 23 asks for it
    pub struct Build {
        /// Names of the image; all values count
        "t" => tags: Vec<String>,
        /// Context fetched by the engine on the host
        "remote" => remote: String,
        /// Path in the context
        "dockerfile" => dockerfile: First,
        /// Lines of `/etc/hosts`
        "extrahosts" => extra_hosts: Vec<String>,
        /// Refused by the engine on Linux
        "securityopt" => security_opt: Vacant,
        /// As `HostConfig.NetworkMode`
        "networkmode" => network_mode: String,
        /// Parent cgroup
        "cgroupparent" => cgroup_parent: String,
        /// Bytes
        "memory" => memory: Option<i64>,
        /// Memory and swap in bytes
        "memswap" => memory_swap: Option<i64>,
        /// Relative weight
        "cpushares" => cpu_shares: Option<i64>,
        /// Microseconds
        "cpuperiod" => cpu_period: Option<i64>,
        /// Microseconds a period
        "cpuquota" => cpu_quota: Option<i64>,
        /// CPUs as `0-3,7`
        "cpusetcpus" => cpuset_cpus: String,
        /// Memory nodes as `0-3,7`
        "cpusetmems" => cpuset_mems: String,
        /// Bytes of `/dev/shm`
        "shmsize" => shm_size: Option<i64>,
        /// Limits of the steps
        "ulimits" => ulimits: JsonParam<Option<Vec<Plain<Ulimit>>>>,
        /// Build arguments, `null` for one without a value; values may be secrets
        "buildargs" => build_args: JsonParam<Option<BTreeMap<String, Option<String>>>>,
        /// Labels of the image
        "labels" => labels: JsonParam<Option<BTreeMap<String, String>>>,
        /// Images whose layers may be used
        "cachefrom" => cache_from: JsonParam<Option<Vec<String>>>,
        /// What to do with the result; BuildKit's
        "outputs" => outputs: JsonParam<Option<Vec<Plain<BuildOutput>>>>,
        /// Stage
        "target" => target: String,
        /// As `linux/arm64/v8`
        "platform" => platform: String,
        /// The client's session; BuildKit's
        "session" => session: String,
        /// Handle for cancel
        "buildid" => build_id: String,
        /// 1 is the classic builder, 2 is BuildKit
        "version" => version: String,
        /// No output
        "q" => quiet: bool,
        /// No cache
        "nocache" => no_cache: bool,
        /// Ask registries for newer images
        "pull" => pull: bool,
        /// Remove containers of the steps (default)
        "rm" => remove: Option<bool>,
        /// Also after a failure
        "forcerm" => force_remove: bool,
        /// One layer (experimental)
        "squash" => squash: bool,
        /// Windows only
        "isolation" => isolation: Vacant,
    }
}
