//! The closed world: every operation that may be forwarded, one line each.
//!
//! A line names the operation, its method and path, how the engine answers, and the type that reads and writes it.
//! Order matters as in the engine: the first line that matches wins. Routes that are known and closed stand in
//! [`crate::api::closed`].

use hyper::Method;

use crate::api::bind::HostPath;
use crate::api::build::Build;
use crate::api::buildkit::bridge::{
    Evaluate, ReadDir, ReadFile, ResolveImageConfig, ResolveSourceMeta, Return, Solve as BridgeSolve, StatFile, Warn,
};
use crate::api::buildkit::container::{ExecMessage, NewContainer, ReleaseContainer};
use crate::api::buildkit::content::{Info as BlobInfo, Read as BlobRead};
use crate::api::buildkit::control::{
    BuildHistoryRequest, DiskUsage as DiskUsageRequest, ListWorkers, Prune, Solve, Status, UpdateBuildHistory,
};
use crate::api::buildkit::session::Session;
use crate::api::buildkit::trace::Export;
use crate::api::buildkit::{BuildId, Empty};
use crate::api::create::{Config, Create, CreateExec, CreateVolume, Credentials, StartExec, Update};
use crate::api::credentials::{Auth, AuthConfig};
use crate::api::endpoint::{Connect, CreateNetwork, Disconnect};
use crate::api::image_ref::ImageRef;
use crate::api::names::{ContainerRef, ExecId, NetworkRef, VolumeName};
use crate::api::object::Field;
use crate::api::parameters as q;
use crate::api::request::{
    BodyKind, JsonBody, Misread, OptionalBody, Parts, Protobuf, Request, Stream, Subject, Written,
};

/// How the engine answers an operation
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Soon and whole
    Whole,
    /// As it comes, for as long as it takes
    Stream,
    /// May leave HTTP for a raw stream both ways, once the engine says so
    Hijack,
}

/// One operation that may be forwarded
#[derive(Debug)]
pub struct Endpoint {
    /// Name, as `container.create`
    pub name: &'static str,
    /// Method, exactly
    pub method: Method,
    /// Path with at most one placeholder: `{x}` is a segment, `{x..}` one or more
    pub path: &'static str,
    /// How the engine answers
    pub answer: Answer,
    /// How the request's body is taken
    pub body: BodyKind,
    /// Names of the query parameters, with the minor of the API version that brought them
    pub parameters: &'static [(&'static str, u8)],
    /// Every field of the body
    pub fields: fn() -> Vec<Field>,
    /// Reads the operation
    pub read: fn(Parts) -> Result<Operation, Misread>,
}

macro_rules! operations {
    (
        http { $($variant:ident $name:literal $method:ident $path:literal $answer:ident $type:ty;)* }
        grpc { $($called:ident $call:literal $procedure:literal $reply:ident $message:ty;)* }
    ) => {
        /// An operation with all it asks for, as typed data
        #[derive(Debug, Clone, PartialEq)]
        pub enum Operation {
            $(#[doc = concat!("`", $name, "`: `", stringify!($method), " ", $path, "`")] $variant($type),)*
            $(#[doc = concat!("`", $call, "`: gRPC `", $procedure, "`")] $called($message),)*
        }

        /// Every operation that may be forwarded, in the order they are matched
        pub static ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            name: $name,
            method: Method::$method,
            path: $path,
            answer: Answer::$answer,
            body: <$type>::body_kind(),
            parameters: <$type>::PARAMETERS,
            fields: <$type>::fields,
            read: |parts| <$type>::read(parts).map(Operation::$variant),
        },)*];

        /// Every gRPC method of BuildKit that may be forwarded
        pub static METHODS: &[Endpoint] = &[$(Endpoint {
            name: $call,
            method: Method::POST,
            path: $procedure,
            answer: Answer::$reply,
            body: <$message>::body_kind(),
            parameters: <$message>::PARAMETERS,
            fields: <$message>::fields,
            read: |parts| <$message>::read(parts).map(Operation::$called),
        },)*];

        /// The lines of the tables, as numbers
        enum Line { $($variant,)* }
        enum Procedure { $($called,)* }

        impl Operation {
            /// The operation's line in the table
            #[expect(clippy::indexing_slicing, reason = "the numbers and the tables come from the same lines")]
            pub fn endpoint(&self) -> &'static Endpoint {
                match self {
                    $(Self::$variant(_) => &ENDPOINTS[Line::$variant as usize],)*
                    $(Self::$called(_) => &METHODS[Procedure::$called as usize],)*
                }
            }

            /// Puts the full id of the object in the place of the name in the path
            pub fn pin_subject(&mut self, id: &str) {
                match self {
                    $(Self::$variant(request) => Subject::pin(&mut request.subject, id),)*
                    $(Self::$called(request) => Subject::pin(&mut request.subject, id),)*
                }
            }

            /// What the engine is to get
            pub fn write(&self) -> Written {
                match self {
                    $(Self::$variant(request) => request.write(),)*
                    $(Self::$called(request) => request.write(),)*
                }
            }
        }
    };
}

