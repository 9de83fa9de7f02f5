//! One step of LLB. Its bytes go to the engine as they came, as their digest is its name; so they must have one reading.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::api::buildkit::llb::{Definition, Platform, SourceOp};
use crate::api::message::{Packed, read_message};
use crate::api::object::{At, Malformed};
use crate::message;

mod file;

pub use self::file::{
    Chown, DirMake, FileAction, FileCopy, FileLink, FileMake, FileOp, FileRemove, NamedUser, UserOpt,
};

/// Reads every step of a definition, one after the other
pub fn steps(definition: &Definition) -> impl Iterator<Item = Result<Op, Malformed>> {
    definition.def.iter().map(|bytes| Op::read(bytes.clone()))
}

message! {
    /// A step
    pub struct Op {
        /// Steps whose results it needs
        1 "inputs" => inputs: Vec<Input>,
        /// Runs a command
        2 "exec" => exec: Option<ExecOp>,
        /// Gets files from somewhere
        3 "source" => source: Option<SourceOp>,
        /// Copies, makes and removes files
        4 "file" => file: Option<FileOp>,
        /// Builds what another step says
        5 "build" => build: Option<BuildOp>,
        /// Puts results on top of each other
        6 "merge" => merge: Option<MergeOp>,
        /// Takes one result from another
        7 "diff" => diff: Option<DiffOp>,
        /// Hands results on (0.31)
        8 "passthrough" => passthrough: Option<PassthroughOp>,
        /// For which platform
        10 "platform" => platform: Option<Platform>,
        /// On which worker
        11 "constraints" => constraints: Option<WorkerConstraints>,
    }
}

impl Op {
    /// Reads a step; one that is two things at once is refused, as the engine takes the last
    ///
    /// # Errors
    /// Naming the first field that is not understood.
    pub fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let op: Self = read_message(bytes)?;
        let Self { inputs: _, exec, source, file, build, merge, diff, passthrough, platform: _, constraints: _ } = &op;
        let kinds = [
            exec.is_some(),
            source.is_some(),
            file.is_some(),
            build.is_some(),
            merge.is_some(),
            diff.is_some(),
            passthrough.is_some(),
        ];
        let twice = kinds.iter().filter(|is| **is).count() > 1;
        let action_twice = file.iter().flat_map(|file| &file.actions).any(FileAction::is_several);
        match twice || action_twice {
            true => Err(At::Body.malformed("several things at once")),
            false => Ok(op),
        }
    }
}

message! {
    /// A result that a step needs
    pub struct Input {
        /// Digest of the step
        1 "digest" => digest: String,
        /// Which of its results
        2 "index" => index: i64,
    }
}

message! {
    /// Runs a command
    pub struct ExecOp {
        /// The command and what surrounds it
        1 "meta" => meta: Option<Meta>,
        /// What is mounted
        2 "mounts" => mounts: Vec<Mount>,
        /// Network: 0 a sandbox, 1 the host's, 2 none
        3 "network" => network: i32,
        /// 0 confined, 1 all rights
        4 "security" => security: i32,
        /// Secrets as variables
        5 "secretenv" => secret_env: Vec<SecretEnv>,
        /// Devices (0.20)
        6 "cdiDevices" => cdi_devices: Vec<CdiDevice>,
    }
}

message! {
    /// A command and what surrounds it
    pub struct Meta {
        /// Words
        1 "args" => args: Vec<String>,
        /// Variables
        2 "env" => env: Vec<String>,
        /// Directory
        3 "cwd" => cwd: String,
        /// User
        4 "user" => user: String,
        /// Proxies
        5 "proxy_env" => proxy_env: Option<ProxyEnv>,
        /// Lines of `/etc/hosts`
        6 "extraHosts" => extra_hosts: Vec<HostIp>,
        /// Name of the host
        7 "hostname" => hostname: String,
        /// Limits
        9 "ulimit" => ulimit: Vec<StepUlimit>,
        /// Parent cgroup
        10 "cgroupParent" => cgroup_parent: String,
        /// Leave no mount points (0.13)
        11 "removeMountStubsRecursive" => remove_mount_stubs: bool,
        /// Statuses that are no failure (0.14)
        12 "validExitCodes" => valid_exit_codes: Packed,
    }
}

message! {
    /// Proxies, as variables that are no part of the result
    pub struct ProxyEnv {
        /// For HTTP
        1 "http_proxy" => http: String,
        /// For HTTPS
        2 "https_proxy" => https: String,
        /// For FTP
        3 "ftp_proxy" => ftp: String,
        /// Where none is used
        4 "no_proxy" => none: String,
        /// For all
        5 "all_proxy" => all: String,
    }
}

message! {
    /// A line of `/etc/hosts`
    pub struct HostIp {
        /// Name
        1 "Host" => host: String,
        /// Address
        2 "IP" => ip: String,
    }
}

message! {
    /// A limit
    pub struct StepUlimit {
        /// As `nofile`
        1 "Name" => name: String,
        /// Soft limit
        2 "Soft" => soft: i64,
        /// Hard limit
        3 "Hard" => hard: i64,
    }
}

message! {
    /// A secret as a variable
    pub struct SecretEnv {
        /// The client's name for it
        1 "ID" => id: String,
        /// The variable
        2 "name" => name: String,
        /// Whether it may be missing
        3 "optional" => optional: bool,
    }
}

message! {
    /// A device
    pub struct CdiDevice {
        /// As `vendor.com/gpu=all`
        1 "name" => name: String,
        /// Whether it may be missing
        2 "optional" => optional: bool,
    }
}

