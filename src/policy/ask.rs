//! Asks: what an operation asks for that can hurt, one typed value each.
//!
//! Most asks are a word of `docker run` with a value, and a policy grants them by a list under that word. Those with
//! more to compare (operations, images, host paths, published ports) have a kind of their own.

use std::fmt;

use crate::api::image_ref::ImageRef;
use crate::policy::quota::{More, Resource};

/// One ask, and the field it was found in
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is asked for
    pub what: What,
    /// Where it stood, as `HostConfig.CapAdd[0]` or `query.fromImage`
    pub field: String,
}

/// What is asked for
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The operation itself, as `container.create`
    Operation(&'static str),
    /// To use, write or remove an image
    Image(ImageRef),
    /// To reach a registry without naming an image, as `host[:port]`
    Registry(String),
    /// An image that decides how something is built
    Frontend(ImageRef),
    /// A build context under the name of a frontend, in whose place it would be used
    Shadow(ImageRef),
    /// An image out of the client's own files, of which the engine takes what it has from whoever brought it
    Layout,
    /// Part of a build in a form that says nothing of what it does; no policy grants it
    Raw(&'static str),
    /// Something of a build's that is not the owner's own: what, and its name
    Elsewhere(&'static str, String),
    /// A path of the host
    Mount(HostMount),
    /// A port of the host
    Publish(Publish),
    /// A word of `docker run` or of another command, with its value
    Flag(Flag, String),
    /// The builder of buildx's `docker-container` driver: a privileged container that its client commands
    Builder,
    /// A build by BuildKit through `POST /build`, which cannot be made to keep to a policy
    SecondBuild,
    /// A build whose context, and in it the Dockerfile, the engine fetches from an address
    FetchedContext(String),
    /// A Dockerfile of which nobody can say what it fetches, and why
    Unread(String),
    /// An object that belongs to somebody else
    Foreign(Object, String),
    /// To give a name to an image, or to take one away, that is not the caller's own: the name, and why not
    Taken(String, String),
    /// More than seeing or using an object that the caller only may see and use: its own container, what that is attached
    /// to, what all share
    Borrowed(Object, String),
    /// A label in our own namespace, which would name an owner
    ReservedLabel(String),
    /// A host path that would give away what no mount may
    Protected {
        /// As the client named it
        source: String,
        /// What it would give away
        what: String,
    },
    /// A host path that leads to no certain place
    Unclear {
        /// As the client named it
        source: String,
        /// Why
        why: String,
    },
    /// A host path that can be judged by its name only
    Unseen {
        /// As the client named it
        source: String,
        /// Why
        why: String,
    },
    /// More of what a quota counts
    Quota(More),
    /// A limit above what a container was counted as when it was made
    Raise {
        /// Of what
        resource: Resource,
        /// What it counts as
        counted: i64,
        /// What is asked for; nothing for no limit
        asked: Option<i64>,
    },
    /// A value that the engine might read in a way of its own; no policy grants it
    Odd(&'static str, String),
}

/// Kinds of objects an owner has
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A container
    Container,
    /// A network
    Network,
    /// A volume
    Volume,
    /// An image
    Image,
}

/// A path of the host, and how it is wanted
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// Absolute, cleaned path
    pub source: String,
    /// Whether it can be written
    pub access: Access,
    /// Whether mounts made on one side show on the other
    pub propagation: Propagation,
}

/// How a host path is wanted
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read-only, submounts included
    ReadOnly,
    /// Writable
    ReadWrite,
}

/// Mount propagation; private and slave never reach the host
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Propagation {
    /// `private`, `rprivate` or none given
    Private,
    /// `slave`, `rslave`: the host's later mounts show inside
    Slave,
    /// `shared`, `rshared`: mounts made inside show on the host
    Shared,
}

/// A port of the host
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Address; empty is every address
    pub address: String,
    /// First and last port; 0 is an ephemeral one
    pub ports: (u16, u16),
}

