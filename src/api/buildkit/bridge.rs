//! Messages of `moby.buildkit.v1.frontend.LLBBridge`: what a frontend, which is the client itself, asks of its build.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::api::buildkit::control::CacheOptionsEntry;
use crate::api::buildkit::llb::{Definition, Platform, Range, SourceInfo, SourceOp};
use crate::api::buildkit::source_policy::Policy;
use crate::message;

message! {
    /// `SolveRequest`: what is really built
    pub struct Solve {
        /// What to build, as LLB
        1 "Definition" => definition: Option<Definition>,
        /// Frontend that the engine is to run, as `dockerfile.v0`
        2 "Frontend" => frontend: String,
        /// Its options
        3 "FrontendOpt" => frontend_opt: BTreeMap<String, String>,
        /// Images to import the cache of; up to 0.10
        4 "ImportCacheRefsDeprecated" => import_cache_refs: Vec<String>,
        /// The answer may hold a result in place of a bare ref
        5 "allowResultReturn" => allow_result_return: bool,
        /// The result may hold refs with their definitions
        6 "allowResultArrayRef" => allow_result_array_ref: bool,
        /// Ends the build with this result; of old frontends
        10 "Final" => is_final: bool,
        /// Metadata of the exporter, as JSON; of old frontends
        11 "ExporterAttr" => exporter_attr: Bytes,
        /// Imports of the cache
        12 "CacheImports" => cache_imports: Vec<CacheOptionsEntry>,
        /// Inputs of the frontend, as LLB
        13 "FrontendInputs" => frontend_inputs: BTreeMap<String, Definition>,
        /// Build it now, and not when it is first needed
        14 "Evaluate" => evaluate: bool,
        /// Rules for sources (0.11)
        15 "SourcePolicies" => source_policies: Vec<Policy>,
    }
}

message! {
    /// `SolveResponse`
    pub struct Solved {
        /// A bare ref, for who did not allow a result
        1 "ref" => reference: String,
        /// The result
        3 "result" => result: Option<BuildResult>,
    }
}

message! {
    /// `Result`: what a frontend made
    pub struct BuildResult {
        /// One bare ref; of old clients
        1 "refDeprecated" => ref_deprecated: Option<String>,
        /// Bare refs by platform; of old clients
        2 "refsDeprecated" => refs_deprecated: Option<RefMapDeprecated>,
        /// One result
        3 "ref" => reference: Option<Ref>,
        /// Results by platform
        4 "refs" => refs: Option<RefMap>,
        /// Metadata for exporters, as `containerimage.config`
        10 "metadata" => metadata: BTreeMap<String, Bytes>,
        /// Attestations by platform (0.11)
        12 "attestations" => attestations: BTreeMap<String, Attestations>,
    }
}

message! {
    /// Bare refs by platform
    pub struct RefMapDeprecated {
        /// The refs
        1 "refs" => refs: BTreeMap<String, String>,
    }
}

message! {
    /// One result: a name for it within its build, and how it is made
    pub struct Ref {
        /// Name, chosen by the engine
        1 "id" => id: String,
        /// How it is made; absent for an empty result
        2 "def" => definition: Option<Definition>,
    }
}

message! {
    /// Results by platform
    pub struct RefMap {
        /// The results
        1 "refs" => refs: BTreeMap<String, Ref>,
    }
}

message! {
    /// Attestations of one platform
    pub struct Attestations {
        /// They
        1 "attestation" => attestation: Vec<Attestation>,
    }
}

message! {
    /// One attestation
    pub struct Attestation {
        /// In-toto, or a bundle of them
        1 "kind" => kind: i32,
        /// Metadata
        2 "metadata" => metadata: BTreeMap<String, Bytes>,
        /// Where it is found
        3 "ref" => reference: Option<Ref>,
        /// In which file
        4 "path" => path: String,
        /// Type of its predicate
        5 "inTotoPredicateType" => in_toto_predicate_type: String,
        /// What it is about
        6 "inTotoSubjects" => in_toto_subjects: Vec<InTotoSubject>,
    }
}

message! {
    /// What an attestation is about
    pub struct InTotoSubject {
        /// The image itself, or something raw
        1 "kind" => kind: i32,
        /// Digests
        2 "digest" => digest: Vec<String>,
        /// Name
        3 "name" => name: String,
    }
}

message! {
    /// `ReturnRequest`: the end of the frontend
    pub struct Return {
        /// What it made
        1 "result" => result: Option<BuildResult>,
        /// Or why it failed
        2 "error" => error: Option<RpcStatus>,
    }
}

