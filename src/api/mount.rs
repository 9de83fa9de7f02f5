//! Typed mounts of container create: `HostConfig.Mounts[]`.

use std::collections::BTreeMap;

use crate::api::bind::HostPath;
use crate::api::json::Json;
use crate::api::names::VolumeName;
use crate::api::object::{At, Field, Malformed, Value};
use crate::api::value::Plain;
use crate::object;

/// A mount whose type is known and whose options belong to it; a bind's source is an absolute, cleaned path
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckedMount(Mount);

impl CheckedMount {
    /// The mount
    pub fn get(&self) -> &Mount {
        &self.0
    }

    /// A new volume without a name, known as such to prunes
    ///
    /// Engines from 23.0 on give the label themselves where no mount is asked for; 26.1 gives none where one is.
    pub fn unnamed_volume(target: &str, driver: &str) -> Self {
        let driver = || DriverConfig { name: driver.to_owned(), ..DriverConfig::default() };
        let driver_config = (!driver().name.is_empty()).then(|| Box::new(driver()));
        let labels = Some([("com.docker.volume.anonymous".to_owned(), String::new())].into());
        let options = VolumeOptions { driver_config, labels, ..VolumeOptions::default() };
        let (kind, target) = ("volume".to_owned(), target.to_owned());
        Self(Mount { kind, target, volume_options: Some(Box::new(options)), ..Mount::default() })
    }

    /// The host path of a bind
    pub fn host_path(&self) -> Option<HostPath> {
        if self.0.kind == "bind" { HostPath::parse(&self.0.source) } else { None }
    }

    /// Puts another host path in place of a bind's
    pub fn set_host_path(&mut self, path: &HostPath) {
        if self.0.kind == "bind" {
            self.0.source = path.to_string();
        }
    }

    /// Takes the right to write away, submounts included
    pub fn make_read_only(&mut self) {
        self.0.read_only = true;
        if let Some(options) = &mut self.0.bind_options {
            options.read_only_non_recursive = false;
        }
    }

    /// Has nothing made where the source of a bind is missing
    pub fn make_nothing(&mut self) {
        if let Some(options) = &mut self.0.bind_options {
            options.create_mountpoint = false;
        }
    }

    /// Puts a socket in the place of a bind's source; options of the old one are not for it
    pub fn set_socket(&mut self, path: &HostPath) {
        self.set_host_path(path);
        self.0.bind_options = None;
    }

    /// Puts a volume, or a part of it, in the place of a bind's source
    pub fn set_volume(&mut self, name: &VolumeName, subpath: &str) {
        let Mount { target, read_only, .. } = &self.0;
        *self = Self::of_volume(name, subpath, target, *read_only);
    }

    /// A volume that is there, or a part of it, which is not filled from the image, as no host path is
    pub fn of_volume(name: &VolumeName, subpath: &str, target: &str, read_only: bool) -> Self {
        let options = VolumeOptions { no_copy: true, subpath: subpath.to_owned(), ..VolumeOptions::default() };
        Self(Mount {
            kind: "volume".to_owned(),
            source: name.to_string(),
            target: target.to_owned(),
            read_only,
            volume_options: Some(Box::new(options)),
            ..Mount::default()
        })
    }

    /// Puts an image's full id in the place of its name
    pub fn pin_image(&mut self, name: &str, id: &str) {
        if self.0.kind == "image" && self.0.source == name {
            id.clone_into(&mut self.0.source);
        }
    }

    /// Puts a volume's name on the engine in the place of its name
    pub fn pin_volume(&mut self, name: &str, found: &str) {
        if self.0.kind == "volume" && self.0.source == name {
            found.clone_into(&mut self.0.source);
        }
    }

    /// Labels of the new volume, to be forced
    pub fn volume_labels_mut(&mut self) -> Option<&mut BTreeMap<String, String>> {
        let of_volume = self.0.kind == "volume";
        of_volume.then(|| self.0.volume_options.get_or_insert_default().labels.get_or_insert_default())
    }
}

impl Value for CheckedMount {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        let Plain(mut mount): Plain<Mount> = Value::read(json, at)?;
        let Mount { kind, bind_options, volume_options, tmpfs_options, image_options, source, .. } = &mut mount;
        let options = [
            ("bind", "BindOptions", says_something(bind_options)),
            ("volume", "VolumeOptions", says_something(volume_options)),
            ("tmpfs", "TmpfsOptions", says_something(tmpfs_options)),
            ("image", "ImageOptions", says_something(image_options)),
        ];
        if !options.iter().any(|(of, ..)| of == kind) {
            let what = format!("`{}` is none of bind, volume, tmpfs, image", kind.escape_debug());
            return Err(At::Member(at, "Type").malformed(what));
        }
        if let Some((_, name, _)) = options.iter().find(|(of, _, given)| *given && of != kind) {
            return Err(At::Member(at, name).malformed(format!("not an option of type `{kind}`")));
        }
        match kind.as_str() {
            "bind" => match HostPath::parse(source) {
                Some(path) => *source = path.to_string(),
                None => return Err(At::Member(at, "Source").malformed("must be an absolute path")),
            },
            "tmpfs" if !source.is_empty() => return Err(At::Member(at, "Source").malformed("a tmpfs has none")),
            _ => {}
        }
        Ok(Self(mount))
    }

    fn write(&self) -> Json {
        Plain(self.0.clone()).write()
    }

    fn is_unset(&self) -> bool {
        false
    }

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        <Plain<Mount>>::describe(path, since, fields);
    }
}

fn says_something<T: Default + PartialEq>(options: &Option<Box<T>>) -> bool {
    options.as_deref().is_some_and(|options| *options != T::default())
}

object! {
    /// One element of `HostConfig.Mounts` (1.25)
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, or `image` since 1.48; in lower case
        "Type" since 25 => kind: String,
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
        "ImageOptions" since 48 => image_options: Option<Box<ImageOptions>>,
    }
}

object! {
    /// Options of a bind
    pub struct BindOptions {
        /// `private`, `rprivate`, `slave`, `rslave`, `shared` or `rshared`
        "Propagation" => propagation: String,
        /// Without submounts (1.40)
        "NonRecursive" since 40 => non_recursive: bool,
        /// Make a missing source as root on the host (1.42)
        "CreateMountpoint" since 42 => create_mountpoint: bool,
        /// Leave submounts writable (1.44)
        "ReadOnlyNonRecursive" since 44 => read_only_non_recursive: bool,
        /// Fail unless submounts can be made read-only (1.44)
        "ReadOnlyForceRecursive" since 44 => read_only_force_recursive: bool,
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
        "Subpath" since 45 => subpath: String,
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
        "Options" since 46 => options: Option<Vec<Option<Vec<String>>>>,
    }
}

object! {
    /// Options of an image mount
    pub struct ImageOptions {
        /// Path inside the image
        "Subpath" => subpath: String,
    }
}
