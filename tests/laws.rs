//! Laws: what is written reads back as the same value, and what the engine makes of it is what was judged.
//!
//! Bodies are made from the list of every operation's fields, so a new field is tried without being named here. The
//! engine's part is played by a reader that knows nothing of ours, in `wire/go.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "wire/go.rs"]
mod go;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use go::Tree;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use sockwarden::api::buildkit::session::{METHOD, SHARED_KEY, SessionHeaders, UUID};
use sockwarden::api::call::{Call, Outgoing};
use sockwarden::api::credentials::RegistryHeaders;
use sockwarden::api::json::Json;
use sockwarden::api::operation::{ENDPOINTS, Endpoint, Operation};
use sockwarden::api::request::BodyKind;
use sockwarden::api::version::ApiVersion;

/// A request before it is written down
#[derive(Debug, Clone)]
struct Draft {
    endpoint: &'static Endpoint,
    target: String,
    body: Option<Value>,
    headers: RegistryHeaders,
}

const WORDS: &[&str] = &[
    "",
    "a",
    "host",
    "container:a",
    "ALL",
    "0",
    "8080",
    "/etc",
    "/a:/b:ro",
    "always",
    "1.2.3.4",
    "a=b",
    "bind",
    "volume",
    "\u{17f}\u{212a}\u{fc}\u{1f600}",
    "\"\\\n\t<&>",
    "sha256:",
    "local",
    "seccomp=unconfined",
    "\u{0}",
    "NONE",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(WORDS).prop_map(str::to_owned), 1 => any::<String>()]
}

/// A value of the sample's kind
fn of_kind(sample: &Json) -> BoxedStrategy<Value> {
    match sample {
        Json::Bool(_) => any::<bool>().prop_map(Value::from).boxed(),
        Json::Int(_) => prop_oneof![Just(0), Just(1), Just(-1), Just(512), any::<i64>()].prop_map(Value::from).boxed(),
        Json::Text(own) => prop_oneof![2 => Just(own.clone()), 3 => word()].prop_map(Value::from).boxed(),
        other => Just(serde_json::from_str(&other.to_string()).unwrap()).boxed(),
    }
}

/// Puts a value at a field's path
fn put(body: &mut Value, path: &str, key: &str, value: Value) {
    let mut here = body;
    for part in path.replace("[]", ".[]").split('.') {
        match part {
            "[]" => {
                if !here.is_array() {
                    *here = json!([null]);
                }
                here = &mut here[0];
            }
            part => {
                if !here.is_object() {
                    *here = json!({});
                }
                here = &mut here[if part == "*" { key } else { part }];
            }
        }
    }
    *here = value;
}

