//! What an owner is shown of the engine's answers: its own names as it gave them.
//!
//! The suffix of its names is a fixed word that only they carry, so bytes are enough to take it out, in constant memory.
//! What containers, builds and registries say, and what is in files and images, is handed on as it is.

use crate::api::operation::Operation;

pub mod strip;

/// Whether the engine's answer to an operation is JSON that may name objects; every failure is
pub fn names_objects(operation: &Operation) -> bool {
    use Operation as O;
    match operation {
        O::Events(_) | O::DiskUsage(_) => true,
        O::ContainerList(_) | O::ContainerCreate(_) | O::ContainerPrune(_) | O::ContainerInspect(_) => true,
        O::ContainerStats(_) | O::ContainerUpdate(_) | O::ExecInspect(_) => true,
        O::VolumeList(_) | O::VolumeCreate(_) | O::VolumePrune(_) | O::VolumeInspect(_) => true,
        O::NetworkList(_) | O::NetworkCreate(_) | O::NetworkPrune(_) | O::NetworkInspect(_) => true,

        O::Ping(_) | O::PingHead(_) | O::Version(_) | O::Info(_) | O::Auth(_) => false,
        O::ContainerArchiveStat(_) | O::ContainerArchiveGet(_) | O::ContainerArchivePut(_) => false,
        O::ContainerExport(_) | O::ContainerChanges(_) | O::ContainerTop(_) | O::ContainerLogs(_) => false,
        O::ContainerKill(_) | O::ContainerPause(_) | O::ContainerUnpause(_) | O::ContainerRestart(_) => false,
        O::ContainerStart(_) | O::ContainerStop(_) | O::ContainerWait(_) | O::ContainerResize(_) => false,
        O::ContainerAttach(_) | O::ContainerRename(_) | O::ContainerRemove(_) => false,
        O::ExecCreate(_) | O::ExecStart(_) | O::ExecResize(_) => false,
        O::ImageList(_) | O::ImageSearch(_) | O::ImageExportMany(_) | O::ImageExport(_) | O::ImageHistory(_) => false,
        O::ImageInspect(_) | O::ImageLoad(_) | O::ImagePull(_) | O::ImageImport(_) | O::ImagePrune(_) => false,
        O::ImagePush(_) | O::ImageTag(_) | O::ImageRemove(_) | O::ImageCommit(_) => false,
        O::DistributionInspect(_) | O::BuildClassic(_) | O::BuildPrune(_) => false,
        O::VolumeRemove(_) | O::NetworkConnect(_) | O::NetworkDisconnect(_) | O::NetworkRemove(_) => false,
    }
}
