//! What the policy grants, said a second time and from the other end: what an engine may show afterwards.
//!
//! It knows nothing of sockwarden's own judging. It is closed: whatever an object has that a plain one has not is
//! dangerous, unless it stands here.

use serde_json::{Map, Value};

use super::granted::real;

/// Whose the objects are, and what the policy of the run grants beyond `ci`
#[derive(Debug)]
pub struct Ground<'a> {
    /// A container that was asked for nothing
    pub plain: &'a Value,
    /// Names and ids of what is somebody else's
    pub foreign: Vec<String>,
    /// The owner that what is made may carry; `None` where nobody sets one
    pub owner: Option<String>,
    /// Capabilities
    pub capabilities: &'static [&'static str],
    /// A directory that may be mounted, to be read only
    pub directory: Option<&'a str>,
}

impl Ground<'_> {
    fn is_foreign(&self, name: &str) -> bool {
        let name = name.trim_start_matches('/');
        self.foreign.iter().any(|foreign| foreign == name || (name.len() >= 12 && foreign.starts_with(name)))
    }

    /// What a container has that it may not have; `volumes` are the volumes it mounts
    pub fn container(&self, container: &Value, volumes: &[Value]) -> Vec<String> {
        let mut wrong = Vec::new();
        let plain = self.plain["HostConfig"].as_object().unwrap();
        for (field, value) in container["HostConfig"].as_object().into_iter().flatten() {
            if plain.get(field) != Some(value) && !is_nothing(value, plain.get(field)) && !self.host_field(field, value)
            {
                wrong.push(format!("HostConfig.{field} = {value}"));
            }
        }
        for field in ["MaskedPaths", "ReadonlyPaths"] {
            if container["HostConfig"][field] != plain[field] {
                wrong.push(format!("HostConfig.{field} = {}", container["HostConfig"][field]));
            }
        }
        let config = &container["Config"];
        if text(&config["WorkingDir"]).starts_with("/proc") {
            wrong.push(format!("Config.WorkingDir = {}", config["WorkingDir"]));
        }
        if !text(&config["MacAddress"]).is_empty() {
            wrong.push(format!("Config.MacAddress = {}", config["MacAddress"]));
        }
        if !image(text(&config["Image"])) {
            wrong.push(format!("Config.Image = {}", config["Image"]));
        }
        wrong.extend(self.labels(&config["Labels"]));
        wrong.extend(self.endpoints(&container["NetworkSettings"]["Networks"]));
        for mount in list(&container["Mounts"]) {
            let fine = match text(&mount["Type"]) {
                "bind" => mount["RW"] == false && self.path(text(&mount["Source"])),
                "volume" => mount["Driver"] == "local" && !self.is_foreign(text(&mount["Name"])),
                "tmpfs" => true,
                _ => false,
            };
            if !fine {
                wrong.push(format!("mount {mount}"));
            }
        }
        wrong.extend(volumes.iter().flat_map(|volume| self.volume(volume)));
        wrong
    }

    /// Whether a value of `HostConfig` that is not the plain one is granted
    fn host_field(&self, field: &str, value: &Value) -> bool {
        let all = |grants: &dyn Fn(&str) -> bool| list(value).iter().all(|one| one.as_str().is_some_and(grants));
        match field {
            // Take something away, or shape only the inside.
            "Memory" | "MemorySwap" | "MemoryReservation" | "NanoCpus" | "CpuPeriod" | "CpuQuota" | "CpuShares"
            | "CpusetCpus" | "CpusetMems" | "PidsLimit" | "ShmSize" | "AutoRemove" | "ConsoleSize" | "CapDrop"
            | "Dns" | "DnsOptions" | "DnsSearch" | "ReadonlyRootfs" | "Init" | "ExtraHosts" | "GroupAdd"
            | "PublishAllPorts" => true,
            // Held as the mounts they become, except for what a create refuses to show.
            "Binds" => all(&|bind| {
                let (source, _) = bind.split_once(':').unwrap_or((bind, ""));
                if source.starts_with('/') { self.path(source) } else { !self.is_foreign(source) }
            }),
            "Mounts" => list(value).iter().all(|mount| match text(&mount["Type"]) {
                "bind" => {
                    mount["ReadOnly"] == true
                        && self.path(text(&mount["Source"]))
                        && is_nothing(&mount["BindOptions"], None)
                }
                "volume" => {
                    !self.is_foreign(text(&mount["Source"]))
                        && is_nothing(&mount["VolumeOptions"]["DriverConfig"], None)
                }
                "tmpfs" => is_nothing(&mount["TmpfsOptions"]["Options"], None),
                _ => false,
            }),
            "NetworkMode" => {
                let mode = text(value);
                let other = mode.strip_prefix("container:");
                !(mode == "host" || mode.starts_with("ns:") || self.is_foreign(other.unwrap_or(mode)))
            }
            "IpcMode" => ["none", "private", "shareable"].contains(&text(value)),
            "CgroupnsMode" => text(value) == "private",
            "CapAdd" => all(&|name| self.capabilities.contains(&name.trim_start_matches("CAP_"))),
            "SecurityOpt" => all(&|option| {
                ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true", "seccomp=builtin"]
                    .contains(&option)
            }),
            "VolumesFrom" => all(&|from| !self.is_foreign(from.split(':').next().unwrap_or(""))),
            "Links" => all(&|link| !self.is_foreign(link.split(':').next().unwrap_or(""))),
            "OomScoreAdj" => value.as_i64().is_some_and(|adjustment| adjustment >= 0),
            "RestartPolicy" => ["", "no", "on-failure"].contains(&text(&value["Name"])),
            "LogConfig" => {
                let options = ["max-size", "max-file", "compress"];
                ["json-file", "local", "none"].contains(&text(&value["Type"]))
                    && members(&value["Config"]).all(|(option, _)| options.contains(&option.as_str()))
            }
            "Ulimits" => list(value)
                .iter()
                .all(|limit| ["nofile", "nproc", "core", "stack", "memlock"].contains(&text(&limit["Name"]))),
            "Tmpfs" => members(value).all(|(_, options)| {
                text(options).split(',').all(|word| {
                    ["", "exec", "size", "mode", "rw", "ro"].contains(&word.split('=').next().unwrap_or(""))
                })
            }),
            "Sysctls" => members(value).all(|(key, _)| {
                ["net.core.somaxconn", "net.ipv4.ip_unprivileged_", "net.ipv4.ip_local_", "net.ipv4.tcp_"]
                    .iter()
                    .any(|start| key.starts_with(start))
            }),
            "PortBindings" => members(value).all(|(_, bindings)| {
                list(bindings).iter().all(|binding| {
                    let ports = text(&binding["HostPort"]);
                    ports
                        .split('-')
                        .all(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port == 0 || port >= 1024))
                })
            }),
            _ => false,
        }
    }

    fn path(&self, source: &str) -> bool {
        let real = real(source);
        self.directory.is_some_and(|granted| real == granted || real.starts_with(&format!("{granted}/")))
    }

    /// Attachments to networks
    pub fn endpoints(&self, networks: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, endpoint) in members(networks) {
            if name == "host" || self.is_foreign(name) {
                wrong.push(format!("network {name}"));
            }
            for field in ["IPAMConfig", "DriverOpts"] {
                if !is_nothing(&endpoint[field], None) {
                    wrong.push(format!("network {name}: {field} = {}", endpoint[field]));
                }
            }
        }
        wrong
    }

    fn labels(&self, labels: &Value) -> Vec<String> {
        let ours = members(labels).filter(|(key, _)| key.to_ascii_lowercase().trim().starts_with("sockwarden"));
        let forged = |key: &str, value: &str| match key {
            "sockwarden.owner" => self.owner.as_deref() != Some(value),
            // What was asked for, through which listener, and the request's id: of forms that no request here forges.
            "sockwarden.asked" => !(value.is_empty() || value.starts_with('{')),
            "sockwarden.listener" => !value.ends_with("/gate.sock"),
            "sockwarden.record" => value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_hexdigit()),
            _ => true,
        };
        let forged = |(key, value): &(&String, &Value)| forged(key, value.as_str().unwrap_or_default());
        ours.filter(forged).map(|(key, value)| format!("label {key} = {value}")).collect()
    }

    /// What a volume has that it may not have
    pub fn volume(&self, volume: &Value) -> Vec<String> {
        let mut wrong = self.labels(&volume["Labels"]);
        if volume["Driver"] != "local" || !is_nothing(&volume["Options"], None) {
            wrong.push(format!("volume with {} {}", volume["Driver"], volume["Options"]));
        }
        wrong
    }

    /// What a network has that it may not have; the engine chooses a subnet from its own pools
    pub fn network(&self, network: &Value) -> Vec<String> {
        let mut wrong = self.labels(&network["Labels"]);
        let options = ["com.docker.network.driver.mtu", "com.docker.network.bridge.enable_icc"];
        // The engine's own, from API 1.45 on.
        let own = |key: &str, value: &Value| key == "com.docker.network.enable_ipv4" && value == "true";
        wrong.extend(
            members(&network["Options"])
                .filter(|(key, value)| !options.contains(&key.as_str()) && !own(key, value))
                .map(|(key, value)| format!("network option {key} = {value}")),
        );
        if network["Driver"] != "bridge" || network["Scope"] != "local" {
            wrong.push(format!("network of {} in {}", network["Driver"], network["Scope"]));
        }
        for field in ["Attachable", "Ingress", "ConfigOnly"] {
            if network[field] == true {
                wrong.push(format!("network with {field}"));
            }
        }
        if list(&network["IPAM"]["Config"]).iter().any(|pool| text(&pool["Subnet"]).starts_with("10.213.")) {
            wrong.push(format!("network with {}", network["IPAM"]));
        }
        wrong
    }

    /// What an image's new name or origin is that it may not be
    pub fn image(&self, listed: &Value) -> Vec<String> {
        let mut wrong = self.labels(&listed["Labels"]);
        wrong.extend(list(&listed["RepoTags"]).iter().filter(|tag| !image(text(tag))).map(|tag| format!("tag {tag}")));
        if members(&listed["Labels"]).any(|(key, _)| key == FOREIGN_LABEL) {
            wrong.push("an image of a container of another".to_owned());
        }
        wrong
    }
}

/// Carried by the containers of others
pub const FOREIGN_LABEL: &str = "swd-foreign";

/// Whether a reference is of the hub or of a registry on this machine
fn image(reference: &str) -> bool {
    let Some((first, _)) = reference.split_once('/') else { return true };
    let registry = first.contains(['.', ':']) || first == "localhost";
    !registry || first == "docker.io" || first.starts_with("localhost:") || first.starts_with("127.0.0.1:")
}

/// Whether a value is as good as none
fn is_nothing(value: &Value, plain: Option<&Value>) -> bool {
    let nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.values().all(|value| is_nothing(value, None)),
    };
    nothing(value) && plain.is_none_or(nothing)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
