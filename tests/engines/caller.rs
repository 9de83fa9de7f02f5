//! A container calls through the socket.

use super::gate::Gate;
use super::job::Job;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let gate = Gate::start(&engine.socket, "ci");
    let job = Job::start(engine, &gate.socket());
    let name = job.must("docker create --name swt-of-a-job busybox:test true && docker rm swt-of-a-job");
    if !name.ends_with("swt-of-a-job") {
        failed.push(format!("a job cannot create and remove a container: {name}"));
    }
    let compose = job.must("docker compose version");
    if !compose.contains("Compose") {
        failed.push(format!("there is no Compose in a job: {compose}"));
    }
    let denied = job.run("docker run --privileged busybox:test true");
    if denied.code == 0 || !denied.stderr.contains("privileged") {
        failed.push(format!("a job may do more than its policy: {denied:?}"));
    }
    if !job.id().starts_with(&job.must("hostname")) {
        failed.push(format!("a script ran in another container than {}", job.id()));
    }
    job.kill();
    failed
}
