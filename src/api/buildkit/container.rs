//! Messages of `moby.buildkit.v1.frontend.LLBBridge` about containers of a build's own, which `buildx debug` looks into
//! results with (BuildKit 0.8 to 0.26).

use bytes::Bytes;

use crate::api::buildkit::llb::Platform;
use crate::api::buildkit::op::{HostIp, Meta, Mount, SecretEnv, WorkerConstraints};
use crate::api::message::{Packed, read_message};
use crate::api::object::{At, Malformed};
use crate::message;

message! {
    /// `NewContainerRequest`: results of the build, mounted
    pub struct NewContainer {
        /// Its name within the build, chosen by the client
        1 "ContainerID" => container_id: String,
        /// What is mounted; results by their names within the build
        2 "Mounts" => mounts: Vec<Mount>,
        /// Network: 0 a sandbox, 1 the host's, 2 none
        3 "Network" => network: i32,
        /// For which platform
        4 "platform" => platform: Option<Platform>,
        /// On which worker
        5 "constraints" => constraints: Option<WorkerConstraints>,
        /// Lines of `/etc/hosts`
        6 "extraHosts" => extra_hosts: Vec<HostIp>,
        /// Name of the host
        7 "hostname" => hostname: String,
    }
}

message! {
    /// `ReleaseContainerRequest`: its end
    pub struct ReleaseContainer {
        /// Its name within the build
        1 "ContainerID" => container_id: String,
    }
}

message! {
    /// `ExecMessage`, as clients say it to the processes in a build's containers; engines have others
    pub struct ExecMessage {
        /// Name of the process on its stream, chosen by the client
        1 "ProcessID" => process_id: String,
        /// Starts it
        2 "Init" => init: Option<Init>,
        /// Bytes for one of its files
        3 "File" => file: Option<FileData>,
        /// The size of its terminal
        4 "Resize" => resize: Option<Resize>,
        /// A signal (0.11)
        8 "Signal" => signal: Option<Signal>,
    }
}

impl ExecMessage {
    /// Reads one that says one thing; of several the engine takes the last
    ///
    /// # Errors
    /// Naming what is not understood.
    pub fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let message: Self = read_message(bytes)?;
        let Self { process_id: _, init, file, resize, signal } = &message;
        match [init.is_some(), file.is_some(), resize.is_some(), signal.is_some()].iter().filter(|is| **is).count() {
            0 => Err(At::Body.malformed("nothing that is said to a process")),
            1 => Ok(message),
            _ => Err(At::Body.malformed("several things at once")),
        }
    }
}

message! {
    /// `InitMessage`: a process in a container
    pub struct Init {
        /// The container's name within the build
        1 "ContainerID" => container_id: String,
        /// The command and what surrounds it
        2 "Meta" => meta: Option<Meta>,
        /// Files that are open in it
        3 "Fds" => fds: Packed,
        /// Whether it has a terminal
        4 "Tty" => tty: bool,
        /// 0 confined, 1 all rights
        5 "Security" => security: i32,
        /// Secrets as variables (0.13)
        6 "secretenv" => secret_env: Vec<SecretEnv>,
    }
}

message! {
    /// `FdMessage`: bytes of a file
    pub struct FileData {
        /// Which
        1 "Fd" => fd: u32,
        /// Whether it ends
        2 "EOF" => eof: bool,
        /// The bytes
        3 "Data" => data: Bytes,
    }
}

message! {
    /// `ResizeMessage`: the size of a terminal
    pub struct Resize {
        /// Rows
        1 "Rows" => rows: u32,
        /// Columns
        2 "Cols" => cols: u32,
    }
}

message! {
    /// `SignalMessage`
    pub struct Signal {
        /// As `SIGTERM`
        1 "Name" => name: String,
    }
}
