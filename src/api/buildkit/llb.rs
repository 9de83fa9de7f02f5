//! LLB: the graph of steps that a build is made of.
//!
//! A step's bytes are its name: others refer to it by their digest. They are passed as they came, and read for their one
//! meaning.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::message;

message! {
    /// A graph of steps
    pub struct Definition {
        /// Steps, each an `Op` in bytes
        1 "def" => def: Vec<Bytes>,
        /// What is said of a step besides, by its digest
        2 "metadata" => metadata: BTreeMap<String, OpMetadata>,
        /// Where in a Dockerfile steps come from
        3 "Source" => source: Option<Source>,
    }
}

message! {
    /// What is said of a step
    pub struct OpMetadata {
        /// Do it again
        1 "ignore_cache" => ignore_cache: bool,
        /// Texts for people
        2 "description" => description: BTreeMap<String, String>,
        /// Whether its result is exported with the cache
        4 "export_cache" => export_cache: Option<ExportCache>,
        /// What it needs the engine to know
        5 "caps" => caps: BTreeMap<String, bool>,
        /// Steps that are shown as one
        6 "progress_group" => progress_group: Option<ProgressGroup>,
        /// Limits of the step (0.31)
        7 "linux_resources" => linux_resources: Option<LinuxResources>,
    }
}

message! {
    /// Whether a result is exported with the cache
    pub struct ExportCache {
        /// Whether it is
        1 "Value" => value: bool,
    }
}

message! {
    /// Steps that are shown as one
    pub struct ProgressGroup {
        /// Which
        1 "id" => id: String,
        /// Name for people
        2 "name" => name: String,
        /// Whether others may come between
        3 "weak" => weak: bool,
    }
}

message! {
    /// Limits of a step
    pub struct LinuxResources {
        /// Bytes
        1 "memory" => memory: i64,
        /// Bytes, with swap
        2 "memorySwap" => memory_swap: i64,
        /// Weight
        3 "cpuShares" => cpu_shares: u64,
        /// Microseconds
        4 "cpuPeriod" => cpu_period: u64,
        /// Microseconds a period
        5 "cpuQuota" => cpu_quota: i64,
        /// As `0-3`
        6 "cpusetCpus" => cpuset_cpus: String,
        /// As `0,1`
        7 "cpusetMems" => cpuset_mems: String,
    }
}

message! {
    /// Where in files steps come from
    pub struct Source {
        /// Places by the digest of a step
        1 "locations" => locations: BTreeMap<String, Locations>,
        /// The files
        2 "infos" => infos: Vec<SourceInfo>,
    }
}

message! {
    /// Places in files
    pub struct Locations {
        /// They
        1 "locations" => locations: Vec<Location>,
    }
}

message! {
    /// Places in one file
    pub struct Location {
        /// Which of the files
        1 "sourceIndex" => source_index: i32,
        /// Lines
        2 "ranges" => ranges: Vec<Range>,
    }
}

message! {
    /// A platform, as of OCI
    pub struct Platform {
        /// As `amd64`
        1 "Architecture" => architecture: String,
        /// As `linux`
        2 "OS" => os: String,
        /// As `v8`
        3 "Variant" => variant: String,
        /// Version of the system
        4 "OSVersion" => os_version: String,
        /// Features of the system
        5 "OSFeatures" => os_features: Vec<String>,
    }
}

message! {
    /// Where a step gets files from
    pub struct SourceOp {
        /// As `docker-image://…`
        1 "identifier" => identifier: String,
        /// As `image.resolvemode`
        2 "attrs" => attrs: BTreeMap<String, String>,
    }
}

message! {
    /// A file that steps come from, as a Dockerfile
    pub struct SourceInfo {
        /// Its name
        1 "filename" => filename: String,
        /// What it says
        2 "data" => data: Bytes,
        /// How to get it, a definition in bytes; nobody acts on it
        3 "definition" => definition: Bytes,
        /// Its language
        4 "language" => language: String,
    }
}

message! {
    /// Lines of a file
    pub struct Range {
        /// First
        1 "start" => start: Option<Position>,
        /// Last
        2 "end" => end: Option<Position>,
    }
}

message! {
    /// A place in a file
    pub struct Position {
        /// Line, from 1
        1 "line" => line: i32,
        /// Column, from 0
        2 "character" => character: i32,
    }
}
