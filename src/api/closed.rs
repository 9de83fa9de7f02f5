//! Operations that exist in some engine and are closed here, each by name and with its reason.

/// A closed operation: method (`*` is any), path pattern, name
#[derive(Debug)]
pub struct Closed {
    /// Method, or `*`
    pub method: &'static str,
    /// Path pattern, as in [`crate::api::operation::Endpoint::path`]; `{..}` at the end is anything
    pub path: &'static str,
    /// Name
    pub name: &'static str,
    /// Why, and what to do instead
    pub reason: &'static str,
}

macro_rules! closed {
    ($($reason:expr => [$($method:literal $path:literal $name:literal),* $(,)?];)*) => {
        /// Every closed operation
        pub static CLOSED: &[Closed] = &[$($(Closed { method: $method, path: $path, name: $name, reason: $reason },)*)*];
    };
}

closed! {
    "the classic builder has nothing to cancel by id; end the request of the build itself" => [
        "POST" "/build/cancel" "build.cancel",
    ];
    "newer than BuildKit 0.26; read the files of the result itself" => [
        "gRPC" "/moby.buildkit.v1.frontend.LLBBridge/ReadFileContainer" "build.container.read_file",
        "gRPC" "/moby.buildkit.v1.frontend.LLBBridge/ReadDirContainer" "build.container.read_dir",
        "gRPC" "/moby.buildkit.v1.frontend.LLBBridge/StatFileContainer" "build.container.stat_file",
    ];
    "the store of blobs is everybody's; one's own are read by their digest" => [
        "gRPC" "/containerd.services.content.v1.Content/List" "build.content.list",
        "gRPC" "/containerd.services.content.v1.Content/Status" "build.content.status",
        "gRPC" "/containerd.services.content.v1.Content/ListStatuses" "build.content.statuses",
        "gRPC" "/containerd.services.content.v1.Content/Write" "build.content.write",
        "gRPC" "/containerd.services.content.v1.Content/Update" "build.content.update",
        "gRPC" "/containerd.services.content.v1.Content/Delete" "build.content.delete",
        "gRPC" "/containerd.services.content.v1.Content/Abort" "build.content.abort",
    ];
    "no engine has it; ask `GET /_ping`" => [
        "gRPC" "/grpc.health.v1.Health/Check" "build.health.check",
        "gRPC" "/grpc.health.v1.Health/Watch" "build.health.watch",
    ];
    "WebSocket attach is not modelled; attach with `Upgrade: tcp`" => [
        "GET" "/containers/{id}/attach/ws" "container.attach.ws",
    ];
    "the old copy exists only below API 1.24; use the archive operations" => [
        "POST" "/containers/{id}/copy" "container.copy",
        "GET" "/containers/ps" "container.ps",
    ];
    "checkpoints read and write any directory of the host" => [
        "GET" "/containers/{id}/checkpoints" "checkpoint.list",
        "POST" "/containers/{id}/checkpoints" "checkpoint.create",
        "DELETE" "/containers/{id}/checkpoints/{checkpoint}" "checkpoint.delete",
    ];
    "newer than API 1.51" => ["GET" "/images/{name..}/attestations" "image.attestations"];
    "cluster volumes belong to swarm, which administers the host" => ["PUT" "/volumes/{name}" "volume.update"];
    "swarm administers the host" => [
        "POST" "/swarm/init" "swarm.init",
        "POST" "/swarm/join" "swarm.join",
        "POST" "/swarm/leave" "swarm.leave",
        "GET" "/swarm" "swarm.inspect",
        "GET" "/swarm/unlockkey" "swarm.unlockkey",
        "POST" "/swarm/update" "swarm.update",
        "POST" "/swarm/unlock" "swarm.unlock",
        "GET" "/nodes" "node.list",
        "GET" "/nodes/{id}" "node.inspect",
        "DELETE" "/nodes/{id}" "node.remove",
        "POST" "/nodes/{id}/update" "node.update",
        "GET" "/services" "service.list",
        "POST" "/services/create" "service.create",
        "GET" "/services/{id}" "service.inspect",
        "POST" "/services/{id}/update" "service.update",
        "DELETE" "/services/{id}" "service.remove",
        "GET" "/services/{id}/logs" "service.logs",
        "GET" "/tasks" "task.list",
        "GET" "/tasks/{id}" "task.inspect",
        "GET" "/tasks/{id}/logs" "task.logs",
        "GET" "/secrets" "secret.list",
        "POST" "/secrets/create" "secret.create",
        "GET" "/secrets/{id}" "secret.inspect",
        "DELETE" "/secrets/{id}" "secret.remove",
        "POST" "/secrets/{id}/update" "secret.update",
        "GET" "/configs" "config.list",
        "POST" "/configs/create" "config.create",
        "GET" "/configs/{id}" "config.inspect",
        "DELETE" "/configs/{id}" "config.remove",
        "POST" "/configs/{id}/update" "config.update",
    ];
    "plugins run on the host with all its rights" => [
        "GET" "/plugins" "plugin.list",
        "GET" "/plugins/privileges" "plugin.privileges",
        "POST" "/plugins/pull" "plugin.pull",
        "POST" "/plugins/create" "plugin.create",
        "GET" "/plugins/{name..}/json" "plugin.inspect",
        "POST" "/plugins/{name..}/enable" "plugin.enable",
        "POST" "/plugins/{name..}/disable" "plugin.disable",
        "POST" "/plugins/{name..}/push" "plugin.push",
        "POST" "/plugins/{name..}/upgrade" "plugin.upgrade",
        "POST" "/plugins/{name..}/set" "plugin.set",
        "DELETE" "/plugins/{name..}" "plugin.remove",
        "GET" "/plugins/{name..}" "plugin.inspect",
    ];
    "debugging the engine shows its memory" => [
        "*" "/debug/vars" "debug.vars",
        "*" "/debug/pprof" "debug.index",
        "*" "/debug/pprof/cmdline" "debug.cmdline",
        "*" "/debug/pprof/profile" "debug.profile",
        "*" "/debug/pprof/symbol" "debug.symbol",
        "*" "/debug/pprof/trace" "debug.trace",
        "*" "/debug/pprof/{name}" "debug.profile_by_name",
        "*" "/debug/{name..}" "debug.other",
    ];
    "Podman's own API is another world; use the Docker one" => ["*" "/libpod/{name..}" "libpod"];
    "no client needs it" => ["OPTIONS" "/{any..}" "system.options"];
}
