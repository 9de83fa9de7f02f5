//! Asks of the query of `POST /build`. What its Dockerfile asks for is found in the body, see [`super::dockerfile`].
//!
//! With `version=2` it is BuildKit that builds, and its front end reads what the query does not say: `# syntax=` out of
//! the Dockerfile, cache mounts, what `ADD` fetches. Nothing that a policy says of those can be put into such a request,
//! nor is its session anybody's, so that no policy grants it.

use crate::api::build::Build;
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
        // Without a meaning on Linux; only empty ones are read.
        security_opt: _,
        isolation: _,
        outputs,
        session,
    } = query;
    for (index, tag) in tags.iter().filter(|tag| !tag.is_empty()).enumerate() {
        asks.image(tag, &format!("query.t[{index}]"));
    }
    if !remote.is_empty() {
        asks.add(What::FetchedContext(remote.clone()), "query.remote");
    }
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
    match version.as_str() {
        // The classic builder of every engine from 20.10 on refuses a session, and drops outputs unread.
        "" | "1" => {
            if !session.is_empty() {
                asks.add(What::Odd("session", session.clone()), "query.session");
            }
            for (index, output) in outputs.0.iter().flatten().map(plain).enumerate() {
                asks.add(What::Odd("output", output.kind.clone()), format!("query.outputs[{index}]"));
            }
        }
        "2" => asks.add(What::SecondBuild, "query.version"),
        other => asks.add(What::Odd("builder", other.to_owned()), "query.version"),
    }
}