/// Words whose values a policy grants by a list, or by `true` and `false`
macro_rules! flags {
    ($($(#[$doc:meta])* $variant:ident $section:literal $key:literal $kind:ident $hint:literal;)*) => {
        /// A word of `docker run`, or of another command, that a policy grants
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flag { $($(#[$doc])* $variant,)* }

        impl Flag {
            /// Every flag
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Section of the policy file
            pub fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)* }
            }

            /// Key in the section
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            /// How it is granted
            pub fn grant(self) -> GrantKind {
                match self { $(Self::$variant => GrantKind::$kind,)* }
            }

            /// The way out, for who was refused
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

/// How a flag is granted
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// `true` or `false`
    Switch,
    /// A list of patterns in which `*` stands for any text
    Patterns,
}

flags! {
    /// All rights of the host
    Privileged "run" "privileged" Switch "run without --privileged; ask for the one capability or device you need";
    /// A capability beyond the default set, as `SYS_PTRACE`
    CapAdd "run" "cap_add" Patterns "run without the capability";
    /// A security option, as `seccomp=unconfined`
    SecurityOpt "run" "security_opt" Patterns "leave the engine's default in place";
    /// Kernel paths that are masked or read-only by default
    Systempaths "run" "systempaths" Patterns "leave the engine's default in place";
    /// A network, or a mode such as `host` or `container:ID`
    Network "run" "network" Patterns "use a network of your own: docker network create";
    /// A PID namespace that is not the container's own
    Pid "run" "pid" Patterns "leave --pid out";
    /// An IPC namespace that is not the container's own
    Ipc "run" "ipc" Patterns "leave --ipc out, or use `private` or `shareable`";
    /// The host's UTS namespace
    Uts "run" "uts" Patterns "leave --uts out; --hostname sets the name";
    /// The host's user namespace
    Userns "run" "userns" Patterns "leave --userns out";
    /// A cgroup namespace that is not the container's own
    Cgroupns "run" "cgroupns" Patterns "leave --cgroupns out, or use `private`";
    /// Another container's cgroup
    Cgroup "run" "cgroup" Patterns "leave it out";
    /// A host device
    Device "run" "device" Patterns "run without the device";
    /// A rule of the device cgroup
    DeviceCgroupRule "run" "device_cgroup_rule" Patterns "run without the rule";
    /// GPUs and CDI devices, as `nvidia:all`
    Gpus "run" "gpus" Patterns "run without --gpus";
    /// A host device whose block I/O is weighed or throttled
    BlkioDevice "run" "blkio_device" Patterns "leave the device limits out";
    /// Another container's mounts
    VolumesFrom "run" "volumes_from" Patterns "name the volumes you need";
    /// A volume driver other than `local`
    VolumeDriver "run" "volume_driver" Patterns "use the `local` driver";
    /// Options of a volume driver, as `type=none,o=bind,device=/`
    VolumeOpt "run" "volume_opt" Patterns "create the volume without driver options";
    /// Options of a tmpfs that widen it: `exec`, `suid`, `dev`
    Tmpfs "run" "tmpfs" Patterns "mount the tmpfs without the option";
    /// Make a missing bind source on the host
    CreateMountpoint "run" "create_mountpoint" Switch "make the directory first";
    /// Parent cgroup
    CgroupParent "run" "cgroup_parent" Patterns "leave --cgroup-parent out";
    /// OCI runtime
    Runtime "run" "runtime" Patterns "use the engine's default runtime";
    /// An OCI annotation, as `key=value`
    Annotation "run" "annotation" Patterns "use --label for your own data";
    /// A kernel parameter, as `net.core.somaxconn=1024`
    Sysctl "run" "sysctl" Patterns "run without the sysctl";
    /// A resource limit, as `nofile=1024:2048`
    Ulimit "run" "ulimit" Patterns "run without the ulimit";
    /// Never to be killed when memory runs out, or late
    Oom "run" "oom" Patterns "leave --oom-kill-disable and negative --oom-score-adj out";
    /// Real-time CPU time and swappiness
    Scheduling "run" "scheduling" Patterns "leave the scheduler options out";
    /// An option of the storage driver, as `size=10G`
    StorageOpt "run" "storage_opt" Patterns "leave --storage-opt out";
    /// A log driver
    LogDriver "run" "log_driver" Patterns "use `json-file`, `local` or `none`";
    /// An option of a log driver, as `max-size=10m`
    LogOpt "run" "log_opt" Patterns "use only `max-size` and `max-file`";
    /// A supplementary group
    GroupAdd "run" "group_add" Patterns "run without the group";
    /// A restart policy
    Restart "run" "restart" Patterns "let the job start it again";
    /// Every exposed port on an ephemeral host port
    PublishAll "run" "publish_all" Switch "publish the ports you need with -p";
    /// A link to another container
    Link "run" "link" Patterns "use a network of your own and container names";
    /// A line of `/etc/hosts`, as `name:address`
    AddHost "run" "add_host" Patterns "use DNS, or a container's name";
    /// A name server
    Dns "run" "dns" Patterns "use the engine's name servers";
    /// A static address
    Ip "run" "ip" Patterns "let the engine choose the address";
    /// A hardware address
    MacAddress "run" "mac_address" Patterns "let the engine choose the address";
    /// An option of a network attachment, as `key=value`
    NetworkOpt "run" "network_opt" Patterns "attach without driver options";
    /// A user, as `0` or `build:build`
    User "run" "user" Patterns "use a user the policy names";
    /// A working directory inside the container
    Workdir "run" "workdir" Patterns "use a directory that is not below /proc";
    /// `ps` arguments, which the engine runs on the host
    Top "container" "top" Patterns "use docker top without options, or with -o and columns";
    /// All capabilities for an exec
    ExecPrivileged "exec" "privileged" Switch "exec without --privileged";
    /// The user of an exec
    ExecUser "exec" "user" Patterns "use a user the policy names";
    /// A new network's driver
    NetworkDriver "network" "driver" Patterns "use the `bridge` driver";
    /// An option of a new network, as `com.docker.network.bridge.name=br0`
    NetworkCreateOpt "network" "opt" Patterns "create the network without the option";
    /// A new network's subnet or gateway
    Subnet "network" "subnet" Patterns "let the engine choose the subnet";
    /// A new network for swarm, or from another's configuration
    NetworkScope "network" "scope" Patterns "create a plain local network";
    /// A context, archive or file that the engine fetches from the host's network
    Remote "build" "remote" Patterns "fetch it yourself and send it: a context, an archive, a file for COPY";
    /// What a build gives its client in place of an image: `local`, `tar`, `oci`, `docker`
    Output "build" "output" Patterns "build an image: leave --output out";
    /// Images whose layers a build may reuse
    CacheFrom "build" "cache_from" Patterns "build without --cache-from";
    /// A build argument that changes the builder
    BuildArg "build" "arg" Patterns "build without the argument";
    /// A right of a build's steps, as `network.host`
    Entitlement "build" "entitlement" Patterns "build without --allow and --network=host";
    /// A cache that BuildKit reads, as `type=registry,ref=…`
    CacheImport "build" "cache_import" Patterns "build without --cache-from";
    /// A cache that BuildKit writes, as `type=inline`
    CacheTo "build" "cache_to" Patterns "build without --cache-to";
    /// The client's secrets in a build's steps
    Secrets "build" "secrets" Switch "build without --secret mounts";
    /// The client's SSH agent in a build's steps
    Ssh "build" "ssh" Switch "build without --ssh mounts";
    /// Containers of a build's own, in which its results are looked into
    Debug "build" "debug" Switch "run a container of the image: build without --invoke";
    /// A platform other than the engine's, as `linux/arm64`
    Platform "build" "platform" Patterns "build without --platform";
    /// What a build vouches for, as `provenance=mode=max`
    Attest "build" "attest" Patterns "build without --attest, --sbom and --provenance";
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(name) => f.write_str(name),
            Self::Image(image) => write!(f, "image {image}"),
            Self::Registry(host) => write!(f, "registry {host}"),
            Self::Frontend(image) => write!(f, "frontend {image}"),
            Self::Shadow(image) => write!(f, "a build context in the place of frontend {image}"),
            Self::Layout => f.write_str("an image out of the client's own files (oci-layout)"),
            Self::Raw(what) => f.write_str(what),
            Self::Elsewhere(what, name) => write!(f, "{what} `{}`, which is not one's own,", name.escape_debug()),
            Self::Mount(HostMount { source, access, propagation }) => {
                let access = if *access == Access::ReadOnly { "ro" } else { "rw" };
                let propagation = match propagation {
                    Propagation::Private => "",
                    Propagation::Slave => ",rslave",
                    Propagation::Shared => ",rshared",
                };
                write!(f, "host path {source} ({access}{propagation})")
            }
            Self::Publish(Publish { address, ports: (first, last) }) => {
                let address = if address.is_empty() { "*" } else { address };
                if first == last {
                    write!(f, "host port {address}:{first}")
                } else {
                    write!(f, "host ports {address}:{first}-{last}")
                }
            }
            Self::Flag(flag, value) if flag.grant() == GrantKind::Switch => {
                if value == "true" {
                    f.write_str(flag.key())
                } else {
                    write!(f, "{} {value}", flag.key())
                }
            }
            Self::Flag(flag, value) => write!(f, "{}={}", flag.key(), without_secrets(value)),
            Self::Builder => f.write_str("a privileged builder of one's own"),
            Self::SecondBuild => f.write_str("BuildKit by `/build?version=2`"),
            Self::FetchedContext(url) => {
                write!(f, "a build context that the engine fetches from {}", without_secrets(url))
            }
            Self::Unread(why) => write!(f, "a Dockerfile that is not understood ({why})"),
            Self::Foreign(object, name) => write!(f, "{} {name} of another owner", object.as_str()),
            Self::Taken(name, why) => write!(f, "image {name} ({why})"),
            Self::Borrowed(object, name) => write!(f, "{} {name}, which is there to be used,", object.as_str()),
            Self::ReservedLabel(key) => write!(f, "label {key}"),
            Self::Protected { source, what } => write!(f, "host path {source}: it {what}"),
            Self::Unclear { source, why } => write!(f, "host path {source}: {why}"),
            Self::Unseen { source, why } => write!(f, "host path {source} by its name: {why}"),
            Self::Quota(More { resource, asked, used, most, owner: _ }) => {
                let asked = asked.map_or_else(|| "no limit".to_owned(), |asked| resource.say(asked));
                write!(f, "{asked} on top of {used}, with a quota of {most}")
            }
            Self::Raise { resource, counted, asked } => {
                let asked = asked.map_or_else(|| "no limit".to_owned(), |asked| resource.say(asked));
                write!(f, "{asked} for a container that counts as {}", resource.say(*counted))
            }
            Self::Odd(kind, value) => write!(f, "{kind} `{}`", value.escape_debug()),
        }
    }
}

impl What {
    /// A stable word for the record, as `cap_add` or `mount`
    pub fn code(&self) -> &'static str {
        match self {
            Self::Operation(_) => "operation",
            Self::Image(_) => "image",
            Self::Registry(_) => "registry",
            Self::Frontend(_) => "frontend",
            Self::Shadow(_) => "shadow",
            Self::Layout => "layout",
            Self::Raw(_) => "raw",
            Self::Elsewhere(..) => "elsewhere",
            Self::Mount(_) => "mount",
            Self::Publish(_) => "publish",
            Self::Flag(Flag::ExecPrivileged, _) => "exec_privileged",
            Self::Flag(Flag::ExecUser, _) => "exec_user",
            Self::Flag(flag, _) => flag.key(),
            Self::Builder => "privileged",
            Self::SecondBuild => "builder",
            Self::FetchedContext(_) => "remote",
            Self::Unread(_) => "dockerfile",
            Self::Foreign(..) => "foreign",
            Self::Taken(..) => "taken",
            Self::Borrowed(..) => "borrowed",
            Self::ReservedLabel(_) => "reserved_label",
            Self::Protected { .. } => "protected",
            Self::Unclear { .. } => "unclear",
            Self::Unseen { .. } => "unseen",
            Self::Quota(_) | Self::Raise { .. } => "quota",
            Self::Odd(..) => "odd",
        }
    }
}

impl Object {
    /// The kind in the engine's words
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
        }
    }
}

