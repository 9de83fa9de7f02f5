//! The classic builder: what its Dockerfile fetches is held against the policy while the context passes.
//!
//! Each attack is played on the engine itself first, where it must come to something, then through sockwarden.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::build::loopback::Loopback;
use super::gate::Gate;
use super::http::{Answer, Framing, PATIENCE, ask, request, send};
use super::setting::Engine;
use super::stage::Stage;
use super::tar::{archive, disguised, entry, tar};

mod pulled;

const POLICY: &str = "version = 1\nextends = 'ci'\n";

struct Play<'a> {
    engine: &'a Engine,
    gate: Gate,
    /// Begins every name
    prefix: String,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let stage = Stage::new(&engine.socket, &format!("swt-{}-cb-", std::process::id()));
    let prefix = stage.names["prefix"].clone();
    let owners = ["a", "b"].map(|name| format!("{prefix}{name}"));
    let gate = Gate::with_owners(&engine.socket, POLICY, &owners);
    let mut play = Play { engine, gate, prefix, failed: Vec::new() };
    play.nothing_is_fetched_from_the_host();
    play.triggers_of_a_base_fetch_nothing();
    play.a_base_stays_what_it_was_when_it_was_judged();
    play.a_base_that_is_pulled_brings_no_trigger_that_nobody_judged();
    play.what_another_made_is_no_base();
    play.nothing_is_served_to_others_under_a_files_name();
    play.what_was_refused_leaves_nothing();
    play.a_context_is_what_it_is_without_us();
    play.the_client_says_why_in_one_line();
    for name in play.names() {
        ask(&engine.socket, "DELETE", &format!("/images/{name}?force=1"), "");
    }
    let made =
        format!("%7B%22dangling%22%3A%5B%22true%22%5D%2C%22label%22%3A%5B%22swt-cb%3D{}%22%5D%7D", std::process::id());
    ask(&engine.socket, "POST", &format!("/images/prune?filters={made}"), "");
    play.failed
}

/// A context whose Dockerfile begins from what each engine has
fn context(lines: &str) -> Vec<u8> {
    tar(&[("Dockerfile", format!("FROM busybox:test\n{lines}\n").as_bytes())])
}