impl Operation {
    /// Every host path, with the field it stands in
    pub fn host_paths(&self) -> Vec<(String, HostPath)> {
        match self {
            Self::ContainerCreate(Request { body: JsonBody(body), .. }) => body.host_paths(),
            _ => Vec::new(),
        }
    }

    /// Puts another path where one of [`Operation::host_paths`] stands; returns that one
    pub fn replace_host_path(&mut self, field: &str, path: &HostPath) -> Option<HostPath> {
        match self {
            Self::ContainerCreate(Request { body: JsonBody(body), .. }) => body.replace_host_path(field, path),
            _ => None,
        }
    }

    /// Whether there is something afterwards that was not there before and stays
    pub fn makes(&self) -> bool {
        matches!(
            self,
            Self::ContainerCreate(_)
                | Self::NetworkCreate(_)
                | Self::VolumeCreate(_)
                | Self::ExecCreate(_)
                | Self::BuildClassic(_)
                | Self::BuildSolve(_)
                | Self::ImageCommit(_)
                | Self::ImageImport(_)
                | Self::ImageLoad(_)
        )
    }

    /// The protocol that the engine may be asked to leave HTTP for
    ///
    /// A detached exec is answered in plain HTTP even when asked to upgrade (20.10 to 28.5).
    pub fn upgrades(&self) -> Option<&'static str> {
        match self {
            Self::ContainerAttach(_) => Some("tcp"),
            Self::ExecStart(request) => (!request.body.0.detach).then_some("tcp"),
            Self::BuildGrpc(_) | Self::BuildSession(_) => Some("h2c"),
            _ => None,
        }
    }
}

