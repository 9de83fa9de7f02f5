//! A registry on loopback, with nothing in it at first.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A running registry; ends when dropped
pub struct Registry {
    dir: TempDir,
    /// Its host and port
    pub address: String,
}

impl Registry {
    /// Starts one
    pub fn start() -> Self {
        let dir = TempDir::with_prefix("swt").unwrap();
        let address = tool("up", dir.path());
        assert!(address.starts_with("127.0.0.1:"), "no registry: {address}");
        Self { dir, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        tool("down", self.dir.path());
    }
}

fn tool(what: &str, dir: &Path) -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry");
    let output = Command::new(tool).arg(what).arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