fn pairs(endpoint: &'static Endpoint) -> BoxedStrategy<String> {
    if endpoint.parameters.is_empty() {
        return Just(String::new()).boxed();
    }
    let names: Vec<&str> = endpoint.parameters.iter().map(|(name, _)| *name).collect();
    let filters = [
        "{\"label\":[\"a=b\",\"\u{fc}&=\"],\"id\":{\"x\":true}}",
        "{\"A\":\"b\",\"C\":null}",
        "[\"a\",\"b:1\"]",
        "1",
        "",
        "0",
        "3",
        "a",
        "a/b:1",
        "[{\"Name\":\"nofile\",\"Hard\":-1,\"Soft\":5}]",
        "{\"a\":\"b\"}",
    ];
    let value = prop_oneof![5 => select(filters.to_vec()).prop_map(str::to_owned), 1 => word()];
    let pair = (select(names), value).prop_map(|(name, value)| format!("{name}={}", escape(&value)));
    let needed = if endpoint.name == "image.pull" { "fromImage=registry.example.com/a" } else { "" };
    proptest::collection::vec(pair, 0..4)
        .prop_map(move |pairs| [vec![needed.to_owned()], pairs].concat().join("&"))
        .boxed()
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn draft_of(endpoint: &'static Endpoint) -> BoxedStrategy<Draft> {
    let fields = (endpoint.fields)();
    let field = if fields.is_empty() {
        Just(None).boxed()
    } else {
        let one = select(fields).prop_flat_map(|field| (Just(field.path), of_kind(&field.sample)));
        (one, select(vec!["a", "80/tcp", "/tmp", "Privileged", "\u{17f}"])).prop_map(Some).boxed()
    };
    let fields = proptest::collection::vec(field, 0..6);
    let name = select(vec!["a", "web-1", "0123456789abcdef", "registry.example.com:5000/a/b:1"]);
    let auth = prop_oneof![
        Just(None),
        Just(Some(json!({"username": "u\u{fc}", "password": "p"}))),
        Just(Some(json!({"identitytoken": "t"})))
    ];
    (fields, pairs(endpoint), name, auth, select(vec!["", "/v1.24", "/v1.41", "/v1.51"]))
        .prop_map(move |(fields, pairs, name, auth, version)| {
            let mut body = (!(endpoint.fields)().is_empty()).then(|| json!({}));
            for ((path, value), key) in fields.into_iter().flatten() {
                put(body.as_mut().unwrap(), &path, key, value);
            }
            let name = if endpoint.path.contains("..") { name } else { name.rsplit(['/', ':']).next().unwrap() };
            let part = |part: &str| if part.starts_with('{') { name.to_owned() } else { part.to_owned() };
            let path: Vec<_> = endpoint.path.split('/').map(part).collect();
            let encode = |auth: &Value| URL_SAFE.encode(auth.to_string());
            let headers = RegistryHeaders {
                auth: auth.as_ref().map(encode),
                config: auth.map(|auth| encode(&json!({"r.example": auth}))),
                session: SessionHeaders {
                    uuid: Some("mk07u6v4e6h0ny7vb7x50bkqd".to_owned()),
                    shared_key: Some("app:node".to_owned()),
                    methods: vec!["/grpc.health.v1.Health/Check".to_owned()],
                    ..SessionHeaders::default()
                },
            };
            Draft { endpoint, target: format!("{version}{}?{pairs}", path.join("/")), body, headers }
        })
        .boxed()
}

fn draft() -> impl Strategy<Value = Draft> {
    let body = |endpoint: &&'static Endpoint| !(endpoint.fields)().is_empty();
    let with_body: Vec<_> = ENDPOINTS.iter().filter(body).collect();
    prop_oneof![select(ENDPOINTS.iter().collect::<Vec<_>>()), select(with_body)].prop_flat_map(draft_of)
}

/// Reads a request as the proxy does
fn read(
    endpoint: &Endpoint,
    target: &str,
    body: &[u8],
    headers: RegistryHeaders,
) -> Result<(Operation, ApiVersion), String> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call::read(&endpoint.method, path, query, headers).map_err(|error| error.to_string())?;
    let version = call.version.unwrap_or(ApiVersion::MAX);
    let body = if call.route.endpoint.body == BodyKind::Stream { &[] } else { body };
    Ok((call.operation(body).map_err(|error| error.to_string())?, version))
}

/// Holds `read(write(x)) = x`, and that one writing is the last word
fn reads_back(operation: &Operation, version: ApiVersion) -> Outgoing {
    let outgoing = Outgoing::write(operation, version);
    let header = |name: &str| outgoing.header(name).map(str::to_owned);
    let headers = RegistryHeaders {
        auth: header("X-Registry-Auth"),
        config: header("X-Registry-Config"),
        session: SessionHeaders {
            uuid: header(UUID),
            shared_key: header(SHARED_KEY),
            methods: header(METHOD).into_iter().collect(),
            ..SessionHeaders::default()
        },
    };
    let body = outgoing.body.clone().unwrap_or_default();
    let (again, same) = read(operation.endpoint(), &outgoing.target, &body, headers)
        .unwrap_or_else(|error| panic!("what was written is not understood: {error}\n{outgoing:?}"));
    assert_eq!(same, version);
    assert_eq!(&again, operation, "{}", String::from_utf8_lossy(&body));
    assert_eq!(Outgoing::write(&again, version), outgoing);
    outgoing
}

