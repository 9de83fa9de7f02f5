//! All rights of the host, and its devices, asked for by every door that leads to a step.
//!
//! The engines of these tests grant neither themselves: the first wants an entry in the daemon's configuration, the second a
//! description of the device. So nothing comes of it on them either. Through sockwarden the answer is sockwarden's own, also
//! from an engine that has never heard of devices.

use super::host::{by_input, seen};
use super::{Attempt, Sides};
use crate::engines::buildkit::build::{Build, id};
use crate::engines::buildkit::llb::Run;
use crate::engines::buildkit::message::Message;
use crate::engines::buildkit::session::Offer;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let frontend = "steps that no frontend made";
        let (insecure, device) = ("entitlement=security.insecure", "entitlement=device=vendor.example/swt=all");
        tokio::join!(
            play.attack("all rights, by the job", &[], insecure, async |sides: &Sides| {
                entitled(sides, "security.insecure", &Run::new(RIGHTS)).await
            }),
            play.attack("all rights, by a step of the Dockerfile", &[], "", dockerfile),
            play.attack("all rights, by raw steps", &[], frontend, async |sides: &Sides| {
                raw(sides, &Run { security: INSECURE, ..Run::new(RIGHTS) }).await
            }),
            play.attack("all rights, by raw steps for the frontend", &[], insecure, async |sides: &Sides| {
                input(sides, &Run { security: INSECURE, ..Run::new(RIGHTS) }).await
            }),
            play.attack("every device, by the job", &[], "entitlement=device", async |sides: &Sides| {
                entitled(sides, "device", &Run::new(DEVICES)).await
            }),
            play.attack("a device, by the job", &[], device, async |sides: &Sides| {
                entitled(sides, &format!("device={DEVICE}"), &Run::new(DEVICES)).await
            }),
            play.attack("a device, by raw steps", &[], frontend, async |sides: &Sides| {
                raw(sides, &Run { device: DEVICE.to_owned(), ..Run::new(DEVICES) }).await
            }),
            play.attack("a device, by raw steps for the frontend", &[], device, async |sides: &Sides| {
                input(sides, &Run { device: DEVICE.to_owned(), ..Run::new(DEVICES) }).await
            }),
        );
    })
}

/// The job says what it wants, and one step looks what it has got
async fn entitled(sides: &Sides, entitlement: &str, run: &Run) -> Attempt {
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN {}; : {}\n", run.command, id("n")));
    let build = Build::start_with(&sides.attacker, &offer, Message::new().with(9, entitlement)).await?;
    let result = build.dockerfile(&[]).await?;
    seen(GOT, &build.read(&result, "/out").await?)
}

/// The frontend of some engines does not know the word at all
async fn dockerfile(sides: &Sides) -> Attempt {
    let offer = Offer::dockerfile(&format!("FROM busybox:test\nRUN --security=insecure {RIGHTS}; : {}\n", id("n")));
    let build = Build::start(&sides.attacker, &offer).await?;
    let result = build.dockerfile(&[]).await?;
    seen(GOT, &build.read(&result, "/out").await?)
}

async fn raw(sides: &Sides, run: &Run) -> Attempt {
    let build = Build::start(&sides.attacker, &Offer::default()).await?;
    let result = build.solve(Message::new().with(1, run.definition())).await?;
    seen(GOT, &build.read(&result, "/out").await?)
}

async fn input(sides: &Sides, run: &Run) -> Attempt {
    seen(GOT, &by_input(sides, run, Message::new()).await?)
}

/// What a step writes that has got what the attacker wants
const GOT: &str = "got it";
/// The right to load modules of the kernel is one that no container has
const RIGHTS: &str =
    "if [ $(( 0x$(sed -n 's/^CapEff:.//p' /proc/self/status) >> 16 & 1 )) = 1 ]; then echo got it; fi > /out";
const DEVICES: &str = "if [ -e /dev/swt ]; then echo got it; fi > /out";
const DEVICE: &str = "vendor.example/swt=all";
const INSECURE: u64 = 1;