fn build(socket: &Path, query: &str, context: &[u8]) -> Answer {
    let headers = ["Content-Type: application/x-tar".to_owned()];
    let target = format!("/v1.41/build?rm=1&labels=%7B%22swt-cb%22%3A%22{}%22%7D&{query}", std::process::id());
    send(socket, &request("POST", &target, &headers, context, Framing::Chunked), 1).remove(0)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

impl Play<'_> {
    fn names(&self) -> Vec<String> {
        ["trigger", "theirs", "left", "bare", "through", "evil", "moved"].map(|name| self.name(name)).to_vec()
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}:1", self.prefix)
    }

    fn socket(&self, owner: &str) -> PathBuf {
        self.gate.socket_of(&format!("{}{owner}", self.prefix))
    }

    fn holds(&mut self, claim: &str, holds: bool, shown: impl std::fmt::Display) {
        if !holds {
            self.failed.push(format!("{claim}: {shown}"));
        }
    }

    /// Nobody comes to a service on the host's loopback address, who comes without us
    fn fetches_nothing(&mut self, what: &str, query: &str, works: bool, said: &str, packed: impl Fn(u16) -> Vec<u8>) {
        let service = Loopback::saying("secret");
        let told = build(&self.engine.socket, &format!("nocache=1&{query}"), &packed(service.port()));
        self.holds(
            &format!("{what}: on the engine itself"),
            (service.came() > 0) == works,
            format!("{} {}", service.came(), told.text()),
        );
        let service = Loopback::saying("secret");
        let told = build(&self.socket("a"), &format!("nocache=1&{query}"), &packed(service.port()));
        let refused = told.text().contains(said) && (told.status == 403 || told.status == 400);
        self.holds(
            &format!("{what}: through sockwarden"),
            service.came() == 0 && (refused || said.is_empty()),
            format!("{} {} {}", service.came(), told.status, told.text()),
        );
    }

    fn nothing_is_fetched_from_the_host(&mut self) {
        for (line, said) in [
            ("ADD http://127.0.0.1:PORT/x /out", "remote=http://127.0.0.1:"),
            ("ADD http://localhost:PORT/x /out", "remote=http://localhost:"),
            ("ADD [\"http://127.0.0.1:PORT/x\", \"/out\"]", "(Dockerfile:2 ADD) is refused"),
            ("ARG at=127.0.0.1:PORT\nADD http://${at}/x /out", "sockwarden: "),
            ("COPY --from=127.0.0.2:PORT/x /x /out", "image 127.0.0.2:"),
            ("FROM 127.0.0.2:PORT/x", "(Dockerfile:2 FROM) is refused"),
        ] {
            let lines = |port: u16| line.replace("PORT", &port.to_string());
            self.fetches_nothing(line, "", true, said, |port| context(&lines(port)));
            self.fetches_nothing(&format!("{line}, gzipped"), "", true, said, |port| gzipped(&context(&lines(port))));
        }
        let evil = |port: u16| format!("FROM busybox:test\nADD http://127.0.0.1:{port}/x /out\n");
        let add = "remote=http://127.0.0.1:";
        let good = || entry(b"Dockerfile", b'0', "", b"FROM busybox:test\n");
        let file = |name: &str, port| entry(name.as_bytes(), b'0', "", evil(port).as_bytes());
        self.fetches_nothing("by its path", "dockerfile=./a//Dockerfile", true, add, |port| {
            archive(&[good(), file("a/Dockerfile", port)])
        });
        self.fetches_nothing("in lower case", "", true, add, |port| archive(&[file("dockerfile", port)]));
        self.fetches_nothing("that is ignored", "", true, add, |port| {
            archive(&[entry(b".dockerignore", b'0', "", b"Dockerfile\n"), file("Dockerfile", port)])
        });
        self.fetches_nothing("a second Dockerfile", "", true, "is there twice", |port| {
            archive(&[good(), file("Dockerfile", port)])
        });
        self.fetches_nothing("through a link's directory", "", true, "below a link", |port| {
            archive(&[good(), entry(b"d", b'2', ".", b""), file("d/Dockerfile", port)])
        });
        self.fetches_nothing("as a link", "", true, "no plain file", |port| {
            archive(&[file("evil", port), entry(b"Dockerfile", b'2', "evil", b"")])
        });
        self.fetches_nothing("as a hard link", "", true, "no plain file", |port| {
            archive(&[file("evil", port), entry(b"Dockerfile", b'1', "evil", b"")])
        });
        self.fetches_nothing("by a directory that becomes a link", "dockerfile=a/Dockerfile", true, "", |port| {
            let there = entry(b"a/Dockerfile", b'0', "", b"FROM busybox:test\n");
            archive(&[file("b/Dockerfile", port), there, entry(b"a", b'2', "b", b"")])
        });
        let has_zstd = self.engine.name != "bookworm";
        self.fetches_nothing("as another archive", "", has_zstd, "", |port| {
            archive(&[disguised(&archive(&[file("Dockerfile", port)])), good()])
        });
        let nonsense = |port: u16| context(&format!("ADD http://127.0.0.1:{port}/x /out\nWHATEVER"));
        self.fetches_nothing("before a word that is no instruction", "", false, "", nonsense);
        // What else stands there is judged all the same; where that is granted, the engine's own error comes.
        let sockets = [self.engine.socket.clone(), self.socket("a")];
        let [bare, through] = sockets.map(|socket| build(&socket, "", &context("WHATEVER")));
        let same = (bare.status, bare.text()) == (through.status, through.text()) && bare.text().contains("WHATEVER");
        self.holds("a word that is no instruction", same, format!("{bare:?} {through:?}"));
        let service = Loopback::saying("FROM busybox:test\n");
        let query = format!("remote=http://127.0.0.1:{}/x", service.port());
        let told = build(&self.socket("a"), &query, b"");
        let refused = told.status == 403 && told.text().contains("a build context that the engine fetches");
        self.holds("a context that the engine fetches", refused && service.came() == 0, told.text());
        build(&self.engine.socket, &query, b"");
        self.holds("a context that the engine itself fetches", service.came() > 0, "nobody came");
    }

    fn triggers_of_a_base_fetch_nothing(&mut self) {
        let name = self.name("trigger");
        let service = Loopback::saying("secret");
        let lines = format!("ONBUILD ADD http://127.0.0.1:{}/x /out", service.port());
        let made = build(&self.engine.socket, &format!("t={name}"), &context(&lines));
        self.holds("an image with a trigger", made.status == 200 && service.came() == 0, made.text());
        let base = tar(&[("Dockerfile", format!("FROM {name}\n").as_bytes())]);
        let told = build(&self.socket("a"), "nocache=1", &base);
        let said = told.text();
        let refused = told.status == 403 && said.contains("remote=http://127.0.0.1:") && said.contains("ONBUILD of");
        self.holds("a build begins from it", refused && service.came() == 0, format!("{} {said}", told.status));
        build(&self.engine.socket, "nocache=1", &base);
        self.holds("it fetches on the engine itself", service.came() > 0, "nobody came");
    }

    /// While a build runs its owner gives the name of a later base to an image with a trigger
    fn a_base_stays_what_it_was_when_it_was_judged(&mut self) {
        let service = Loopback::saying("secret");
        let (evil, moved) = (self.name("evil"), self.name("moved"));
        let lines = format!("ONBUILD ADD http://127.0.0.1:{}/x /out", service.port());
        let made = build(&self.engine.socket, &format!("t={evil}"), &context(&lines));
        self.holds("an image with a trigger", made.status == 200, made.text());
        for (how, socket) in
            [("through sockwarden", self.socket("a")), ("on the engine itself", self.engine.socket.clone())]
        {
            let bare = socket == self.engine.socket;
            let made = build(&socket, &format!("t={moved}"), &context(""));
            self.holds(&format!("{how}: a base"), made.text().contains("Successfully tagged"), made.text());
            let (repository, tag) = moved.split_once(':').unwrap();
            let moves = || ask(&socket, "POST", &format!("/images/{evil}/tag?repo={repository}&tag={tag}"), "");
            let (told, answer) = self.meanwhile(&socket, &format!("{moved} {bare}"), &format!("FROM {moved}"), moves);
            let Some(told) = told else { return self.holds(how, false, answer.text()) };
            let shown = format!("{} {} {}; {}", service.came(), told.status, told.text(), answer.text());
            if bare {
                self.holds(&format!("{how}: the name moves"), told.status == 201 && service.came() > 0, shown);
            } else {
                let refused = told.status == 403 && told.text().contains("a build that runs is made of");
                self.holds(&format!("{how}: the name stays"), refused && service.came() == 0, &shown);
                self.holds("the build goes on", answer.text().contains("Successfully built"), &shown);
                let told = moves();
                self.holds("the name is free again", told.status == 201, told.text());
            }
        }
    }

    /// Does something while a step of a build runs, whose command has a word in it, and lets the build go on with `lines`
    fn meanwhile(
        &self,
        socket: &Path,
        word: &str,
        lines: &str,
        act: impl FnOnce() -> Answer,
    ) -> (Option<Answer>, Answer) {
        let packed = context(&format!("RUN : {word}; until [ -e /go ]; do sleep 0.1; done\n{lines}"));
        std::thread::scope(|scope| {
            let build = scope.spawn(|| build(socket, "nocache=1&networkmode=none", &packed));
            let told = self.step(word).map(|step| {
                let told = act();
                let target = format!("/containers/{step}/archive?path=/");
                let go = request("PUT", &target, &[], &tar(&[("go", b"")]), Framing::Length);
                send(&self.engine.socket, &go, 1);
                told
            });
            (told, build.join().unwrap())
        })
    }

    /// The container of a step that runs, by what stands in its command
    fn step(&self, word: &str) -> Option<String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let there = ask(&self.engine.socket, "GET", "/containers/json", "").json();
            let is_it = |there: &&Value| there["Command"].as_str().is_some_and(|command| command.contains(word));
            if let Some(step) = there.as_array().into_iter().flatten().find(is_it) {
                return step["Id"].as_str().map(str::to_owned);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    fn what_another_made_is_no_base(&mut self) {
        let name = self.name("theirs");
        let made = build(&self.socket("b"), &format!("t={name}"), &context("RUN echo secret > /secret"));
        self.holds("another builds", made.status == 200 && made.text().contains("Successfully tagged"), made.text());
        for (what, dockerfile) in [
            ("FROM", format!("FROM {name}\nRUN cat /secret\n")),
            ("COPY --from", format!("FROM busybox:test\nCOPY --from={name} /secret /\nRUN cat /secret\n")),
        ] {
            let packed = tar(&[("Dockerfile", dockerfile.as_bytes())]);
            let told = build(&self.socket("a"), "nocache=1", &packed);
            let missing = told.status == 404 && told.text().contains(&format!("No such image: {name}"));
            self.holds(&format!("{what} another's image"), missing, format!("{} {}", told.status, told.text()));
            let own = build(&self.socket("b"), "nocache=1", &packed);
            self.holds(&format!("{what} one's own image"), own.text().contains("Successfully built"), own.text());
        }
    }

    /// The cache knows a file by the first of its name, and the image gets the last
    fn nothing_is_served_to_others_under_a_files_name(&mut self) {
        let good = || entry(b"app", b'0', "", b"good");
        for (number, (what, evil)) in [
            ("a second file", vec![entry(b"app", b'0', "", b"evil")]),
            ("a file below a link", vec![entry(b"d", b'2', ".", b""), entry(b"d/app", b'0', "", b"evil")]),
        ]
        .into_iter()
        .enumerate()
        {
            for (attacker, victim, works) in [
                (self.engine.socket.clone(), self.engine.socket.clone(), true),
                (self.socket("a"), self.socket("b"), false),
            ] {
                let lines = format!("ENV swt={}{number}{works}\nCOPY app /app\nRUN cat /app", self.prefix);
                let dockerfile = || entry(b"Dockerfile", b'0', "", format!("FROM busybox:test\n{lines}\n").as_bytes());
                let sent = [vec![dockerfile(), good()], evil.clone()].concat();
                let told = build(&attacker, "", &archive(&sent));
                let refused =
                    told.status == 400 && (told.text().contains("twice") || told.text().contains("below a link"));
                self.holds(what, works || refused, told.text());
                let got = build(&victim, "", &archive(&[dockerfile(), good()]));
                let poisoned = !got.text().contains("good") && got.text().contains("Successfully built");
                self.holds(&format!("{what}, for who builds after"), poisoned == works, got.text());
            }
        }
    }

    /// What is refused at its last byte has run no step before
    fn what_was_refused_leaves_nothing(&mut self) {
        let name = self.name("left");
        let lines = "RUN echo has-run\nADD http://127.0.0.1:1/x /out";
        let told = build(&self.socket("a"), &format!("t={name}"), &context(lines));
        let refused = told.status == 403 && !told.text().contains("has-run");
        self.holds("a refused build", refused, format!("{} {}", told.status, told.text()));
        let there = ask(&self.engine.socket, "GET", &format!("/images/{name}/json"), "").status;
        self.holds("has made no image", there == 404, there);
        // A step of its own: what is in the cache for others may be removed by them meanwhile.
        let again = build(&self.socket("b"), &format!("t={name}"), &context(&format!("RUN : {name}")));
        self.holds("nor kept the name", again.text().contains("Successfully tagged"), again.text());
        let record = self.gate.record();
        let found = record.lines().any(|line| line.contains("\"event\":\"dockerfile\"") && line.contains("\"deny\""));
        self.holds("is on record", found && record.contains("\"outcome\":\"refused\""), "it is not");
    }

    /// The same steps with the same results, out of the same cache
    fn a_context_is_what_it_is_without_us(&mut self) {
        let dockerfile = format!(
            "FROM busybox:test\nENV swt={}\nCOPY . /src/\nRUN cd /src && find . -mindepth 1 | sort | xargs stat -c '%n %F %a %u %s %Y %N'\n",
            self.prefix
        );
        let long = "y".repeat(90);
        let context = archive(&[
            entry(b"./", b'5', "", b""),
            entry(b"src/", b'5', "", b""),
            entry(b"src/a", b'0', "", b"a"),
            entry(b"caf\xe9", b'0', "", b"not UTF-8"),
            entry(format!("{long}/").as_bytes(), b'5', "", b""),
            entry(b"././@LongLink", b'L', "", format!("{long}/{long}/\0").as_bytes()),
            entry(b"cut/", b'5', "", b""),
            entry(b"././@LongLink", b'L', "", format!("{long}/{long}/z\0").as_bytes()),
            entry(b"cut", b'0', "", b"z"),
            entry(b"x", b'x', "", b"19 mtime=1234567.5\n"),
            entry(b"timed", b'0', "", b"t"),
            entry(b"to", b'2', "src/a", b""),
            entry(b"again", b'1', "src/a", b""),
            entry(b"pipe", b'6', "", b""),
            entry(b"large", b'0', "", &vec![7; 9 << 20]),
            entry(b"docker/", b'5', "", b""),
            entry(b"docker/Dockerfile", b'0', "", dockerfile.as_bytes()),
        ]);
        let query = "dockerfile=docker/Dockerfile";
        let (bare, through) = (self.name("bare"), self.name("through"));
        let direct = build(&self.engine.socket, &format!("{query}&nocache=1&t={bare}"), &context);
        self.holds("on the engine itself", direct.text().contains("Successfully tagged"), direct.text());
        for (how, context) in [("plain", context.clone()), ("gzipped", gzipped(&context))] {
            let told = build(&self.socket("a"), &format!("{query}&t={through}"), &context);
            let said = told.text();
            self.holds(&format!("{how}, out of the cache"), said.matches("Using cache").count() >= 2, &said);
            let told = build(&self.socket("a"), &format!("{query}&nocache=1&t={through}"), &context);
            let files = |answer: &Answer| -> Vec<String> {
                let said = answer.text();
                said.lines()
                    .filter(|line| line.contains("\"./") || line.contains("regular"))
                    .map(str::to_owned)
                    .collect()
            };
            let same = files(&told) == files(&direct) && files(&direct).concat().contains("z regular file");
            self.holds(&format!("{how}, anew"), same, format!("{:#?} {:#?}", files(&told), files(&direct)));
        }
    }

    fn the_client_says_why_in_one_line(&mut self) {
        let docker = docker(self.engine);
        let directory = tempfile::tempdir().unwrap();
        for (lines, words) in [
            ("ADD http://127.0.0.1:1/x /out", "remote=http://127.0.0.1:1/x (Dockerfile:2 ADD) is refused"),
            ("FROM registry.example.com/x", "image registry.example.com/x:latest (Dockerfile:2 FROM) is refused"),
            ("RUN true", ""),
        ] {
            std::fs::write(directory.path().join("Dockerfile"), format!("FROM busybox:test\n{lines}\n")).unwrap();
            std::fs::write(directory.path().join("large"), vec![0; 64 << 20]).unwrap();
            let mut command = Command::new(&docker);
            command
                .args(["build", "--label", &format!("swt-cb={}", std::process::id()), "."])
                .current_dir(directory.path())
                .stdin(Stdio::null());
            command.env("DOCKER_BUILDKIT", "0").env("DOCKER_HOST", format!("unix://{}", self.socket("a").display()));
            let Output { status, stdout, stderr } = command.output().unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            let told: Vec<&str> = said.lines().filter(|line| line.contains("sockwarden: ")).collect();
            let clean = match (told.as_slice(), words) {
                ([], "") => status.success() && said.contains("Successfully built"),
                ([line], words) => {
                    line.starts_with("Error response from daemon: sockwarden: ")
                        && line.contains(words)
                        && !status.success()
                }
                _ => false,
            };
            self.holds(lines, clean, &said);
        }
    }
}

/// The docker CLI of the engine's own generation
fn docker(engine: &Engine) -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
    let output = Command::new(tool).args(["cli", &engine.name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
