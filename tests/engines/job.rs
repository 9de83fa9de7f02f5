//! A real container as the caller: it has the gate's socket where `docker.sock` is looked for, and a docker CLI.
//!
//! A runner would start it on the bare engine, and so does this. The CLI is the one of the engine's own system: its
//! `/usr` is bound into the container, with Compose beside it. Scripts run by `exec`, in the container's own control group.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Framing, ask, removed, request};
use super::setting::Engine;

/// A running job container; removed with its anonymous volumes when dropped
pub struct Job {
    engine: PathBuf,
    id: String,
}

/// What a script said
#[derive(Debug)]
pub struct Output {
    /// Exit status
    pub code: i64,
    /// Standard output
    pub stdout: String,
    /// Standard error
    pub stderr: String,
}

impl Job {
    /// Starts one that calls through the gate's socket
    pub fn start(engine: &Engine, gate: &Path) -> Self {
        Self::with(engine, gate, json!({}))
    }

    /// The same with more in the body of the create call: objects are merged, lists are appended to
    ///
    /// `json!({"HostConfig": {"Binds": ["/tmp/x:/src"]}, "Labels": {"job": "7"}, "WorkingDir": "/src"})`
    pub fn with(engine: &Engine, gate: &Path, more: Value) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("swt-job-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let binds = [
            format!("{}:/var/run/docker.sock", gate.display()),
            "/usr:/usr:ro".to_owned(),
            "/lib:/lib:ro".to_owned(),
            "/lib64:/lib64:ro".to_owned(),
            format!("{}:/root/.docker/cli-plugins:ro", plugins(engine).display()),
        ];
        let mut body = json!({
            "Image": "busybox:test",
            "Cmd": ["sleep", "10000"],
            "Env": ["HOME=/root", "PATH=/bin:/usr/bin", "DOCKER_HOST=unix:///var/run/docker.sock"],
            "HostConfig": {"Binds": binds, "Init": false},
        });
        merge(&mut body, more);
        let made = ask(&engine.socket, "POST", &format!("/containers/create?name={name}"), &body.to_string());
        assert_eq!(made.status, 201, "{body}: {}", made.text());
        let job = Self { engine: engine.socket.clone(), id: made.json()["Id"].as_str().unwrap().to_owned() };
        let started = job.ask("POST", "/start");
        assert_eq!(started.status, 204, "{}", started.text());
        job
    }

    /// Full id of its container
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs a shell script in it
    pub fn run(&self, script: &str) -> Output {
        let exec = json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["sh", "-c", script]});
        let made = ask(&self.engine, "POST", &format!("/containers/{}/exec", self.id), &exec.to_string());
        assert_eq!(made.status, 201, "{script}: {}", made.text());
        let exec = made.json()["Id"].as_str().unwrap().to_owned();
        let (stdout, stderr) = self.stream(&exec, script);
        let code = ask(&self.engine, "GET", &format!("/exec/{exec}/json"), "").json()["ExitCode"].as_i64();
        Output { code: code.unwrap_or_else(|| panic!("{script} has not ended")), stdout, stderr }
    }

    /// Runs a shell script that must succeed; returns its standard output without the last end of line
    pub fn must(&self, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.code, 0, "{script}: {output:?}");
        output.stdout.trim_end().to_owned()
    }

    /// Ends it as a crash would
    pub fn kill(&self) {
        let killed = self.ask("POST", "/kill?signal=KILL");
        assert_eq!(killed.status, 204, "{}", killed.text());
    }

    fn ask(&self, method: &str, target: &str) -> super::http::Answer {
        ask(&self.engine, method, &format!("/containers/{}{target}", self.id), "")
    }

    fn stream(&self, exec: &str, script: &str) -> (String, String) {
        let mut engine = UnixStream::connect(&self.engine).unwrap();
        engine.set_read_timeout(Some(PATIENCE)).unwrap();
        let target = format!("/exec/{exec}/start");
        engine.write_all(&request("POST", &target, &[], br#"{"Detach":false}"#, Framing::Length)).unwrap();
        let mut bytes = Vec::new();
        engine.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{script}: {error}"));
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let head = head.unwrap_or_else(|| panic!("{script}: {}", String::from_utf8_lossy(&bytes)));
        assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{script}: {}", String::from_utf8_lossy(&bytes));
        let mut rest = &bytes[head + 4..];
        let mut said = [Vec::new(), Vec::new()];
        // Frames of 1 or 2 for the stream, three zeros, the length, and as many bytes.
        while let [stream, 0, 0, 0, a, b, c, d, frames @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            said[usize::from(*stream == 2)].extend(&frames[..length]);
            rest = &frames[length..];
        }
        assert!(rest.is_empty(), "{script}: {}", String::from_utf8_lossy(rest));
        let [stdout, stderr] = said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (stdout, stderr)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        removed(&self.engine, &format!("/containers/{}?force=1&v=1", self.id));
    }
}

/// Where Compose is, for the docker CLI of the engine's generation
fn plugins(engine: &Engine) -> PathBuf {
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine");
    let cli = Command::new(tool).args(["cli", &engine.name]).output().unwrap();
    assert!(cli.status.success(), "tests/engine cli {}: {}", engine.name, String::from_utf8_lossy(&cli.stderr));
    let wrapper = PathBuf::from(String::from_utf8(cli.stdout).unwrap().trim());
    wrapper.with_file_name(format!("cfg-{}", engine.name)).join("cli-plugins")
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}

/// How long a script may be silent
const PATIENCE: Duration = Duration::from_secs(300);
