//! What a caller has at a path: the mount that its own file system has there, or a host path inside one of its mounts.

use crate::api::bind::HostPath;
use crate::caller::CallerMount;

/// A path inside one of the caller's mounts
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within<'a> {
    /// The mount
    pub mount: &'a CallerMount,
    /// The path inside it, without a slash at its ends; empty is all of it
    pub rest: String,
}

/// The mount in which a path lies as the caller sees it, or else as the host does
///
/// A path that a mount of no source covers, such as a tmpfs, is nobody else's to have.
pub fn within<'a>(mounts: &'a [CallerMount], path: &HostPath) -> Option<Within<'a>> {
    let seen = mounts.iter().filter_map(|mount| Some((mount, rest(path, &mount.destination)?)));
    let sources = mounts.iter().filter_map(|mount| Some((mount, rest(path, &mount.root()?)?)));
    // The longest destination, and so the shortest rest, covers the others.
    let (mount, rest) =
        seen.min_by_key(|(_, rest)| rest.len()).or_else(|| sources.min_by_key(|(_, rest)| rest.len()))?;
    (mount.source.is_some() || mount.volume.is_some()).then_some(Within { mount, rest })
}

/// What the caller has, in words: `/builds, /cache (ro)`
pub fn in_words(mounts: &[CallerMount]) -> String {
    let given = mounts.iter().filter(|mount| mount.source.is_some() || mount.volume.is_some());
    let mut words: Vec<String> = given
        .map(|CallerMount { destination, writable, .. }| {
            format!("{destination}{}", if *writable { "" } else { " (ro)" })
        })
        .collect();
    words.sort();
    match words.as_slice() {
        [] => "nothing else mounted".to_owned(),
        words => words.join(", "),
    }
}

impl CallerMount {
    /// What is mounted, as a path of the host
    pub fn root(&self) -> Option<HostPath> {
        self.source.as_ref().and_then(|source| join(source, &self.subpath))
    }
}

impl Within<'_> {
    /// The path as the host has it
    pub fn host_path(&self) -> Option<HostPath> {
        self.mount.root().and_then(|root| join(&root, &self.rest))
    }

    /// The path inside the volume, where it is one
    pub fn subpath(&self) -> String {
        let parts = [self.mount.subpath.as_str(), self.rest.as_str()];
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
    }
}

/// A path inside another; what would lead out of it is none
fn join(root: &HostPath, below: &str) -> Option<HostPath> {
    let joined = HostPath::parse(&format!("{root}/{below}"))?;
    rest(&joined, root).map(|_| joined)
}

/// What of a path comes after a directory that holds it
fn rest(path: &HostPath, directory: &HostPath) -> Option<String> {
    let rest = path.as_str().strip_prefix(directory.as_str())?;
    let whole = rest.is_empty() || rest.starts_with('/') || directory.as_str() == "/";
    whole.then(|| rest.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> HostPath {
        HostPath::parse(text).unwrap()
    }

    fn mount(destination: &str, source: Option<&str>, volume: Option<&str>, writable: bool) -> CallerMount {
        CallerMount {
            destination: path(destination),
            source: source.map(path),
            volume: volume.map(str::to_owned),
            subpath: String::new(),
            writable,
        }
    }

    fn job() -> Vec<CallerMount> {
        let part = CallerMount { subpath: "a/b".to_owned(), ..mount("/part", Some("/data/v/_data"), Some("v"), true) };
        vec![
            mount("/builds", Some("/srv/runner/builds"), None, true),
            mount("/builds/cache", Some("/srv/cache"), None, false),
            mount("/builds/tmp", None, None, true),
            mount("/data", Some("/data/w/_data"), Some("w"), true),
            part,
        ]
    }

    fn found(asked: &str) -> Option<(String, String, bool)> {
        let mounts = job();
        let within = within(&mounts, &path(asked))?;
        Some((within.host_path().unwrap().to_string(), within.subpath(), within.mount.writable))
    }

    #[test]
    fn a_path_is_looked_up_where_the_caller_sees_it_and_then_where_the_host_does() {
        for (asked, host, subpath, writable) in [
            ("/builds", "/srv/runner/builds", "", true),
            ("/builds/a/b", "/srv/runner/builds/a/b", "a/b", true),
            ("/builds/cache/x", "/srv/cache/x", "x", false),
            ("/builds/cachet", "/srv/runner/builds/cachet", "cachet", true),
            ("/srv/runner/builds/a", "/srv/runner/builds/a", "a", true),
            ("/srv/cache", "/srv/cache", "", false),
            ("/data/x", "/data/w/_data/x", "x", true),
            ("/part/x", "/data/v/_data/a/b/x", "a/b/x", true),
        ] {
            assert_eq!(found(asked), Some((host.to_owned(), subpath.to_owned(), writable)), "{asked}");
        }
    }

    #[test]
    fn what_the_caller_does_not_have_is_not_found() {
        for asked in ["/", "/srv", "/srv/runner", "/srv/runner/build", "/etc", "/builds/tmp", "/builds/tmp/x", "/build"]
        {
            assert_eq!(found(asked), None, "{asked}");
        }
        // The rest of a volume of which the caller has a part: `/data` hides it, and so it must without.
        let part: Vec<_> = job().into_iter().filter(|mount| mount.destination == path("/part")).collect();
        for asked in ["/data/v/_data", "/data/v/_data/a", "/data/v/_data/a/c"] {
            assert_eq!(within(&part, &path(asked)), None, "{asked}");
        }
        assert_eq!(within(&part, &path("/data/v/_data/a/b/c")).unwrap().subpath(), "a/b/c");
        let out = CallerMount { subpath: "../x".to_owned(), ..part[0].clone() };
        assert_eq!(within(&[out], &path("/part")).unwrap().host_path(), None);
    }

    #[test]
    fn it_is_told_what_the_caller_has() {
        assert_eq!(in_words(&job()), "/builds, /builds/cache (ro), /data, /part");
        assert_eq!(in_words(&[]), "nothing else mounted");
    }

    fn paths() -> impl Strategy<Value = HostPath> {
        proptest::collection::vec(prop_oneof!["[ab]", Just("..".to_owned())], 0..5)
            .prop_map(|parts| path(&format!("/{}", parts.join("/"))))
    }

    prop_compose! {
        fn mounts()(all in proptest::collection::vec(
            (paths(), proptest::option::of(paths()), proptest::option::of("[ab]"), "[ab]?", any::<bool>()), 0..5,
        )) -> Vec<CallerMount> {
            let mount = |(destination, source, volume, subpath, writable)| {
                CallerMount { destination, source, volume, subpath, writable }
            };
            all.into_iter().map(mount).collect()
        }
    }

    proptest! {
        #[test]
        fn what_is_found_lies_in_a_mount_of_the_callers_and_is_no_more_writable(mounts in mounts(), asked in paths()) {
            let Some(within) = within(&mounts, &asked) else { return Ok(()) };
            prop_assert!(mounts.contains(within.mount));
            if let Some(host) = within.host_path() {
                let root = within.mount.root().unwrap();
                prop_assert!(std::path::Path::new(host.as_str()).starts_with(root.as_str()));
                prop_assert_eq!(HostPath::parse(host.as_str()), Some(host));
            }
            // No mount that the caller sees in the way is passed over.
            let covers = |mount: &&CallerMount| std::path::Path::new(asked.as_str()).starts_with(mount.destination.as_str());
            let covering = mounts.iter().filter(covers).map(|mount| mount.destination.as_str().len()).max();
            if let Some(longest) = covering {
                prop_assert_eq!(within.mount.destination.as_str().len(), longest);
            }
        }
    }
}
