//! The real buildx, of the engine's own generation where it has one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::setting::Engine;

/// The docker CLI with a directory to build from and builders of its own
pub struct Buildx {
    docker: String,
    directory: tempfile::TempDir,
    socket: String,
}

impl Buildx {
    /// Speaks through a socket
    pub fn new(engine: &Engine, socket: &Path) -> Self {
        // Docker 20.10 came without buildx.
        let generation = if engine.name == "bookworm" { "trixie" } else { &engine.name };
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
        let output = Command::new(tool).args(["cli", generation]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let directory = tempfile::tempdir().unwrap();
        let docker = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let buildx = Self { docker, directory, socket: format!("unix://{}", socket.display()) };
        buildx.file("Dockerfile", "FROM scratch\n");
        buildx
    }

    /// Writes a file of the context
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command of buildx, in its directory
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.docker);
        command.arg("buildx").args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.env("DOCKER_HOST", &self.socket).env("BUILDX_CONFIG", self.directory.path().join("buildx"));
        command.env("BUILDKIT_PROGRESS", "plain").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs one to its end
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Builds a Dockerfile; what it says, as an error where it failed
    pub fn build(&self, dockerfile: &str, options: &[&str]) -> Result<String, String> {
        self.file("Dockerfile", dockerfile);
        let mut arguments = vec!["build"];
        arguments.extend(options);
        arguments.push(".");
        let Output { status, stdout, stderr } = self.run(&arguments);
        let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        if status.success() { Ok(said) } else { Err(said) }
    }
}