operations! {
    http {
    Ping "system.ping" GET "/_ping" Whole Request<()>;
    PingHead "system.ping" HEAD "/_ping" Whole Request<()>;
    Version "system.version" GET "/version" Whole Request<()>;
    Info "system.info" GET "/info" Whole Request<()>;
    Events "system.events" GET "/events" Stream Request<(), q::Events>;
    DiskUsage "system.df" GET "/system/df" Whole Request<(), q::DiskUsage>;
    Auth "system.auth" POST "/auth" Whole Request<(), (), JsonBody<Credentials>>;

    ContainerList "container.list" GET "/containers/json" Whole Request<(), q::ListContainers>;
    ContainerCreate "container.create" POST "/containers/create" Whole Request<(), q::CreateContainer, JsonBody<Create>>;
    ContainerPrune "container.prune" POST "/containers/prune" Whole Request<(), q::Filtered>;
    ContainerArchiveStat "container.archive.stat" HEAD "/containers/{id}/archive" Whole Request<ContainerRef, q::PathInside>;
    ContainerArchiveGet "container.archive.get" GET "/containers/{id}/archive" Stream Request<ContainerRef, q::PathInside>;
    ContainerArchivePut "container.archive.put" PUT "/containers/{id}/archive" Stream Request<ContainerRef, q::PutArchive, Stream>;
    ContainerExport "container.export" GET "/containers/{id}/export" Stream Request<ContainerRef>;
    ContainerChanges "container.changes" GET "/containers/{id}/changes" Whole Request<ContainerRef>;
    ContainerInspect "container.inspect" GET "/containers/{id}/json" Whole Request<ContainerRef, q::InspectContainer>;
    ContainerTop "container.top" GET "/containers/{id}/top" Whole Request<ContainerRef, q::Top>;
    ContainerLogs "container.logs" GET "/containers/{id}/logs" Stream Request<ContainerRef, q::Logs>;
    ContainerStats "container.stats" GET "/containers/{id}/stats" Stream Request<ContainerRef, q::Stats>;
    ContainerKill "container.kill" POST "/containers/{id}/kill" Whole Request<ContainerRef, q::Kill>;
    ContainerPause "container.pause" POST "/containers/{id}/pause" Whole Request<ContainerRef>;
    ContainerUnpause "container.unpause" POST "/containers/{id}/unpause" Whole Request<ContainerRef>;
    ContainerRestart "container.restart" POST "/containers/{id}/restart" Stream Request<ContainerRef, q::Stop>;
    ContainerStart "container.start" POST "/containers/{id}/start" Stream Request<ContainerRef, q::Start>;
    ContainerStop "container.stop" POST "/containers/{id}/stop" Stream Request<ContainerRef, q::Stop>;
    ContainerWait "container.wait" POST "/containers/{id}/wait" Stream Request<ContainerRef, q::Wait>;
    ContainerResize "container.resize" POST "/containers/{id}/resize" Whole Request<ContainerRef, q::Resize>;
    ContainerAttach "container.attach" POST "/containers/{id}/attach" Hijack Request<ContainerRef, q::Attach>;
    ContainerRename "container.rename" POST "/containers/{id}/rename" Whole Request<ContainerRef, q::Rename>;
    ContainerUpdate "container.update" POST "/containers/{id}/update" Whole Request<ContainerRef, (), JsonBody<Update>>;
    ContainerRemove "container.remove" DELETE "/containers/{id}" Stream Request<ContainerRef, q::RemoveContainer>;

    ExecCreate "exec.create" POST "/containers/{id}/exec" Whole Request<ContainerRef, (), JsonBody<CreateExec>>;
    ExecStart "exec.start" POST "/exec/{id}/start" Hijack Request<ExecId, (), JsonBody<StartExec>>;
    ExecResize "exec.resize" POST "/exec/{id}/resize" Whole Request<ExecId, q::Resize>;
    ExecInspect "exec.inspect" GET "/exec/{id}/json" Whole Request<ExecId>;

    ImageList "image.list" GET "/images/json" Whole Request<(), q::ListImages>;
    ImageSearch "image.search" GET "/images/search" Stream Request<(), q::Search, (), Auth>;
    ImageExportMany "image.export.many" GET "/images/get" Stream Request<(), q::ExportImages>;
    ImageExport "image.export" GET "/images/{name..}/get" Stream Request<ImageRef, q::OnePlatform>;
    ImageHistory "image.history" GET "/images/{name..}/history" Whole Request<ImageRef, q::OnePlatform>;
    ImageInspect "image.inspect" GET "/images/{name..}/json" Whole Request<ImageRef, q::InspectImage>;
    ImageLoad "image.load" POST "/images/load" Stream Request<(), q::Load, Stream>;
    ImagePull "image.pull" POST "/images/create" Stream Request<(), q::Pull, (), Auth>;
    ImageImport "image.import" POST "/images/create" Stream Request<(), q::Import, Stream>;
    ImagePrune "image.prune" POST "/images/prune" Stream Request<(), q::Filtered>;
    ImagePush "image.push" POST "/images/{name..}/push" Stream Request<ImageRef, q::Push, (), Auth>;
    ImageTag "image.tag" POST "/images/{name..}/tag" Whole Request<ImageRef, q::Tag>;
    ImageRemove "image.remove" DELETE "/images/{name..}" Stream Request<ImageRef, q::RemoveImage>;
    ImageCommit "image.commit" POST "/commit" Stream Request<(), q::Commit, OptionalBody<Config>>;
    DistributionInspect "image.distribution" GET "/distribution/{name..}/json" Stream Request<ImageRef, (), (), Auth>;

    BuildClassic "build.build" POST "/build" Stream Request<(), Build, Stream, AuthConfig>;
    BuildPrune "build.prune" POST "/build/prune" Stream Request<(), q::PruneBuild>;

    VolumeList "volume.list" GET "/volumes" Whole Request<(), q::Filtered>;
    VolumeCreate "volume.create" POST "/volumes/create" Whole Request<(), (), JsonBody<CreateVolume>>;
    VolumePrune "volume.prune" POST "/volumes/prune" Stream Request<(), q::Filtered>;
    VolumeInspect "volume.inspect" GET "/volumes/{name}" Whole Request<VolumeName>;
    VolumeRemove "volume.remove" DELETE "/volumes/{name}" Whole Request<VolumeName, q::RemoveVolume>;

    NetworkList "network.list" GET "/networks" Whole Request<(), q::Filtered>;
    NetworkCreate "network.create" POST "/networks/create" Whole Request<(), (), JsonBody<CreateNetwork>>;
    NetworkPrune "network.prune" POST "/networks/prune" Stream Request<(), q::Filtered>;
    NetworkConnect "network.connect" POST "/networks/{id}/connect" Whole Request<NetworkRef, (), JsonBody<Connect>>;
    NetworkDisconnect "network.disconnect" POST "/networks/{id}/disconnect" Whole Request<NetworkRef, (), JsonBody<Disconnect>>;
    NetworkInspect "network.inspect" GET "/networks/{id}" Whole Request<NetworkRef, q::InspectNetwork>;
    NetworkRemove "network.remove" DELETE "/networks/{id}" Whole Request<NetworkRef>;

    BuildGrpc "build.grpc" POST "/grpc" Hijack Request<()>;
    BuildSession "build.session" POST "/session" Hijack Request<(), (), (), Session>;
    }
    grpc {
    BuildSolve "build.solve" "/moby.buildkit.v1.Control/Solve" Stream Request<(), (), Protobuf<Solve>>;
    BuildStatus "build.status" "/moby.buildkit.v1.Control/Status" Stream Request<(), (), Protobuf<Status>>;
    BuildWorkers "build.workers" "/moby.buildkit.v1.Control/ListWorkers" Whole Request<(), (), Protobuf<ListWorkers>>;
    BuildInfo "build.info" "/moby.buildkit.v1.Control/Info" Whole Request<(), (), Protobuf<Empty>>;
    BuildDiskUsage "build.df" "/moby.buildkit.v1.Control/DiskUsage" Stream Request<(), (), Protobuf<DiskUsageRequest>>;
    BuildCachePrune "build.cache.prune" "/moby.buildkit.v1.Control/Prune" Stream Request<(), (), Protobuf<Prune>>;
    BuildHistory "build.history.list" "/moby.buildkit.v1.Control/ListenBuildHistory" Stream Request<(), (), Protobuf<BuildHistoryRequest>>;
    BuildHistoryUpdate "build.history.update" "/moby.buildkit.v1.Control/UpdateBuildHistory" Whole Request<(), (), Protobuf<UpdateBuildHistory>>;

    BridgeSolve "build.frontend.solve" "/moby.buildkit.v1.frontend.LLBBridge/Solve" Stream Request<BuildId, (), Protobuf<BridgeSolve>>;
    BridgePing "build.frontend.ping" "/moby.buildkit.v1.frontend.LLBBridge/Ping" Stream Request<BuildId, (), Protobuf<Empty>>;
    BridgeReturn "build.frontend.return" "/moby.buildkit.v1.frontend.LLBBridge/Return" Stream Request<BuildId, (), Protobuf<Return>>;
    BridgeInputs "build.frontend.inputs" "/moby.buildkit.v1.frontend.LLBBridge/Inputs" Stream Request<BuildId, (), Protobuf<Empty>>;
    BridgeEvaluate "build.frontend.evaluate" "/moby.buildkit.v1.frontend.LLBBridge/Evaluate" Stream Request<BuildId, (), Protobuf<Evaluate>>;
    BridgeReadFile "build.frontend.read_file" "/moby.buildkit.v1.frontend.LLBBridge/ReadFile" Stream Request<BuildId, (), Protobuf<ReadFile>>;
    BridgeReadDir "build.frontend.read_dir" "/moby.buildkit.v1.frontend.LLBBridge/ReadDir" Stream Request<BuildId, (), Protobuf<ReadDir>>;
    BridgeStatFile "build.frontend.stat_file" "/moby.buildkit.v1.frontend.LLBBridge/StatFile" Stream Request<BuildId, (), Protobuf<StatFile>>;
    BridgeResolveImage "build.frontend.resolve_image" "/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig" Stream Request<BuildId, (), Protobuf<ResolveImageConfig>>;
    BridgeResolveSource "build.frontend.resolve_source" "/moby.buildkit.v1.frontend.LLBBridge/ResolveSourceMeta" Stream Request<BuildId, (), Protobuf<ResolveSourceMeta>>;
    BridgeWarn "build.frontend.warn" "/moby.buildkit.v1.frontend.LLBBridge/Warn" Whole Request<BuildId, (), Protobuf<Warn>>;
    BridgeContainerNew "build.container.new" "/moby.buildkit.v1.frontend.LLBBridge/NewContainer" Stream Request<BuildId, (), Protobuf<NewContainer>>;
    BridgeContainerRelease "build.container.release" "/moby.buildkit.v1.frontend.LLBBridge/ReleaseContainer" Stream Request<BuildId, (), Protobuf<ReleaseContainer>>;
    BridgeContainerExec "build.container.exec" "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess" Stream Request<BuildId, (), Protobuf<ExecMessage>>;

    ContentInfo "build.content.info" "/containerd.services.content.v1.Content/Info" Whole Request<(), (), Protobuf<BlobInfo>>;
    ContentRead "build.content.read" "/containerd.services.content.v1.Content/Read" Stream Request<(), (), Protobuf<BlobRead>>;

    BuildTrace "build.trace" "/opentelemetry.proto.collector.trace.v1.TraceService/Export" Whole Request<(), (), Protobuf<Export>>;
    }
}
