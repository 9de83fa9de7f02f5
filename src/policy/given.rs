//! What a container is given because its caller has it itself, and our socket in the place of an engine's.
//!
//! What a caller has is found by whoever knows it; here is what a policy says of it and what becomes of the request.

use crate::api::bind::HostPath;
use crate::api::names::VolumeName;
use crate::api::operation::Operation;
use crate::policy::ask::{Access, Ask, HostMount, Propagation, What};
use crate::policy::asks::asks;
use crate::policy::judge::Refusal;
use crate::policy::{Line, Policy};

/// What stands behind a host path of the request
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Field, as `HostConfig.Binds[0]` or `HostConfig.Mounts[0].Source`
    pub field: String,
    /// As the client named it
    pub asked: HostPath,
    /// What it is
    pub means: Means,
}

/// What a host path of the request means
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// An engine's socket: this one, ours, takes its place
    Socket(HostPath),
    /// A path inside one of the caller's own mounts; the host's name of it stands in the operation already
    Path {
        /// Whether the caller can write there
        writable: bool,
    },
    /// A volume that is mounted in the caller, or a part of it
    Volume {
        /// Its name
        name: VolumeName,
        /// The part; empty is all of it
        subpath: String,
        /// Whether the caller can write there
        writable: bool,
    },
}

impl Given {
    /// The line of the policy that gives it
    pub(super) fn line<'a>(&self, policy: &'a Policy) -> Option<&'a Line> {
        match self.means {
            Means::Socket(_) => policy.socket.as_ref(),
            Means::Path { .. } | Means::Volume { .. } => policy.caller.as_ref(),
        }
    }

    /// Whether the caller can write there
    fn writable(&self) -> bool {
        match self.means {
            Means::Socket(_) => true,
            Means::Path { writable } | Means::Volume { writable, .. } => writable,
        }
    }

    /// Whether it must be lowered to read-only: the caller cannot write there, and no line of the policy grants more
    pub(super) fn is_lowered(&self, policy: &Policy, operation: &Operation) -> bool {
        let this = |Ask { what, field }: Ask| match what {
            What::Mount(mount) if field == self.field => Some(mount),
            _ => None,
        };
        let by_line = |mount: &HostMount| policy.mounts.allow.iter().any(|(pattern, _)| pattern.grants(mount));
        let mount = asks(operation).into_iter().find_map(this);
        !self.writable() && mount.is_some_and(|mount| mount.access > Access::ReadOnly && !by_line(&mount))
    }
}

/// Every bind of an engine's socket by one of `names`, with `ours` to take its place
pub fn sockets(operation: &Operation, names: &[HostPath], ours: &HostPath) -> Vec<Given> {
    let named = operation.host_paths().into_iter().filter(|(_, path)| names.contains(path));
    named.map(|(field, asked)| Given { field, asked, means: Means::Socket(ours.clone()) }).collect()
}

/// What clients call the engine's socket, wherever it really is
pub fn usual_names() -> Vec<HostPath> {
    ["/var/run/docker.sock", "/run/docker.sock"].into_iter().filter_map(HostPath::parse).collect()
}

