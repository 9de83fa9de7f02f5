//! A builder of one's own, and the builder that `POST /build` takes: what reached the engine is what counts.

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, json, plain};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Site {
    engine: Prompt,
    proxy: Proxy,
}

impl Site {
    fn new(policy: &str) -> Self {
        let image = format!(r#"{{"Id":"sha256:{}","RepoDigests":["moby/buildkit@{DIGEST}"]}}"#, "1".repeat(64));
        let engine = Prompt::having(
            move |_| image.clone(),
            |request| match request.starts_with("GET /v1.41/info ") {
                true => r#"{"DockerRootDir":"/var/lib/docker"}"#.to_owned(),
                false => "{}".to_owned(),
            },
        );
        let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
        let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup);
        Self { engine, proxy }
    }

    /// What is said, and what the engine heard but for questions of ours
    fn ask(&self, request: impl AsRef<[u8]>) -> (u16, String, Vec<String>) {
        let answer = self.proxy.ask(&request);
        let mut heard = self.engine.heard();
        heard.retain(|request| request.starts_with("POST "));
        let said = if answer.status() == 200 { String::new() } else { answer.said() };
        (answer.status(), said, heard)
    }
}

/// As buildx 0.13 to 0.29 asks for it
fn builder(name: &str, image: &str, runtime: &str) -> Vec<u8> {
    let host = format!(
        r#"{{"Privileged":true,"Init":true,"Runtime":"{runtime}","RestartPolicy":{{"Name":"unless-stopped"}},"CgroupParent":"/docker/buildx","Mounts":[{{"Type":"volume","Source":"{name}_state","Target":"/var/lib/buildkit"}}]}}"#
    );
    let body = format!(
        r#"{{"Image":"{image}","Cmd":["--allow-insecure-entitlement=network.host"],"HostConfig":{host},"NetworkingConfig":{{}}}}"#
    );
    json("POST", &format!("/v1.41/containers/create?name={name}"), body)
}

#[test]
fn who_makes_a_builder_is_told_in_one_reason_what_builds_without() {
    let site = Site::new("extends = 'ci'\n[owner]\nisolate = false\nclean_up = 'never'\n");
    for (name, image) in [
        ("buildx_buildkit_x0", "moby/buildkit:buildx-stable-1"),
        ("buildx_buildkit_x0", "localhost/y"),
        ("x", "moby/buildkit"),
    ] {
        let (status, said, heard) = site.ask(builder(name, image, ""));
        assert_eq!((status, heard.len()), (403, 0), "{name} {image} {said}");
        for word in ["a privileged builder", "`docker buildx use default`", "remote builder", "[record "] {
            assert!(said.contains(word), "{name} {image} {said}");
        }
        assert!(!said.contains("restart") && !said.contains("; "), "{said}");
    }
    let (_, said, _) = site.ask(builder("x", "debian", ""));
    assert!(said.contains("run without --privileged") && !said.contains("docker buildx"), "{said}");
    let records = site.proxy.stop().records;
    let asks = records[0]["asks"].to_string();
    assert!(asks.contains("\"privileged\"") && asks.contains("\"restart\""), "all is on record: {asks}");
}

#[test]
fn a_pinned_builder_is_sent_with_the_runtime_of_its_rule() {
    let rule = format!(
        "[[rule]]\nid = 'builder'\nprivileged = 'allow'\nruntime = 'sysbox-runc'\nwhen = {{ image = '^docker\\.io/moby/buildkit:[^@]*@{DIGEST}$', name = '^buildx_buildkit_.*$' }}\n"
    );
    let rest = "extends = 'ci'\n[owner]\nisolate = false\nclean_up = 'never'\n[run]\nrestart = ['unless-stopped']\ncgroup_parent = ['/docker/buildx']\n";
    let site = Site::new(&format!("{rest}{rule}"));
    let pinned = format!("moby/buildkit:buildx-stable-1@{DIGEST}");
    for runtime in ["", "runc"] {
        let (status, said, heard) = site.ask(builder("buildx_buildkit_x0", &pinned, runtime));
        assert_eq!(status, 200, "{said}");
        let sent = heard.last().unwrap();
        assert!(sent.contains(r#""Privileged":true"#) && sent.contains(r#""Runtime":"sysbox-runc""#), "{sent}");
        assert!(sent.contains(DIGEST), "{sent}");
    }
    for (name, image) in [("x", pinned.as_str()), ("buildx_buildkit_x0", "moby/buildkit:buildx-stable-1")] {
        let (status, said, heard) = site.ask(builder(name, image, "sysbox-runc"));
        assert_eq!((status, heard.len()), (403, 0), "{name} {image} {said}");
    }
}

/// As the docker CLI 20.10 to 22 builds with `DOCKER_BUILDKIT=1`
const SECOND: &[&str] = &[
    "version=2&remote=client-session&session=q2fcuerk7awehxw5qubvo3pqb&buildid=0123",
    "version=2&outputs=%5B%7B%22Type%22:%22local%22,%22Attrs%22:%7B%7D%7D%5D",
    "version=2",
    "version=2&remote=upload-request",
];

#[test]
fn what_cannot_be_made_to_keep_to_a_policy_is_granted_by_none() {
    let everything = "allow = ['*']\n[images]\nallow = ['**']\n[build]\nremote = true\ncache_from = true\narg = true\n";
    for policy in ["extends = 'ci'\n", everything] {
        let site = Site::new(policy);
        for query in SECOND {
            let (status, said, heard) = site.ask(plain("POST", &format!("/v1.41/build?{query}")));
            assert_eq!((status, heard.len()), (403, 0), "{query} {said}");
            for word in ["/build?version=2", "buildx", "DOCKER_BUILDKIT=0"] {
                assert!(said.contains(word), "{query} {said}");
            }
            assert!(!said.contains("; build"), "one reason is told: {said}");
        }
    }
}

#[test]
fn a_policy_that_refuses_nothing_passes_the_second_builder_on() {
    let site = Site::new("mode = 'record'\n");
    for query in SECOND {
        let (status, said, heard) = site.ask(plain("POST", &format!("/v1.41/build?{query}")));
        assert_eq!(status, 200, "{query} {said}");
        let sent = heard.last().unwrap();
        for part in query.split('&') {
            assert!(sent.contains(&part.replace(':', "%3A").replace(",%22A", "%2C%22A")), "{part} {sent}");
        }
    }
}

#[test]
fn what_is_the_second_builders_is_refused_of_the_first() {
    let site = Site::new("allow = ['*']\n");
    for (query, word) in [
        ("session=x", "session"),
        ("version=1&session=x", "session"),
        ("outputs=%5B%7B%22Type%22:%22local%22%7D%5D", "output"),
        ("version=3", "builder"),
        ("version=02", "builder"),
        ("version=%202", "builder"),
        ("buildid=upload-request:x", "build id"),
    ] {
        let (status, said, heard) = site.ask(plain("POST", &format!("/v1.41/build?{query}")));
        assert_eq!((status, heard.len()), (403, 0), "{query} {said}");
        assert!(said.contains(word), "{query} {said}");
    }
    for query in ["outputs=%5B%7B%22Kind%22:%22local%22%7D%5D", "outputs=x", "version=2&version=1"] {
        let (status, said, heard) = site.ask(plain("POST", &format!("/v1.41/build?{query}")));
        assert_eq!((status, heard.len()), (400, 0), "{query} {said}");
    }
}
