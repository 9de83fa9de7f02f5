//! The engine's data on a caller's container, of which a [`Container`] is made.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{CallerLimits, CallerMount, Container};
use crate::api::bind::HostPath;

/// A running container, as the engine tells of it
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Itself
    pub container: Container,
    /// Id of its image
    pub image: String,
    /// Its first process, by the engine's number
    pub first: i32,
}

/// What the engine knows under an id
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The container of that id, which runs
    Running(Box<Inspected>),
    /// The container of that id, which does not run
    Ended,
    /// Another one, which has the id for its name
    Another,
}

impl Inspected {
    /// Reads the engine's answer to the question for container `asked_for`
    ///
    /// # Errors
    /// When it is no such answer.
    pub fn read(asked_for: &str, json: &[u8]) -> Result<Found, serde_json::Error> {
        let Written { id, name, image, state, config, host, mounts, network } = serde_json::from_slice(json)?;
        if id != asked_for {
            return Ok(Found::Another);
        }
        if !state.running || state.pid <= 0 {
            return Ok(Found::Ended);
        }
        let asked = host.mounts.unwrap_or_default();
        let container = Container {
            id,
            name: name.strip_prefix('/').unwrap_or(&name).to_owned(),
            image: config.image,
            labels: config.labels.unwrap_or_default(),
            mounts: mounts.unwrap_or_default().into_iter().filter_map(|mount| mount.read(&asked)).collect(),
            networks: network.networks.unwrap_or_default().into_iter().map(|(name, one)| (name, one.id)).collect(),
            limits: host.limits,
        };
        Ok(Found::Running(Box::new(Self { container, image, first: state.pid })))
    }
}

/// The labels of an image, out of the engine's answer
///
/// # Errors
/// When it is no such answer.
pub fn image_labels(json: &[u8]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let Image { config } = serde_json::from_slice(json)?;
    Ok(config.and_then(|config| config.labels).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    id: String,
    name: String,
    image: String,
    state: State,
    config: Config,
    #[serde(rename = "HostConfig")]
    host: Host,
    mounts: Option<Vec<Mount>>,
    #[serde(rename = "NetworkSettings", default)]
    network: Networks,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    pid: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Host {
    #[serde(flatten)]
    limits: CallerLimits,
    #[serde(rename = "Mounts")]
    mounts: Option<Vec<Asked>>,
}

/// A mount as it was asked for, which alone says what part of a volume it is
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    target: String,
    volume_options: Option<VolumeOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeOptions {
    #[serde(default)]
    subpath: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    source: String,
    destination: String,
    #[serde(rename = "RW", default)]
    writable: bool,
}

impl Mount {
    fn read(self, asked: &[Asked]) -> Option<CallerMount> {
        let destination = HostPath::parse(&self.destination)?;
        let source = HostPath::parse(&self.source);
        let part = asked.iter().find(|asked| HostPath::parse(&asked.target).as_ref() == Some(&destination));
        let part = part.and_then(|asked| asked.volume_options.as_ref()).map_or("", |options| options.subpath.as_str());
        let (source, volume, subpath) = match self.kind.as_str() {
            "bind" => (source, None, String::new()),
            "volume" => (source, Some(self.name), part.trim_matches('/').to_owned()),
            // What is nowhere on the host has nothing to give.
            _ => (None, None, String::new()),
        };
        Some(CallerMount { destination, source, volume, subpath, writable: self.writable })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: Option<BTreeMap<String, Network>>,
}

#[derive(Deserialize)]
struct Network {
    #[serde(rename = "NetworkID", default)]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageConfig {
    labels: Option<BTreeMap<String, String>>,
}

/// Numbers as the engine writes them: 0, -1 and nothing are no limit, and CPU time comes in one of two ways
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenLimits {
    memory: Option<i64>,
    nano_cpus: Option<i64>,
    cpu_quota: Option<i64>,
    cpu_period: Option<i64>,
    pids_limit: Option<i64>,
}

impl<'de> Deserialize<'de> for CallerLimits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenLimits { memory, nano_cpus, cpu_quota, cpu_period, pids_limit } =
            WrittenLimits::deserialize(deserializer)?;
        let limit = |value: Option<i64>| value.filter(|value| *value > 0);
        let by_quota = limit(cpu_quota).map(|quota| {
            let period = limit(cpu_period).unwrap_or(DEFAULT_PERIOD);
            i64::try_from(i128::from(quota) * NANO / i128::from(period)).unwrap_or(i64::MAX)
        });
        Ok(Self { memory: limit(memory), nano_cpus: limit(nano_cpus).or(by_quota), pids: limit(pids_limit) })
    }
}

/// The kernel's default CPU period, in microseconds
const DEFAULT_PERIOD: i64 = 100_000;
/// `NanoCpus` of one CPU
const NANO: i128 = 1_000_000_000;

#[cfg(test)]
mod tests;
