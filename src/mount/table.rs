//! The mount table of a process (`/proc/PID/mountinfo`): which mount shows which part of which file system where.
//!
//! Paths in it are relative to that process's root, and mounts that cannot be reached from there are left out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::mount::place::Place;

/// The mounts of one process
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Mount>);

/// One mount
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Unique in the whole system for as long as the mount exists
    pub(super) id: u64,
    /// Which part of which file system it shows
    pub(super) place: Place,
    /// Where
    pub(super) point: PathBuf,
    /// Type of the file system
    pub(super) kind: String,
}

impl Table {
    /// Reads a whole `mountinfo`; `None` when a line is not as the kernel writes it
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(mount).collect::<Option<_>>().map(Self)
    }

    /// The mount with this number
    pub(super) fn get(&self, id: u64) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// Mounts at or below a path, also those that others cover
    pub(super) fn below(&self, path: &Path) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(move |mount| mount.point.starts_with(path))
    }

    /// Mounts of a part of a file system that contains `place`
    pub(super) fn showing(&self, place: &Place) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(move |mount| mount.place.contains(place))
    }

    /// Numbers of the mounts at the root
    pub(super) fn roots(&self) -> Vec<u64> {
        self.0.iter().filter(|mount| mount.point == Path::new("/")).map(|mount| mount.id).collect()
    }
}

impl Mount {
    /// Whether it is an interface of the kernel and no place for files
    pub(super) fn is_kernel(&self) -> bool {
        KERNEL.contains(&self.kind.as_str())
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = text(fields.next()?)?.parse().ok()?;
    let _parent = fields.next()?;
    let (major, minor) = text(fields.next()?)?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let root = path(fields.next()?);
    let point = path(fields.next()?);
    fields.find(|field| *field == b"-")?;
    let kind = text(fields.next()?)?.to_owned();
    Some(Mount { id, place: Place { device, path: root }, point, kind })
}

fn text(field: &[u8]) -> Option<&str> {
    str::from_utf8(field).ok()
}

/// Blanks, tabs, line feeds and backslashes are written as three octal digits
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (byte, tail) => {
                bytes.push(byte);
                tail
            }
        };
    }
    OsString::from_vec(bytes).into()
}

/// File systems that are interfaces of the kernel
///
/// The type's name, as `statfs` says `tmpfs` of `devtmpfs`.
const KERNEL: &[&str] = &[
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "mqueue",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "bpf",
    "efivarfs",
    "pstore",
    "nsfs",
    "binfmt_misc",
    "fusectl",
    "selinuxfs",
    "smackfs",
    "resctrl",
    "rpc_pipefs",
    "nfsd",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let text = b"36 35 98:0 /mnt\\0401 /a\\134b rw,noatime shared:1 master:2 - ext3 /dev/root rw\n\
            22 27 0:21 / /proc rw - proc proc rw\n";
        let table = Table::parse(text).unwrap();
        let disk = table.get(36).unwrap();
        assert_eq!((disk.place.device, disk.place.path.as_path()), ((98, 0), Path::new("/mnt 1")));
        assert_eq!((disk.point.as_path(), disk.kind.as_str(), disk.is_kernel()), (Path::new("/a\\b"), "ext3", false));
        assert!(table.get(22).unwrap().is_kernel());
        assert_eq!(table.below(Path::new("/a")).count(), 0, "`/a` is no directory of `/a\\b`");
        for broken in
            ["36 35 98 / / rw - ext3 x rw", "x 35 98:0 / / rw - ext3 x rw", "36 35 98:0 / / rw ext3 x rw", "36"]
        {
            assert_eq!(Table::parse(broken.as_bytes()), None, "{broken}");
        }
    }
}
