//! Two owners and one host on one engine: nobody takes over an image name of another, by none of the five ways, nor sees,
//! uses or removes what another made.

use serde_json::{Value, json};

use super::gate::Gate;
use super::generation::Store;
use super::http::{Answer, Framing, PATIENCE, ask, request, send};
use super::setting::Engine;
use super::stage::Stage;
use super::tar::tar;

/// How a name is given to an image
const WAYS: [&str; 5] = ["tag", "build", "commit", "load", "import"];

const POLICY: &str = "version = 1\nname = \"owners\"\nallow = [\"system\", \"container\", \"image\", \"image.prune\", \"build\"]\n\
                      [images]\nallow = [\"**\"]\n[owner]\nisolate = true\n";

struct Play<'a> {
    engine: &'a Engine,
    stage: Stage,
    gate: Gate,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let stage = Stage::new(&engine.socket, &format!("swt-{}-owners-", std::process::id()));
    let gate = Gate::with_owners(&engine.socket, POLICY, &owners());
    let mut play = Play { engine, stage, gate, failed: Vec::new() };
    play.a_name_is_its_makers_whichever_way();
    play.what_the_host_has_is_nobodys();
    play.what_another_made_is_not_there();
    play.a_load_that_is_refused_names_nothing();
    play.what_is_built_carries_its_owner();
    play.a_prune_takes_what_is_ones_own();
    play.a_failed_build_gives_its_name_back();
    play.what_a_build_has_on_its_way_is_in_nobodys_list();
    play.a_platform_is_taken_out_of_nobodys_image();
    play.an_image_tells_an_owner_of_its_own_names();
    play.an_image_tells_an_owner_of_its_own_containers();
    play.failed
}

/// Names of the owners of this run
pub fn owners() -> [String; 2] {
    ["a", "b"].map(|name| format!("swt-{}-{name}", std::process::id()))
}

