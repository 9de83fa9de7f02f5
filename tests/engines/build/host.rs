//! The host's own network, control groups and rights, asked for by every door that leads to a step.

use super::loopback::Loopback;
use super::{ALL, Attempt, Failure, NEWER, Sides};
use crate::engines::buildkit::build::{Build, SOLVE, id};
use crate::engines::buildkit::client::Client;
use crate::engines::buildkit::llb::Run;
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::debug::Process;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let entitlement = "entitlement=network.host";
        let frontend = "steps that no frontend made";
        tokio::join!(
            play.attack("the host's network, by the mode of all steps", ALL, entitlement, mode),
            play.attack("the host's network, by a step of the Dockerfile", NEWER, entitlement, step),
            play.attack("the host's network, by raw steps", ALL, entitlement, raw),
            play.attack("the host's network, by raw steps for the frontend", NEWER, entitlement, input),
            play.attack("the host's network, by raw steps of the job", ALL, "is to run by itself", job),
            play.attack(
                "the host's network, by a container beside the build",
                &["bookworm"],
                "debug (NewContainer)",
                container,
            ),
            play.attack("a control group of the host, by all steps", NEWER, "cgroup_parent=/", group),
            play.attack("a control group of the host, by raw steps", NEWER, frontend, raw_group),
            play.attack(
                "a control group of the host, by raw steps for the frontend",
                NEWER,
                "exec.meta.cgroupParent",
                input_group,
            ),
        );
    })
}

/// What a job says that wants the host's network
fn entitled() -> Message {
    Message::new().with(9, "network.host")
}

/// A command whose output is what the service says
fn fetch(service: &Loopback) -> String {
    format!("wget -q -O /out http://127.0.0.1:{}/ || echo none > /out; : {}", service.port(), id("n"))
}

/// Whether the word has come out
pub fn seen(word: &str, out: &str) -> Attempt {
    if out.contains(word) { Ok(()) } else { Err(format!("only {out:?}").into()) }
}

async fn mode(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN {}\n", fetch(&service)));
    let build = Build::start_with(&sides.attacker, &offer, entitled()).await?;
    let result = build.dockerfile(&[("force-network-mode", "host")]).await?;
    seen(&sides.word, &build.read(&result, "/out").await?)
}

async fn step(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN --network=host {}\n", fetch(&service)));
    let build = Build::start_with(&sides.attacker, &offer, entitled()).await?;
    let result = build.dockerfile(&[]).await?;
    seen(&sides.word, &build.read(&result, "/out").await?)
}

async fn raw(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = Run { network: HOST, ..Run::new(&fetch(&service)) };
    let build = Build::start_with(&sides.attacker, &Offer::default(), entitled()).await?;
    let result = build.solve(Message::new().with(1, run.definition())).await?;
    seen(&sides.word, &build.read(&result, "/out").await?)
}

/// What is given to the frontend under a name is what `FROM` takes
pub async fn by_input(sides: &Sides, run: &Run, more: Message) -> Result<String, Failure> {
    let offer = Offer::dockerfile(&format!("FROM base\nRUN : {}\n", id("n")));
    let build = Build::start_with(&sides.attacker, &offer, more).await?;
    let input = Message::new().with(1, "0-base").with(2, run.definition());
    let options = [("context:base", "input:0-base"), ("frontend.caps", "moby.buildkit.frontend.contexts+forward")];
    let result = build.solve(Message::new().with(2, "dockerfile.v0").map(3, &options).with(13, input)).await?;
    Ok(build.read(&result, "/out").await?)
}

async fn input(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = Run { network: HOST, ..Run::new(&fetch(&service)) };
    seen(&sides.word, &by_input(sides, &run, entitled()).await?)
}

/// The job itself runs the steps, and no call comes after it
async fn job(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let run = Run { network: HOST, ..Run::new(&fetch(&service)) };
    let job = Message::new().with(1, id("r")).with(5, id("s")).with(8, "").with(2, run.definition());
    let job = [job.as_ref(), entitled().as_ref()].concat();
    let answer = Client::open(&sides.attacker).await?.call(SOLVE, &[], job).await;
    if service.came() > 0 { Ok(()) } else { Err(answer.into()) }
}

/// A container beside the build is not asked whether the job may
async fn container(sides: &Sides) -> Attempt {
    let service = Loopback::saying(&sides.word);
    let offer = Offer::dockerfile("FROM busybox:test\nRUN true\n");
    let build = Build::start(&sides.attacker, &offer).await?;
    let result = build.dockerfile(&[]).await?;
    let command = &format!("wget -q -O - http://127.0.0.1:{}/", service.port());
    let process = Process { result: &result, network: HOST, command, ..Process::default() };
    let said = process.run(&build.client, &build.reference).await?;
    seen(&sides.word, &said)
}

/// A control group of that name in what a step says of itself
fn in_group(word: &str, out: &str) -> Attempt {
    seen(&format!("/{word}/"), out)
}

/// A step that tells its control group
fn told(group: &str) -> Run {
    Run { cgroup_parent: format!("/{group}"), ..Run::new("cat /proc/self/cgroup > /out") }
}

async fn group(sides: &Sides) -> Attempt {
    let _group = Group(sides.word.clone());
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN cat /proc/self/cgroup > /out; : {}\n", sides.word));
    let build = Build::start(&sides.attacker, &offer).await?;
    let result = build.dockerfile(&[("cgroup-parent", &format!("/{}", sides.word))]).await?;
    in_group(&sides.word, &build.read(&result, "/out").await?)
}

async fn raw_group(sides: &Sides) -> Attempt {
    let _group = Group(sides.word.clone());
    let build = Build::start(&sides.attacker, &Offer::default()).await?;
    let result = build.solve(Message::new().with(1, told(&sides.word).definition())).await?;
    in_group(&sides.word, &build.read(&result, "/out").await?)
}

async fn input_group(sides: &Sides) -> Attempt {
    let _group = Group(sides.word.clone());
    in_group(&sides.word, &by_input(sides, &told(&sides.word), Message::new()).await?)
}

/// A control group that an attack has made; removed when dropped
struct Group(String);

impl Drop for Group {
    fn drop(&mut self) {
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = hierarchy.path().join(&self.0);
            let _ = std::fs::remove_dir(group.join("buildkit"));
            let _ = std::fs::remove_dir(group);
        }
    }
}

const HOST: u64 = 1;
