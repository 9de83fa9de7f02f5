//! An engine that remembers: what is made and removed through it, in an order that the test can hold up or spoil.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peer::{Message, Peer};

/// The engine; everything it hears is in order
#[derive(Clone)]
pub struct World {
    shared: Arc<(Mutex<State>, Condvar)>,
    socket: PathBuf,
    _directory: Arc<TempDir>,
}

/// Looks at a request
pub struct Watcher(pub Box<dyn Fn(&str) + Send>);

/// What there is
#[derive(Default)]
pub struct State {
    /// Method and path without its version, of all requests
    pub heard: Vec<String>,
    /// When each of them came
    pub came: Vec<Instant>,
    /// Objects by path, as `/volumes/v`: what lists and inspections tell
    pub objects: BTreeMap<String, Value>,
    /// Statuses that a request gets before it gets what it should; the last one for ever if it is negative
    pub spoilt: BTreeMap<String, Vec<i32>>,
    /// Requests that are held up
    pub held: Vec<String>,
    /// What is asked with this in it is answered with an error
    pub deaf: Option<String>,
    /// Called with each request before it is answered
    pub watcher: Option<Watcher>,
    events: Vec<UnixStream>,
}

impl World {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let world = Self { shared: Arc::default(), socket, _directory: Arc::new(directory) };
        let ours = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = ours.clone();
                std::thread::spawn(move || world.serve(stream));
            }
        });
        world
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Changes what there is
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }

    /// Adds an object with these labels
    pub fn add(&self, path: &str, labels: Value) {
        let name = path.rsplit('/').next().unwrap();
        let object =
            json!({"Id": name, "Name": name, "Names": [format!("/{name}")], "ImageID": "sha256:i", "Labels": labels});
        self.set(|state| drop(state.objects.insert(path.to_owned(), object)));
    }

    /// Waits until it holds
    pub fn until(&self, what: &str, holds: impl Fn(&State) -> bool) -> Duration {
        let begun = Instant::now();
        let state = self.shared.0.lock().unwrap();
        let waited = self.shared.1.wait_timeout_while(state, PATIENCE, |state| !holds(state)).unwrap();
        assert!(!waited.1.timed_out(), "never {what}; heard {:#?}", waited.0.heard);
        begun.elapsed()
    }

    /// What was heard that begins so
    pub fn heard(&self, begin: &str) -> Vec<String> {
        let state = self.shared.0.lock().unwrap();
        state.heard.iter().filter(|line| line.starts_with(begin)).cloned().collect()
    }

    /// Tells all who listen that a container died
    pub fn tell_of_death(&self, container: &str, status: i32) {
        let event = json!({
            "Type": "container", "Action": "die", "time": 1, "timeNano": 1,
            "Actor": {"ID": container, "Attributes": {"exitCode": status.to_string()}},
        });
        let line = format!("{event}\n");
        self.set(|state| {
            for mut stream in &state.events {
                let _ = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
            }
        });
    }

    /// Ends every stream of events
    pub fn hang_up(&self) {
        self.set(|state| state.events.clear());
    }

    fn serve(&self, stream: UnixStream) {
        // A connection that nobody uses stays open.
        let mut peer = Peer::of(stream);
        peer.stream.set_read_timeout(None).unwrap();
        while peer.is_open() {
            let message = peer.message();
            let line = message.head.lines().next().unwrap().to_owned();
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let target =
                target.strip_prefix("/v").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(target);
            let path = target.split('?').next().unwrap();
            if path == "/events" {
                peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
                let stream = peer.stream.try_clone().unwrap();
                self.set(|state| {
                    state.hear(method, target);
                    state.events.push(stream);
                });
                return;
            }
            let (status, body) = self.answer(method, target, path, &message);
            let body = if status == 204 { String::new() } else { body.to_string() };
            let head = format!("HTTP/1.1 {status} Said\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\n");
            let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            // Who asked may be gone.
            let _ = peer.stream.write_all(format!("{head}{length}\r\n{body}").as_bytes());
        }
    }

    fn answer(&self, method: &str, target: &str, path: &str, message: &Message) -> (u16, Value) {
        let line = format!("{method} {path}");
        let mut state = self.shared.0.lock().unwrap();
        state.hear(method, target);
        if let Some(watcher) = &state.watcher {
            (watcher.0)(&line);
        }
        self.shared.1.notify_all();
        if state.deaf.as_ref().is_some_and(|word| target.contains(word)) {
            return (500, json!({"message": "not now"}));
        }
        let held = |state: &mut State| state.held.contains(&line);
        state = self.shared.1.wait_timeout_while(state, PATIENCE, held).unwrap().0;
        if let Some(statuses) = state.spoilt.get_mut(&line).filter(|statuses| !statuses.is_empty()) {
            let status = if statuses[0] < 0 { -statuses[0] } else { statuses.remove(0) };
            return (status.try_into().unwrap(), json!({"message": "not now"}));
        }
        let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
        let answer = match (method, path) {
            (_, "/_ping") => (200, json!("OK")),
            ("POST", "/containers/create") => {
                let name = target.split("name=").nth(1).unwrap().to_owned();
                let object = json!({
                    "Id": name, "Names": [format!("/{name}")], "ImageID": "sha256:i", "Labels": body["Labels"],
                    "Config": {"Labels": body["Labels"]}, "State": {"Running": true, "ExitCode": 0},
                });
                state.objects.insert(format!("/containers/{name}"), object);
                (201, json!({"Id": name}))
            }
            ("POST", "/networks/create" | "/volumes/create") => {
                let name = body["Name"].as_str().unwrap();
                let kind = path.split('/').nth(1).unwrap();
                let object = json!({"Id": name, "Name": name, "Labels": body["Labels"]});
                state.objects.insert(format!("/{kind}/{name}"), object.clone());
                (201, object)
            }
            ("GET", "/containers/json" | "/networks" | "/images/json") => (200, json!(state.list(path, target))),
            ("GET", "/volumes") => (200, json!({"Volumes": state.list(path, target)})),
            ("GET", path) => match state.objects.get(path.trim_end_matches("/json")) {
                Some(object) => (200, object.clone()),
                None => (404, json!({"message": "no such object"})),
            },
            ("DELETE", path) => match state.objects.remove(path) {
                Some(_) => (204, Value::Null),
                None => (404, json!({"message": "no such object"})),
            },
            _ => (200, json!({})),
        };
        self.shared.1.notify_all();
        answer
    }
}

