//! The requests that are bent: everything that can hurt, each alone, and some of what a job does every day.
//!
//! Braces stand for names of the world the request is played in; `{name}` is a new one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::draft::{Body, Draft, Frame, Json};
use crate::engines::tar::tar;

/// A request before it is bent
#[derive(Debug, Clone)]
pub struct Base {
    /// What it asks for
    pub name: String,
    /// Whether an engine that does it does more than `ci` grants
    pub hurts: bool,
    /// Engines that do it; all but where said otherwise
    pub on: Option<&'static [&'static str]>,
    /// The keys that lead to what matters in the body
    pub aim: Vec<String>,
    line: String,
    body: Option<String>,
}

impl Base {
    /// Whether the engine does it
    pub fn works_on(&self, engine: &str) -> bool {
        self.on.is_none_or(|engines| engines.contains(&engine))
    }

    /// Whether it speaks of an object of the world
    pub fn mentions(&self, name: &str) -> bool {
        let texts = [Some(&self.line), self.body.as_ref()];
        texts
            .into_iter()
            .flatten()
            .any(|text| ["", "_id", "_short"].iter().any(|end| text.contains(&format!("{{{name}{end}}}"))))
    }

    /// The request among the names of a world
    pub fn draft(&self, names: &BTreeMap<String, String>) -> Draft {
        let fill = |text: &str| {
            names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let line = fill(&self.line);
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        let body = self.body.as_deref().map(|body| {
            if body == TAR {
                let tar = String::from_utf8(tar(&[("swd", b"x")])).unwrap();
                return Body { before: String::new(), json: Json::Raw(tar), after: String::new() };
            }
            let value: Value = serde_json::from_str(&fill(body)).unwrap_or_else(|error| panic!("{body}: {error}"));
            Body { before: String::new(), json: Json::of(&value), after: String::new() }
        });
        Draft {
            method: method.to_owned(),
            authority: String::new(),
            path: path.to_owned(),
            query: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
            query_tail: String::new(),
            headers: Vec::from_iter(
                (self.body.as_deref() == Some(TAR)).then(|| "Content-Type: application/x-tar".to_owned()),
            ),
            body,
            frame: Frame::Length,
            http: "HTTP/1.1",
        }
    }
}

/// All of them
pub fn all() -> Vec<Base> {
    let mut all = Vec::new();
    for (hurts, list) in [(true, HOST), (false, HOST_EVERYDAY)] {
        all.extend(list.iter().map(|(field, value, on)| create(&["HostConfig", field], value, hurts, on)));
    }
    for (hurts, list) in [(true, CONFIG), (false, CONFIG_EVERYDAY)] {
        all.extend(list.iter().map(|(field, value, on)| create(&[field], value, hurts, on)));
    }
    for (hurts, list) in [(true, ENDPOINTS), (false, ENDPOINTS_EVERYDAY)] {
        all.extend(
            list.iter()
                .map(|(field, value, on)| create(&["NetworkingConfig", "EndpointsConfig", field], value, hurts, on)),
        );
    }
    for (hurts, list) in [(true, OTHERS), (false, OTHERS_EVERYDAY)] {
        all.extend(list.iter().map(|(line, body, aim)| Base {
            name: format!("{line} {body}"),
            hurts,
            on: None,
            aim: aim.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            line: (*line).to_owned(),
            body: Some((*body).to_owned()).filter(|body| !body.is_empty()),
        }));
    }
    all
}

/// A container create with one field set
fn create(path: &[&str], value: &str, hurts: bool, on: &'static [&'static str]) -> Base {
    let value: Value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{value}: {error}"));
    let body = path.iter().rev().fold(value, |value, key| Value::Object(Map::from_iter([((*key).to_owned(), value)])));
    let Value::Object(mut body) = body else { panic!("no object") };
    body.entry("Image").or_insert("{image}".into());
    if path[0] == "NetworkingConfig" {
        // The engine attaches to one network at a create: the one of this mode.
        body.insert("HostConfig".to_owned(), serde_json::json!({"NetworkMode": path[2]}));
    }
    Base {
        name: format!("create with {} = {}", path.join("."), body[path[0]]),
        hurts,
        on: Some(on).filter(|on| !on.is_empty()),
        aim: path.iter().map(|key| (*key).to_owned()).collect(),
        line: format!("POST /v{}/containers/create?name={{name}}", if on == LATER { "1.43" } else { "1.41" }),
        body: Some(Value::Object(body).to_string()),
    }
}