/// The word of a policy on a mount, once its lines were heard: what forbids it stays, what the caller has is granted
pub(super) fn granted(
    policy: &Policy,
    mount: &HostMount,
    given: Option<&Given>,
    has: Option<&str>,
    by_lines: Result<Line, Refusal>,
) -> Result<Line, Refusal> {
    let refused = |why: String| Refusal { line: None, why };
    match (by_lines, given) {
        // Nothing of the host is mounted, so no line about the host's paths is about this.
        (by_lines, Some(given @ Given { means: Means::Socket(_), .. })) => {
            given.line(policy).cloned().map_or(by_lines, Ok)
        }
        // The caller's own mounts are private unless somebody made them otherwise, which nobody tells us.
        (Err(Refusal { line: None, .. }), Some(_)) if mount.propagation > Propagation::Private => {
            Err(refused("the caller's own mount is private: leave the propagation out".to_owned()))
        }
        (Err(Refusal { line: None, why }), Some(given)) => given.line(policy).cloned().ok_or_else(|| refused(why)),
        (Err(Refusal { line: None, .. }), None) if has.is_some() => {
            let path = &mount.source;
            let has = has.unwrap_or_default();
            Err(refused(format!(
                "`{path}` is inside the job container's own file system, which the engine cannot mount; it has {has}"
            )))
        }
        (by_lines, _) => by_lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names::Name as _;
    use crate::policy::command::{Asked, asked};
    use crate::policy::compile::compile;
    use crate::policy::file::Request;
    use crate::policy::judge::{Decision, Facts, Most, Verdict, judge};

    fn operation(line: &str) -> Operation {
        let mut asked = asked(&Request::Command(line.to_owned())).unwrap();
        match asked.swap_remove(0) {
            Asked::Operation(operation) => *operation,
            Asked::Closed(closed) => panic!("{closed:?}"),
        }
    }

    fn path(text: &str) -> HostPath {
        HostPath::parse(text).unwrap()
    }

    /// What becomes of a command whose host paths, one after the other, mean this
    fn judged(policy: &str, line: &str, means: &[Means]) -> (String, Verdict) {
        let policy = compile("p", &format!("extends = 'ci'\n{policy}")).unwrap_or_else(|report| panic!("{report}"));
        let operation = operation(line);
        let paths = operation.host_paths().into_iter().zip(means);
        let given = paths.map(|((field, asked), means)| Given { field, asked, means: means.clone() }).collect();
        let facts = Facts { given, has: Some("/builds".to_owned()), ..Facts::default() };
        let (operation, verdict) = judge(&policy, operation, &facts);
        (sent(&operation), verdict)
    }

    fn sent(operation: &Operation) -> String {
        let Operation::ContainerCreate(request) = operation else { panic!("{operation:?}") };
        let settings = &request.body.0.host_config.as_ref().unwrap().settings;
        let mut words: Vec<String> = settings.binds.iter().flatten().map(ToString::to_string).collect();
        words.extend(settings.mounts.iter().flatten().map(|mount| format!("{:?}", mount.get())));
        words.join(" ")
    }

    const WRITABLE: Means = Means::Path { writable: true };
    const READ_ONLY: Means = Means::Path { writable: false };

    fn volume(subpath: &str, writable: bool) -> Means {
        Means::Volume { name: VolumeName::parse("v").unwrap(), subpath: subpath.to_owned(), writable }
    }

    #[test]
    fn what_the_caller_has_is_granted_and_never_more_writable() {
        let changes = |verdict: &Verdict| -> Vec<String> {
            let line = |line: &Option<Line>| line.as_ref().map_or(String::new(), |line| line.file.to_string());
            let change = |change: &crate::policy::modify::Change| format!("{} by {}", change.to, line(&change.line));
            verdict.changes.iter().map(change).collect()
        };
        let (sent, verdict) = judged("", "docker run -v /b:/x alpine", &[WRITABLE]);
        assert_eq!((sent.as_str(), verdict.decision), ("/b:/x", Decision::Allow));
        for mode in ["", ":rw", ":z", ":rw,Z"] {
            let (sent, verdict) = judged("", &format!("docker run -v /b:/x{mode} alpine"), &[READ_ONLY]);
            assert_eq!((sent.as_str(), changes(&verdict)), ("/b:/x:ro", vec!["ro by ci".to_owned()]), "{mode}");
        }
        let (sent, _) = judged("", "docker run --mount type=bind,src=/b,dst=/x alpine", &[READ_ONLY]);
        assert!(sent.contains("read_only: true"), "{sent}");
        // What a line grants beyond that stays.
        let allowed = "mounts.allow = [{ source = '/b', access = 'rw' }]";
        assert_eq!(judged(allowed, "docker run -v /b:/x alpine", &[READ_ONLY]).0, "/b:/x");
        let (_, verdict) = judged("mounts.forbid = ['/b']", "docker run -v /b:/x alpine", &[WRITABLE]);
        assert_eq!(verdict.decision, Decision::Deny, "forbid wins");
        let (_, verdict) = judged("", "docker run -v /b:/x:rslave alpine", &[WRITABLE]);
        assert_eq!(verdict.decision, Decision::Deny, "the host's later mounts are not the caller's");
        let (_, verdict) = judged("mounts.caller = false", "docker run -v /b:/x alpine", &[WRITABLE]);
        assert_eq!(verdict.decision, Decision::Deny);
    }

    #[test]
    fn who_asks_for_something_else_is_told_what_there_is() {
        let (_, verdict) = judged("", "docker run -v /b:/x -v /other:/y alpine", &[WRITABLE]);
        let refused: Vec<_> =
            verdict.refused().map(|(ask, refusal)| (ask.field.as_str(), refusal.why.as_str())).collect();
        let why =
            "`/other` is inside the job container's own file system, which the engine cannot mount; it has /builds";
        assert_eq!(refused, [("HostConfig.Binds[1]", why)]);
    }

    #[test]
    fn a_volume_takes_the_place_of_a_path_and_the_others_keep_theirs() {
        let line = "docker run -v /p:/p:ro -v own:/o -v /w:/w -v /b:/b:ro alpine";
        let (sent, verdict) = judged("", line, &[volume("sub/dir", true), volume("", false), WRITABLE]);
        let (binds, mounts) = sent.split_once(" Mount").unwrap();
        assert_eq!(binds, "own:/o v:/w:ro,nocopy /b:/b:ro");
        for part in ["kind: \"volume\"", "source: \"v\"", "target: \"/p\"", "read_only: true", "subpath: \"sub/dir\""] {
            assert!(mounts.contains(part), "{part}: {mounts}");
        }
        assert!(mounts.contains("no_copy: true"), "a volume would be filled from the image: {mounts}");
        let told: Vec<_> = verdict.changes.iter().map(|change| (change.from.as_str(), change.to.as_str())).collect();
        assert_eq!(told, [("rw", "ro"), ("/w", "volume v"), ("/p", "volume v, sub/dir in it")]);
    }

    #[test]
    fn our_socket_takes_the_place_of_the_engines_whatever_is_said_of_host_paths() {
        let socket = [Means::Socket(path("/run/ours.sock"))];
        let policy = "mounts.forbid = ['/**']";
        for (mode, sent) in [("", ""), (":ro", ":ro"), (":z", ""), (":rw,rshared", "")] {
            let (got, verdict) = judged(policy, &format!("docker run -v /run/docker.sock:/s{mode} alpine"), &socket);
            assert_eq!((got, verdict.decision), (format!("/run/ours.sock:/s{sent}"), Decision::Modify), "{mode}");
        }
        let line = "docker run --mount type=bind,src=/run/docker.sock,dst=/s,bind-propagation=rshared alpine";
        let (got, _) = judged(policy, line, &socket);
        assert!(got.contains("source: \"/run/ours.sock\"") && got.contains("bind_options: None"), "{got}");
        let (_, verdict) = judged("mounts.socket = false", "docker run -v /run/docker.sock:/s alpine", &socket);
        assert_eq!(verdict.decision, Decision::Deny);
    }

    #[test]
    fn only_the_socket_itself_is_named() {
        let ours = path("/run/ours.sock");
        let named = |line: &str| sockets(&operation(line), &usual_names(), &ours).len();
        assert_eq!(named("docker run -v /var/run/docker.sock:/a -v /run//docker.sock:/b alpine"), 2);
        for other in ["/var/run", "/run", "/run/docker.sock/x", "/run/docker.socket", "/", "docker.sock"] {
            assert_eq!(named(&format!("docker run -v {other}:/a alpine")), 0, "{other}");
        }
    }

    #[test]
    fn a_child_gets_no_more_than_the_caller_or_the_policy() {
        let most = Most { memory: Some(1 << 30), nano_cpus: Some(1_000_000_000), pids: Some(50) };
        let limits = |policy: &str, line: &str| {
            let policy = compile("p", &format!("extends = 'ci'\n{policy}")).unwrap_or_else(|report| panic!("{report}"));
            let (operation, _) = judge(&policy, operation(line), &Facts { most, ..Facts::default() });
            let resources = match operation {
                Operation::ContainerCreate(request) => request.body.0.host_config.unwrap().resources,
                Operation::ContainerUpdate(request) => request.body.0.resources,
                other => panic!("{other:?}"),
            };
            (resources.memory >> 20, resources.nano_cpus / 1_000_000, resources.cpu_quota, resources.pids_limit)
        };
        assert_eq!(limits("", "docker run alpine"), (1024, 1000, 0, Some(50)));
        assert_eq!(limits("", "docker run -m 2g --cpu-quota 300000 alpine"), (1024, 0, 100_000, Some(50)));
        assert_eq!(limits("", "docker run -m 1m --cpus 0.5 --pids-limit 3 alpine"), (1, 500, 0, Some(3)));
        let lower = "limits.memory = '512m'\nlimits.pids = 90";
        assert_eq!(limits(lower, "docker run alpine"), (512, 1000, 0, Some(50)));
        assert_eq!(limits("limits.caller = false", "docker run -m 2g alpine"), (2048, 0, 0, None));
        // `ci` forbids updates; where they are allowed they raise nothing.
        let update = |text: &str| {
            let policy = compile("p", &format!("allow = ['container.update']\n{text}")).unwrap();
            let facts = Facts { most, ..Facts::default() };
            let (operation, _) = judge(&policy, operation("docker update -m 2g --pids-limit -1 web"), &facts);
            let Operation::ContainerUpdate(request) = operation else { panic!() };
            (request.body.0.resources.memory >> 20, request.body.0.resources.pids_limit)
        };
        assert_eq!(update("limits.caller = true"), (1024, Some(50)));
        assert_eq!(update(""), (2048, Some(-1)));
    }
}
