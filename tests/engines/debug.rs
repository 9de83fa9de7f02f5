//! Containers of a build's own, in which its results are looked into: where a policy has them, in one's own builds alone,
//! and with no more than a step may have.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use super::buildkit::build::{BUILD_ID, Build, id};
use super::buildkit::client::{Client, Reply};
use super::buildkit::message::{Message, found};
use super::buildkit::session::Offer;
use super::buildx::Buildx;
use super::gate::Gate;
use super::http::PATIENCE;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let owners = [id("a"), id("b")];
    let gate = Gate::with_owners(&engine.socket, "extends = 'ci'\n[build]\ndebug = true\n", &owners);
    let [own, other] = [&owners[0], &owners[1]].map(|owner| gate.socket_of(owner));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut failed = runtime.block_on(by_hand(&own, &other)).unwrap_or_else(|reply| vec![format!("{reply:?}")]);
    runtime.shutdown_background();
    // Docker 20.10 came without buildx; that of 26.1 (0.13) asks for the result once more by steps that no frontend made.
    if engine.name == "sid"
        && let Err(said) = by_buildx(engine, &own)
    {
        failed.push(format!("buildx: {said}"));
    }
    failed
}

async fn by_hand(own: &Path, other: &Path) -> Result<Vec<String>, Reply> {
    let mut failed = Vec::new();
    let word = id("w");
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN echo {word} > /made\n"));
    let build = Build::start(own, &offer).await?;
    let result = build.dockerfile(&[]).await?;
    let look = Process { result: &result, command: "cat /made; ls /sys/class/net", ..Process::default() };
    let seen = look.run(&build.client, &build.reference).await?;
    if !seen.contains(&word) {
        failed.push(format!("a look into one's own result: {seen:?}"));
    }
    let theirs = Client::open(other).await?;
    for (what, process, client, why) in [
        ("the host's network", Process { network: 1, ..look }, &build.client, "network=host (Network)"),
        ("all rights", Process { security: 1, ..look }, &build.client, "entitlement=security.insecure (Init.Security)"),
        ("another's build", look, &theirs, "no such job"),
    ] {
        match process.run(client, &build.reference).await {
            Err(reply) if reply.said.contains(why) => {}
            said => failed.push(format!("{what}: not `{why}` but {said:?}")),
        }
    }
    build.end(&result).await?;
    Ok(failed)
}

/// A shell in a container of a build
#[derive(Clone, Copy, Default)]
pub struct Process<'a> {
    /// What it has for its root
    pub result: &'a str,
    /// 1 is the host's
    pub network: u64,
    /// 1 has all rights
    pub security: u64,
    /// What it does
    pub command: &'a str,
}

impl Process<'_> {
    /// Runs it in a build; what it says
    pub async fn run(&self, client: &Client, build: &str) -> Result<String, Reply> {
        let name = id("c");
        let mount = Message::new().with(3, "/").number(6, 0).with(23, self.result);
        let asked = Message::new().with(1, &name).with(2, mount).number(3, self.network);
        let of_build = [(BUILD_ID, build)];
        client.call(&format!("{BRIDGE}NewContainer"), &of_build, asked).await.ok()?;
        let meta = ["sh", "-c", self.command].iter().fold(Message::new(), |meta, word| meta.with(1, word));
        let start = Message::new().with(1, &name).with(2, meta.with(2, "PATH=/bin").with(3, "/")).number(3, 1);
        let asked = Message::new().with(1, id("p")).with(2, start.number(5, self.security));
        let is_over = |message: &[u8]| !found(message, &[EXIT]).is_empty() || !found(message, &[DONE]).is_empty();
        client.conversation(&format!("{BRIDGE}ExecProcess"), &of_build, asked, is_over).await
    }
}

/// Looks into a step that failed with `buildx debug`, which wants a terminal
fn by_buildx(engine: &Engine, socket: &Path) -> Result<(), String> {
    let buildx = Buildx::new(engine, socket);
    let word = id("w");
    buildx.file("Dockerfile", &format!("FROM busybox:test\nRUN echo {word} > /made; false\n"));
    let debug = buildx.command(&["debug", "--invoke", "/bin/sh", "build", "-o", "type=cacheonly", "."]);
    let mut words: Vec<String> = vec![debug.get_program().to_str().unwrap().to_owned()];
    words.extend(debug.get_args().map(|word| word.to_str().unwrap().to_owned()));
    let mut command = std::process::Command::new("script");
    command.args(["-qefc", &words.join(" "), "/dev/null"]).current_dir(debug.get_current_dir().unwrap());
    command.envs(debug.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("BUILDX_EXPERIMENTAL", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (tells, told) = mpsc::channel();
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            if tells.send(String::from_utf8_lossy(&piece[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut seen = String::new();
    let mut until = |what: &str| {
        let from = seen.len();
        while !seen[from..].contains(what) {
            match told.recv_timeout(PATIENCE) {
                Ok(piece) => seen.push_str(&piece),
                Err(_) => return Err(format!("never {what:?}: {seen}")),
            }
        }
        Ok(())
    };
    let mut looked = || {
        until("/ # ")?;
        keys.write_all(b"cat /made; exit\n").map_err(|error| error.to_string())?;
        until(&word)?;
        until("(buildx) ")?;
        keys.write_all(b"exit\n").map_err(|error| error.to_string())
    };
    let looked = looked();
    if looked.is_err() {
        let _ = child.kill();
    }
    drop(keys);
    let _ = child.wait();
    looked
}

const BRIDGE: &str = "/moby.buildkit.v1.frontend.LLBBridge/";
/// `ExecMessage.Exit`
const EXIT: u64 = 6;
/// `ExecMessage.Done`
const DONE: u64 = 7;
