//! A real job about its own container, which the runner made: it is seen and used, and not ended.

use super::gate::Gate;
use super::job::Job;
use super::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let gate = Gate::start(&engine.socket, "ci");
    let job = Job::start(engine, &gate.socket());
    let (id, short) = (job.id().to_owned(), job.id()[..12].to_owned());
    let mut failed = Vec::new();
    for (script, code, said) in [
        (format!("docker inspect -f '{{{{.Id}}}}' {short}"), 0, id.as_str()),
        (format!("docker logs {id}"), 0, ""),
        (format!("docker top {id}"), 0, "sleep"),
        ("docker ps -aq --no-trunc".to_owned(), 0, ""),
        ("docker network create swt-own".to_owned(), 0, ""),
        (format!("docker network connect swt-own {id}"), 0, ""),
        ("docker network inspect swt-own".to_owned(), 0, id.as_str()),
        (format!("docker network disconnect swt-own {id}"), 0, ""),
        ("docker network rm swt-own".to_owned(), 0, "swt-own"),
        (format!("docker rm -f {id}"), 1, "there to be used"),
        (format!("docker stop {short}"), 1, "there to be used"),
        (format!("docker rename {id} other"), 1, "there to be used"),
        (format!("docker exec {id} true"), 1, "there to be used"),
        (format!("docker cp {id}:/etc/passwd -"), 1, "there to be used"),
        (format!("docker commit {id} swt-own"), 1, "there to be used"),
    ] {
        let output = job.run(&script);
        let text = format!("{}{}", output.stdout, output.stderr);
        if (output.code == 0) != (code == 0) || !text.contains(said) {
            failed.push(format!("{script}: expected {code} {said}, got {} {text}", output.code));
        }
    }
    let listed = job.must("docker ps -aq --no-trunc");
    if !listed.is_empty() {
        failed.push(format!("it is in a list: {listed}"));
    }
    failed
}
