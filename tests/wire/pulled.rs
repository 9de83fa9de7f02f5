//! Images that the classic builder is made of and the engine has not: pulled before it builds.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::images::start;
use crate::peer::{Message, Peer};
use crate::prompt::Prompt;
use crate::proxy::{Proxy, plain};
use crate::tar::tar;

const POLICY: &str = "version = 1\nname = \"two\"\nallow = [\"image\", \"build\"]\n[images]\nallow = [\"**\"]\n\
                      [owner]\nisolate = true\n[build]\nplatform = true\n";

/// Two owners before an engine that has some images, and whose registry has others
struct Two {
    proxy: Proxy,
    sockets: [PathBuf; 2],
    engine: Prompt,
    shelf: Arc<Shelf>,
    _place: TempDir,
}

/// Images by their names in full
#[derive(Default)]
struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    here: BTreeMap<String, Value>,
    /// What a pull of a name brings, or what is said of its failure
    there: BTreeMap<String, Result<Value, String>>,
    /// Whether builds wait
    waits: bool,
    building: bool,
}

impl Shelf {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn until(&self, holds: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, Duration::from_secs(60), |state| !holds(state));
        assert!(!waited.unwrap().1.timed_out(), "it does not come to that");
    }

    fn inspect(&self, request: &str) -> String {
        let name = request.strip_prefix("GET /v1.41/images/").and_then(|rest| rest.split_once("/json ")).unwrap().0;
        let name = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
        let full = if name.contains('/') { name } else { format!("docker.io/library/{name}") };
        self.state.lock().unwrap().here.get(&full).map(Value::to_string).unwrap_or_default()
    }

    fn answer(&self, request: &str) -> String {
        if let Some(query) = request.strip_prefix("POST /v1.41/images/create?fromImage=") {
            let mut words = query.split([' ', '&']);
            let mut name = words.next().unwrap().replace("%2F", "/").replace("%3A", ":").replace("%40", "@");
            if let Some(tag) = words.next().and_then(|word| word.strip_prefix("tag=")) {
                name = format!("{name}:{tag}");
            }
            let state = &mut *self.state.lock().unwrap();
            return match state.there.get(&name) {
                Some(Ok(image)) => {
                    state.here.insert(name, image.clone());
                    "{\"status\":\"Pulling\"}\r\n{\"status\":\"Done\"}\r\n".to_owned()
                }
                Some(Err(said)) => format!(
                    "{{\"status\":\"Pulling\"}}\r\n{{\"errorDetail\":{{\"message\":\"{said}\"}},\"error\":\"{said}\"}}\r\n"
                ),
                None => String::new(),
            };
        }
        if request.starts_with("POST /v1.41/build?") || request.starts_with("POST /v1.41/build ") {
            self.set(|state| state.building = true);
            self.until(|state| !state.waits);
        }
        "{}".to_owned()
    }
}

fn image(name: &str, triggers: &[&str]) -> Value {
    let digest = format!("{}@sha256:{}", name.split(':').next().unwrap(), "d".repeat(64));
    json!({
        "Id": format!("sha256:{}", "1".repeat(64)), "RepoTags": [name], "RepoDigests": [digest],
        "Config": {"OnBuild": triggers}, "Os": "linux", "Architecture": "amd64",
    })
}

impl Two {
    fn new() -> Self {
        let shelf = Arc::<Shelf>::default();
        let (inspected, answering) = (Arc::clone(&shelf), Arc::clone(&shelf));
        let engine =
            Prompt::having(move |request| inspected.inspect(request), move |request| answering.answer(request));
        let place = tempfile::tempdir().unwrap();
        let (proxy, sockets) = start(engine.socket(), place.path(), POLICY);
        Self { proxy, sockets, engine, shelf, _place: place }
    }

    fn connect(&self, owner: usize) -> Peer {
        Peer::of(UnixStream::connect(&self.sockets[owner]).unwrap())
    }

    fn build(&self, query: &str, dockerfile: &str) -> Message {
        self.connect(0).send(request(query, dockerfile)).message()
    }

    fn pull(&self, owner: usize, query: &str) -> Message {
        self.connect(owner).send(plain("POST", &format!("/v1.41/images/create?{query}"))).message()
    }

    /// What the engine heard whole; a build that is broken off comes without its end, and at any time
    fn requests(&self) -> Vec<String> {
        let is_whole = |request: &String| !request.contains("/build") || request.ends_with("\r\n0\r\n\r\n");
        self.engine.heard().into_iter().filter(is_whole).collect()
    }

