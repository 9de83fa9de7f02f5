//! buildx's `remote` driver, which speaks HTTP/2 to the socket at once and sends its sessions as calls.

use jiff::Timestamp;
use serde_json::Value;

use super::buildx::Buildx;
use super::gate::Gate;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let name = format!("swt{}{}-remote", std::process::id(), engine.name);
    let gate = Gate::start(&engine.socket, "ci");
    let buildx = Buildx::new(engine, &gate.socket());
    let made = |buildx: &Buildx, gate: &Gate| {
        let url = format!("unix://{}", gate.socket().display());
        let made = buildx.run(&["create", "--name", &name, "--driver", "remote", &url]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    made(&buildx, &gate);
    buildx.file("file", "of the context");
    buildx.file("word", "a secret");
    let dockerfile = "FROM busybox:test AS made\nCOPY file /file\n\
        RUN --mount=type=secret,id=word cat /file /run/secrets/word | tr a-z A-Z >/made\nFROM scratch\nCOPY --from=made /made /\n";
    let options = ["--builder", &name, "--secret", "id=word,src=word", "--output", "type=local,dest=out", "--no-cache"];
    match buildx.build(dockerfile, &options) {
        Err(said) => failed.push(format!("a build fails: {said}")),
        Ok(_) => {
            // The engine's file has come back through the session.
            let made = std::fs::read_to_string(buildx.file("none", "").with_file_name("out").join("made"));
            if made.as_deref().ok() != Some("OF THE CONTEXTA SECRET") {
                failed.push(format!("the build made {made:?}"));
            }
        }
    }
    let record = gate.record();
    for (operation, request) in [
        ("build.grpc", "PRI *"),
        ("build.session", "POST /moby.buildkit.v1.Control/Session"),
        ("build.solve", "POST /moby.buildkit.v1.Control/Solve"),
    ] {
        let words = [format!("\"operation\":\"{operation}\""), format!("\"request\":\"{request}\"")];
        if !record.lines().any(|line| words.iter().all(|word| line.contains(word))) {
            failed.push(format!("no {operation} by {request} on record: {record}"));
        }
    }
    let refused = |failed: &mut Vec<String>, gate: &Gate, buildx: &Buildx, options: &[&str], why: &str| {
        let before = gate.record().len();
        let said = buildx.build("FROM busybox:test\nRUN true\n", &[&["--builder", name.as_str()], options].concat());
        let said = said.err().unwrap_or_default();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("ERROR: ")).collect();
        let one = matches!(errors.as_slice(), [error] if error.contains("PermissionDenied: sockwarden: ") && error.contains(why));
        // From its first call to its last: how long a busy machine needs to start the client is not ours.
        let tried = time_of(&gate.record()[before..]);
        if !one || tried > 10 {
            failed.push(format!("{why} after {tried} s: {said}"));
        }
    };
    let host = ["--allow", "network.host", "--network", "host"];
    refused(&mut failed, &gate, &buildx, &host, "network=host");
    // Where nothing is built the client hears so at once, and does not try for long.
    let gate = Gate::start(&engine.socket, "readonly");
    let buildx = Buildx::new(engine, &gate.socket());
    made(&buildx, &gate);
    refused(&mut failed, &gate, &buildx, &[], "build.grpc is refused");
    failed
}

/// Seconds from the first line of a record to its last
fn time_of(record: &str) -> i64 {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
    let times = record.lines().filter_map(|text| line(text)["time"].as_str()?.parse::<Timestamp>().ok());
    let times: Vec<Timestamp> = times.collect();
    times[times.len() - 1].duration_since(times[0]).as_secs()
}
