//! The real binary as a child process, with a place of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::Engine;
use crate::peer::{Message, Peer};

/// How the binary is started
pub struct Setup {
    /// A shipped policy's name, or the text of a policy
    pub policy: String,
    /// Text of the configuration file
    pub config: String,
    /// Where the record goes; `None` is a file of our own
    pub audit: Option<PathBuf>,
    /// Further arguments
    pub arguments: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { policy: "unrestricted".into(), config: String::new(), audit: None, arguments: Vec::new() }
    }
}

/// A running proxy
pub struct Proxy {
    pub child: Child,
    pub ready: String,
    pub socket: PathBuf,
    pub audit: PathBuf,
    pub policy: PathBuf,
    log: Log,
    ended: bool,
    _directory: TempDir,
}

/// Standard error of a child, read as it comes
struct Log {
    text: Arc<(Mutex<(String, bool)>, Condvar)>,
}

impl Log {
    fn of(stderr: ChildStderr) -> Self {
        let text = Arc::<(Mutex<(String, bool)>, Condvar)>::default();
        let ours = Arc::clone(&text);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                ours.0.lock().unwrap().0 += &(line + "\n");
                ours.1.notify_all();
            }
            ours.0.lock().unwrap().1 = true;
            ours.1.notify_all();
        });
        Self { text }
    }

    fn line(&self, text: &str) -> String {
        let missing = |(log, ended): &mut (String, bool)| !*ended && !log.contains(text);
        let log = self.text.1.wait_timeout_while(self.text.0.lock().unwrap(), PATIENCE, missing);
        let (log, _) = log.unwrap();
        let found = log.0.lines().find(|line| line.contains(text)).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no `{text}` in the log:\n{}", log.0))
    }

    /// All of it, after the child has ended
    fn whole(&self) -> String {
        let log = self.text.1.wait_timeout_while(self.text.0.lock().unwrap(), PATIENCE, |log| !log.1);
        log.unwrap().0.0.clone()
    }
}

/// What is left of a proxy that ended
pub struct Left {
    pub status: ExitStatus,
    pub records: Vec<Value>,
    pub log: String,
    pub audit: String,
}

impl Proxy {
    /// With a policy that judges nothing, so that only reading can refuse
    pub fn start(engine: &Engine) -> Self {
        Self::with(engine, Setup::default())
    }

    pub fn with_policy(engine: &Engine, policy: &str) -> Self {
        Self::with(engine, Setup { policy: policy.into(), ..Setup::default() })
    }

    pub fn with_config(engine: &Engine, config: &str) -> Self {
        Self::with(engine, Setup { config: config.into(), ..Setup::default() })
    }

    pub fn with(engine: &Engine, setup: Setup) -> Self {
        Self::at(engine.socket(), tempfile::tempdir().unwrap(), setup)
    }

    /// In a given directory, for an engine at `engine`
    pub fn at(engine: &Path, directory: TempDir, setup: Setup) -> Self {
        let [socket, own_audit, policy, config] =
            ["proxy.sock", "audit.jsonl", "policy.toml", "config.toml"].map(|name| directory.path().join(name));
        let audit = setup.audit.unwrap_or(own_audit);
        let shipped = !setup.policy.contains('\n');
        if !shipped {
            fs::write(&policy, &setup.policy).unwrap();
        }
        fs::write(&config, &setup.config).unwrap();
        let mut command = command(engine, &socket, &audit);
        command.arg("--policy").arg(if shipped { Path::new(&setup.policy) } else { &policy });
        command.arg("--config").arg(&config).args(&setup.arguments);
        Self::of_command(&mut command, directory, [socket, audit, policy])
    }

    /// By any command line; the paths of socket, record and policy, within the directory or absolute
    pub fn of_command(command: &mut Command, directory: TempDir, paths: [impl AsRef<Path>; 3]) -> Self {
        let [socket, audit, policy] = paths.map(|path| directory.path().join(path));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let mut proxy = Self { child, ready, socket, audit, policy, log, ended: false, _directory: directory };
        if proxy.ready.is_empty() {
            let status = proxy.child.wait().unwrap();
            proxy.ended = true;
            panic!("{status} instead of the ready line: {}", proxy.log.whole());
        }
        proxy
    }

    pub fn connect(&self) -> Peer {
        Peer::of(UnixStream::connect(&self.socket).unwrap())
    }

    /// Sends one request on a connection of its own, and reads its answer
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        self.connect().send(request).message()
    }

    /// Sends one request, which must be answered without the engine's help
    pub fn refuses(&self, engine: &Engine, request: impl AsRef<[u8]>) -> Message {
        let answer = self.ask(request);
        assert!(answer.status() >= 400, "not refused: {answer:?}");
        engine.has_heard_nothing();
        answer
    }

    /// Sends a request that the engine gets and answers with `{}`; returns what it got
    pub fn passes(&self, engine: &Engine, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.connect();
        client.send(request);
        let heard = engine.answer();
        let answer = client.message();
        assert_eq!(answer.status(), 200, "{answer:?} for {heard:?}");
        heard
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Lines of the record so far
    pub fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.audit).unwrap();
        // Who reads while a line is written may see a part of it.
        parsed(&text[..text.rfind('\n').map_or(0, |end| end + 1)])
    }

    /// Waits until the record is as wanted; the last line of an exchange may come after its answer
    pub fn until_recorded(&self, wanted: impl Fn(&[Value]) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let records = self.records();
            if wanted(&records) {
                return;
            }
            assert!(Instant::now() < end, "{records:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many exchanges are on record to their end
    pub fn until_ended(&self, count: usize) {
        self.until_recorded(|records| records.iter().filter(|record| record["event"] == "end").count() == count);
    }

    /// Waits for a line of the log that contains `text`
    pub fn logs(&self, text: &str) -> String {
        self.log.line(text)
    }

    /// Largest resident memory so far, in KiB
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it by SIGKILL, and keeps what it has written
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ended = true;
        std::mem::replace(&mut self._directory, tempfile::tempdir().unwrap())
    }

    /// Ends it by SIGTERM; all records are written then
    pub fn stop(self) -> Left {
        self.signal(Signal::TERM);
        self.left()
    }

    /// Waits for its end
    pub fn left(mut self) -> Left {
        let status = self.child.wait().unwrap();
        self.ended = true;
        let audit = fs::read_to_string(&self.audit).unwrap_or_default();
        Left { status, records: parsed(&audit), log: self.log.whole(), audit }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn parsed(record: &str) -> Vec<Value> {
    record.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no record: {line}"))).collect()
}

/// Starts one that must fail, and returns what it says
pub fn fails(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    if !ready.is_empty() {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it started: {ready}");
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// `sockwarden serve` in a clean environment
pub fn command(engine: &Path, socket: &Path, audit: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
    command.env_clear().arg("serve").arg("--engine").arg(format!("unix://{}", engine.display()));
    command.arg("--listen").arg(socket).arg("--audit").arg(audit);
    command
}

impl Left {
    /// The lines of one event
    pub fn events(&self, event: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["event"] == event).collect()
    }
}

/// Longest wait for anything; long, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);

/// `METHOD target` with a JSON body
pub fn json(method: &str, target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    let mut request = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    request
}

/// A build with the classic builder
pub fn build(target: &str, context: &[u8]) -> Vec<u8> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n");
    let mut request = format!("{head}Content-Length: {}\r\n\r\n", context.len()).into_bytes();
    request.extend_from_slice(context);
    request
}

/// `METHOD target` without a body
pub fn plain(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}