    /// Method, path and query of it
    fn heard(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.split(" HTTP").next().unwrap().to_owned()).collect()
    }

    fn pulls(&self) -> Vec<String> {
        self.heard().into_iter().filter(|request| request.contains("/images/create?")).collect()
    }
}

/// A build with credentials for one registry
fn request(query: &str, dockerfile: &str) -> Vec<u8> {
    let config = URL_SAFE.encode(r#"{"r.example":{"username":"me","password":"secret"}}"#);
    let context = tar(&[("Dockerfile", dockerfile.as_bytes())]);
    let head = format!(
        "POST /v1.41/build?{query} HTTP/1.1\r\nHost: x\r\nX-Registry-Config: {config}\r\nContent-Length: {}\r\n\r\n",
        context.len()
    );
    [head.as_bytes(), &context].concat()
}

#[test]
fn an_image_that_is_not_there_is_pulled_before_the_build_with_its_credentials() {
    let two = Two::new();
    let there = |name: &str| (name.to_owned(), Ok(image(name, &["RUN true"])));
    two.shelf.set(|state| state.there = [there("r.example/app:1"), there("docker.io/library/tool:latest")].into());
    let dockerfile =
        "FROM r.example/app:1 AS a\nFROM r.example/app:1\nCOPY --from=tool / /\nFROM r.example/unwanted:1\n";
    let built = two.build("pull=1&target=", dockerfile);
    // The last is not to be had.
    assert!(built.status() == 404 && built.said().contains("No such thing"), "{built:?}");
    two.heard();
    let built = two.build("target=A", dockerfile);
    assert_eq!(built.status(), 200, "{built:?}");
    let heard = two.heard();
    assert!(heard.len() == 1 && heard[0].starts_with("POST /v1.41/build?"), "it is there now: {heard:?}");

    two.shelf.set(|state| state.here.clear());
    let built = two.build("pull=1", &dockerfile.replace("FROM r.example/unwanted:1\n", ""));
    assert_eq!(built.status(), 200, "{built:?}");
    let heard = two.requests();
    let auth = |request: &String| {
        let header = request.lines().find_map(|line| line.strip_prefix("x-registry-auth: ")).unwrap_or_default();
        String::from_utf8(URL_SAFE.decode(header).unwrap()).unwrap()
    };
    let [app, tool, build] = heard.as_slice() else { panic!("{heard:#?}") };
    assert!(app.starts_with("POST /v1.41/images/create?fromImage=r.example%2Fapp%3A1 "), "{app}");
    assert_eq!(auth(app), r#"{"username":"me","password":"secret"}"#);
    assert!(tool.starts_with("POST /v1.41/images/create?fromImage=docker.io%2Flibrary%2Ftool%3Alatest "), "{tool}");
    assert_eq!(auth(tool), "{}");
    assert!(build.starts_with("POST /v1.41/build?") && !build.contains("pull="), "{build}");

    let left = two.proxy.stop();
    let lines = left.events("request");
    let pulled: Vec<&&Value> = lines.iter().filter(|line| line["operation"] == "image.pull").collect();
    assert!(pulled.len() >= 3 && pulled.iter().all(|line| line["owner"] == "a"), "{}", left.audit);
    let changes = |line: &Value| line["changes"].to_string();
    let builds: Vec<&&Value> = lines.iter().filter(|line| line["operation"] == "build.build").collect();
    assert!(changes(builds[2]).contains("query.pull"), "{}", left.audit);
    assert!(!left.audit.contains("secret"), "{}", left.audit);
}

#[test]
fn triggers_of_an_image_that_is_pulled_are_judged() {
    let two = Two::new();
    let name = "r.example/evil:1";
    let evil = image(name, &["ADD http://127.0.0.1/x /"]);
    two.shelf.set(|state| state.there = [(name.to_owned(), Ok(evil))].into());
    for (query, dockerfile) in [("", "FROM r.example/evil:1\n"), ("pull=1", "FROM r.example/evil:1\n")] {
        let told = two.build(query, dockerfile);
        assert!(told.status() == 403 && told.said().contains("ONBUILD of r.example/evil:1:1"), "{told:?}");
    }
    let heard = two.heard();
    assert!(heard.len() == 2 && heard.iter().all(|request| request.contains("/images/create?")), "{heard:?}");
}

#[test]
fn what_is_refused_anyway_pulls_nothing_and_a_failed_pull_is_told_in_the_engines_words() {
    let two = Two::new();
    let told = two.build("", "FROM r.example/app:1\nADD http://127.0.0.1/x /\n");
    assert_eq!((told.status(), two.pulls()), (403, vec![]), "{told:?}");
    let failed = ("r.example/app:1".to_owned(), Err("pull access denied for r.example/app".to_owned()));
    two.shelf.set(|state| state.there = [failed].into());
    let told = two.build("", "FROM r.example/app:1\n");
    assert_eq!((told.status(), told.said().as_str()), (404, "pull access denied for r.example/app"));
    let heard = two.heard();
    assert!(heard.len() == 1 && heard[0].contains("/images/create?"), "{heard:?}");
}

#[test]
fn an_image_of_another_platform_is_pulled_for_the_one_that_is_wanted() {
    let two = Two::new();
    let name = "r.example/app:1";
    let arm = |variant: &str| {
        let mut image = image(name, &[]);
        (image["Architecture"], image["Variant"]) = ("arm64".into(), variant.into());
        image
    };
    for (here, there, query, dockerfile, status) in [
        (image(name, &[]), image(name, &[]), "platform=linux/amd64", "FROM r.example/app:1\n", 200),
        (image(name, &[]), arm("v8"), "platform=linux/arm64", "FROM r.example/app:1\n", 200),
        (arm(""), arm(""), "platform=linux/arm64/v8", "FROM r.example/app:1\n", 200),
        (image(name, &[]), arm(""), "", "ARG P=linux/arm64\nFROM --platform=$P r.example/app:1\n", 200),
        // The engine would go on to pull it, and nobody would know what that is.
        (image(name, &[]), image(name, &[]), "platform=linux/arm64", "FROM r.example/app:1\n", 403),
        (image(name, &[]), image(name, &[]), "platform=amd64", "FROM r.example/app:1\n", 403),
    ] {
        let right = here == there;
        two.shelf.set(|state| {
            state.here = [(name.to_owned(), here)].into();
            state.there = [(name.to_owned(), Ok(there))].into();
        });
        let told = two.build(query, dockerfile);
        assert_eq!(told.status(), status, "{query} {dockerfile} {told:?}");
        let pulls = two.pulls();
        assert_eq!(pulls.len(), usize::from(!right || status == 403), "{query} {pulls:?}");
        assert!(pulls.iter().all(|pull| pull.contains("&platform=")), "{pulls:?}");
        assert!(status == 200 || told.said().contains("its image is of \"linux/amd64\", not of \""), "{told:?}");
    }
}

#[test]
fn what_a_build_that_runs_is_made_of_is_pulled_as_it_is() {
    let two = Two::new();
    let (kept, local) = ("r.example/app:1", "r.example/local:1");
    let digest = format!("r.example/app@sha256:{}", "d".repeat(64));
    let mut made = image(local, &[]);
    made["RepoDigests"] = Value::Null;
    two.shelf.set(|state| {
        state.here = [(kept.to_owned(), image(kept, &[])), (local.to_owned(), made)].into();
        for name in [kept, local, "r.example/free:1", &digest] {
            state.there.insert(name.to_owned(), Ok(image(name, &[])));
        }
        state.waits = true;
    });
    let mut client = two.connect(0);
    client.send(request("", &format!("FROM {kept}\nFROM {local}\n")));
    two.shelf.until(|state| state.building);
    for owner in [0, 1] {
        let told = two.pull(owner, "fromImage=r.example/app&tag=1");
        assert!(told.status() == 200 && told.body.ends_with(b"\"Done\"}\r\n"), "{told:?}");
        let told = two.pull(owner, "fromImage=r.example/local&tag=1");
        assert!(told.status() == 403 && told.said().contains("a build that runs is made of"), "{told:?}");
        let told = two.pull(owner, "fromImage=r.example/app");
        assert!(told.status() == 403 && told.said().contains("pull those you need"), "{told:?}");
        assert_eq!(two.pull(owner, "fromImage=r.example/free&tag=1").status(), 200);
    }
    let as_it_is = format!("POST /v1.41/images/create?fromImage=r.example%2Fapp%40sha256%3A{}", "d".repeat(64));
    let pulls = two.pulls();
    assert!(pulls.len() == 4 && pulls.iter().filter(|pull| **pull == as_it_is).count() == 2, "{pulls:?}");
    two.shelf.set(|state| state.waits = false);
    assert_eq!(client.message().status(), 200);
    // Its answer has ended, and with it what it held.
    let begun = Instant::now();
    while two.pull(1, "fromImage=r.example/local&tag=1").status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is held for ever");
    }
    assert!(two.pulls().iter().all(|pull| pull.contains("local%3A1") || pull.contains("local&tag=1")));
}
