//! A running sockwarden in front of one engine, with everything it writes in a directory of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sockwarden::owner::Owner;
use sockwarden::policy::view::suffix;
use tempfile::TempDir;

/// A running `sockwarden serve`; ends when dropped
pub struct Gate {
    child: Child,
    dir: TempDir,
    arguments: Vec<String>,
    owner: String,
}

impl Gate {
    /// Starts one with a shipped policy and waits for its line
    pub fn start(engine: &Path, policy: &str) -> Self {
        let dir = TempDir::with_prefix("swt").unwrap();
        // The machine's own configuration stays out of it.
        std::fs::write(dir.path().join("config.toml"), "").unwrap();
        Self::with(dir, engine, policy)
    }

    /// The same with a policy of one's own
    pub fn with_policy(engine: &Path, text: &str) -> Self {
        Self::with_files(engine, text, "")
    }

    /// The same with a configuration of one's own
    pub fn with_files(engine: &Path, policy: &str, config: &str) -> Self {
        let dir = TempDir::with_prefix("swt").unwrap();
        let file = dir.path().join("policy.toml");
        std::fs::write(&file, policy).unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let file = file.to_str().unwrap().to_owned();
        Self::with(dir, engine, &file)
    }

    /// The same with a policy of one's own, where every caller is `owner`
    pub fn with_owner(engine: &Path, policy: &str, owner: &str) -> Self {
        let dir = TempDir::with_prefix("swt").unwrap();
        std::fs::write(dir.path().join("policy.toml"), policy).unwrap();
        let listener =
            format!("[[listener]]\npath = \"./gate.sock\"\npolicy = \"./policy.toml\"\nowner = \"{owner}\"\n");
        std::fs::write(dir.path().join("config.toml"), listener).unwrap();
        Self::with_arguments(dir, engine, &[], owner)
    }

    /// With a socket for each of several owners, who share everything else
    pub fn with_owners(engine: &Path, policy: &str, owners: &[String]) -> Self {
        Self::with_owners_within(engine, policy, owners, "")
    }

    /// The same with more of a configuration
    pub fn with_owners_within(engine: &Path, policy: &str, owners: &[String], more: &str) -> Self {
        let dir = TempDir::with_prefix("swt").unwrap();
        std::fs::write(dir.path().join("policy.toml"), policy).unwrap();
        let listener = |owner: &String| {
            format!(
                "[[listener]]\nname = '{owner}'\nowner = '{owner}'\npath = '{owner}.sock'\npolicy = './policy.toml'\n"
            )
        };
        let listeners: String = owners.iter().map(listener).collect();
        std::fs::write(dir.path().join("config.toml"), listeners + more).unwrap();
        Self::with_arguments(dir, engine, &[], "")
    }

    fn with(dir: TempDir, engine: &Path, policy: &str) -> Self {
        let socket = dir.path().join("gate.sock").display().to_string();
        // What calls from the host, as this test does, is its user.
        let owner = format!("uid:{}", rustix::process::getuid().as_raw());
        Self::with_arguments(dir, engine, &["--policy", policy, "--listen", &socket], &owner)
    }

    fn with_arguments(dir: TempDir, engine: &Path, arguments: &[&str], owner: &str) -> Self {
        let engine = format!("unix://{}", engine.display());
        let arguments = ["--engine", &engine].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let child = Self::spawn(&dir, &arguments);
        Self { child, dir, arguments, owner: owner.to_owned() }
    }

    fn spawn(dir: &TempDir, arguments: &Vec<String>) -> Child {
        let log = dir.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockwarden"))
            .arg("serve")
            .args(arguments)
            .arg("--audit")
            .arg(dir.path().join("audit.jsonl"))
            .arg("--config")
            .arg(dir.path().join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(ready.contains("ready"), "sockwarden is not ready: {ready} {said}");
        child
    }

    /// Ends it with SIGKILL
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it once more, after [`Gate::kill`]
    pub fn again(&mut self) {
        self.child = Self::spawn(&self.dir, &self.arguments);
    }

    /// Ends it with SIGTERM, and waits for its end
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it once more with another policy of one's own, after its end
    pub fn again_with(&mut self, policy: &str) {
        std::fs::write(self.dir.path().join("policy.toml"), policy).unwrap();
        self.again();
    }

    /// The socket it serves
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("gate.sock")
    }

    /// The socket of one of several owners
    pub fn socket_of(&self, owner: &str) -> PathBuf {
        self.dir.path().join(format!("{owner}.sock"))
    }

    /// What stands at the end of the names of its one owner on the engine
    pub fn suffix(&self) -> String {
        suffix(Owner::new(&self.owner).tag())
    }

    /// What stands at the end of the names of one of several owners
    pub fn suffix_of(&self, owner: &str) -> String {
        suffix(Owner::new(owner).tag())
    }

    /// Owner of what this test makes through it
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Everything on record so far
    pub fn record(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit.jsonl")).unwrap_or_default()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
