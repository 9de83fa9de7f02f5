//! What is at the end of a path: its identity, which mount it was reached by, and its name.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::io::Errno;

/// Device and inode: the same for every name of the same thing
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: (u32, u32),
    inode: u64,
}

/// Kinds of files
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory
    Directory,
    /// A regular file
    File,
    /// A socket
    Socket,
    /// A block or character device
    Device,
    /// A named pipe
    Fifo,
    /// A symbolic link, never at the end of a resolved path
    Link,
    /// Something of a kernel's that we do not know
    Unknown,
}

/// What a descriptor is
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    pub(super) kind: Kind,
    /// The mount it was reached by
    pub(super) mount: u64,
}

/// Something opened whose name was checked
#[derive(Debug)]
pub(super) struct Node {
    pub(super) file: OwnedFd,
    pub(super) seen: Seen,
    /// Name below the engine's root
    pub(super) name: String,
    /// Name below our own root, or below that of the engine's namespace
    pub(super) whole_name: String,
    /// The directory it is in, but for a root
    pub(super) parent: Option<OwnedFd>,
}

/// Asks the kernel what a descriptor is
pub(super) fn look(file: impl AsFd) -> Result<Seen, Errno> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
    let stat = statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    // Before Linux 5.8 there is no mount's number, and names cannot be told apart.
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Err(Errno::NOSYS);
    }
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Socket => Kind::Socket,
        FileType::BlockDevice | FileType::CharacterDevice => Kind::Device,
        FileType::Fifo => Kind::Fifo,
        FileType::Symlink => Kind::Link,
        FileType::Unknown => Kind::Unknown,
    };
    let identity = Identity { device: (stat.stx_dev_major, stat.stx_dev_minor), inode: stat.stx_ino };
    Ok(Seen { identity, kind, mount: stat.stx_mnt_id })
}
