//! Image names between two owners, with an engine that answers late, badly or never.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peer::{Message, Peer};
use crate::prompt::Prompt;
use crate::proxy::{Proxy, build, plain};
use crate::tar::tar;

/// Two owners, each with a socket, before an engine that has the images it was told to have
struct Two {
    proxy: Proxy,
    sockets: [PathBuf; 2],
    images: Images,
    engine: Prompt,
    _place: TempDir,
}

/// Names of the images that the engine has, in full
type Images = Arc<Mutex<BTreeSet<String>>>;

const POLICY: &str = "version = 1\nname = \"two\"\nallow = [\"container\", \"image\", \"build\"]\n\
                      [images]\nallow = [\"**\"]\n[owner]\nisolate = true\n";

impl Two {
    fn new(policy: &str, answer: impl Fn(&str, &Images) -> String + Send + Sync + 'static) -> Self {
        let images = Images::default();
        images.lock().unwrap().insert("docker.io/library/source:1".to_owned());
        let (has, gets) = (Arc::clone(&images), Arc::clone(&images));
        let engine = Prompt::having(move |request| image(request, &has), move |request| answer(request, &gets));
        let place = tempfile::tempdir().unwrap();
        let (proxy, sockets) = start(engine.socket(), place.path(), policy);
        Self { proxy, sockets, images, engine, _place: place }
    }

    fn ask(&self, owner: usize, method: &str, target: &str) -> Message {
        self.connect(owner).send(plain(method, target)).message()
    }

    fn connect(&self, owner: usize) -> Peer {
        Peer::of(std::os::unix::net::UnixStream::connect(&self.sockets[owner]).unwrap())
    }

    fn tag(&self, owner: usize, name: &str) -> Message {
        self.ask(owner, "POST", &format!("/v1.41/images/source:1/tag?repo={name}&tag=1"))
    }
}

pub fn start(engine: &Path, place: &Path, policy: &str) -> (Proxy, [PathBuf; 2]) {
    std::fs::write(place.join("policy.toml"), policy).unwrap();
    let listener = |owner: &str| {
        format!("[[listener]]\nowner = '{owner}'\nname = '{owner}'\npath = '{owner}.sock'\npolicy = './policy.toml'\n")
    };
    std::fs::write(place.join("config.toml"), format!("state = 'state'\n{}{}", listener("a"), listener("b"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
    command.env_clear().arg("serve").arg("--engine").arg(format!("unix://{}", engine.display()));
    command.arg("--config").arg(place.join("config.toml")).arg("--audit").arg(place.join("audit.jsonl"));
    let paths = ["a.sock", "audit.jsonl", "policy.toml"].map(|name| place.join(name));
    let proxy = Proxy::of_command(&mut command, tempfile::tempdir().unwrap(), paths);
    (proxy, ["a.sock", "b.sock"].map(|name| place.join(name)))
}

/// What the engine says of one image
fn image(request: &str, has: &Images) -> String {
    let name = request.split(['/', ' ']).skip(4).take_while(|part| *part != "json").collect::<Vec<_>>().join("/");
    let full = if name.contains('/') { name.clone() } else { format!("docker.io/library/{name}") };
    if !has.lock().unwrap().contains(&full) {
        return String::new();
    }
    let short = full.trim_start_matches("docker.io/library/");
    format!(r#"{{"Id":"sha256:{}","RepoTags":["{short}"]}}"#, "1".repeat(64))
}

/// Makes what a request asks for, as a good engine does
fn obeys(request: &str, images: &Images) -> String {
    if let Some(tag) = request.strip_prefix("POST /v1.41/images/source:1/tag?repo=") {
        let name = tag.split('&').next().unwrap();
        images.lock().unwrap().insert(format!("docker.io/library/{name}:1"));
    }
    "{}".to_owned()
}

#[test]
fn of_many_who_want_one_name_at_once_one_owner_gets_it() {
    let two = Two::new(POLICY, obeys);
    for round in 0..10 {
        let name = format!("app{round}");
        let winners: BTreeSet<usize> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..20)
                .map(|number| {
                    let (two, name) = (&two, &name);
                    scope.spawn(move || (number % 2, two.tag(number % 2, name).status()))
                })
                .collect();
            let tried = tries.into_iter().map(|one| one.join().unwrap());
            tried.filter(|(_, status)| *status == 200).map(|(owner, _)| owner).collect()
        });
        assert_eq!(winners.len(), 1, "{winners:?}");
    }
}

#[test]
fn an_owner_that_gives_one_name_twice_at_once_gives_it_twice() {
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let shared = Arc::clone(&asked);
    let two = Two::new(POLICY, move |request, images| {
        let said = obeys(request, images);
        if request.contains("/tag?") {
            // The engine has the name before it says so: the first call is answered when the second has come.
            let (count, came) = &*shared;
            *count.lock().unwrap() += 1;
            came.notify_all();
            let waited = came.wait_timeout_while(count.lock().unwrap(), PATIENCE, |count| *count < 2).unwrap();
            assert!(!waited.1.timed_out(), "the second call was not sent");
        }
        said
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| two.tag(0, "app"));
        let begun = asked.1.wait_timeout_while(asked.0.lock().unwrap(), PATIENCE, |count| *count < 1).unwrap();
        drop(begun);
        let second = two.tag(0, "app");
        if second.status() != 200 {
            *asked.0.lock().unwrap() += 1;
            asked.1.notify_all();
        }
        assert_eq!((first.join().unwrap().status(), second.status()), (200, 200), "{second:?}");
    });
}

