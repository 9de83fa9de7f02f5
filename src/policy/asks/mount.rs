//! Asks of binds, mounts, volumes and tmpfs.

use std::collections::BTreeMap;

use crate::api::bind::{Bind, BindSource, clean};
use crate::api::mount::{BindOptions, CheckedMount, DriverConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use crate::api::names::Name as _;
use crate::policy::ask::{Access, Flag, HostMount, Propagation, What};
use crate::policy::asks::Asks;

pub(super) fn binds(binds: &Option<Vec<Bind>>, asks: &mut Asks) {
    for (index, bind) in binds.iter().flatten().enumerate() {
        let BindSource::Host(path) = &bind.source else {
            if let BindSource::Volume(name) = &bind.source {
                asks.new_name("volume name", name.as_str(), &format!("HostConfig.Binds[{index}]"));
            }
            target(&bind.target, &format!("HostConfig.Binds[{index}]"), asks);
            continue;
        };
        // A new SELinux label is written to every file of the source.
        let relabels = bind.mode.iter().any(|word| matches!(word.as_str(), "z" | "Z"));
        let access = if bind.is_read_only() && !relabels { Access::ReadOnly } else { Access::ReadWrite };
        let words = bind.mode.iter().map(|word| propagation(word));
        let propagation = words.max().unwrap_or(Propagation::Private);
        let what = What::Mount(HostMount { source: path.to_string(), access, propagation });
        asks.add(what, format!("HostConfig.Binds[{index}]"));
    }
}

pub(super) fn mounts(mounts: &Option<Vec<CheckedMount>>, asks: &mut Asks) {
    for (index, mount) in mounts.iter().flatten().enumerate() {
        let field = format!("HostConfig.Mounts[{index}]");
        let Mount {
            kind,
            source,
            read_only,
            bind_options,
            volume_options,
            tmpfs_options,
            image_options,
            target: to,
            consistency: _,
        } = mount.get();
        if kind != "bind" {
            target(to, &format!("{field}.Target"), asks);
        }
        match kind.as_str() {
            "bind" => bind(source, *read_only, bind_options.as_deref(), &field, asks),
            "volume" => {
                asks.new_name("volume name", source, &format!("{field}.Source"));
                volume(volume_options.as_deref(), &field, asks);
            }
            "tmpfs" => tmpfs_mount(tmpfs_options.as_deref(), &field, asks),
            _ => {
                // An image's files, read-only; a subpath stays inside the image.
                let _: Option<&ImageOptions> = image_options.as_deref();
                asks.image(source, &format!("{field}.Source"));
            }
        }
    }
}

/// Files of the container's own in the place of the kernel's take its confinement off (CVE-2019-16884); what the host has
/// there is granted by its path
pub(super) fn target(path: &str, field: &str, asks: &mut Asks) {
    let path = clean(path);
    if path == "/proc" || path.starts_with("/proc/") {
        asks.add(What::Odd("mount target", path), field);
    }
}

fn bind(source: &str, read_only: bool, options: Option<&BindOptions>, field: &str, asks: &mut Asks) {
    let defaults = BindOptions::default();
    let BindOptions {
        propagation: mode,
        create_mountpoint,
        read_only_non_recursive,
        non_recursive: _,
        read_only_force_recursive: _,
    } = options.unwrap_or(&defaults);
    // Submounts that stay writable make it a writable mount.
    let access = if read_only && !read_only_non_recursive { Access::ReadOnly } else { Access::ReadWrite };
    let what = What::Mount(HostMount { source: source.to_owned(), access, propagation: propagation(mode) });
    asks.add(what, format!("{field}.Source"));
    asks.switch(Flag::CreateMountpoint, *create_mountpoint, &format!("{field}.BindOptions.CreateMountpoint"));
}

fn volume(options: Option<&VolumeOptions>, field: &str, asks: &mut Asks) {
    let Some(VolumeOptions { labels, driver_config, no_copy: _, subpath: _ }) = options else { return };
    asks.label_map(labels, &format!("{field}.VolumeOptions.Labels"));
    if let Some(DriverConfig { name, options }) = driver_config.as_deref() {
        volume_driver(name, &format!("{field}.VolumeOptions.DriverConfig.Name"), asks);
        volume_options(options, &format!("{field}.VolumeOptions.DriverConfig.Options"), asks);
    }
}

fn tmpfs_mount(options: Option<&TmpfsOptions>, field: &str, asks: &mut Asks) {
    let Some(TmpfsOptions { options, size_bytes: _, mode: _ }) = options else { return };
    let words = options.iter().flatten().flatten().filter_map(|words| words.first());
    tmpfs(words.map(String::as_str), &format!("{field}.TmpfsOptions.Options"), asks);
}

/// The engine mounts with noexec, nosuid and nodev unless told otherwise
pub(super) fn tmpfs<'a>(options: impl Iterator<Item = &'a str>, field: &str, asks: &mut Asks) {
    for option in options.filter(|option| !TMPFS_HARMLESS.contains(&option.split('=').next().unwrap_or(""))) {
        asks.flag(Flag::Tmpfs, option, field);
    }
}

pub(super) fn volume_driver(driver: &str, field: &str, asks: &mut Asks) {
    if driver != "local" {
        asks.text(Flag::VolumeDriver, driver, field);
    }
}

/// Options of a volume driver as one ask, unless they make a plain tmpfs
///
/// With the `local` driver they are a `mount` as root on the host: `o=bind,device=/` is the host's root, whatever the
/// type says (20.10 to 28.5).
pub(super) fn volume_options(options: &Option<BTreeMap<String, String>>, field: &str, asks: &mut Asks) {
    let Some(options) = options.as_ref().filter(|options| !options.is_empty()) else { return };
    if !is_plain_tmpfs(options) {
        let text: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        asks.flag(Flag::VolumeOpt, text.join(","), field);
    }
}

fn is_plain_tmpfs(options: &BTreeMap<String, String>) -> bool {
    options.iter().all(|(key, value)| match key.as_str() {
        "type" | "device" => value == "tmpfs",
        "o" => value.split(',').all(|word| TMPFS_HARMLESS.contains(&word.split('=').next().unwrap_or(""))),
        _ => false,
    }) && options.contains_key("type")
}

fn propagation(word: &str) -> Propagation {
    match word {
        "shared" | "rshared" => Propagation::Shared,
        "slave" | "rslave" => Propagation::Slave,
        "private" | "rprivate" | "" => Propagation::Private,
        // Words of a bind's mode that are no propagation.
        _ if !word.contains("shared") && !word.contains("slave") => Propagation::Private,
        _ => Propagation::Shared,
    }
}

/// Options of a tmpfs that give nothing away
const TMPFS_HARMLESS: &[&str] = &[
    "",
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "noexec",
    "nosuid",
    "nodev",
    "ro",
    "rw",
    "noatime",
    "relatime",
];
