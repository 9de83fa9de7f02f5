//! What BuildKit tells of builds that were: answers to `ListenBuildHistory`.

use std::collections::BTreeMap;

use crate::api::buildkit::bridge::RpcStatus;
use crate::api::buildkit::control::Exporter;
use crate::api::buildkit::status::Timestamp;
use crate::message;

message! {
    /// `BuildHistoryEvent`
    pub struct Event {
        /// 0 begun, 1 ended, 2 removed
        1 "type" => kind: i32,
        /// The build
        2 "record" => record: Option<Record>,
    }
}

message! {
    /// `BuildHistoryRecord`: one build
    pub struct Record {
        /// Its name
        1 "Ref" => reference: String,
        /// Frontend
        2 "Frontend" => frontend: String,
        /// Its options
        3 "FrontendAttrs" => frontend_attrs: BTreeMap<String, String>,
        /// Exporters
        4 "Exporters" => exporters: Vec<Exporter>,
        /// Why it failed
        5 "error" => error: Option<RpcStatus>,
        /// Its beginning
        6 "CreatedAt" => created_at: Option<Timestamp>,
        /// Its end
        7 "CompletedAt" => completed_at: Option<Timestamp>,
        /// Its log
        8 "logs" => logs: Option<Descriptor>,
        /// What exporters said
        9 "ExporterResponse" => exporter_response: BTreeMap<String, String>,
        /// Its result
        10 "Result" => result: Option<ResultInfo>,
        /// Results by platform
        11 "Results" => results: BTreeMap<String, ResultInfo>,
        /// How often the record was written
        12 "Generation" => generation: i32,
        /// Its trace
        13 "trace" => trace: Option<Descriptor>,
        /// Kept for good
        14 "pinned" => pinned: bool,
        /// Steps that were not done again
        15 "numCachedSteps" => cached_steps: i32,
        /// Steps
        16 "numTotalSteps" => total_steps: i32,
        /// Steps that were done
        17 "numCompletedSteps" => completed_steps: i32,
        /// The whole of a long error (0.20)
        18 "externalError" => external_error: Option<Descriptor>,
        /// Warnings (0.20)
        19 "numWarnings" => warnings: i32,
    }
}

message! {
    /// A blob
    pub struct Descriptor {
        /// Its type
        1 "media_type" => media_type: String,
        /// Its name
        2 "digest" => digest: String,
        /// Bytes
        3 "size" => size: i64,
        /// What else is said of it
        5 "annotations" => annotations: BTreeMap<String, String>,
    }
}

message! {
    /// `BuildResultInfo`: what a build has made
    pub struct ResultInfo {
        /// One result
        1 "ResultDeprecated" => result_deprecated: Option<Descriptor>,
        /// What is said of it, as its provenance
        2 "Attestations" => attestations: Vec<Descriptor>,
        /// Results by exporter
        3 "Results" => results: Vec<ResultOf>,
    }
}

message! {
    /// A result of one exporter: an entry of a map
    pub struct ResultOf {
        /// The exporter
        1 "key" => exporter: i64,
        /// The result
        2 "value" => result: Option<Descriptor>,
    }
}

impl Record {
    /// The blobs that belong to it
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        let Self { logs, trace, external_error, result, results, .. } = self;
        let of_results = result.iter().chain(results.values()).flat_map(ResultInfo::blobs);
        let alone = [logs, trace, external_error].into_iter().flatten();
        alone.chain(of_results).map(|blob| blob.digest.as_str()).filter(|digest| !digest.is_empty())
    }
}

impl ResultInfo {
    fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let Self { result_deprecated, attestations, results } = self;
        result_deprecated.iter().chain(attestations).chain(results.iter().filter_map(|of| of.result.as_ref()))
    }
}