#[test]
fn a_request_that_is_refused_leaves_its_name_free() {
    let two = Two::new(POLICY, |request, images| match request.starts_with("GET /v1.41/containers/") {
        true => r#"{"Id":"x","Config":{"Labels":{}}}"#.to_owned(),
        false => obeys(request, images),
    });
    let refused = two.ask(0, "POST", "/v1.41/commit?container=another&repo=app&tag=1");
    assert!(refused.status() >= 400, "{refused:?}");
    assert_eq!(two.tag(1, "app").status(), 200);
    let late = two.tag(0, "app");
    assert!(late.status() == 403 && late.said().contains("another owner made it"), "{late:?}");
}

#[test]
fn a_request_that_the_engine_refuses_leaves_its_name_free() {
    let refuses = Arc::new(AtomicBool::new(true));
    let until = Arc::clone(&refuses);
    let two = Two::new(POLICY, move |request, images| match until.load(Ordering::SeqCst) {
        true if request.contains("/tag?") => String::new(),
        _ => obeys(request, images),
    });
    assert_eq!(two.tag(0, "app").status(), 404);
    refuses.store(false, Ordering::SeqCst);
    assert_eq!(two.tag(1, "app").status(), 200);
}

#[test]
fn an_engine_that_breaks_off_leaves_the_name_with_who_asked() {
    let two = Two::new(POLICY, |request, images| {
        obeys(request, images);
        if request.contains("/tag?") { "!".to_owned() } else { "{}".to_owned() }
    });
    assert_eq!(two.tag(0, "app").status(), 502);
    let other = two.tag(1, "app");
    assert!(other.status() == 403 && other.said().contains("another owner made it"), "{other:?}");
    assert_eq!(two.ask(1, "GET", "/v1.41/images/app:1/json").status(), 404);
    assert_eq!(two.ask(0, "GET", "/v1.41/images/app:1/json").status(), 200);
}

/// A build that goes on until it is told to end
#[derive(Clone, Default)]
struct Slow(Arc<(Mutex<(bool, bool)>, Condvar)>);

impl Slow {
    fn answer(&self, request: &str, images: &Images) -> String {
        if request.starts_with("POST /v1.41/build?") {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
            self.wait(|(_, ended)| *ended);
            return "{\"stream\":\"Successfully built\"}\n".to_owned();
        }
        obeys(request, images)
    }