/// Holds that the engine, reading the bytes it is sent, finds what was judged
fn says_what_was_judged(operation: &Operation, outgoing: &Outgoing) {
    let (path, pairs) = go::target(&outgoing.target).expect("the target is malformed");
    let written = operation.write();
    for (key, value) in &written.query {
        assert!(pairs[*key].contains(value), "{key}={value} became {:?}", pairs[*key]);
    }
    assert_eq!(pairs.values().map(Vec::len).sum::<usize>(), written.query.len(), "{}", outgoing.target);
    assert!(!path.contains("//") && !path.split('/').any(|part| matches!(part, "." | "..")), "{path}");
    let Operation::ContainerCreate(create) = operation else { return };
    let tree = Tree::parse(outgoing.body.as_deref().unwrap()).unwrap();
    let host = create.body.0.host_config.as_deref().cloned().unwrap_or_default();
    let settings = &host.settings;
    let at = |field: &str| tree.at(&["HostConfig", field]).map_or(Value::Null, |found| found.plain());
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let binds = settings.binds.as_ref().map(|binds| binds.iter().map(ToString::to_string).collect::<Vec<_>>());
    for (field, judged) in [
        ("Privileged", if settings.privileged { true.into() } else { Value::Null }),
        ("NetworkMode", text(&settings.network_mode)),
        ("PidMode", text(&settings.pid_mode)),
        ("IpcMode", text(&settings.ipc_mode)),
        ("UTSMode", text(&settings.uts_mode)),
        ("UsernsMode", text(&settings.userns_mode)),
        ("CgroupnsMode", text(&settings.cgroupns_mode)),
        ("CgroupParent", text(&host.resources.cgroup_parent)),
        ("Runtime", text(&settings.runtime)),
        ("CapAdd", json!(settings.cap_add.0)),
        ("SecurityOpt", json!(settings.security_opt)),
        ("Binds", json!(binds)),
        ("VolumesFrom", json!(settings.volumes_from)),
        ("MaskedPaths", json!(settings.masked_paths)),
        ("ReadonlyPaths", json!(settings.readonly_paths)),
        ("DeviceCgroupRules", json!(host.resources.device_cgroup_rules)),
        ("Sysctls", json!(settings.sysctls)),
    ] {
        assert_eq!(at(field), judged, "{field} in {}", String::from_utf8_lossy(outgoing.body.as_deref().unwrap()));
    }
    let mounts = at("Mounts");
    for (index, mount) in settings.mounts.iter().flatten().enumerate() {
        assert_eq!(mounts[index]["Source"].as_str().unwrap_or(""), mount.get().source, "{mounts}");
        assert_eq!(mounts[index]["Type"].as_str().unwrap_or(""), mount.get().kind, "{mounts}");
    }
    assert_eq!(mounts.as_array().map(Vec::len), settings.mounts.as_ref().map(Vec::len));
}

/// Where a body can be bent so that a careless reader and the engine part
#[derive(Debug, Clone, Copy)]
enum Bend {
    Case,
    Fold,
    Escape,
    TwiceBefore,
    TwiceAfter,
    TwiceFolded,
    Trailing,
    Null,
}

/// Bends the text at one of its members
fn bend(text: &str, bend: Bend, at: Index) -> String {
    let keys: Vec<(usize, usize)> = text
        .match_indices("\":")
        .filter_map(|(end, _)| text[..end].rfind('"').map(|start| (start + 1, end)))
        .filter(|(start, end)| start < end)
        .collect();
    let Some(&(start, end)) = (!keys.is_empty()).then(|| at.get(&keys)) else { return format!("{text}{{}}") };
    let key = &text[start..end];
    let with = |key: &str| format!("{}{key}{}", &text[..start], &text[end..]);
    let folded = || key.replacen(['s', 'S'], "\u{17f}", 1).replacen(['k', 'K'], "\u{212a}", 1);
    let hostile = "[\"ALL\"]";
    match bend {
        Bend::Case => with(&key.to_lowercase()),
        Bend::Fold => with(&folded()),
        Bend::Escape => with(
            &key.chars()
                .map(|c| if c.is_ascii() { format!("\\u{:04x}", c as u32) } else { c.to_string() })
                .collect::<String>(),
        ),
        Bend::TwiceBefore => format!("{}{key}\":{hostile},\"{}", &text[..start], &text[start..]),
        Bend::TwiceAfter => format!("{}\"{key}\":true,{}", &text[..start - 1], &text[start - 1..]),
        Bend::TwiceFolded => format!("{}\"{}\":{hostile},{}", &text[..start - 1], folded(), &text[start - 1..]),
        Bend::Trailing => format!("{text} {text}"),
        Bend::Null => format!("{}\"{key}\":null,{}", &text[..start - 1], &text[start - 1..]),
    }
}

