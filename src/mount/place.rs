//! Where on which file system something lies: the same through whichever mount it is reached.
//!
//! An inode tells that two names are one thing. A place also tells that one thing lies below the other where a bind mount
//! cut the way between them.

use std::path::{Path, PathBuf};

use crate::mount::node::Node;
use crate::mount::table::Table;

/// A path on a file system, from that file system's own root
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Device of the file system, as the mount table has it
    pub(super) device: (u32, u32),
    /// Path on it
    pub(super) path: PathBuf,
}

impl Place {
    /// Where something lies, by the mount it was reached by
    ///
    /// A root that is no mount point lies on a mount that its own table leaves out, but ours may have.
    pub(super) fn of(node: &Node, table: &Table, own: &Table) -> Option<Self> {
        let on = |table: &Table, name: &str| {
            let mount = table.get(node.seen.mount)?;
            Some(mount.place.join(Path::new(name).strip_prefix(&mount.point).ok()?))
        };
        on(table, &node.name).or_else(|| on(own, &node.whole_name))
    }

    /// The place of something below
    pub(super) fn join(&self, below: impl AsRef<Path>) -> Self {
        let below = below.as_ref();
        // Joining nothing would end the path with a slash.
        let path = if below.as_os_str().is_empty() { self.path.clone() } else { self.path.join(below) };
        Self { device: self.device, path }
    }

    /// Whether `other` is the same place or below
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.device == other.device && other.path.starts_with(&self.path)
    }
}
