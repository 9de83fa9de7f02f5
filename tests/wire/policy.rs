//! Attacks that need a policy of a site's own, or an engine that changes its mind: what reached the engine is what counts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, build, json, plain};
use crate::tar::tar;

const CREATE: &str = "/v1.41/containers/create";

struct Site {
    engine: Prompt,
    proxy: Proxy,
}

impl Site {
    fn new(policy: &str) -> Self {
        Self::before(Prompt::start(), policy)
    }

    fn before(engine: Prompt, policy: &str) -> Self {
        let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
        let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup);
        Self { engine, proxy }
    }

    /// The engine hears nothing of it
    fn refuses(&self, request: impl AsRef<[u8]>, why: &str) {
        let answer = self.proxy.ask(&request);
        let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
        assert_eq!(answer.status(), 403, "{shown}\n{answer:?}");
        assert!(answer.said().contains(why), "expected `{why}` for {shown}\n{answer:?}");
        let mut heard = self.engine.heard();
        // A question of ours, about host paths.
        heard.retain(|request| !request.starts_with("GET /v1.41/info "));
        assert_eq!(heard, [""; 0], "{shown}");
    }

    /// The engine hears it, and that is returned
    fn sends(&self, request: impl AsRef<[u8]>) -> String {
        let answer = self.proxy.ask(&request);
        let heard = self.engine.heard();
        assert_eq!(answer.status(), 200, "{}\n{answer:?}", String::from_utf8_lossy(request.as_ref()));
        heard.last().unwrap().clone()
    }

    fn create(&self, host: &str) -> Vec<u8> {
        json("POST", CREATE, format!(r#"{{"Image":"a","HostConfig":{host}}}"#))
    }
}

#[test]
fn images_to_take_build_steps_from_need_a_line() {
    let site = Site::new("version = 1\nname = \"x\"\nallow = [\"build\"]\n[build]\ncache_from = [\"mine/*\"]\n");
    for from in ["%5B%22other%22%5D", "%5B%22mine/a%22,%22other%22%5D", "%5B%22%22%5D", "%5B%22mine/../other%22%5D,"] {
        let answer = site.proxy.ask(plain("POST", &format!("/v1.41/build?cachefrom={from}")));
        assert!([400, 403].contains(&answer.status()), "{from} {answer:?}");
        assert_eq!(site.engine.heard(), [""; 0], "{from}");
    }
    let heard =
        site.sends(build("/v1.41/build?cachefrom=%5B%22mine/a%22%5D", &tar(&[("Dockerfile", b"FROM scratch\n")])));
    assert!(heard.contains("cachefrom=%5B%22mine%2Fa%22%5D "), "{heard}");
}

/// A directory of the host with something in it, and a policy that grants it
fn cache(access: &str) -> (tempfile::TempDir, Site) {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("cache")).unwrap();
    std::fs::create_dir(place.path().join("cache/in")).unwrap();
    std::fs::create_dir(place.path().join("secret")).unwrap();
    let source = place.path().join("cache/**").display().to_string();
    let policy = format!(
        "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n[mounts]\nallow = [{{ source = \"{source}\", access = \"{access}\" }}]\n"
    );
    (place, Site::new(&policy))
}

