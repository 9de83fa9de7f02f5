//! What a build is made of, written by hand: nothing of it went through a frontend.

use sha2::{Digest as _, Sha256};

use super::message::Message;

/// A step that runs a command, usually in busybox
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// What it is run in, where that is something else
    pub source: String,
    /// What a shell runs
    pub command: String,
    /// Its network: 0 its own, 1 the host's, 2 none
    pub network: u64,
    /// The control group above its own
    pub cgroup_parent: String,
    /// Name of a cache that is mounted at `/cache`
    pub cache: String,
    /// Id of a secret that is mounted at its usual place
    pub secret: String,
    /// Its rights: 0 those of a container, 1 all
    pub security: u64,
    /// A device of the host, by the name that CDI has for it
    pub device: String,
}

impl Run {
    /// One that asks for nothing
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), ..Self::default() }
    }

    /// A definition that ends with this step
    pub fn definition(&self) -> Message {
        let busybox = "docker-image://docker.io/library/busybox:test";
        let image = Message::new().with(1, if self.source.is_empty() { busybox } else { &self.source });
        let image = Message::new().with(3, image).with(10, platform());
        let root = Message::new().number(1, 0).with(3, "/").number(4, 0);
        let meta = ["sh", "-c", &self.command].iter().fold(Message::new(), |meta, word| meta.with(1, word));
        let meta = meta.with(2, "PATH=/bin").with(3, "/");
        let meta = if self.cgroup_parent.is_empty() { meta } else { meta.with(10, &self.cgroup_parent) };
        let mut exec = Message::new().with(1, meta).with(2, root);
        // From no input, to no output.
        let mount = |at: &str, kind| Message::new().number(1, u64::MAX).with(3, at).number(4, u64::MAX).number(6, kind);
        if !self.cache.is_empty() {
            exec = exec.with(2, mount("/cache", 3).with(20, Message::new().with(1, &self.cache)));
        }
        if !self.secret.is_empty() {
            let secret = Message::new().with(1, &self.secret).number(4, 0o400);
            exec = exec.with(2, mount(&format!("/run/secrets/{}", self.secret), 1).with(21, secret));
        }
        let mut exec = exec.number(3, self.network).number(4, self.security);
        if !self.device.is_empty() {
            exec = exec.with(6, Message::new().with(1, &self.device));
        }
        let run = Message::new().with(1, Message::new().with(1, digest(&image))).with(2, exec).with(10, platform());
        let end = Message::new().with(1, Message::new().with(1, digest(&run)));
        // Frontends want something said of every step.
        [image, run, end].iter().fold(Message::new(), |definition, op| {
            definition.with(1, op).with(2, Message::new().with(1, digest(op)).with(2, ""))
        })
    }
}

fn platform() -> Message {
    Message::new().with(1, "amd64").with(2, "linux")
}

fn digest(op: &Message) -> String {
    Sha256::digest(op).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