message! {
    /// `google.rpc.Status`
    pub struct RpcStatus {
        /// Code of gRPC
        1 "code" => code: i32,
        /// In words
        2 "message" => message: String,
        /// Details of any type
        3 "details" => details: Vec<Any>,
    }
}

message! {
    /// `google.protobuf.Any`
    pub struct Any {
        /// Its type
        1 "type_url" => type_url: String,
        /// Its bytes; no engine acts on them
        2 "value" => value: Bytes,
    }
}

message! {
    /// `EvaluateRequest`
    pub struct Evaluate {
        /// The result
        1 "Ref" => reference: String,
    }
}

message! {
    /// `ReadFileRequest`
    pub struct ReadFile {
        /// The result
        1 "Ref" => reference: String,
        /// File within it
        2 "FilePath" => file_path: String,
        /// Part of the file
        3 "Range" => range: Option<FileRange>,
        /// Mount of a container; unused for results (0.27)
        4 "MountIndex" => mount_index: i32,
    }
}

message! {
    /// Part of a file, in bytes
    pub struct FileRange {
        /// First
        1 "Offset" => offset: i64,
        /// How many
        2 "Length" => length: i64,
    }
}

message! {
    /// `ReadDirRequest`
    pub struct ReadDir {
        /// The result
        1 "Ref" => reference: String,
        /// Directory within it
        2 "DirPath" => dir_path: String,
        /// Which names
        3 "IncludePattern" => include_pattern: String,
        /// Mount of a container; unused for results (0.27)
        4 "MountIndex" => mount_index: i32,
    }
}

message! {
    /// `StatFileRequest`
    pub struct StatFile {
        /// The result
        1 "Ref" => reference: String,
        /// File within it
        2 "Path" => path: String,
        /// Mount of a container; unused for results (0.27)
        3 "MountIndex" => mount_index: i32,
    }
}

message! {
    /// `ResolveImageConfigRequest`: asks a registry, or the engine's images, what an image is
    pub struct ResolveImageConfig {
        /// The image
        1 "Ref" => reference: String,
        /// For which platform
        2 "Platform" => platform: Option<Platform>,
        /// `default`, `pull` or `local`
        3 "ResolveMode" => resolve_mode: String,
        /// Name in the log
        4 "LogName" => log_name: String,
        /// Registry, or OCI layout
        5 "ResolverType" => resolver_type: i32,
        /// Session of an OCI layout
        6 "SessionID" => session_id: String,
        /// Its store
        7 "StoreID" => store_id: String,
        /// Rules for sources
        8 "SourcePolicies" => source_policies: Vec<Policy>,
    }
}

message! {
    /// `ResolveSourceMetaRequest`: the same for any source (0.13)
    pub struct ResolveSourceMeta {
        /// The source
        1 "Source" => source: Option<SourceOp>,
        /// For which platform
        2 "Platform" => platform: Option<Platform>,
        /// Name in the log
        3 "LogName" => log_name: String,
        /// `default`, `pull` or `local`
        4 "ResolveMode" => resolve_mode: String,
        /// What of a repository (0.26)
        5 "Git" => git: Option<ResolveSourceGit>,
        /// What of an image (0.26)
        6 "Image" => image: Option<ResolveSourceImage>,
        /// What of a file (0.26)
        7 "HTTP" => http: Option<ResolveSourceHttp>,
        /// Rules for sources
        8 "SourcePolicies" => source_policies: Vec<Policy>,
    }
}

message! {
    /// What is wanted of a repository
    pub struct ResolveSourceGit {
        /// Whole commit and tag
        1 "ReturnObject" => return_object: bool,
    }
}

message! {
    /// What is wanted of an image
    pub struct ResolveSourceImage {
        /// Not its configuration
        1 "NoConfig" => no_config: bool,
        /// What vouches for it
        2 "AttestationChain" => attestation_chain: bool,
        /// Attestations by type
        3 "ResolveAttestations" => resolve_attestations: Vec<String>,
    }
}

message! {
    /// What is wanted of a file
    pub struct ResolveSourceHttp {
        /// A checksum
        1 "ChecksumRequest" => checksum_request: Option<ChecksumRequest>,
    }
}

message! {
    /// A checksum
    pub struct ChecksumRequest {
        /// Algorithm
        1 "Algo" => algo: i32,
        /// What is added to the file before
        2 "Suffix" => suffix: Bytes,
    }
}

message! {
    /// `WarnRequest`: a warning for who watches the build
    pub struct Warn {
        /// Step
        1 "digest" => digest: String,
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
