//! A directory that the second policy of the run grants, and ways that seem to lead below it and do not.
//!
//! It lies in `/tmp`, which the engines share with us, so that a link can be followed here as the engine follows it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The directory; gone when dropped
pub struct Granted {
    _place: TempDir,
    /// Its path
    pub path: String,
}

impl Granted {
    /// Makes it
    pub fn make() -> Self {
        let place = tempfile::Builder::new().prefix("swd").tempdir_in("/tmp").unwrap();
        let path = place.path().join("granted");
        std::fs::create_dir_all(path.join("inside")).unwrap();
        // Where a job can write, it can make links.
        for (link, target) in [("alias", "inside"), ("link", "/etc"), ("up", "../..")] {
            symlink(target, path.join(link)).unwrap();
        }
        let path = path.to_str().unwrap().to_owned();
        Self { _place: place, path }
    }
}

/// What a path of the host leads to, as far as it is there
pub fn real(path: &str) -> String {
    let mut clean = PathBuf::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        // The engine cleans a path before it follows it.
        match part {
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    let clean = Path::new("/").join(clean);
    let real = std::fs::canonicalize(&clean).unwrap_or(clean);
    real.to_str().unwrap_or_default().to_owned()
}