impl State {
    fn hear(&mut self, method: &str, target: &str) {
        self.heard.push(format!("{method} {target}"));
        self.came.push(Instant::now());
    }

    /// As the engine does: whoever has the label, in whatever order
    fn list(&self, path: &str, target: &str) -> Vec<Value> {
        let kind = path.split('/').nth(1).unwrap();
        let filters = target.split("filters=").nth(1).map(decoded).unwrap_or_default();
        let filters: Value = serde_json::from_str(&filters).unwrap_or_default();
        let has = |object: &Value, label: &str| {
            let (key, value) = label.split_once('=').map_or((label, None), |(key, value)| (key, Some(value)));
            object["Labels"].get(key).is_some_and(|found| value.is_none_or(|value| found == value))
        };
        let labels: Vec<&str> = filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let of_kind = self.objects.iter().filter(|(path, _)| path.split('/').nth(1) == Some(kind));
        // A list tells a container's state by a word, an inspection tells it in full.
        let listed = |object: &Value| {
            let mut object = object.clone();
            if let Some(runs) = object["State"]["Running"].as_bool() {
                object["State"] = json!(if runs { "running" } else { "exited" });
            }
            object
        };
        let labelled = |object: &&Value| labels.iter().all(|label| has(object, label));
        of_kind.map(|(_, object)| object).filter(labelled).map(listed).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.split('&').next().unwrap().bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Longest wait for anything; long, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);
