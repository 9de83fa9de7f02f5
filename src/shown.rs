//! What an owner is shown of the engine's answers: its own objects, by the names it gave them.
//!
//! The suffix of its names is a fixed word that only they carry, so bytes are enough to take it out, in constant memory.
//! Lists that the engine cannot narrow by a label are read as data. What containers, builds and registries say, and what
//! is in files and images, is handed on as it is.

use thiserror::Error;

use crate::api::operation::Operation;
use crate::policy::ask::Object;

pub mod builds;
pub mod events;
pub mod strip;
pub mod whole;

/// What an owner may see
pub trait Sees {
    /// Whether an object may be seen, by its full id, its name on the engine and its owner's label
    fn sees(&self, object: Object, id: &str, name: &str, owner: Option<&str>) -> bool;

    /// Whether a label names this owner
    fn is_own(&self, owner: Option<&str>) -> bool;

    /// Whether the container of that id is known to be the owner's
    fn is_own_container(&self, id: &str) -> bool;

    /// A name as the owner knows it
    fn short<'a>(&self, name: &'a str) -> &'a str;
}

/// A stream of bytes on its way, from which something is left out
pub trait Sieve {
    /// What can be passed on now that `piece` has come
    ///
    /// # Errors
    /// When more would have to be kept than is.
    fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, TooLong>;

    /// What is left when nothing more comes
    fn end(&mut self) -> Vec<u8>;

    /// Whether nothing is held back
    fn is_empty(&self) -> bool;
}

/// A piece that has to be read whole is longer than is read
#[derive(Debug, Error)]
#[error("the engine sent a line that is longer than is read")]
pub struct TooLong;

/// One sieve after another
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Sieve, B: Sieve> Sieve for Both<A, B> {
    fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, TooLong> {
        let passed = self.0.pass(piece)?;
        self.1.pass(&passed)
    }

    fn end(&mut self) -> Vec<u8> {
        let mut passed = self.1.pass(&self.0.end()).unwrap_or_default();
        passed.extend(self.1.end());
        passed
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }
}

/// How an answer of the engine is made the owner's
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// As it is
    AsIs,
    /// Without the suffix
    Names,
    /// Event by event
    Events,
    /// Read whole
    Whole(Shape),
    /// What was made: its id is read, and then as [`Self::Names`]
    Made(Made),
}

/// What an operation makes
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A container
    Container,
    /// A network
    Network,
    /// An exec
    Exec,
}

/// Answers that are read whole
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A list of networks
    Networks,
    /// One network
    Network,
    /// A list of volumes
    Volumes,
    /// `docker system df`
    Usage,
    /// `docker info`
    Info,
}

/// How the engine's answer to an operation is shown; every failure has names
pub fn showing(operation: &Operation) -> Showing {
    use Operation as O;
    match operation {
        O::Events(_) => Showing::Events,
        O::DiskUsage(_) => Showing::Whole(Shape::Usage),
        O::Info(_) => Showing::Whole(Shape::Info),
        O::NetworkList(_) => Showing::Whole(Shape::Networks),
        O::NetworkInspect(_) => Showing::Whole(Shape::Network),
        O::VolumeList(_) => Showing::Whole(Shape::Volumes),
        O::ContainerCreate(_) => Showing::Made(Made::Container),
        O::NetworkCreate(_) => Showing::Made(Made::Network),
        O::ExecCreate(_) => Showing::Made(Made::Exec),

        O::ContainerList(_) | O::ContainerPrune(_) | O::ContainerInspect(_) => Showing::Names,
        O::ContainerStats(_) | O::ContainerUpdate(_) | O::ExecInspect(_) => Showing::Names,
        O::VolumeCreate(_) | O::VolumePrune(_) | O::VolumeInspect(_) | O::NetworkPrune(_) => Showing::Names,

        O::Ping(_) | O::PingHead(_) | O::Version(_) | O::Auth(_) => Showing::AsIs,
        O::ContainerArchiveStat(_) | O::ContainerArchiveGet(_) | O::ContainerArchivePut(_) => Showing::AsIs,
        O::ContainerExport(_) | O::ContainerChanges(_) | O::ContainerTop(_) | O::ContainerLogs(_) => Showing::AsIs,
        O::ContainerKill(_) | O::ContainerPause(_) | O::ContainerUnpause(_) => Showing::AsIs,
        O::ContainerRestart(_) | O::ContainerStart(_) | O::ContainerStop(_) | O::ContainerWait(_) => Showing::AsIs,
        O::ContainerResize(_) | O::ContainerAttach(_) | O::ContainerRename(_) | O::ContainerRemove(_) => Showing::AsIs,
        O::ExecStart(_) | O::ExecResize(_) => Showing::AsIs,
        O::ImageList(_) | O::ImageSearch(_) | O::ImageExportMany(_) | O::ImageExport(_) => Showing::AsIs,
        O::ImageHistory(_) | O::ImageInspect(_) | O::ImageLoad(_) | O::ImagePull(_) => Showing::AsIs,
        O::ImageImport(_) | O::ImagePrune(_) | O::ImagePush(_) | O::ImageTag(_) | O::ImageRemove(_) => Showing::AsIs,
        O::ImageCommit(_) | O::DistributionInspect(_) | O::BuildClassic(_) | O::BuildPrune(_) => Showing::AsIs,
        O::VolumeRemove(_) | O::NetworkConnect(_) | O::NetworkDisconnect(_) | O::NetworkRemove(_) => Showing::AsIs,
        // Calls of BuildKit are answered message by message.
        O::BuildGrpc(_) | O::BuildSession(_) | O::BuildSolve(_) | O::BuildStatus(_) | O::BuildWorkers(_) => {
            Showing::AsIs
        }
        O::BuildInfo(_) | O::BuildDiskUsage(_) | O::BuildCachePrune(_) | O::BuildHistory(_) => Showing::AsIs,
        O::BuildHistoryUpdate(_) | O::BridgeSolve(_) | O::BridgePing(_) | O::BridgeReturn(_) => Showing::AsIs,
        O::BridgeInputs(_) | O::BridgeEvaluate(_) | O::BridgeReadFile(_) | O::BridgeReadDir(_) => Showing::AsIs,
        O::BridgeStatFile(_) | O::BridgeResolveImage(_) | O::BridgeResolveSource(_) | O::BridgeWarn(_) => Showing::AsIs,
        O::BridgeContainerNew(_) | O::BridgeContainerRelease(_) | O::BridgeContainerExec(_) => Showing::AsIs,
        O::ContentInfo(_) | O::ContentRead(_) | O::BuildTrace(_) => Showing::AsIs,
    }
}

/// The names that a list of networks is asked for, which only its answer can be held against
pub fn sought(operation: &Operation) -> Vec<String> {
    match operation {
        Operation::NetworkList(request) => request.query.filters.0.get("name").cloned().unwrap_or_default(),
        _ => Vec::new(),
    }
}
