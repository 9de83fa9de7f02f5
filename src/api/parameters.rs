//! The query parameters of each operation, API 1.24 to 1.51.

use crate::api::image_ref::ImageRef;
use crate::api::names::ContainerRef;
use crate::api::query::{Filters, Ignored, Vacant};
use crate::query;

query! {
    /// Any list that only filters
    pub struct Filtered {
        /// What to list, prune or tell
        "filters" => filters: Filters,
    }
}

query! {
    /// `GET /events`
    pub struct Events {
        /// Which events
        "filters" => filters: Filters,
        /// Seconds since 1970 or a time
        "since" => since: String,
        /// Seconds since 1970 or a time; the stream ends there
        "until" => until: String,
    }
}

query! {
    /// `GET /system/df`
    pub struct DiskUsage {
        /// `container`, `image`, `volume`, `build-cache` (1.42)
        "type" since 42 => kinds: Vec<String>,
        /// Detail
        "verbose" => verbose: bool,
    }
}

query! {
    /// `GET /containers/json`
    pub struct ListContainers {
        /// Also those that do not run
        "all" => all: bool,
        /// At most so many
        "limit" => limit: Option<i64>,
        /// With sizes, which is slow
        "size" => size: bool,
        /// Which containers
        "filters" => filters: Filters,
        /// Sent by docker-py
        "trunc_cmd" => trunc_cmd: Ignored,
    }
}

query! {
    /// `POST /containers/create`
    pub struct CreateContainer {
        /// Name; empty lets the engine choose
        "name" => name: Option<ContainerRef>,
        /// As `linux/arm64/v8` (1.41)
        "platform" since 41 => platform: String,
    }
}

query! {
    /// `GET /containers/{id}/json`
    pub struct InspectContainer {
        /// With sizes, which is slow
        "size" => size: bool,
    }
}

query! {
    /// `GET /containers/{id}/top`
    pub struct Top {
        /// Arguments of `ps`, which the engine runs on the host as root
        "ps_args" => ps_args: String,
    }
}

query! {
    /// `GET /containers/{id}/logs`
    pub struct Logs {
        /// Go on as lines come
        "follow" => follow: bool,
        /// Standard output
        "stdout" => stdout: bool,
        /// Standard error
        "stderr" => stderr: bool,
        /// Seconds since 1970 or a time
        "since" => since: String,
        /// Seconds since 1970 or a time (1.35)
        "until" since 35 => until: String,
        /// Lines from the end, or `all`
        "tail" => tail: String,
        /// With the log driver's attributes
        "details" => details: bool,
        /// With times
        "timestamps" => timestamps: bool,
    }
}

query! {
    /// `GET /containers/{id}/stats`
    pub struct Stats {
        /// Go on (default)
        "stream" => stream: Option<bool>,
        /// One sample at once (1.41)
        "one-shot" since 41 => one_shot: bool,
    }
}

query! {
    /// `POST /containers/{id}/attach`
    pub struct Attach {
        /// Go on
        "stream" => stream: bool,
        /// Standard input
        "stdin" => stdin: bool,
        /// Standard output
        "stdout" => stdout: bool,
        /// Standard error
        "stderr" => stderr: bool,
        /// What was logged before
        "logs" => logs: bool,
        /// Keys that detach, as `ctrl-p,ctrl-q`
        "detachKeys" => detach_keys: String,
    }
}

query! {
    /// A path inside a container
    pub struct PathInside {
        /// The path; links stay inside the container
        "path" => path: String,
    }
}

query! {
    /// `PUT /containers/{id}/archive`
    pub struct PutArchive {
        /// Where to unpack
        "path" => path: String,
        /// Refuse to put a directory in place of something else, and the reverse
        "noOverwriteDirNonDir" => no_overwrite_dir_non_dir: bool,
        /// Keep owners
        "copyUIDGID" => copy_uid_gid: bool,
    }
}

query! {
    /// `POST /containers/{id}/kill`
    pub struct Kill {
        /// Name or number
        "signal" => signal: String,
    }
}

query! {
    /// `POST /containers/{id}/stop` and `restart`
    pub struct Stop {
        /// Seconds until the kill; -1 waits for ever
        "t" => seconds: Option<i64>,
        /// Name or number (1.42)
        "signal" since 42 => signal: String,
    }
}

query! {
    /// `POST /containers/{id}/start`; checkpoints are closed
    pub struct Start {
        /// Closed: restores a process image
        "checkpoint" => checkpoint: Vacant,
        /// Closed: a host path
        "checkpoint-dir" => checkpoint_dir: Vacant,
        /// Keys that detach
        "detachKeys" => detach_keys: Ignored,
    }
}

query! {
    /// `POST /containers/{id}/wait`
    pub struct Wait {
        /// `not-running`, `next-exit` or `removed` (1.30)
        "condition" since 30 => condition: String,
    }
}

query! {
    /// Size of a terminal in cells
    pub struct Resize {
        /// Height
        "h" => height: Option<i64>,
        /// Width
        "w" => width: Option<i64>,
    }
}

query! {
    /// `POST /containers/{id}/rename`
    pub struct Rename {
        /// New name
        "name" => name: Option<ContainerRef>,
    }
}

