//! Messages of `moby.buildkit.v1.Control`: what a build is to be, and how it goes.

use std::collections::BTreeMap;

use crate::api::buildkit::llb::Definition;
use crate::api::buildkit::source_policy::Policy;
use crate::message;

message! {
    /// `SolveRequest`: one build, answered at its end
    ///
    /// Clients of the engine send neither frontend nor definition here: they are the frontend themselves, and ask for what is
    /// to be built with `LLBBridge/Solve`.
    pub struct Solve {
        /// Name of the build, chosen by the client
        1 "Ref" => reference: String,
        /// What to build, as LLB
        2 "Definition" => definition: Option<Definition>,
        /// Exporter for engines up to 25; newer ones read it where `Exporters` is empty
        3 "ExporterDeprecated" => exporter: String,
        /// Its attributes
        4 "ExporterAttrsDeprecated" => exporter_attrs: BTreeMap<String, String>,
        /// Session that gives contexts, secrets and credentials
        5 "Session" => session: String,
        /// Frontend that the engine is to run
        6 "Frontend" => frontend: String,
        /// Its options; a copy where the client is the frontend
        7 "FrontendAttrs" => frontend_attrs: BTreeMap<String, String>,
        /// Imports and exports of the cache
        8 "Cache" => cache: Option<CacheOptions>,
        /// Rights beyond the sandbox, as `network.host`
        9 "Entitlements" => entitlements: Vec<String>,
        /// Inputs of the frontend, as LLB (BuildKit 0.7)
        10 "FrontendInputs" => frontend_inputs: BTreeMap<String, Definition>,
        /// Leaves no trace in the history (0.11)
        11 "Internal" => internal: bool,
        /// Rules for sources (0.11)
        12 "SourcePolicy" => source_policy: Option<Policy>,
        /// Exporters (0.13)
        13 "Exporters" => exporters: Vec<Exporter>,
        /// The session names more exporters (0.21)
        14 "EnableSessionExporter" => enable_session_exporter: bool,
        /// The session gives rules for sources (0.26)
        15 "SourcePolicySession" => source_policy_session: String,
        /// Behaviour of an older version (0.30)
        16 "CompatibilityVersion" => compatibility_version: i64,
        /// Steps reach the network through a proxy of the engine (0.31)
        17 "ProxyNetwork" => proxy_network: bool,
    }
}

message! {
    /// What becomes of a result
    pub struct Exporter {
        /// Kind, as `moby` or `local`
        1 "Type" => kind: String,
        /// Attributes, as `name`
        2 "Attrs" => attrs: BTreeMap<String, String>,
    }
}

message! {
    /// Imports and exports of the cache
    pub struct CacheOptions {
        /// Image to export to; engines still take it
        1 "ExportRefDeprecated" => export_ref: String,
        /// Images to import; engines still take them
        2 "ImportRefsDeprecated" => import_refs: Vec<String>,
        /// Attributes of the old export
        3 "ExportAttrsDeprecated" => export_attrs: BTreeMap<String, String>,
        /// Exports
        4 "Exports" => exports: Vec<CacheOptionsEntry>,
        /// Imports
        5 "Imports" => imports: Vec<CacheOptionsEntry>,
    }
}

message! {
    /// One import or export of the cache
    pub struct CacheOptionsEntry {
        /// Kind, as `registry`
        1 "Type" => kind: String,
        /// Attributes, as `ref`
        2 "Attrs" => attrs: BTreeMap<String, String>,
    }
}

message! {
    /// `StatusRequest`: steps and logs of a build as they come
    pub struct Status {
        /// The build
        1 "Ref" => reference: String,
    }
}

message! {
    /// `ListWorkersRequest`
    pub struct ListWorkers {
        /// Filters of containerd's kind
        1 "filter" => filter: Vec<String>,
    }
}

message! {
    /// `DiskUsageRequest`
    pub struct DiskUsage {
        /// Filters of containerd's kind
        1 "filter" => filter: Vec<String>,
        /// Only what was not used for so long, in nanoseconds (0.29)
        2 "ageLimit" => age_limit: i64,
    }
}

message! {
    /// `PruneRequest`
    pub struct Prune {
        /// Filters of containerd's kind
        1 "filter" => filter: Vec<String>,
        /// Internal and shared records as well
        2 "all" => all: bool,
        /// Keep what was used since, in nanoseconds
        3 "keepDuration" => keep_duration: i64,
        /// Keep so many bytes; `keepBytes` up to 0.16
        4 "reservedSpace" => reserved_space: i64,
        /// Most bytes that stay (0.17)
        5 "maxUsedSpace" => max_used_space: i64,
        /// Bytes that shall be free (0.17)
        6 "minFreeSpace" => min_free_space: i64,
    }
}

message! {
    /// `BuildHistoryRequest`: records of builds that were, and events of those that are (0.11)
    pub struct BuildHistoryRequest {
        /// Only builds that run
        1 "ActiveOnly" => active_only: bool,
        /// Only this build
        2 "Ref" => reference: String,
        /// End with the last record in place of waiting for more
        3 "EarlyExit" => early_exit: bool,
        /// Filters of containerd's kind (0.20)
        4 "Filter" => filter: Vec<String>,
        /// Most records (0.20)
        5 "Limit" => limit: i32,
    }
}

message! {
    /// `UpdateBuildHistoryRequest` (0.11)
    pub struct UpdateBuildHistory {
        /// The build
        1 "Ref" => reference: String,
        /// Keep its record for good
        2 "Pinned" => pinned: bool,
        /// Remove its record
        3 "Delete" => delete: bool,
        /// Write its trace now
        4 "Finalize" => finalize: bool,
    }
}
