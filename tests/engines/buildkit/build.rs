//! A build as buildx makes it: a job that says nothing, and the client in the place of its frontend.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::task::AbortOnDropHandle;

use super::client::{Client, Reply};
use super::message::{Message, found, text};
use super::session::{Offer, Session};

/// A running build; ends when dropped
pub struct Build {
    /// Its name
    pub reference: String,
    /// The name of its session
    pub session: String,
    /// Its connection for calls
    pub client: Client,
    /// What it offers to the engine
    pub offered: Session,
    job: AbortOnDropHandle<Reply>,
}

impl Build {
    /// Starts one; the refusal where its session or its job is none
    pub async fn start(socket: &Path, offer: &Offer) -> Result<Self, Reply> {
        Self::start_with(socket, offer, Message::new()).await
    }

    /// The same with more in its `Control/Solve`
    pub async fn start_with(socket: &Path, offer: &Offer, more: Message) -> Result<Self, Reply> {
        let session = id("s");
        let offered = Session::open(socket, &session, offer).await.map_err(Reply::before)?;
        Self::start_in(socket, offered, session, more).await
    }

    /// The same in a session that is there, or in nobody's
    pub async fn start_in(socket: &Path, offered: Session, session: String, more: Message) -> Result<Self, Reply> {
        let reference = id("r");
        let client = Client::open(socket).await?;
        let solve = Message::new().with(1, &reference).with(5, &session);
        // What is said of caches is there always, if only to say nothing.
        let more = if found(more.as_ref(), &[8]).is_empty() { more.with(8, "") } else { more };
        let solve = [solve.as_ref(), more.as_ref()].concat();
        let caller = client.clone();
        let mut job = AbortOnDropHandle::new(tokio::spawn(async move { caller.call(SOLVE, &[], solve).await }));
        // The job answers at its end, or when it is refused; the other call once the job is there, or when the engine has
        // waited three seconds for it, which a busy one may need.
        let of_ours = [(BUILD_ID, reference.as_str())];
        let there = async {
            loop {
                let there = client.call(PING, &of_ours, "").await.ok();
                if !there.as_ref().is_err_and(|reply| reply.said.contains("no such job")) {
                    return there;
                }
            }
        };
        tokio::select! {
            ended = &mut job => return Err(ended.unwrap()),
            there = there => there?,
        };
        Ok(Self { reference, session, client, offered, job })
    }

    /// Has the built-in frontend read the Dockerfile; the name of the result
    pub async fn dockerfile(&self, options: &[(&str, &str)]) -> Result<String, Reply> {
        self.solve(Message::new().with(2, "dockerfile.v0").map(3, options)).await
    }

    /// Asks for a result; its name
    pub async fn solve(&self, message: Message) -> Result<String, Reply> {
        let message = message.number(5, 1).number(6, 1);
        let answer = self.client.call(BRIDGE_SOLVE, &[(BUILD_ID, &self.reference)], message).await.ok()?;
        Ok(text(&answer, &[3, 3, 1]))
    }

    /// Reads a file of a result, for which it is built
    pub async fn read(&self, result: &str, path: &str) -> Result<String, Reply> {
        read(&self.client, &self.reference, result, path).await
    }

    /// Says that this is the result, and waits for the job's end
    pub async fn end(self, result: &str) -> Result<(), Reply> {
        self.ended(Message::new().with(3, Message::new().with(1, result))).await
    }

    /// The same with a configuration of the image
    pub async fn end_with(self, result: &str, config: &str) -> Result<(), Reply> {
        let config = Message::new().with(1, "containerimage.config").with(2, config);
        self.ended(Message::new().with(3, Message::new().with(1, result)).with(10, config)).await
    }

    async fn ended(self, result: Message) -> Result<(), Reply> {
        let returned = Message::new().with(1, result);
        self.client.call(RETURN, &[(BUILD_ID, &self.reference)], returned).await.ok()?;
        self.job.await.unwrap().ok().map(|_| ())
    }
}

/// Reads a file of a result of a build by name
pub async fn read(client: &Client, reference: &str, result: &str, path: &str) -> Result<String, Reply> {
    let message = Message::new().with(1, result).with(2, path);
    let answer = client.call(READ_FILE, &[(BUILD_ID, reference)], message).await.ok()?;
    Ok(text(&answer, &[1]))
}

/// The whole of a small build: what `path` holds in its result
pub async fn built(socket: &Path, offer: &Offer, options: &[(&str, &str)], path: &str) -> Result<String, Reply> {
    // The job is told the same once more, for its record in the history.
    let build = Build::start_with(socket, offer, Message::new().map(7, options)).await?;
    let result = build.dockerfile(options).await?;
    let read = build.read(&result, path).await?;
    build.end(&result).await?;
    Ok(read)
}

/// A name that no other build has
pub fn id(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("swt{kind}{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Which build a call belongs to
pub const BUILD_ID: &str = "buildkit-controlapi-buildid";
/// The job
pub const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
/// Whether the job is there
pub const PING: &str = "/moby.buildkit.v1.frontend.LLBBridge/Ping";
/// Where the build is
pub const BRIDGE_SOLVE: &str = "/moby.buildkit.v1.frontend.LLBBridge/Solve";
/// The end
pub const RETURN: &str = "/moby.buildkit.v1.frontend.LLBBridge/Return";
/// A file of a result
pub const READ_FILE: &str = "/moby.buildkit.v1.frontend.LLBBridge/ReadFile";