query! {
    /// `DELETE /containers/{id}`
    pub struct RemoveContainer {
        /// Also when it runs
        "force" => force: bool,
        /// With its anonymous volumes
        "v" => volumes: bool,
        /// Only the link of that name
        "link" => link: bool,
    }
}

query! {
    /// `POST /commit`
    pub struct Commit {
        /// Container
        "container" => container: Option<ContainerRef>,
        /// Repository, with or without a tag
        "repo" => repo: String,
        /// Tag
        "tag" => tag: String,
        /// Stop its processes meanwhile (default)
        "pause" => pause: Option<bool>,
        /// Author
        "author" => author: String,
        /// Comment
        "comment" => comment: String,
        /// Dockerfile instructions
        "changes" => changes: Vec<String>,
    }
}

query! {
    /// `GET /images/json`
    pub struct ListImages {
        /// Also intermediate ones
        "all" => all: bool,
        /// Which images
        "filters" => filters: Filters,
        /// Gone since 1.41
        "filter" => filter: Vacant,
        /// With digests
        "digests" => digests: bool,
        /// With shared sizes (1.42)
        "shared-size" since 42 => shared_size: bool,
        /// With manifests (1.47)
        "manifests" since 47 => manifests: bool,
        /// Sent by docker-py
        "only_ids" => only_ids: Ignored,
    }
}

query! {
    /// `GET /images/search`
    pub struct Search {
        /// Word, or `registry/word`
        "term" => term: String,
        /// At most so many
        "limit" => limit: Option<i64>,
        /// Which images
        "filters" => filters: Filters,
    }
}

query! {
    /// `GET /images/get`
    pub struct ExportImages {
        /// References
        "names" => names: Vec<String>,
        /// Platform as JSON (1.48)
        "platform" since 48 => platform: String,
    }
}

query! {
    /// One platform of an image, as JSON (1.48)
    pub struct OnePlatform {
        /// Platform
        "platform" => platform: String,
    }
}

query! {
    /// `GET /images/{name}/json`
    pub struct InspectImage {
        /// With manifests (1.48)
        "manifests" since 48 => manifests: bool,
        /// Platform as JSON (1.49)
        "platform" since 49 => platform: String,
        /// Gone
        "size" => size: Ignored,
    }
}

query! {
    /// `POST /images/load`
    pub struct Load {
        /// No progress (default is quiet)
        "quiet" => quiet: Option<bool>,
        /// Platform as JSON (1.48)
        "platform" since 48 => platform: String,
    }
}

query! {
    /// `POST /images/create` from a registry
    pub struct Pull {
        /// Image; without tag and digest all tags are pulled
        "fromImage" => from_image: Option<ImageRef>,
        /// Tag or digest
        "tag" => tag: String,
        /// As `linux/arm64/v8` (1.32)
        "platform" since 32 => platform: String,
        /// Import's
        "fromSrc" => from_src: Vacant,
        /// Import's
        "repo" => repo: Vacant,
        /// Import's
        "message" => message: Vacant,
        /// Import's
        "changes" => changes: Vacant,
    }
}

query! {
    /// `POST /images/create` from an archive
    pub struct Import {
        /// `-` is the body; else a URL that the engine fetches
        "fromSrc" => from_src: String,
        /// Pull's
        "fromImage" => from_image: Vacant,
        /// Repository
        "repo" => repo: String,
        /// Tag
        "tag" => tag: String,
        /// Comment
        "message" => message: String,
        /// Dockerfile instructions
        "changes" => changes: Vec<String>,
        /// As `linux/arm64/v8` (1.32)
        "platform" since 32 => platform: String,
    }
}

query! {
    /// `POST /images/{name}/push`
    pub struct Push {
        /// Tag; empty pushes all
        "tag" => tag: String,
        /// Platform as JSON (1.46)
        "platform" since 46 => platform: String,
    }
}

query! {
    /// `POST /images/{name}/tag`
    pub struct Tag {
        /// New repository, with or without a tag
        "repo" => repo: String,
        /// New tag
        "tag" => tag: String,
        /// Gone since 1.24; sent by docker-py
        "force" => force: Ignored,
    }
}

query! {
    /// `DELETE /images/{name}`
    pub struct RemoveImage {
        /// Also when tagged several times
        "force" => force: bool,
        /// Keep untagged parents
        "noprune" => no_prune: bool,
        /// Platforms as JSON (1.50)
        "platforms" since 50 => platforms: Vec<String>,
    }
}

query! {
    /// `DELETE /volumes/{name}`
    pub struct RemoveVolume {
        /// Also when its driver fails
        "force" => force: bool,
    }
}

query! {
    /// `GET /networks/{id}`
    pub struct InspectNetwork {
        /// Swarm detail
        "verbose" => verbose: bool,
        /// `local`, `global` or `swarm`
        "scope" => scope: String,
    }
}

query! {
    /// `POST /build/prune`
    pub struct PruneBuild {
        /// Which records
        "filters" => filters: Filters,
        /// All, not only dangling
        "all" => all: bool,
        /// Bytes to keep
        "keep-storage" => keep_storage: Option<i64>,
        /// Bytes to keep (1.48)
        "reserved-space" since 48 => reserved_space: Option<i64>,
        /// Bytes at most (1.48)
        "max-used-space" since 48 => max_used_space: Option<i64>,
        /// Bytes to leave free (1.48)
        "min-free-space" since 48 => min_free_space: Option<i64>,
    }
}