/// A value as it is shown and recorded: options such as `password=…`, and what stands before the `@` of a URL, are masked
fn without_secrets(value: &str) -> String {
    let option = |option: &str| match option.rsplit_once('=') {
        Some((key, _)) if SECRETS.iter().any(|word| key.to_ascii_lowercase().contains(word)) => format!("{key}=***"),
        _ => option.to_owned(),
    };
    let masked = value.split(',').map(option).collect::<Vec<_>>().join(",");
    match masked.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@').filter(|(user, _)| !user.contains('/')) {
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => masked,
        },
        None => masked,
    }
}

/// Words in the key of an option whose value is nobody else's business
const SECRETS: &[&str] = &["pass", "secret", "token", "credential"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_options_and_urls_are_not_shown() {
        let shown = |flag, value: &str| What::Flag(flag, value.to_owned()).to_string();
        let cifs = "device=//host/share,o=addr=10.0.0.1,password=hunter2,type=cifs";
        assert_eq!(
            shown(Flag::VolumeOpt, cifs),
            "volume_opt=device=//host/share,o=addr=10.0.0.1,password=***,type=cifs"
        );
        assert_eq!(shown(Flag::Remote, "https://me:hunter2@host/x.tar"), "remote=https://***@host/x.tar");
        assert_eq!(shown(Flag::LogOpt, "splunk-token=hunter2"), "log_opt=splunk-token=***");
        assert_eq!(shown(Flag::AddHost, "db:10.0.0.1"), "add_host=db:10.0.0.1");
    }
}
