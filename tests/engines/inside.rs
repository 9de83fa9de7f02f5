//! sockwarden in this process, for a caller that the test names: what a job may do is then tested apart from how it is
//! recognised.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use sockwarden::api::bind::HostPath;
use sockwarden::audit::Audit;
use sockwarden::audit::file::AuditFile;
use sockwarden::caller::{Caller, CallerLimits, CallerMount, Container};
use sockwarden::config::{Config, Flags};
use sockwarden::engine::Engine;
use sockwarden::exchange::{Callers, Gate, Identity, Ours, OwnSocket, Pins, Room, Who, exchange};
use sockwarden::owner::Owner;
use sockwarden::policy::compile::compile;
use sockwarden::running::Running;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::http::ask;

/// A listener in this process; ends when dropped
pub struct Inside {
    dir: TempDir,
    caller: Arc<Mutex<Caller>>,
    _runtime: tokio::runtime::Runtime,
}

impl Inside {
    /// Listens for one owner under a policy
    pub fn start(engine: &Path, policy: &str, pins: &Path) -> Self {
        let dir = TempDir::with_prefix_in("swt-inside-", "/tmp").unwrap();
        let socket = dir.path().join("gate.sock");
        let flags = Flags { audit: Some(dir.path().join("audit.jsonl")), ..Flags::default() };
        let config = Config::load(Some(Path::new("/dev/null")), flags).unwrap();
        let limits = config.limits;
        let policy = compile("inside.toml", policy).unwrap_or_else(|report| panic!("{report}"));
        let (_, policy) = watch::channel(Arc::new(policy));
        let file = AuditFile::open(&config.audit.path, config.audit.rotation, false).unwrap();
        let gate = Arc::new(Gate {
            name: "inside".into(),
            callers: Callers::default(),
            policy,
            engine: Arc::new(Engine::new(engine.to_owned(), limits.engine_connect, limits.engine_answer)),
            audit: Arc::new(Audit::new(file)),
            running: Arc::new(Running::new(limits.requests_per_owner)),
            turns: Arc::default(),
            cgroups: Arc::new(sockwarden::exchange::Cgroups::new(
                engine.to_owned(),
                Arc::default(),
                Arc::new(Running::new(9)),
            )),
            room: Room::new(&limits),
            limits,
            ours: Arc::new(Ours {
                engine: engine.to_owned(),
                files: vec![("sockwarden's socket", socket.clone()), ("sockwarden's pins", pins.to_owned())],
            }),
            socket: OwnSocket { path: socket.clone(), host_path: None },
            gives: [].into(),
            own: Arc::default(),
            ledger: Arc::default(),
            pins: Arc::new(Pins::new(pins.to_owned())),
            tunnels: tokio_util::task::TaskTracker::new(),
            ending: watch::channel(false).1,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let caller = Arc::new(Mutex::new(nobody()));
        let listener = {
            let _here = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(accept(listener, gate, Arc::clone(&caller)));
        Self { dir, caller, _runtime: runtime }
    }

    /// Everybody who connects from now on is this container
    pub fn is_called_by(&self, engine: &Path, id: &str) {
        let inspected = ask(engine, "GET", &format!("/containers/{id}/json"), "").json();
        self.caller.lock().unwrap().container = Some(container(&inspected));
    }

    /// The socket it serves
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("gate.sock")
    }

    /// Everything on record so far
    pub fn record(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit.jsonl")).unwrap()
    }
}

fn nobody() -> Caller {
    Caller::default()
}

async fn accept(listener: UnixListener, gate: Arc<Gate>, caller: Arc<Mutex<Caller>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let who = Who { caller: caller.lock().unwrap().clone(), owner: Owner::new("inside") };
        let who = Arc::new(Identity::known(Arc::new(who)));
        let (gate, link) = (Arc::clone(&gate), Arc::default());
        let service = service_fn(move |request| {
            let answer = exchange(Arc::clone(&gate), Arc::clone(&link), Arc::clone(&who), request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let mut connection = http1::Builder::new();
        connection.half_close(true).timer(TokioTimer::new());
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

fn container(inspected: &Value) -> Container {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let some = |value: &Value| value.as_i64().filter(|limit| *limit > 0);
    let host = &inspected["HostConfig"];
    Container {
        id: text(&inspected["Id"]),
        name: text(&inspected["Name"]).trim_start_matches('/').to_owned(),
        image: text(&inspected["Config"]["Image"]),
        mounts: inspected["Mounts"].as_array().unwrap().iter().map(|one| mount(one, host)).collect(),
        limits: CallerLimits {
            memory: some(&host["Memory"]),
            nano_cpus: some(&host["NanoCpus"]),
            pids: some(&host["PidsLimit"]),
        },
        ..Container::default()
    }
}

fn mount(mount: &Value, host: &Value) -> CallerMount {
    let text = |key: &str| mount[key].as_str().unwrap_or_default();
    let asked = host["Mounts"].as_array().into_iter().flatten();
    let part = asked.filter(|asked| asked["Target"] == mount["Destination"]).find_map(|asked| {
        let subpath = asked["VolumeOptions"]["Subpath"].as_str()?;
        Some(subpath.to_owned())
    });
    let given = matches!(text("Type"), "bind" | "volume");
    CallerMount {
        destination: HostPath::parse(text("Destination")).unwrap(),
        source: HostPath::parse(text("Source")).filter(|_| given),
        volume: (text("Type") == "volume").then(|| text("Name").to_owned()),
        subpath: part.unwrap_or_default(),
        writable: mount["RW"].as_bool().unwrap(),
    }
}