    /// Waits until the engine has heard of it
    fn begun(&self) {
        self.wait(|(begun, _)| *begun);
    }

    fn end(&self) {
        self.0.0.lock().unwrap().1 = true;
        self.0.1.notify_all();
    }

    fn wait(&self, done: impl Fn(&(bool, bool)) -> bool) {
        let (state, changed) = &*self.0;
        let waited = changed.wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| !done(state));
        assert!(!waited.unwrap().1.timed_out(), "the build neither began nor ended");
    }
}

#[test]
fn a_client_that_goes_away_leaves_its_name_taken() {
    let slow = Slow::default();
    let engine = slow.clone();
    let two = Two::new(POLICY, move |request, images| engine.answer(request, images));
    let mut client = two.connect(0);
    client.send(build("/v1.41/build?t=app:1", &tar(&[("Dockerfile", b"FROM scratch\n")])));
    slow.begun();
    let early = two.tag(1, "app");
    assert!(early.status() == 403 && early.said().contains("makes or pulls it just now"), "{early:?}");
    let pull = two.ask(1, "POST", "/v1.41/images/create?fromImage=app&tag=1");
    assert!(pull.status() == 403 && pull.said().contains("makes or pulls it just now"), "{pull:?}");
    drop(client);
    // Whatever the engine makes of it after all, nobody takes it for the host's.
    let begun = Instant::now();
    while !two.tag(1, "app").said().contains("another owner made it") {
        assert!(begun.elapsed() < PATIENCE, "it is being made for ever");
    }
    slow.end();
}

#[test]
fn a_crash_in_the_middle_of_a_build_loses_no_claim() {
    let slow = Slow::default();
    let engine = slow.clone();
    let mut two = Two::new(POLICY, move |request, images| engine.answer(request, images));
    let mut client = two.connect(0);
    client.send(build("/v1.41/build?t=app:1", &tar(&[("Dockerfile", b"FROM scratch\n")])));
    // It is written down before the engine hears of it.
    slow.begun();
    two.proxy.child.kill().unwrap();
    two.proxy.child.wait().unwrap();
    let place = two.sockets[0].parent().unwrap().to_owned();
    (two.proxy, two.sockets) = start(two.engine.socket(), &place, POLICY);
    let other = two.tag(1, "app");
    assert!(other.status() == 403 && other.said().contains("another owner made it"), "{other:?}");
    two.images.lock().unwrap().insert("docker.io/library/app:1".to_owned());
    assert_eq!(two.ask(1, "GET", "/v1.41/images/app:1/json").status(), 404);
    assert_eq!(two.ask(0, "GET", "/v1.41/images/app:1/json").status(), 200);
    slow.end();
}

#[test]
fn a_pull_shows_an_image_only_when_it_has_ended_well() {
    let policy = POLICY.replace("[owner]", "visible = \"own\"\n[owner]");
    let says = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&says);
    let two = Two::new(&policy, move |request, _| match request.starts_with("POST /v1.41/images/create?") {
        true => said.lock().unwrap().clone(),
        false => "{}".to_owned(),
    });
    let name = "/v1.41/images/source:1/json";
    for (failure, status) in [
        ("{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\r\n", 200),
        ("{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\r\n{\"status\":\"more\"}\r\n", 200),
        ("{\"status\":\"Pulling\"}\r\n{\"errorDet", 200),
        ("!", 502),
        ("", 404),
    ] {
        *says.lock().unwrap() = failure.to_owned();
        let answer = two.ask(0, "POST", "/v1.41/images/create?fromImage=source&tag=1");
        assert_eq!(answer.status(), status, "{answer:?}");
        let answer = two.ask(0, "GET", name);
        assert_eq!(answer.status(), 404, "shown after {failure}: {answer:?}");
        // 20.10 says it twice to who inspects.
        assert_eq!(answer.said(), "no such image: source:1: No such image: source:1");
    }
    *says.lock().unwrap() = "{\"status\":\"errorDetail\"}\r\n".to_owned();
    assert_eq!(two.ask(0, "POST", "/v1.41/images/create?fromImage=source&tag=1").status(), 200);
    assert_eq!(two.ask(0, "GET", name).status(), 200);
    assert_eq!(two.ask(1, "GET", name).status(), 404);
}

