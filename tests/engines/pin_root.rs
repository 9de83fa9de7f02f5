//! A directory for pins that the engines see, and that is never removed with what is mounted in it.
//!
//! Removing it recursively would remove what was pinned, which may be anything of the machine: so every pin is unmounted
//! first, and only empty directories are removed. What cannot be unmounted stays.

use std::fs;
use std::path::{Path, PathBuf};

use sockwarden::mount::Pin;

/// The directory; when dropped its pins are undone
pub struct PinRoot(PathBuf);

impl PinRoot {
    /// Makes one below the lab's shared directory, where mounts of ours reach the engines' own roots
    pub fn new() -> Self {
        let lab = std::env::var_os("LAB").map_or_else(|| "/var/cache/sockwarden-lab".into(), PathBuf::from);
        let directory = tempfile::Builder::new().prefix("swt-pins-").tempdir_in(lab.join("shared")).unwrap();
        Self(directory.keep())
    }

    /// Where pins are; made by who pins first
    pub fn pins(&self) -> PathBuf {
        self.0.join("pins")
    }
}

impl Drop for PinRoot {
    fn drop(&mut self) {
        let undone = Pin::sweep(&self.pins(), &[]);
        // Fails where anything is left, and leaves it there.
        let removed = [self.pins(), self.0.clone()].iter().filter(|path| path.exists()).try_for_each(fs::remove_dir);
        if !std::thread::panicking() {
            assert!(undone.is_ok() && removed.is_ok(), "{}: {undone:?}, {removed:?}", Path::new(&self.0).display());
        }
    }
}
