//! Container create, the main point of policy, and the `Config` it shares with commit.

use std::collections::BTreeMap;

use crate::api::bind::{Bind, BindSource, HostPath};
use crate::api::endpoint::NetworkingConfig;
use crate::api::host_config::{HostConfig, Resources, RestartPolicy};
use crate::api::json::Json;
use crate::api::mount::CheckedMount;
use crate::api::object::{Field, Malformed, Members, Object, Value as _, append};
use crate::api::value::{ConsoleSize, Empty, Plain, Words};
use crate::object;

/// Body of `POST /containers/create`
///
/// Engines up to 26.1 also read the keys of `HostConfig` and `Cpuset` at the top level; no client needs that, and here
/// they are unknown fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Create {
    /// What runs inside
    pub config: Config,
    /// What it asks of the host
    pub host_config: Option<Box<HostConfig>>,
    /// Networks to join
    pub networking_config: Option<Box<NetworkingConfig>>,
}

impl Create {
    /// Every host path, with the field it stands in
    pub fn host_paths(&self) -> Vec<(String, HostPath)> {
        let Some(settings) = self.host_config.as_ref().map(|host| &host.settings) else { return Vec::new() };
        let binds = settings.binds.iter().flatten().enumerate().filter_map(|(index, bind)| match &bind.source {
            BindSource::Host(path) => Some((bind_field(index), path.clone())),
            BindSource::Anonymous | BindSource::Volume(_) => None,
        });
        let mounts = settings.mounts.iter().flatten().enumerate();
        let mounts = mounts.filter_map(|(index, mount)| Some((mount_field(index), mount.host_path()?)));
        binds.chain(mounts).collect()
    }

    /// Puts another path where one of [`Create::host_paths`] stands; returns that one
    pub fn replace_host_path(&mut self, field: &str, path: &HostPath) -> Option<HostPath> {
        let (_, old) = self.host_paths().into_iter().find(|(name, _)| name == field)?;
        let settings = &mut self.host_mut().settings;
        let bind = settings.binds.iter_mut().flatten().enumerate().find(|(index, _)| bind_field(*index) == field);
        if let Some((_, bind)) = bind {
            bind.source = BindSource::Host(path.clone());
        }
        let mount = settings.mounts.iter_mut().flatten().enumerate().find(|(index, _)| mount_field(*index) == field);
        if let Some((_, mount)) = mount {
            mount.set_host_path(path);
        }
        Some(old)
    }

    /// The bind or mount in which one of [`Create::host_paths`] stands
    pub fn host_path_slot(&mut self, field: &str) -> Option<Slot<'_>> {
        let settings = &mut self.host_config.as_mut()?.settings;
        let bind = settings.binds.iter_mut().flatten().enumerate().find(|(index, _)| bind_field(*index) == field);
        if let Some((_, bind)) = bind {
            return Some(Slot::Bind(bind));
        }
        let mount = settings.mounts.iter_mut().flatten().enumerate().find(|(index, _)| mount_field(*index) == field);
        mount.map(|(_, mount)| Slot::Mount(mount))
    }

    /// Takes a bind out of the list; those behind it move up
    pub fn take_bind(&mut self, field: &str) -> Option<Bind> {
        let binds = self.host_config.as_mut()?.settings.binds.as_mut()?;
        let index = (0..binds.len()).find(|index| bind_field(*index) == field)?;
        Some(binds.remove(index))
    }

    /// The host's part, made when absent
    pub fn host_mut(&mut self) -> &mut HostConfig {
        self.host_config.get_or_insert_default()
    }
}

/// Where a host path stands
#[derive(Debug)]
pub enum Slot<'a> {
    /// An element of `Binds`
    Bind(&'a mut Bind),
    /// An element of `Mounts`
    Mount(&'a mut CheckedMount),
}

impl Object for Create {
    const FIELDS: &'static [&'static [&'static str]] = &[Config::NAMES, &["HostConfig", "NetworkingConfig"]];

    fn take(members: &mut Members<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            config: Config::take(members)?,
            host_config: members.field("HostConfig")?,
            networking_config: members.field("NetworkingConfig")?,
        })
    }

    fn append(&self, members: &mut Vec<(String, Json)>) {
        let Self { config, host_config, networking_config } = self;
        config.append(members);
        append(members, "HostConfig", host_config);
        append(members, "NetworkingConfig", networking_config);
    }

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        Config::describe(path, since, fields);
        <Option<Box<HostConfig>>>::describe("HostConfig", since, fields);
        <Option<Box<NetworkingConfig>>>::describe("NetworkingConfig", since, fields);
    }
}