message! {
    /// A mount
    pub struct Mount {
        /// Which input; -1 is none
        1 "input" => input: i64,
        /// Path in it
        2 "selector" => selector: String,
        /// Path in the step
        3 "dest" => dest: String,
        /// Which result it becomes; -1 is none
        4 "output" => output: i64,
        /// Read-only
        5 "readonly" => readonly: bool,
        /// 0 an input, 1 a secret, 2 an agent, 3 a cache, 4 a tmpfs
        6 "mountType" => mount_type: i32,
        /// Of a tmpfs
        19 "TmpfsOpt" => tmpfs: Option<TmpfsOpt>,
        /// Of a cache
        20 "cacheOpt" => cache: Option<CacheOpt>,
        /// Of a secret
        21 "secretOpt" => secret: Option<SecretOpt>,
        /// Of an agent
        22 "SSHOpt" => ssh: Option<SshOpt>,
        /// Result in a container; of no meaning for steps
        23 "resultID" => result_id: String,
        /// Whether its content is a key of the cache (0.16)
        24 "contentCache" => content_cache: i32,
    }
}

message! {
    /// A tmpfs
    pub struct TmpfsOpt {
        /// Bytes
        1 "size" => size: i64,
    }
}

message! {
    /// A cache that outlives the build
    pub struct CacheOpt {
        /// Its name, which all builds of an engine share
        1 "ID" => id: String,
        /// 0 shared, 1 private, 2 locked
        2 "sharing" => sharing: i32,
    }
}

message! {
    /// A secret as a file
    pub struct SecretOpt {
        /// The client's name for it
        1 "ID" => id: String,
        /// Owner
        2 "uid" => uid: u32,
        /// Group
        3 "gid" => gid: u32,
        /// Mode
        4 "mode" => mode: u32,
        /// Whether it may be missing
        5 "optional" => optional: bool,
    }
}

message! {
    /// The client's SSH agent
    pub struct SshOpt {
        /// The client's name for it
        1 "ID" => id: String,
        /// Owner
        2 "uid" => uid: u32,
        /// Group
        3 "gid" => gid: u32,
        /// Mode
        4 "mode" => mode: u32,
        /// Whether it may be missing
        5 "optional" => optional: bool,
    }
}

message! {
    /// Builds what another step, or a definition within, says
    pub struct BuildOp {
        /// Who builds; -1 is BuildKit
        1 "builder" => builder: i64,
        /// Inputs by name
        2 "inputs" => inputs: BTreeMap<String, BuildInput>,
        /// The definition
        3 "def" => definition: Option<Definition>,
        /// As `llb.filename`
        4 "attrs" => attrs: BTreeMap<String, String>,
    }
}

message! {
    /// An input of a build in a build
    pub struct BuildInput {
        /// Which
        1 "input" => input: i64,
    }
}

message! {
    /// Puts results on top of each other
    pub struct MergeOp {
        /// They
        1 "inputs" => inputs: Vec<MergeInput>,
    }
}

message! {
    /// One of them
    pub struct MergeInput {
        /// Which
        1 "input" => input: i64,
    }
}

message! {
    /// Takes one result from another
    pub struct DiffOp {
        /// What is taken away
        1 "lower" => lower: Option<DiffInput>,
        /// From which
        2 "upper" => upper: Option<DiffInput>,
    }
}

message! {
    /// One of both
    pub struct DiffInput {
        /// Which; -1 is an empty one
        1 "input" => input: i64,
    }
}

message! {
    /// Hands results on
    pub struct PassthroughOp {
        /// Its name
        1 "id" => id: String,
        /// Which inputs become results
        2 "outputs" => outputs: Packed,
    }
}

message! {
    /// On which worker a step may run
    pub struct WorkerConstraints {
        /// Filters of containerd's kind
        1 "filter" => filter: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::api::message::{Message as _, write_message};

    /// A step for each field that a step can have, with the name of the field
    fn samples() -> Vec<(String, Vec<u8>)> {
        let mut fields = Vec::new();
        Op::describe("", &|message| message, &mut fields);
        fields.into_iter().map(|field| (field.path, field.message)).collect()
    }

    #[test]
    fn every_field_of_a_step_is_read_and_written_the_same() {
        let samples = samples();
        assert!(samples.len() > 100, "{}", samples.len());
        for (path, bytes) in samples {
            let op = Op::read(bytes.clone().into()).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(write_message(&op), bytes, "{path}");
        }
    }

    #[test]
    fn a_step_is_one_thing() {
        let kinds = ["exec.", "source.", "file.", "build.", "merge.", "diff.", "passthrough."];
        let samples = samples();
        let of = |kind: &str| samples.iter().find(|(path, _)| path.starts_with(kind)).unwrap().1.clone();
        for (index, one) in kinds.iter().enumerate() {
            for other in kinds.iter().skip(index + 1) {
                let error = Op::read([of(one), of(other)].concat().into()).unwrap_err();
                assert_eq!(error.to_string(), "body: several things at once", "{one} {other}");
            }
        }
        let copy_and_remove = b"\x22\x06\x12\x04\x22\x00\x3a\x00";
        assert!(Op::read(Bytes::from_static(copy_and_remove)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_bent_is_refused_or_has_one_reading(
            picks in proptest::collection::vec(any::<Index>(), 1..4),
            bends in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        ) {
            let samples = samples();
            let mut bytes: Vec<u8> = picks.iter().flat_map(|pick| pick.get(&samples).1.clone()).collect();
            for (at, byte) in bends {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(op) = Op::read(bytes.into()) {
                let again = write_message(&op);
                prop_assert_eq!(Op::read(again.into()), Ok(op));
            }
        }
    }
}