/// Field, value, and the engines that take it where not all do
type Fields = &'static [(&'static str, &'static str, &'static [&'static str])];

const LATER: &[&str] = &["trixie", "sid"];

const HOST: Fields = &[
    ("Privileged", "true", &[]),
    ("CapAdd", r#"["SYS_ADMIN"]"#, &[]),
    ("CapAdd", r#"["ALL"]"#, &[]),
    ("CapAdd", r#"["CAP_SYS_PTRACE","CAP_SYS_MODULE"]"#, &[]),
    ("Binds", r#"["/etc:/h"]"#, &[]),
    ("Binds", r#"["{granted}/inside:/h:rw"]"#, &[]),
    ("Binds", r#"["{granted}/link:/h:ro"]"#, &[]),
    ("Binds", r#"["{granted}/up/x/..:/h:ro,rprivate"]"#, &[]),
    ("Mounts", r#"[{"Type":"bind","Source":"{granted}/link/ssl","Target":"/h","ReadOnly":true}]"#, &[]),
    ("Binds", r#"["{own_volume}:/v","{victim_volume}:/h:ro"]"#, &[]),
    ("Mounts", r#"[{"Type":"bind","Source":"/etc","Target":"/h","ReadOnly":true}]"#, &[]),
    ("Mounts", r#"[{"Type":"volume","Source":"{victim_volume}","Target":"/h"}]"#, &[]),
    (
        "Mounts",
        r#"[{"Type":"volume","Source":"{name}v","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/etc"}}}}]"#,
        &[],
    ),
    (
        "Mounts",
        r#"[{"Type":"volume","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"rbind","device":"/"}}}}]"#,
        &[],
    ),
    (
        "Mounts",
        r#"[{"Type":"volume","Source":"{name}v","Target":"/h","VolumeOptions":{"Labels":{"sockwarden.owner":"forged"}}}]"#,
        &[],
    ),
    ("VolumesFrom", r#"["{victim}"]"#, &[]),
    ("NetworkMode", r#""host""#, &[]),
    ("NetworkMode", r#""{victim_network}""#, &[]),
    ("NetworkMode", r#""container:{runner}""#, &[]),
    ("PidMode", r#""host""#, &[]),
    ("PidMode", r#""container:{runner_id}""#, &[]),
    ("IpcMode", r#""host""#, &[]),
    ("UTSMode", r#""host""#, &[]),
    ("UsernsMode", r#""host""#, &[]),
    ("Devices", r#"[{"PathOnHost":"/dev/null","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}]"#, &[]),
    ("DeviceCgroupRules", r#"["a *:* rwm"]"#, &[]),
    ("SecurityOpt", r#"["seccomp=unconfined"]"#, &[]),
    ("SecurityOpt", r#"["no-new-privileges=false","label=disable"]"#, &[]),
    ("MaskedPaths", "[]", &[]),
    ("ReadonlyPaths", "[]", &[]),
    ("Runtime", r#""io.containerd.runc.v2""#, &[]),
    ("Sysctls", r#"{"kernel.msgmax":"1"}"#, &[]),
    ("Annotations", r#"{"org.systemd.property.X":"1"}"#, LATER),
    ("CgroupParent", r#""/swd""#, &[]),
    ("OomKillDisable", "true", &[]),
    ("OomScoreAdj", "-500", &[]),
    ("LogConfig", r#"{"Type":"syslog","Config":{"syslog-address":"udp://127.0.0.1:514"}}"#, &[]),
    ("LogConfig", r#"{"Type":"json-file","Config":{"env-regex":".*"}}"#, &[]),
    ("RestartPolicy", r#"{"Name":"always"}"#, &[]),
    ("PortBindings", r#"{"80/tcp":[{"HostIp":"","HostPort":"80"}]}"#, &[]),
    ("PortBindings", r#"{"80/tcp":[{"HostPort":"8080"},{"HostPort":"1000-1030"}]}"#, &[]),
    ("Tmpfs", r#"{"/t":"suid,dev"}"#, &[]),
    ("Ulimits", r#"[{"Name":"rtprio","Soft":1,"Hard":99}]"#, &[]),
    ("Links", r#"["{victim}:db"]"#, &[]),
];

const HOST_EVERYDAY: Fields = &[
    ("Memory", "67108864", &[]),
    ("Binds", r#"["{own_volume}:/v:ro"]"#, &[]),
    (
        "Mounts",
        r#"[{"Type":"volume","Source":"{name}v","Target":"/h"},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":65536}}]"#,
        &[],
    ),
    ("NetworkMode", r#""{own_network}""#, &[]),
    ("CapDrop", r#"["ALL"]"#, &[]),
    ("LogConfig", r#"{"Type":"json-file","Config":{"max-size":"1m"}}"#, &[]),
    ("PortBindings", r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"18080"}]}"#, &[]),
    ("RestartPolicy", r#"{"Name":"on-failure","MaximumRetryCount":3}"#, &[]),
    ("Tmpfs", r#"{"/t":"size=64k,exec"}"#, &[]),
    ("SecurityOpt", r#"["no-new-privileges"]"#, &[]),
    ("Sysctls", r#"{"net.core.somaxconn":"128"}"#, &[]),
    // Granted by the second policy of the run, and dangerous under the first.
    ("CapAdd", r#"["SYS_PTRACE"]"#, &[]),
    ("Binds", r#"["{granted}/inside:/h:ro"]"#, &[]),
    ("Mounts", r#"[{"Type":"bind","Source":"{granted}/alias","Target":"/h","ReadOnly":true}]"#, &[]),
];

const CONFIG: Fields = &[
    ("WorkingDir", r#""/proc/self/fd/8""#, &[]),
    ("MacAddress", r#""02:42:ac:11:00:99""#, &[]),
    ("Labels", r#"{"a":"b","sockwarden.owner":"forged"}"#, &[]),
    ("Image", r#""{foreign_image}""#, &[]),
];

const CONFIG_EVERYDAY: Fields = &[
    ("Labels", r#"{"a":"b"}"#, &[]),
    ("Env", r#"["A=b","C"]"#, &[]),
    ("Cmd", r#"["sh","-c","sleep 10"]"#, &[]),
    ("Volumes", r#"{"/data":{}}"#, &[]),
    ("Healthcheck", r#"{"Test":["CMD","true"],"Interval":1000000000}"#, &[]),
    ("User", r#""1000:1000""#, &[]),
    ("Image", r#""{image_id}""#, &[]),
];

const ENDPOINTS: Fields = &[("{victim_network}", "{}", &[])];

const ENDPOINTS_EVERYDAY: Fields = &[("{own_network}", r#"{"Aliases":["db"]}"#, &[])];

/// In the place of a body: an archive with one file
const TAR: &str = "tar";

/// Method and target, body, and the keys that lead to what matters
type Lines = &'static [(&'static str, &'static str, &'static str)];

const OTHERS: Lines = &[
    (
        "POST /v1.41/volumes/create",
        r#"{"Name":"{name}","Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/etc"}}"#,
        "DriverOpts.device",
    ),
    (
        "POST /v1.41/volumes/create",
        r#"{"Name":"{name}","DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"suid,dev"}}"#,
        "DriverOpts.o",
    ),
    ("POST /v1.41/volumes/create", r#"{"Name":"{name}","Labels":{"sockwarden.owner":"forged"}}"#, "Labels"),
    (
        "POST /v1.41/networks/create",
        r#"{"Name":"{name}","CheckDuplicate":true,"IPAM":{"Config":[{"Subnet":"10.213.{octet}.{number}/28"}]}}"#,
        "IPAM.Config.Subnet",
    ),
    (
        "POST /v1.41/networks/create",
        r#"{"Name":"{name}","Driver":"bridge","Options":{"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1"}}"#,
        "Options",
    ),
    ("POST /v1.41/networks/create", r#"{"Name":"{name}","ConfigOnly":true}"#, "ConfigOnly"),
    ("POST /v1.41/containers/{mine}/exec", r#"{"Cmd":["true"],"Privileged":true}"#, "Privileged"),
    ("POST /v1.41/containers/{runner}/exec", r#"{"Cmd":["true"]}"#, "Cmd"),
    ("POST /v1.41/containers/{runner}/pause", "", ""),
    ("POST /v1.41/containers/{victim}/rename?name={name}", "", ""),
    ("POST /v1.41/containers/{victim_id}/update", r#"{"CpuShares":7}"#, "CpuShares"),
    ("POST /v1.41/containers/{own}/update", r#"{"RestartPolicy":{"Name":"always"}}"#, "RestartPolicy.Name"),
    ("DELETE /v1.41/containers/{victim}?force=1", "", ""),
    ("DELETE /v1.41/containers/{victim_short}?v=1&force=true", "", ""),
    ("DELETE /v1.41/volumes/{spare_volume}", "", ""),
    ("DELETE /v1.41/networks/{spare_network}", "", ""),
    ("DELETE /v1.41/images/{foreign_image}?noprune=1", "", ""),
    ("POST /v1.41/networks/{victim_network}/connect", r#"{"Container":"{own}"}"#, "Container"),
    ("POST /v1.41/networks/{own_network}/connect", r#"{"Container":"{victim}"}"#, "Container"),
    ("POST /v1.41/networks/{victim_network}/disconnect", r#"{"Container":"{victim}","Force":true}"#, "Container"),
    ("POST /v1.41/commit?container={victim}&repo={name}&tag=1", "{}", ""),
    ("POST /v1.41/images/{image}/tag?repo=registry.example.com/{name}&tag=1", "", ""),
    ("PUT /v1.41/containers/{victim}/archive?path=/tmp", TAR, ""),
    ("GET /v1.41/containers/{victim}/archive?path=/etc/passwd", "", ""),
    ("GET /v1.41/containers/{victim}/export", "", ""),
    ("GET /v1.41/containers/{runner}/logs?stdout=1&tail=1", "", ""),
];

const OTHERS_EVERYDAY: Lines = &[
    ("POST /v1.41/volumes/create", r#"{"Name":"{name}","Driver":"local","Labels":{"a":"b"}}"#, "Labels"),
    (
        "POST /v1.41/networks/create",
        r#"{"Name":"{name}","Internal":true,"Options":{"com.docker.network.driver.mtu":"1400"}}"#,
        "Options",
    ),
    ("POST /v1.41/containers/{mine}/exec", r#"{"Cmd":["true"],"User":"1000","Env":["A=b"]}"#, "User"),
    ("POST /v1.41/images/{image}/tag?repo={name}&tag=1", "", ""),
    ("POST /v1.41/commit?container={own}&repo={name}&tag=1", r#"{"Env":["A=b"]}"#, "Env"),
];