object! {
    /// `Config`: what runs inside a container; also the body of commit
    pub struct Config {
        /// At most 64 characters
        "Hostname" => hostname: String,
        /// Domain name
        "Domainname" => domainname: String,
        /// `user[:group]`, names or numbers; empty is the image's
        "User" => user: String,
        /// Connect standard input at start
        "AttachStdin" => attach_stdin: bool,
        /// Connect standard output at start
        "AttachStdout" => attach_stdout: bool,
        /// Connect standard error at start
        "AttachStderr" => attach_stderr: bool,
        /// Ports as `80/tcp`
        "ExposedPorts" => exposed_ports: Option<BTreeMap<String, Empty>>,
        /// A terminal; output is raw instead of framed
        "Tty" => tty: bool,
        /// Keep standard input open
        "OpenStdin" => open_stdin: bool,
        /// Close standard input after the first client
        "StdinOnce" => stdin_once: bool,
        /// `NAME=value`; values may be secrets
        "Env" => env: Option<Vec<String>>,
        /// Command
        "Cmd" => cmd: Words,
        /// Periodic check inside the container
        "Healthcheck" => healthcheck: Option<Box<Healthcheck>>,
        /// Windows only; sent by some clients
        "ArgsEscaped" => args_escaped: bool,
        /// Local image, by reference or id
        "Image" => image: String,
        /// Anonymous volumes by path in the container
        "Volumes" => volumes: Option<BTreeMap<String, Empty>>,
        /// Absolute path in the container
        "WorkingDir" => working_dir: String,
        /// Entry point; `[""]` resets the image's
        "Entrypoint" => entrypoint: Words,
        /// Only a loopback interface
        "NetworkDisabled" => network_disabled: bool,
        /// Hardware address; honoured up to 1.51
        "MacAddress" => mac_address: String,
        /// Only for commit
        "OnBuild" => on_build: Option<Vec<String>>,
        /// Labels
        "Labels" => labels: Option<BTreeMap<String, String>>,
        /// Name or number
        "StopSignal" => stop_signal: String,
        /// Seconds; -1 waits for ever
        "StopTimeout" => stop_timeout: Option<i64>,
        /// Shell of `CMD-SHELL` and of build steps
        "Shell" => shell: Words,
    }
}

object! {
    /// A check that runs inside the container; times in nanoseconds
    pub struct Healthcheck {
        /// `[]` inherits, `["NONE"]` disables, `["CMD", …]` or `["CMD-SHELL", …]`
        "Test" => test: Option<Vec<String>>,
        /// Between two checks
        "Interval" => interval: i64,
        /// Of one check
        "Timeout" => timeout: i64,
        /// Grace after start
        "StartPeriod" => start_period: i64,
        /// Between two checks during the grace (1.44)
        "StartInterval" since 44 => start_interval: i64,
        /// Failures in a row until unhealthy
        "Retries" => retries: i64,
    }
}

/// Body of `POST /containers/{id}/update`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// New limits
    pub resources: Resources,
    /// New restart policy
    pub restart_policy: Plain<RestartPolicy>,
}

impl Object for Update {
    const FIELDS: &'static [&'static [&'static str]] = &[Resources::NAMES, &["RestartPolicy"]];

    fn take(members: &mut Members<'_>) -> Result<Self, Malformed> {
        Ok(Self { resources: Resources::take(members)?, restart_policy: members.field("RestartPolicy")? })
    }

    fn append(&self, members: &mut Vec<(String, Json)>) {
        let Self { resources, restart_policy } = self;
        resources.append(members);
        append(members, "RestartPolicy", restart_policy);
    }

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        Resources::describe(path, since, fields);
        <Plain<RestartPolicy>>::describe("RestartPolicy", since, fields);
    }
}

object! {
    /// Body of `POST /containers/{id}/exec`
    pub struct CreateExec {
        /// User inside the container; empty is the container's
        "User" => user: String,
        /// All capabilities
        "Privileged" => privileged: bool,
        /// A terminal
        "Tty" => tty: bool,
        /// First size of the console (1.42)
        "ConsoleSize" since 42 => console_size: ConsoleSize,
        /// Connect standard input
        "AttachStdin" => attach_stdin: bool,
        /// Connect standard error
        "AttachStderr" => attach_stderr: bool,
        /// Connect standard output
        "AttachStdout" => attach_stdout: bool,
        /// Read and not used by the engine
        "Detach" => detach: bool,
        /// Keys that detach, as `ctrl-p,ctrl-q`
        "DetachKeys" => detach_keys: String,
        /// `NAME=value` (1.25); values may be secrets
        "Env" since 25 => env: Option<Vec<String>>,
        /// Absolute path in the container (1.35)
        "WorkingDir" since 35 => working_dir: String,
        /// Command; an array only
        "Cmd" => cmd: Option<Vec<String>>,
        /// Sent by docker-py, which repeats the path; no engine reads it
        "Container" => container: String,
    }
}

object! {
    /// Body of `POST /exec/{id}/start`
    pub struct StartExec {
        /// Do not connect: the answer is an ordinary one
        "Detach" => detach: bool,
        /// A terminal: raw instead of framed
        "Tty" => tty: bool,
        /// First size of the console (1.42)
        "ConsoleSize" since 42 => console_size: ConsoleSize,
    }
}

object! {
    /// Body of `POST /volumes/create`
    pub struct CreateVolume {
        /// Name; an existing one is returned as it is
        "Name" => name: String,
        /// Driver or plugin; empty is `local`
        "Driver" => driver: String,
        /// Options of the driver
        "DriverOpts" => driver_opts: Option<BTreeMap<String, String>>,
        /// Labels
        "Labels" => labels: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// Body of `POST /auth`
    pub struct Credentials {
        /// User name
        "username" => username: String,
        /// Password
        "password" => password: String,
        /// Unused
        "email" => email: String,
        /// `user:password` in base64
        "auth" => auth: String,
        /// Registry to log in to
        "serveraddress" => server_address: String,
        /// Token in place of a password
        "identitytoken" => identity_token: String,
        /// Bearer token
        "registrytoken" => registry_token: String,
    }
}

fn bind_field(index: usize) -> String {
    format!("HostConfig.Binds[{index}]")
}

fn mount_field(index: usize) -> String {
    format!("HostConfig.Mounts[{index}].Source")
}