#[test]
fn a_list_shows_no_name_of_another() {
    let list = r#"[{"Id":"sha256:1","RepoTags":["source:1","app:1"],"RepoDigests":["app@sha256:1111111111111111111111111111111111111111111111111111111111111111"],"Labels":null},{"Id":"sha256:2","RepoTags":["app:1"],"RepoDigests":null},{"Id":"sha256:3","RepoTags":["<none>:<none>"],"Labels":{"sockwarden.owner":"a"}}]"#;
    let two = Two::new(POLICY, move |request, images| match request {
        request if request.starts_with("GET /v1.41/images/json") => list.to_owned(),
        request if request.starts_with("GET /v1.41/containers/json") => "[]".to_owned(),
        request => obeys(request, images),
    });
    assert_eq!(two.tag(0, "app").status(), 200);
    let text = |owner| String::from_utf8(two.ask(owner, "GET", "/v1.41/images/json").body).unwrap();
    let (mine, theirs) = (text(0), text(1));
    assert_eq!(mine.matches("app:1").count(), 2, "{mine}");
    assert!(mine.contains("sha256:3"), "{mine}");
    assert!(theirs.contains("source:1") && !theirs.contains("app"), "{theirs}");
    assert!(!theirs.contains("sha256:2") && !theirs.contains("sha256:3"), "{theirs}");
}

#[test]
fn a_list_tells_of_ones_own_containers() {
    let list = r#"[{"Id":"sha256:1","RepoTags":["source:1"],"RepoDigests":null,"Labels":null,"Containers":3,"Manifests":[{"ID":"sha256:1","ImageData":{"Containers":["c1","c2","c3"]}},{"ID":"sha256:2","ImageData":{"Containers":null}}]}]"#;
    let own =
        r#"[{"Id":"c2","State":"created","ImageID":"sha256:1"},{"Id":"c4","State":"created","ImageID":"sha256:4"}]"#;
    let two = Two::new(POLICY, move |request, images| match request {
        request if request.starts_with("GET /v1.41/images/json") => list.to_owned(),
        request if request.starts_with("GET /v1.41/containers/json") => own.to_owned(),
        request => obeys(request, images),
    });
    let told = String::from_utf8(two.ask(0, "GET", "/v1.41/images/json").body).unwrap();
    assert!(told.contains(r#""Containers":1"#) && told.contains(r#"["c2"]"#), "{told}");
    assert!(!told.contains("c1") && !told.contains("c3"), "{told}");
}

#[test]
fn an_image_without_a_name_is_in_the_list_of_its_owner_alone() {
    let list = r#"[{"Id":"sha256:1","RepoTags":[],"Labels":null},{"Id":"sha256:2","RepoTags":[],"Labels":{"sockwarden.owner":"a"}}]"#;
    let two = Two::new(POLICY, move |request, images| match request {
        request if request.starts_with("GET /v1.41/images/json") => list.to_owned(),
        request if request.starts_with("GET /v1.41/containers/json") => "[]".to_owned(),
        request => obeys(request, images),
    });
    let text = |owner| String::from_utf8(two.ask(owner, "GET", "/v1.41/images/json").body).unwrap();
    let (mine, theirs) = (text(0), text(1));
    assert!(mine.contains("sha256:2") && !mine.contains("sha256:1"), "{mine}");
    assert!(!theirs.contains("sha256"), "{theirs}");
}

/// Longest wait for anything; long, as the machine may be busy
const PATIENCE: Duration = Duration::from_secs(100);
