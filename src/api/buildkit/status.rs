//! What BuildKit tells of a build while it runs: answers to `Control/Status`.

use bytes::Bytes;

use crate::api::buildkit::llb::{ProgressGroup, Range, SourceInfo};
use crate::message;

message! {
    /// `StatusResponse`: news of a build
    pub struct Progress {
        /// Steps
        1 "vertexes" => vertexes: Vec<Vertex>,
        /// Parts of steps
        2 "statuses" => statuses: Vec<VertexStatus>,
        /// What steps say
        3 "logs" => logs: Vec<VertexLog>,
        /// Warnings
        4 "warnings" => warnings: Vec<VertexWarning>,
    }
}

message! {
    /// A step
    pub struct Vertex {
        /// Its name within the build
        1 "digest" => digest: String,
        /// Steps before it
        2 "inputs" => inputs: Vec<String>,
        /// Its name for people
        3 "name" => name: String,
        /// Whether it is not done again
        4 "cached" => cached: bool,
        /// Its beginning
        5 "started" => started: Option<Timestamp>,
        /// Its end
        6 "completed" => completed: Option<Timestamp>,
        /// Why it failed
        7 "error" => error: String,
        /// Steps that are shown as one
        8 "progressGroup" => progress_group: Option<ProgressGroup>,
    }
}

message! {
    /// Part of a step
    pub struct VertexStatus {
        /// Its name within the step
        1 "ID" => id: String,
        /// The step
        2 "vertex" => vertex: String,
        /// Its name for people
        3 "name" => name: String,
        /// So far
        4 "current" => current: i64,
        /// In all
        5 "total" => total: i64,
        /// Now
        6 "timestamp" => timestamp: Option<Timestamp>,
        /// Its beginning
        7 "started" => started: Option<Timestamp>,
        /// Its end
        8 "completed" => completed: Option<Timestamp>,
    }
}

message! {
    /// What a step says
    pub struct VertexLog {
        /// The step
        1 "vertex" => vertex: String,
        /// When
        2 "timestamp" => timestamp: Option<Timestamp>,
        /// Standard output or error
        3 "stream" => stream: i64,
        /// What
        4 "msg" => msg: Bytes,
    }
}

message! {
    /// A warning
    pub struct VertexWarning {
        /// The step
        1 "vertex" => vertex: String,
        /// How grave
        2 "level" => level: i64,
        /// In a line
        3 "short" => short: Bytes,
        /// In more
        4 "detail" => detail: Vec<Bytes>,
        /// Where to read on
        5 "url" => url: String,
        /// Source of the build
        6 "info" => info: Option<SourceInfo>,
        /// Lines in it
        7 "ranges" => ranges: Vec<Range>,
    }
}

message! {
    /// `google.protobuf.Timestamp`
    pub struct Timestamp {
        /// Since 1970
        1 "seconds" => seconds: i64,
        /// And a part of one
        2 "nanos" => nanos: i32,
    }
}
