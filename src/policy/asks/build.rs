//! Asks of a classic build, all of them in the query.

use crate::api::parameters::Build;
use crate::policy::ask::{Flag, What};
use crate::policy::asks::{Asks, host, network, plain};

pub(super) fn build(query: &Build, asks: &mut Asks) {
    let Build {
        tags,
        remote,
        extra_hosts,
        network_mode,
        cgroup_parent,
        ulimits,
        build_args,
        labels,
        cache_from,
        build_id,
        version,
        // Inside the context, or about the output.
        dockerfile: _,
        target: _,
        platform: _,
        quiet: _,
        no_cache: _,
        remove: _,
        force_remove: _,
        squash: _,
        // Asks registries for the base images that the build names anyway.
        pull: _,
        // Under `[limits]`.
        memory: _,
        memory_swap: _,
        cpu_shares: _,
        cpu_period: _,
        cpu_quota: _,
        cpuset_cpus: _,
        cpuset_mems: _,
        shm_size: _,
        // Without a meaning for the classic builder on Linux; only empty ones are read.
        security_opt: _,
        outputs: _,
        session: _,
        isolation: _,
    } = query;
    for (index, tag) in tags.iter().filter(|tag| !tag.is_empty()).enumerate() {
        asks.image(tag, &format!("query.t[{index}]"));
    }
    asks.text(Flag::Remote, remote, "query.remote");
    asks.texts(Flag::AddHost, extra_hosts, "query.extrahosts");
    network::mode(network_mode, "query.networkmode", asks);
    asks.text(Flag::CgroupParent, cgroup_parent, "query.cgroupparent");
    for (index, ulimit) in ulimits.0.iter().flatten().enumerate() {
        host::ulimits_one(plain(ulimit), &format!("query.ulimits[{index}]"), asks);
    }
    // `BUILDKIT_SYNTAX` and its like choose the program that builds.
    for name in build_args.0.iter().flatten().map(|(name, _)| name).filter(|name| name.starts_with("BUILDKIT_")) {
        asks.flag(Flag::BuildArg, name, format!("query.buildargs.{name}"));
    }
    asks.label_map(&labels.0, "query.labels");
    for (index, image) in cache_from.0.iter().flatten().enumerate() {
        asks.flag(Flag::CacheFrom, image, format!("query.cachefrom[{index}]"));
    }
    if build_id.starts_with("upload-request") {
        asks.add(What::Odd("build id", build_id.clone()), "query.buildid");
    }
    if !matches!(version.as_str(), "" | "1") {
        asks.flag(Flag::Builder, version, "query.version");
    }
}