fn bends() -> impl Strategy<Value = Bend> {
    use Bend::{Case, Escape, Fold, Null, Trailing, TwiceAfter, TwiceBefore, TwiceFolded};
    select(vec![Case, Fold, Escape, TwiceBefore, TwiceAfter, TwiceFolded, Trailing, Null])
}

/// Fields whose `null` the engine tells from zero
const POINTERS: &[&str] =
    &["Init", "PidsLimit", "MemorySwappiness", "OomKillDisable", "StopTimeout", "EnableIPv4", "EnableIPv6"];

/// Holds that the engine would have found in the received body what it finds in the written one
fn means_the_same(endpoint: &Endpoint, received: &str, written: &[u8]) {
    let (received, written) = (Tree::parse(received.as_bytes()).unwrap(), Tree::parse(written).unwrap());
    for field in (endpoint.fields)() {
        if field.path.contains(['[', '*']) || field.path.ends_with("Source") {
            continue;
        }
        let path: Vec<&str> = field.path.split('.').collect();
        let [there, here] = [&received, &written].map(|tree| tree.at(&path).map_or(Value::Null, |found| found.plain()));
        let zero = |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || *value == 0 || *value == "";
        let pointer = POINTERS.contains(path.last().unwrap());
        assert!(there == here || (!pointer && zero(&there) && zero(&here)), "{}: {there} became {here}", field.path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(draft in draft()) {
        let body = draft.body.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Ok((operation, version)) = read(draft.endpoint, &draft.target, body.as_bytes(), draft.headers.clone()) {
            let outgoing = reads_back(&operation, version);
            says_what_was_judged(&operation, &outgoing);
            if let (Some(_), Some(written)) = (&draft.body, &outgoing.body) {
                means_the_same(draft.endpoint, &body, written);
            }
        }
    }

    #[test]
    fn what_is_bent_is_refused_or_means_what_was_judged(draft in draft(), bends in proptest::collection::vec((bends(), any::<Index>()), 1..3)) {
        let plain = draft.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let body = bends.into_iter().fold(plain, |text, (kind, at)| bend(&text, kind, at));
        if let Ok((operation, version)) = read(draft.endpoint, &draft.target, body.as_bytes(), draft.headers.clone()) {
            let outgoing = reads_back(&operation, version);
            says_what_was_judged(&operation, &outgoing);
            if let Some(written) = outgoing.body.as_ref().filter(|_| draft.body.is_some()) {
                means_the_same(draft.endpoint, &body, written);
            }
        }
    }
}

/// The laws above say nothing of what is refused; this says that enough is not
#[test]
fn every_operation_is_read_and_written() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for endpoint in ENDPOINTS {
        let strategy = draft_of(endpoint);
        let mut understood = 0;
        for _ in 0..400 {
            let draft = strategy.new_tree(&mut runner).unwrap().current();
            let body = draft.body.as_ref().map(ToString::to_string).unwrap_or_default();
            if let Ok((operation, version)) = read(draft.endpoint, &draft.target, body.as_bytes(), draft.headers) {
                reads_back(&operation, version);
                // Pull and import share a route.
                assert_eq!(operation.endpoint().path, endpoint.path, "{}", draft.target);
                understood += usize::from(operation.endpoint().name == endpoint.name);
            }
        }
        assert!(understood >= 20, "only {understood} of 400 requests for {} were understood", endpoint.name);
    }
}

#[test]
fn the_seeds_of_every_fuzz_target_hold_the_laws() {
    use sockwarden::fuzzing;
    type Target = fn(&[u8]);
    let targets: [(&str, Target); 11] = [
        ("archive", fuzzing::archive),
        ("call", fuzzing::call),
        ("context", fuzzing::context),
        ("dockerfile", fuzzing::dockerfile),
        ("json", fuzzing::json),
        ("query", fuzzing::query),
        ("reference", fuzzing::reference),
        ("policy", fuzzing::policy),
        ("exchange", fuzzing::exchange),
        ("grpc", fuzzing::grpc),
        ("steps", fuzzing::steps),
    ];
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in targets {
        let source = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("sockwarden::fuzzing::{name}(data)")), "{name} calls something else");
        let seeds: Vec<_> =
            std::fs::read_dir(fuzz.join("seeds").join(name)).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            target(&std::fs::read(&seed).unwrap());
        }
    }
    assert_eq!(std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), targets.len());
}