impl Play<'_> {
    fn prefix(&self) -> &str {
        &self.stage.names["prefix"]
    }

    fn a(&self, method: &str, target: &str) -> Answer {
        ask(&self.gate.socket_of(&owners()[0]), method, target, "")
    }

    fn b(&self, method: &str, target: &str) -> Answer {
        ask(&self.gate.socket_of(&owners()[1]), method, target, "")
    }

    /// What the engine itself says
    fn engine(&self, method: &str, target: &str) -> Answer {
        ask(&self.engine.socket, method, target, "")
    }

    fn id(&self, name: &str) -> String {
        self.engine("GET", &format!("/images/{name}/json")).json()["Id"].as_str().unwrap_or_default().to_owned()
    }

    fn expect(&mut self, claim: &str, answer: &Answer, status: u16, said: &str) {
        // A stream of progress has its refusal in our own answer.
        if answer.status != status || !answer.text().contains(said) {
            let text: String = answer.text().chars().take(300).collect();
            self.failed.push(format!("{claim}: expected {status} with `{said}`, got {} {text}", answer.status));
        }
    }

    fn holds(&mut self, claim: &str, holds: bool, shown: impl std::fmt::Display) {
        if !holds {
            self.failed.push(format!("{claim}: {shown}"));
        }
    }

    /// An archive that gives busybox a name
    fn archive(&self, name: &str) -> Vec<u8> {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        self.engine("POST", &format!("/images/busybox:test/tag?repo={repository}&tag={tag}"));
        let saved = self.engine("GET", &format!("/images/{name}/get")).body;
        self.engine("DELETE", &format!("/images/{name}"));
        saved
    }

    /// Gives a name by one of the ways
    fn give(&self, owner: usize, way: &str, name: &str, archive: &[u8]) -> Answer {
        let socket = self.gate.socket_of(&owners()[owner]);
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let upload = |target: &str, bytes: &[u8]| {
            let headers = ["Content-Type: application/x-tar".to_owned()];
            send(&socket, &request("POST", target, &headers, bytes, Framing::Length), 1).remove(0)
        };
        match way {
            "tag" => ask(&socket, "POST", &format!("/images/busybox:test/tag?repo={repository}&tag={tag}"), ""),
            "build" => {
                let file = format!("FROM busybox:test\nLABEL swt={name}-{owner} sockwarden.owner=somebody\n");
                upload(&format!("/build?t={name}"), &tar(&[("Dockerfile", file.as_bytes())]))
            }
            "commit" => {
                let body = json!({"Image": "busybox:test", "Cmd": ["true"], "Labels": {"swt": name}}).to_string();
                let id = ask(&socket, "POST", "/containers/create", &body).json()["Id"].clone();
                let id = id.as_str().unwrap_or_default();
                let answer = ask(&socket, "POST", &format!("/commit?container={id}&repo={repository}&tag={tag}"), "");
                ask(&socket, "DELETE", &format!("/containers/{id}"), "");
                answer
            }
            "load" => upload("/images/load?quiet=1", archive),
            "import" => {
                let target = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
                upload(&target, &tar(&[("file", name.as_bytes())]))
            }
            other => panic!("no way `{other}`"),
        }
    }

    fn a_name_is_its_makers_whichever_way(&mut self) {
        for made in WAYS {
            let name = format!("{}{made}:1", self.prefix());
            let archive = self.archive(&name);
            let answer = self.give(0, made, &name, &archive);
            self.holds(&format!("{name} is made"), answer.is_success() && !self.id(&name).is_empty(), answer.text());
            let id = self.id(&name);
            for way in WAYS {
                let answer = self.give(1, way, &name, &archive);
                self.expect(&format!("{name} is not taken over by {way}"), &answer, 403, "another owner made it");
                self.holds(&format!("{name} is what it was after {way}"), self.id(&name) == id, self.id(&name));
            }
            let again = self.give(0, made, &name, &archive);
            self.holds(&format!("{name} is made again"), again.is_success(), again.text());
            let answer = self.b("DELETE", &format!("/images/{name}?force=true"));
            self.expect(&format!("{name} is not removed by another"), &answer, 404, "No such image");
            let answer = self.a("DELETE", &format!("/images/{name}"));
            self.expect(&format!("{name} is removed by its maker"), &answer, 200, "Untagged");
            let answer = self.give(1, made, &name, &archive);
            self.holds(&format!("{name} is free again"), answer.is_success(), answer.text());
            self.b("DELETE", &format!("/images/{name}"));
        }
    }

    fn what_the_host_has_is_nobodys(&mut self) {
        let name = format!("{}host:1", self.prefix());
        let archive = self.archive(&name);
        let repository = format!("{}host", self.prefix());
        self.engine("POST", &format!("/images/busybox:test/tag?repo={repository}&tag=1"));
        let id = self.id(&name);
        for way in WAYS {
            let answer = self.give(0, way, &name, &archive);
            self.expect(&format!("the host's {name} is not taken over by {way}"), &answer, 403, "exists already");
        }
        for spelling in [name.clone(), format!("docker.io/library/{name}"), format!("index.docker.io/{name}")] {
            let answer = self.a("POST", &format!("/images/busybox:test/tag?repo={spelling}"));
            self.expect("the host's name is one however it is spelled", &answer, 403, "exists already");
            let answer = self.a("DELETE", &format!("/images/{spelling}"));
            self.expect("the host's image is not removed", &answer, 403, "is there for others");
        }
        for by_id in [id.clone(), id[7..].to_owned(), id[7..19].to_owned()] {
            let answer = self.a("DELETE", &format!("/images/{by_id}?force=true"));
            self.expect("the host's image is not removed by its id", &answer, 403, "is there for others");
        }
        let answer = self.a("GET", &format!("/images/{name}/json"));
        self.expect("the host's image is seen", &answer, 200, &id);
        self.holds("the host's image is what it was", self.id(&name) == id, self.id(&name));
        self.engine("DELETE", &format!("/images/{name}"));
    }

    fn what_another_made_is_not_there(&mut self) {
        let name = format!("{}secret:1", self.prefix());
        self.give(0, "build", &name, &[]);
        let id = self.id(&name);
        let missing = format!("{}nowhere:1", self.prefix());
        let engine_of_bookworm = self.engine("GET", "/version").json()["ApiVersion"] == "1.41";
        for (method, target) in [
            ("GET", "/images/{}/json"),
            ("GET", "/images/{}/history"),
            ("GET", "/images/{}/get"),
            ("GET", "/images/get?names={}"),
            ("POST", "/images/{}/tag?repo=swt-taken&tag=1"),
            ("DELETE", "/images/{}"),
        ] {
            for (given, absent) in [
                (name.clone(), missing.clone()),
                (format!("docker.io/library/{name}"), format!("docker.io/library/{missing}")),
                (id[7..19].to_owned(), "0123456789ab".to_owned()),
            ] {
                let told = self.b(method, &target.replace("{}", &given));
                let expected = self.b(method, &target.replace("{}", &absent));
                let claim = format!("{method} {target} of {given} is answered as if it were not there");
                // 20.10 says it twice to who inspects, each time in another way.
                let short = |name: &str| name.strip_prefix("docker.io/library/").unwrap_or(name).to_owned();
                let same = told.text().replace(&given, &absent).replace(&short(&given), &short(&absent));
                self.expect(&claim, &told, 404, "");
                self.holds(&claim, same == expected.text(), format!("{} and {}", told.text(), expected.text()));
            }
        }
        let body = |image: &str| json!({ "Image": image, "Cmd": ["true"] }).to_string();
        let b = self.gate.socket_of(&owners()[1]);
        for given in [&name, &id, &id[7..19].to_owned()] {
            let answer = ask(&b, "POST", "/containers/create", &body(given));
            self.expect(&format!("no container is made of {given}"), &answer, 404, "No such image: ");
        }
        let push = request(
            "POST",
            &format!("/images/127.0.0.1:1/{}x/push?tag=1", self.prefix()),
            &["X-Registry-Auth: e30=".to_owned()],
            &[],
            Framing::Length,
        );
        let own = format!("127.0.0.1:1/{}x", self.prefix());
        self.a("POST", &format!("/images/{name}/tag?repo={own}&tag=1"));
        let answer = send(&b, &push, 1).remove(0);
        self.expect("another's image is not pushed", &answer, 404, "No such image: ");
        let all = String::from_utf8(push).unwrap().replace("?tag=1", "");
        let answer = send(&b, all.as_bytes(), 1).remove(0);
        self.expect("nor with all of its repository", &answer, 403, "push one tag at a time");
        self.a("DELETE", &format!("/images/{own}:1"));
        // Lists show each its own.
        let listed = |answer: Answer| {
            answer.json().as_array().is_some_and(|list| list.iter().any(|image| image["Id"] == id.as_str()))
        };
        let (by_a, by_b) = (listed(self.a("GET", "/images/json?all=1")), listed(self.b("GET", "/images/json?all=1")));
        self.holds("a list shows its owner's images alone", by_a && !by_b, format!("{by_a} {by_b}"));
        let busybox = self.b("GET", "/images/json").text().contains("busybox:test");
        self.holds("a list shows the host's images", busybox, engine_of_bookworm);
        let before = format!("/images/json?filters=%7B%22before%22%3A%5B%22{name}%22%5D%7D");
        let answer = self.b("GET", &before);
        self.expect("a list does not begin with another's image", &answer, 404, "No such image");
        self.holds("on record it is refused", self.gate.record().contains("\"ask\":\"foreign\""), "");
        let answer = self.a("POST", &format!("/images/{name}/tag?repo={}more&tag=1", self.prefix()));
        self.expect("its owner uses it", &answer, 201, "");
        let answer = self.a("DELETE", &format!("/images/{}?force=true", &id[7..19]));
        self.expect("its owner removes all of it by its id", &answer, 200, "Deleted");
    }

    fn a_load_that_is_refused_names_nothing(&mut self) {
        let (mine, theirs) = (format!("{}mine:1", self.prefix()), format!("{}theirs:1", self.prefix()));
        self.archive(&mine);
        for name in [&mine, &theirs] {
            let (repository, tag) = name.rsplit_once(':').unwrap();
            self.engine("POST", &format!("/images/busybox:test/tag?repo={repository}&tag={tag}"));
        }
        let both = self.engine("GET", &format!("/images/get?names={mine}&names={theirs}")).body;
        self.engine("DELETE", &format!("/images/{mine}"));
        self.engine("DELETE", &format!("/images/{theirs}"));
        self.give(0, "tag", &theirs, &[]);
        let answer = self.give(1, "load", "x:1", &both);
        self.expect("an archive with another's name is refused", &answer, 403, "another owner made it");
        self.holds("and gives no other name either", self.id(&mine).is_empty(), self.id(&mine));
        let answer = self.give(0, "tag", &mine, &[]);
        self.holds("which is free", answer.is_success(), answer.text());
        let answer = self.give(0, "load", "x:1", &both);
        self.holds("its owner loads it", answer.is_success(), answer.text());
        for name in [&mine, &theirs] {
            self.a("DELETE", &format!("/images/{name}"));
        }
    }

    fn what_is_built_carries_its_owner(&mut self) {
        for way in ["build", "commit", "import"] {
            let name = format!("{}label-{way}:1", self.prefix());
            let answer = self.give(0, way, &name, &[]);
            let image = self.engine("GET", &format!("/images/{name}/json")).json();
            let label = image.pointer("/Config/Labels/sockwarden.owner").and_then(Value::as_str);
            self.holds(
                &format!("{name} carries its owner"),
                label == Some(&owners()[0]),
                format!("{label:?} {}", answer.text()),
            );
            self.a("DELETE", &format!("/images/{name}"));
        }
        let labels = "%7B%22sockwarden.owner%22%3A%22x%22%7D";
        let answer = self.a("POST", &format!("/build?t={}spoof&labels={labels}", self.prefix()));
        self.expect("nobody sets it in a build's query", &answer, 403, "label sockwarden.owner");
        let target =
            format!("/images/create?fromSrc=-&repo={}spoof&changes=LABEL%20sockwarden.owner%3Dx", self.prefix());
        let answer = self.a("POST", &target);
        self.expect("nor in an import's instructions", &answer, 403, "label ");
        let answer = ask(
            &self.gate.socket_of(&owners()[0]),
            "POST",
            "/commit?container=x",
            "{\"Labels\":{\"Sockwarden.Owner\":\"x\"}}",
        );
        self.expect("nor in a commit's body", &answer, 403, "label ");
    }

    fn a_prune_takes_what_is_ones_own(&mut self) {
        let name = format!("{}prune:1", self.prefix());
        self.give(0, "build", &name, &[]);
        let filters = "filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D";
        let forged = "filters=%7B%22dangling%22%3A%5B%22false%22%5D%2C%22label%22%3A%5B%22swt%22%5D%7D";
        let negated = "filters=%7B%22dangling%22%3A%5B%22false%22%5D%2C%22label%21%22%3A%5B%22x%22%5D%7D";
        for filters in [filters, forged, negated] {
            let answer = self.b("POST", &format!("/images/prune?{filters}"));
            self.expect("another's prune", &answer, 200, "");
            self.holds("another's prune takes nothing", !self.id(&name).is_empty(), answer.text());
        }
        let answer = self.a("POST", &format!("/images/prune?{filters}"));
        self.holds("one's own takes it", self.id(&name).is_empty(), answer.text());
        self.holds("and not the host's", !self.id("busybox:test").is_empty(), answer.text());
    }

    fn what_a_build_has_on_its_way_is_in_nobodys_list(&mut self) {
        let name = format!("{}steps:1", self.prefix());
        let file = format!("FROM busybox:test\nENV a={name}\nENV b={name}\n");
        let headers = ["Content-Type: application/x-tar".to_owned()];
        let context = tar(&[("Dockerfile", file.as_bytes())]);
        let build = request("POST", &format!("/build?t={name}"), &headers, &context, Framing::Length);
        let said = send(&self.gate.socket_of(&owners()[0]), &build, 1).remove(0).text();
        let steps: Vec<&str> = said.split(" ---\\u003e ").skip(2).filter_map(|step| step.get(..12)).collect();
        let steps: Vec<&str> = steps.into_iter().filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit())).collect();
        let all = "/images/json?all=1";
        let shown = |list: &str| steps.iter().filter(|id| list.contains(&format!("\"Id\":\"sha256:{id}"))).count();
        let (bare, by_b) = (self.engine("GET", all).text(), self.b("GET", all).text());
        self.holds("the engine lists what a build has on its way", shown(&bare) > 1, said.clone());
        self.holds("nobody else is shown it", shown(&by_b) == 0, format!("{steps:?} {by_b}"));
        self.a("DELETE", &format!("/images/{name}"));
    }

    fn a_platform_is_taken_out_of_nobodys_image(&mut self) {
        if self.engine.generation() != "sid" {
            return;
        }
        let platform = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22amd64%22%7D";
        let engine = self.engine.socket.clone();
        let import = |name: &str| {
            let target = format!("/images/create?fromSrc=-&repo={name}&tag=1&platform=linux/amd64");
            let bytes = tar(&[("file", name.as_bytes())]);
            let headers = ["Content-Type: application/x-tar".to_owned()];
            send(&engine, &request("POST", &target, &headers, &bytes, Framing::Length), 1);
        };
        let is_whole = |name: &str| {
            let body = json!({"Image": format!("{name}:1"), "Cmd": ["true"]}).to_string();
            let made = ask(&engine, "POST", "/containers/create", &body);
            let id = made.json()["Id"].as_str().unwrap_or_default().to_owned();
            ask(&engine, "DELETE", &format!("/containers/{id}"), "");
            made.status == 201
        };
        let (bare, through) = (format!("{}bare", self.prefix()), format!("{}through", self.prefix()));
        for (name, socket) in [(&bare, engine.clone()), (&through, self.gate.socket_of(&owners()[0]))] {
            import(name);
            ask(&socket, "POST", &format!("/images/{name}:1/tag?repo={name}mine&tag=1"), "");
            let answer = ask(&socket, "DELETE", &format!("/images/{name}mine:1?force=true&platforms={platform}"), "");
            let takes = *name == bare && self.engine.store() == Store::Containerd;
            self.holds(&format!("{name} loses its content: {takes}"), is_whole(name) != takes, answer.text());
            if *name == through {
                self.expect("it is refused", &answer, 403, "query.platforms");
            }
            for name in [name.clone(), format!("{name}mine")] {
                self.engine("DELETE", &format!("/images/{name}:1?force=true"));
            }
        }
    }

    fn an_image_tells_an_owner_of_its_own_names(&mut self) {
        let name = format!("{}own:1", self.prefix());
        self.give(0, "tag", &name, &[]);
        let target = "/images/busybox:test/json";
        let [bare, by_a, by_b] = [self.engine("GET", target), self.a("GET", target), self.b("GET", target)];
        let tells = |answer: &Answer| answer.text().contains(&name) && answer.text().contains("busybox:test");
        self.holds("the engine tells of every name", tells(&bare), bare.text());
        self.holds("an owner is told of its own", tells(&by_a), by_a.text());
        self.holds("and of no other's", by_b.status == 200 && !by_b.text().contains(&name), by_b.text());
        self.holds("the host's is told to all", by_b.text().contains("busybox:test"), by_b.text());
        self.a("DELETE", &format!("/images/{name}"));
    }

    fn an_image_tells_an_owner_of_its_own_containers(&mut self) {
        // Older engines do not tell of containers there.
        if self.engine.generation() != "sid" {
            return;
        }
        let body = json!({"Image": "busybox:test", "Cmd": ["true"]}).to_string();
        let id = ask(&self.gate.socket_of(&owners()[0]), "POST", "/containers/create", &body).json()["Id"].clone();
        let id = id.as_str().unwrap_or_default().to_owned();
        for target in ["/images/json?manifests=1", "/images/busybox:test/json?manifests=1"] {
            let [bare, by_a, by_b] =
                [self.engine("GET", target), self.a("GET", target), self.b("GET", target)].map(|answer| answer.json());
            let tells = self.engine.store() == Store::Containerd;
            self.holds("the engine tells of all", users(&bare).contains(&id) == tells, &bare);
            self.holds("an owner is told of its own", users(&by_a) == [id.clone()][..usize::from(tells)], &by_a);
            self.holds("and of nobody else's", users(&by_b).is_empty(), &by_b);
        }
        let used = |answer: Answer| -> i64 {
            let list = answer.json();
            let images = list.as_array().into_iter().flatten();
            images.filter_map(|image| image["Containers"].as_i64()).filter(|count| *count > 0).sum()
        };
        let (by_a, by_b) = (used(self.a("GET", "/images/json")), used(self.b("GET", "/images/json")));
        self.holds("containers are counted as well", (by_a, by_b) == (1, 0), format!("{by_a} {by_b}"));
        self.a("DELETE", &format!("/containers/{id}"));
    }

    fn a_failed_build_gives_its_name_back(&mut self) {
        let name = format!("{}broken:1", self.prefix());
        let context = tar(&[("Dockerfile", b"FROM busybox:test\nCOPY nothing /\n".as_slice())]);
        let headers = ["Content-Type: application/x-tar".to_owned()];
        let build = request("POST", &format!("/build?t={name}"), &headers, &context, Framing::Length);
        let answer = send(&self.gate.socket_of(&owners()[0]), &build, 1).remove(0);
        self.holds("the build fails", answer.text().contains("errorDetail") || answer.status >= 400, answer.text());
        // What became of the name is asked of the engine once the answer has ended.
        let begun = std::time::Instant::now();
        let mut answer = self.give(1, "tag", &name, &[]);
        while !answer.is_success() && begun.elapsed() < PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(50));
            answer = self.give(1, "tag", &name, &[]);
        }
        self.holds("another may have it then", answer.is_success(), answer.text());
        self.b("DELETE", &format!("/images/{name}"));
    }
}

/// The containers that an answer about images tells of
fn users(answer: &Value) -> Vec<String> {
    let images = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    let manifests = images.iter().flat_map(|image| image["Manifests"].as_array().into_iter().flatten());
    let ids = manifests.flat_map(|manifest| manifest["ImageData"]["Containers"].as_array().into_iter().flatten());
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}
