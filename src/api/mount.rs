//! Typed mounts of container create: `HostConfig.Mounts[]`.

use std::collections::BTreeMap;

use crate::object;

object! {
    /// One element of `HostConfig.Mounts` (1.25)
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs` or `image` (1.48), in lower case
        "Type" => kind: String,
        /// Host path, volume name or image
        "Source" => source: String,
        /// Path in the container
        "Target" => target: String,
        /// Not writable; below 1.44 submounts of a bind stay writable
        "ReadOnly" => read_only: bool,
        /// `consistent`, `cached`, `delegated` or `default`; without effect on Linux
        "Consistency" => consistency: String,
        /// Only for `bind`
        "BindOptions" => bind_options: Option<Box<BindOptions>>,
        /// Only for `volume`
        "VolumeOptions" => volume_options: Option<Box<VolumeOptions>>,
        /// Only for `tmpfs`
        "TmpfsOptions" => tmpfs_options: Option<Box<TmpfsOptions>>,
        /// Only for `image` (1.48)
        "ImageOptions" => image_options: Option<Box<ImageOptions>>,
    }
}

object! {
    /// Options of a bind
    pub struct BindOptions {
        /// `private`, `rprivate`, `slave`, `rslave`, `shared` or `rshared`
        "Propagation" => propagation: String,
        /// Without submounts (1.40)
        "NonRecursive" => non_recursive: bool,
        /// Make a missing source as root on the host (1.42)
        "CreateMountpoint" => create_mountpoint: bool,
        /// Leave submounts writable (1.44)
        "ReadOnlyNonRecursive" => read_only_non_recursive: bool,
        /// Fail unless submounts can be made read-only (1.44)
        "ReadOnlyForceRecursive" => read_only_force_recursive: bool,
    }
}

object! {
    /// Options of a volume
    pub struct VolumeOptions {
        /// Do not fill a new volume from the image
        "NoCopy" => no_copy: bool,
        /// Labels of a new volume
        "Labels" => labels: Option<BTreeMap<String, String>>,
        /// Path inside the volume (1.45)
        "Subpath" => subpath: String,
        /// Driver of a new volume
        "DriverConfig" => driver_config: Option<Box<DriverConfig>>,
    }
}

object! {
    /// Driver of a new volume; the same power as `POST /volumes/create`
    pub struct DriverConfig {
        /// Driver or plugin
        "Name" => name: String,
        /// Options of the driver
        "Options" => options: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// Options of a tmpfs
    pub struct TmpfsOptions {
        /// Bytes
        "SizeBytes" => size_bytes: i64,
        /// File mode as a decimal number
        "Mode" => mode: u32,
        /// Mount options as lists of one or two words (1.46)
        "Options" => options: Option<Vec<Option<Vec<String>>>>,
    }
}

object! {
    /// Options of an image mount
    pub struct ImageOptions {
        /// Path inside the image
        "Subpath" => subpath: String,
    }
}