#[test]
fn a_granted_path_gives_no_more_access_and_no_propagation_than_the_line_says() {
    let (place, site) = cache("ro");
    let cache = place.path().join("cache").display().to_string();
    for bind in [
        ":/c",
        ":/c:rw",
        ":/c:z",
        ":/c:ro,z",
        ":/c:Z,ro",
        ":/c:ro,rshared",
        ":/c:ro,shared",
        ":/c:ro,rslave",
        ":/c:ro,slave",
        ":/c:rw,rprivate",
    ] {
        site.refuses(site.create(&format!(r#"{{"Binds":["{cache}{bind}"]}}"#)), "mount");
    }
    for options in [
        "",
        r#","ReadOnly":false"#,
        r#","ReadOnly":true,"BindOptions":{"Propagation":"rshared"}"#,
        r#","ReadOnly":true,"BindOptions":{"Propagation":"slave"}"#,
        r#","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}"#,
        r#","ReadOnly":true,"BindOptions":{"CreateMountpoint":true}"#,
        r#","BindOptions":{"ReadOnlyForceRecursive":true,"Propagation":"rprivate"}"#,
    ] {
        let mount = format!(r#"{{"Type":"bind","Source":"{cache}","Target":"/c"{options}}}"#);
        let host = format!(r#"{{"Mounts":[{mount}]}}"#);
        site.refuses(json("POST", "/v1.51/containers/create", format!(r#"{{"Image":"a","HostConfig":{host}}}"#)), "");
    }
    for bind in [":/c:ro", ":/c:ro,rprivate", "/in:/c:ro", "//in/.:/c:ro"] {
        let heard = site.sends(site.create(&format!(r#"{{"Binds":["{cache}{bind}"]}}"#)));
        assert!(heard.contains(&format!(r#""Binds":["{cache}"#)), "{heard}");
    }
}

#[test]
fn a_granted_path_is_what_it_leads_to() {
    let (place, site) = cache("rw");
    let path = |name: &str| place.path().join(name);
    let link = |to: &Path, at: &str| std::os::unix::fs::symlink(to, path(at)).unwrap();
    link(&path("secret"), "cache/out");
    link(Path::new("../secret"), "cache/up");
    link(Path::new("/"), "cache/root");
    link(Path::new("/proc/self/root"), "cache/magic");
    link(Path::new("ring"), "cache/ring");
    link(&path("cache/in"), "cache/inside");
    link(&path("cache/in"), "into");
    for source in [
        "cache/out",
        "cache/up",
        "cache/root",
        "cache/root/etc",
        "cache/magic",
        "cache/magic/etc",
        "cache/ring",
        "cache/in/../../secret",
        "cache/../secret",
        "cache/in/../out",
        "cache/absent",
        "cache/out/absent",
        "secret",
        "cached",
    ] {
        let source = format!("{}/{source}", place.path().display());
        site.refuses(site.create(&format!(r#"{{"Binds":["{source}:/c"]}}"#)), "");
        site.refuses(
            site.create(&format!(r#"{{"Mounts":[{{"Type":"bind","Source":"{source}","Target":"/c"}}]}}"#)),
            "",
        );
    }
    let real = path("cache/in").display().to_string();
    for source in ["cache/inside", "into", "cache/in"] {
        let heard = site.sends(site.create(&format!(r#"{{"Binds":["{}:/c"]}}"#, path(source).display())));
        assert!(heard.contains(&format!(r#""Binds":["{real}:/c"]"#)), "{source} {heard}");
    }
}

#[test]
fn what_is_ours_cannot_be_mounted_however_much_is_granted() {
    let policy = "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n[mounts]\nallow = [{ source = \"/**\", access = \"rw\", propagation = \"rshared\" }]\n";
    let site = Site::new(policy);
    let link = tempfile::tempdir().unwrap();
    let ours = [site.engine.socket(), &site.proxy.socket, &site.proxy.audit, &site.proxy.policy];
    for (number, path) in ours.into_iter().enumerate() {
        let names = [link.path().join(format!("l{number}")), link.path().join(format!("d{number}"))];
        std::os::unix::fs::symlink(path, &names[0]).unwrap();
        std::os::unix::fs::symlink(path.parent().unwrap(), &names[1]).unwrap();
        std::fs::hard_link(path, link.path().join(format!("h{number}"))).ok();
        for name in [path, path.parent().unwrap(), &names[0], &names[1]] {
            for host in [
                format!(r#"{{"Binds":["{}:/c:ro"]}}"#, name.display()),
                format!(r#"{{"Mounts":[{{"Type":"bind","Source":"{}","Target":"/c"}}]}}"#, name.display()),
            ] {
                site.refuses(site.create(&host), "");
            }
        }
    }
    for name in ["/", "/proc", "/proc/1/root", "/proc/self/root", "/sys", "/dev", "/proc/self/cwd", "/proc/sys/kernel"]
    {
        site.refuses(site.create(&format!(r#"{{"Binds":["{name}:/c"]}}"#)), "");
    }
}

#[test]
fn a_user_is_the_text_that_a_line_names() {
    let policy = "version = 1\nname = \"x\"\nallow = [\"container\", \"exec\"]\n[images]\nallow = [\"**\"]\n[run]\nuser = [\"1000\", \"1000:*\"]\n[exec]\nuser = [\"1000\"]\n";
    let site = Site::new(policy);
    for user in [
        "0",
        "00",
        "0:0",
        "000:1000",
        "root",
        "ROOT",
        "root:root",
        "01000",
        "+1000",
        "1000 ",
        " 1000",
        "1000\\u0000",
        "1e3",
        "0x3e8",
        "-1",
        "4294967296",
        "\\u0661\\u0660\\u0660\\u0660",
        ":0",
        ":",
        "1001",
        "10000",
    ] {
        site.refuses(json("POST", CREATE, format!(r#"{{"Image":"a","User":"{user}"}}"#)), "user");
        let exec = format!(r#"{{"Cmd":["sh"],"User":"{user}"}}"#);
        site.refuses(json("POST", "/v1.41/containers/x/exec", exec), "user");
    }
    site.sends(json("POST", CREATE, r#"{"Image":"a","User":"1000:1000"}"#));
    site.sends(json("POST", "/v1.41/containers/x/exec", r#"{"Cmd":["sh"],"User":"1000"}"#));
    let root = "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n[force]\nuser = \"1000\"\n[run]\nuser = true\n";
    let site = Site::new(root);
    for user in ["", "0", "root", "1000"] {
        let heard = site.sends(json("POST", CREATE, format!(r#"{{"Image":"a","User":"{user}"}}"#)));
        assert!(heard.contains(r#""User":"1000""#), "{user:?} {heard}");
    }
}

#[test]
fn no_spelling_of_without_limit_escapes_a_maximum() {
    let policy = "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n[run]\nulimit = true\nrestart = true\n[limits]\nmemory = \"1GiB\"\npids = 100\ncpus = 1.5\nulimits = { nofile = 64 }\nshm_size = \"64MiB\"\n";
    let site = Site::new(policy);
    let most = 1u64 << 30;
    for (asked, sent) in [
        ("", format!(r#""Memory":{most}"#)),
        (r#""Memory":0"#, format!(r#""Memory":{most}"#)),
        (r#""Memory":-1"#, format!(r#""Memory":{most}"#)),
        (r#""Memory":1073741825"#, format!(r#""Memory":{most}"#)),
        (r#""Memory":9223372036854775807"#, format!(r#""Memory":{most}"#)),
        (r#""Memory":1073741824,"MemorySwap":-1"#, format!(r#""MemorySwap":{}"#, 2 * most)),
        (r#""MemorySwap":9223372036854775807"#, format!(r#""MemorySwap":{}"#, 2 * most)),
        (r#""PidsLimit":0"#, r#""PidsLimit":100"#.to_owned()),
        (r#""PidsLimit":-1"#, r#""PidsLimit":100"#.to_owned()),
        (r#""PidsLimit":null"#, r#""PidsLimit":100"#.to_owned()),
        (r#""PidsLimit":101"#, r#""PidsLimit":100"#.to_owned()),
        (r#""NanoCpus":0"#, r#""NanoCpus":1500000000"#.to_owned()),
        (r#""NanoCpus":1500000001"#, r#""NanoCpus":1500000000"#.to_owned()),
        (r#""CpuQuota":-1"#, r#""CpuQuota":150000"#.to_owned()),
        (r#""CpuPeriod":50000"#, r#""CpuQuota":75000"#.to_owned()),
        (r#""CpuPeriod":1000,"CpuQuota":1000000"#, r#""CpuQuota":1500"#.to_owned()),
        (r#""Ulimits":[{"Name":"nofile","Soft":-1,"Hard":-1}]"#, r#""Name":"nofile","Hard":64,"Soft":64"#.to_owned()),
        (r#""Ulimits":[]"#, r#""Name":"nofile","Hard":64,"Soft":64"#.to_owned()),
        (r#""ShmSize":-1"#, r#""ShmSize":67108864"#.to_owned()),
        (r#""ShmSize":67108865"#, r#""ShmSize":67108864"#.to_owned()),
    ] {
        let heard = site.sends(site.create(&format!("{{{asked}}}")));
        assert!(heard.contains(&sent), "{asked} became {heard}");
    }
    for (asked, sent) in [
        (r#""Memory":-1"#, format!(r#""Memory":{most}"#)),
        (r#""Memory":2147483648"#, format!(r#""Memory":{most}"#)),
        (r#""PidsLimit":0"#, r#""PidsLimit":100"#.to_owned()),
        (r#""PidsLimit":-1"#, r#""PidsLimit":100"#.to_owned()),
        (r#""NanoCpus":4000000000"#, r#""NanoCpus":1500000000"#.to_owned()),
    ] {
        let heard = site.sends(json("POST", "/v1.41/containers/x/update", format!("{{{asked}}}")));
        assert!(heard.contains(&sent), "{asked} became {heard}");
    }
}

const ID: &str = "1111111111111111111111111111111111111111111111111111111111111111";

#[test]
fn what_was_judged_by_name_is_done_by_id_wherever_the_name_has_gone() {
    // Each time the engine is asked, the name belongs to somebody else: first ours, then not.
    let (asked, owner) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(String::new())));
    let (count, whose) = (Arc::clone(&asked), Arc::clone(&owner));
    let engine = Prompt::saying(move |request| {
        // What the owner calls `web` has the owner's suffix there.
        if request.starts_with("GET /v1.41/containers/web--sw") && request.contains("/json HTTP") {
            return match count.fetch_add(1, Ordering::SeqCst) {
                0 => format!(
                    r#"{{"Id":"{ID}","Config":{{"Labels":{{"sockwarden.owner":"{}"}}}}}}"#,
                    whose.lock().unwrap()
                ),
                _ => format!(r#"{{"Id":"{}","Config":{{"Labels":{{}}}}}}"#, "2".repeat(64)),
            };
        }
        "{}".to_owned()
    });
    let site = Site::before(engine, "ci");
    *owner.lock().unwrap() = format!("uid:{}", rustix::process::getuid().as_raw());
    for (request, sent) in [
        (plain("POST", "/v1.41/containers/web/kill"), format!("POST /v1.41/containers/{ID}/kill ")),
        (plain("DELETE", "/v1.41/containers/web?force=1"), format!("DELETE /v1.41/containers/{ID}?force=1 ")),
        (
            plain("POST", "/v1.41/containers/web/rename?name=other"),
            format!("POST /v1.41/containers/{ID}/rename?name=other--sw"),
        ),
        (plain("GET", "/v1.41/containers/web/archive?path=/"), format!("GET /v1.41/containers/{ID}/archive?path=%2F ")),
        (json("POST", "/v1.41/containers/web/exec", r#"{"Cmd":["sh"]}"#), format!("POST /v1.41/containers/{ID}/exec ")),
        (json("POST", "/v1.41/commit?container=web&repo=b", ""), format!("POST /v1.41/commit?container={ID}&repo=b ")),
        (site.create(r#"{"NetworkMode":"container:web"}"#), format!(r#""NetworkMode":"container:{ID}""#)),
    ] {
        asked.store(0, Ordering::SeqCst);
        let heard = site.sends(&request);
        assert!(heard.contains(&sent), "{} became {heard}", String::from_utf8_lossy(&request));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once, and not again after the verdict");
        // Asked again for the next call: nothing is remembered of whose it was.
        let answer = site.proxy.ask(&request);
        // On create the docker CLI takes 404 for a missing image.
        let missing = if sent.contains("NetworkMode") { 400 } else { 404 };
        assert_eq!(answer.status(), missing, "{answer:?}");
        assert!(answer.said().ends_with("No such container: web"), "{answer:?}");
        let heard = site.engine.heard();
        assert!(!heard.iter().any(|request| request.contains(&"2".repeat(64))), "{heard:?}");
    }
}

#[test]
fn privileged_behind_any_length_of_padding_is_refused() {
    let site = Site::new("ci");
    let (kib, mib) = (1 << 10, 1 << 20);
    for length in [kib, 64 * kib, mib - 1, mib + 100 * kib, 4 * mib, 4 * mib + 1, 5 * mib, 64 * mib] {
        let privileged = r#""HostConfig":{"Privileged":true}}"#;
        let label = |length: usize| format!(r#"{{"Image":"a","Labels":{{"a":"{}"}},{privileged}"#, "x".repeat(length));
        let fixed = label(0).len();
        let bodies = [
            // In front, behind, and inside.
            format!("{}{{\"Image\":\"a\",{privileged}", " ".repeat(length - 13 - privileged.len())),
            format!("{{\"Image\":\"a\",{privileged}{}", "\n".repeat(length - 13 - privileged.len())),
            label(length - fixed),
        ];
        for body in bodies {
            assert_eq!(body.len(), length);
            let mut client = site.proxy.connect();
            // It may be refused before it has come whole.
            let _ = std::io::Write::write_all(&mut client.stream, &json("POST", CREATE, body));
            let answer = client.message();
            assert_eq!(answer.status(), if length <= 4 * mib { 403 } else { 413 }, "{length} {answer:?}");
            assert_eq!(site.engine.heard(), [""; 0]);
        }
    }
}

#[test]
fn no_request_makes_the_engine_look_for_a_million_things() {
    let (place, site) = cache("ro");
    let cache = place.path().join("cache").display().to_string();
    let binds = |count: usize| {
        let binds: Vec<String> = (0..count).map(|number| format!("\"{cache}:/c{number}:ro\"")).collect();
        site.create(&format!(r#"{{"Binds":[{}]}}"#, binds.join(",")))
    };
    let networks = |count: usize| {
        let keys: Vec<String> = (0..count).map(|number| format!("\"n{number}\":{{}}")).collect();
        let body = format!(r#"{{"Image":"a","NetworkingConfig":{{"EndpointsConfig":{{{}}}}}}}"#, keys.join(","));
        json("POST", CREATE, body)
    };
    let exports = |count: usize| plain("GET", &format!("/v1.41/images/get?names=a{}", "&names=a".repeat(count - 1)));
    let wide = "version = 1\nname = \"x\"\nallow = [\"container\", \"image\"]\n[images]\nallow = [\"**\"]\n[run]\nnetwork = [\"*\"]\n";
    let other = Site::new(wide);
    for (site, request) in [(&site, binds(501)), (&other, networks(501)), (&other, exports(501))] {
        let answer = site.proxy.ask(&request);
        assert_eq!(answer.status(), 400, "{answer:?}");
        assert!(answer.said().contains("names more than 500"), "{answer:?}");
        assert_eq!(site.engine.heard(), [""; 0]);
    }
    site.sends(binds(400));
    other.sends(networks(400));
    other.sends(exports(400));
}

#[test]
fn a_rule_makes_a_container_without_privileges_or_with_a_runtime_of_its_own() {
    let site = Site::new(
        "version = 1\nname = \"x\"\nallow = [\"container\"]\n[images]\nallow = [\"**\"]\n\
         [[rule]]\nid = \"ryuk\"\nprivileged = \"strip\"\nwhen = { image = '^docker\\.io/testcontainers/ryuk:.*$' }\n\
         [[rule]]\nid = \"nested\"\nruntime = \"sysbox-runc\"\nwhen = { image = '^docker\\.io/library/dind:1$' }\n",
    );
    let create =
        |image: &str, host: &str| json("POST", CREATE, format!(r#"{{"Image":"{image}","HostConfig":{host}}}"#));
    for spelling in [r#"{"Privileged":true}"#, r#"{"Privileged":true,"CgroupnsMode":""}"#] {
        let heard = site.sends(create("testcontainers/ryuk:0.11.0", spelling));
        assert!(!heard.to_ascii_lowercase().contains("privileged"), "{heard}");
        site.refuses(create("testcontainers/ryuk2:0.11.0", spelling), "privileged");
    }
    // Nothing else goes with it.
    site.refuses(create("testcontainers/ryuk:1", r#"{"Privileged":true,"CapAdd":["ALL"]}"#), "cap_add=ALL");
    for host in ["{}", r#"{"Runtime":"evil"}"#] {
        let heard = site.sends(create("dind:1", host));
        assert!(heard.contains(r#""Runtime":"sysbox-runc""#), "{heard}");
    }
    site.refuses(create("a", r#"{"Runtime":"sysbox-runc"}"#), "runtime=sysbox-runc");
    let records = site.proxy.records();
    let changes: Vec<String> = records
        .iter()
        .filter(|record| record["verdict"] == "modify")
        .map(|record| format!("{} {}", record["changes"][0]["field"], record["changes"][0]["line"]))
        .collect();
    assert_eq!(changes.len(), 4, "{records:#?}");
    assert!(changes[0].contains("HostConfig.Privileged") && changes[2].contains("HostConfig.Runtime"), "{changes:?}");
}
