//! The `docker-container` driver of the real buildx: refused in words that say what builds without, and on each engine
//! allowed for a pinned image in the runtime that a rule forces.

use serde_json::json;

use super::buildx::Buildx;
use super::gate::Gate;
use super::http::ask;
use super::setting::Engine;

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            failed.push(what);
        }
    };
    let name = format!("swt{}{}", std::process::id(), engine.name);
    let (container, image) = (format!("buildx_buildkit_{name}0"), format!("moby/buildkit:{name}"));
    let on_the_engine = |method: &str, target: &str| ask(&engine.socket, method, target, "");
    let tagged = on_the_engine("POST", &format!("/images/busybox:test/tag?repo=moby/buildkit&tag={name}"));
    expect(tagged.is_success(), tagged.text());

    let gate = Gate::start(&engine.socket, "ci");
    let buildx = Buildx::new(engine, &gate.socket());
    let option = format!("image={image}");
    let url = format!("unix://{}", gate.socket().display());
    let made = buildx.run(&[
        "create",
        "--name",
        &name,
        "--driver",
        "docker-container",
        "--driver-opt",
        &option,
        "--bootstrap",
        &url,
    ]);
    let built = buildx.run(&["build", "--builder", &name, "."]);
    for (what, output) in [("create --bootstrap", made), ("build --builder", built)] {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(!output.status.success(), format!("{what} went through: {said}"));
        let last = said.lines().rfind(|line| line.starts_with("ERROR: ")).unwrap_or_default();
        let is_clear = ["a privileged builder", "`docker buildx use default`", "[record "];
        expect(is_clear.iter().all(|word| last.contains(word)), format!("{what}: {said}"));
        expect(!said.contains("restart=") && !said.contains("cgroup_parent="), format!("{what}: {said}"));
    }
    let there =
        on_the_engine("GET", &format!("/containers/json?all=1&filters=%7B%22name%22:%5B%22{container}%22%5D%7D"));
    expect(there.json().as_array().is_some_and(Vec::is_empty), format!("a builder is there: {}", there.text()));

    let id = on_the_engine("GET", &format!("/images/{image}/json")).json()["Id"].as_str().unwrap().to_owned();
    // A shim that is installed nowhere: engines from 23 on look for it when the container starts.
    let policy = format!(
        "extends = 'ci'\n[run]\nrestart = ['unless-stopped']\ncgroup_parent = ['/docker/buildx']\n[[rule]]\nid = 'builder'\nprivileged = 'allow'\nruntime = 'io.containerd.{name}.v1'\nwhen = {{ image = '^{id}$', name = '^buildx_buildkit_.*$' }}\n"
    );
    let gate = Gate::with_policy(&engine.socket, &policy);
    let body = |image: &str| {
        json!({"Image": image, "Cmd": ["true"], "HostConfig": {"Privileged": true, "RestartPolicy": {"Name": "unless-stopped"}, "CgroupParent": "/docker/buildx"}})
            .to_string()
    };
    let create =
        |image: &str| ask(&gate.socket(), "POST", &format!("/containers/create?name={container}"), &body(image));
    let by_tag = create(&image);
    expect(by_tag.status == 403 && by_tag.text().contains("docker buildx use"), by_tag.text());
    let pinned = create(&id);
    if engine.name == "bookworm" {
        expect(pinned.status != 403 && pinned.text().contains(&format!("io.containerd.{name}.v1")), pinned.text());
    } else {
        let found = on_the_engine("GET", &format!("/containers/{container}{}/json", gate.suffix())).json();
        let host = &found["HostConfig"];
        expect(
            host["Privileged"] == true && host["Runtime"] == format!("io.containerd.{name}.v1").as_str(),
            format!("{} {host}", pinned.text()),
        );
    }
    on_the_engine("DELETE", &format!("/containers/{container}{}?force=1&v=1", gate.suffix()));
    on_the_engine("DELETE", &format!("/images/{image}"));
    failed
}
