//! What a caller may see and use beyond what is its owner's own: its own container, what that is attached to, what all
//! share.

use crate::caller::CallerMount;
use crate::exchange::Who;
use crate::owner::Owner;
use crate::policy::ask::Object;
use crate::policy::cache::Cache;
use crate::policy::references::{Purpose, is_predefined};
use crate::policy::view::{View, is_reserved, is_whole_id};
use crate::policy::{Policy, TextPattern};

/// Who looks, and under which policy
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The caller and its owner
    pub who: &'a Who,
    /// The policy
    pub policy: &'a Policy,
}

/// Whose an object is to a caller
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its owner's own
    Own,
    /// There to be seen and used, up to this purpose
    Borrowed(Purpose),
    /// Somebody else's: it does not exist
    Foreign,
}

/// What is known of an object
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What it is
    pub object: Object,
    /// Full id; of a volume its name
    pub id: &'a str,
    /// Name on the engine
    pub name: &'a str,
    /// Its label
    pub owner: Option<&'a str>,
}

impl<'a> Sight<'a> {
    /// The owner's own names; none where names are everybody's
    pub fn view(&self, unnamed: &str) -> Option<View> {
        let owner = &self.who.owner;
        let view = || View::new(owner.name(), owner.tag(), unnamed).borrowing_volumes(self.borrows_volumes());
        self.policy.gives_views().then(view)
    }

    /// The word that parts the build caches of this owner, or of its job's project, from those of others
    pub fn cache(&self) -> Option<String> {
        let Who { caller, owner } = self.who;
        let project = || caller.project.as_ref().map(|project| Owner::new(&format!("project:{project}")));
        let of = match self.policy.cache {
            Cache::Own => Some(owner.clone()),
            Cache::Group => Some(project().unwrap_or_else(|| owner.clone())),
            Cache::Shared => None,
        };
        of.filter(|_| self.policy.gives_views()).map(|owner| owner.tag().to_owned())
    }

    /// Whose an object is
    pub fn standing(&self, seen: Seen<'_>) -> Standing {
        if seen.owner == Some(&**self.who.owner.name()) {
            return Standing::Own;
        }
        let container = self.who.caller.container.as_ref();
        let borrowed = match seen.object {
            Object::Container => container.is_some_and(|own| own.id == seen.id).then_some(Purpose::Use),
            Object::Network => {
                let attached = container.is_some_and(|own| own.networks.iter().any(|(_, id)| id == seen.id));
                let shared = is_predefined(seen.name) || matches(&self.policy.share.networks, seen.name);
                (attached || shared).then_some(Purpose::Use)
            }
            Object::Volume if matches(&self.policy.share.volumes, seen.name) => Some(Purpose::Write),
            Object::Volume => {
                let attached = || container.into_iter().flat_map(|own| &own.mounts);
                // Who has a part of a volume has not all of it.
                let whole = |mount: &&CallerMount| mount.subpath.is_empty();
                let mut attached = attached().filter(whole).filter(|mount| mount.volume.as_deref() == Some(seen.name));
                // Writable in one place is writable.
                attached.next().map(|first| {
                    let writable = first.writable || attached.any(|mount| mount.writable);
                    if writable { Purpose::Write } else { Purpose::Use }
                })
            }
            Object::Image => Some(Purpose::Change),
        };
        borrowed.map_or(Standing::Foreign, Standing::Borrowed)
    }

    /// Whether something that is not the owner's own may have this name, as far as the name tells
    pub fn may_be_borrowed(&self, object: Object, name: &str) -> bool {
        let container = self.who.caller.container.as_ref();
        match object {
            Object::Container => container.is_some_and(|own| own.name == name),
            Object::Network => {
                let attached = container.is_some_and(|own| own.networks.iter().any(|(network, _)| network == name));
                attached || is_predefined(name) || matches(&self.policy.share.networks, name)
            }
            Object::Volume => {
                let mounts = container.into_iter().flat_map(|own| &own.mounts);
                let attached = mounts.filter_map(|mount| mount.volume.as_deref()).any(|volume| volume == name);
                attached || matches(&self.policy.share.volumes, name)
            }
            Object::Image => true,
        }
    }

    fn borrows_volumes(&self) -> bool {
        let mounts = self.who.caller.container.iter().flat_map(|own| &own.mounts);
        !self.policy.share.volumes.is_empty() || mounts.filter_map(|mount| mount.volume.as_ref()).next().is_some()
    }
}

/// What an owner named, and what has no name, is never everybody's, however wide a pattern is
fn matches(patterns: &[TextPattern], name: &str) -> bool {
    !is_reserved(name) && !is_whole_id(name) && patterns.iter().any(|pattern| pattern.0.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bind::HostPath;
    use crate::caller::{Caller, Container};
    use crate::policy::compile::compile;

    fn job() -> Who {
        let part = |volume: &str, subpath: &str| CallerMount {
            destination: HostPath::parse("/x").unwrap(),
            source: None,
            volume: Some(volume.to_owned()),
            subpath: subpath.to_owned(),
            writable: true,
        };
        let mount = |volume: &str, writable: bool| CallerMount {
            destination: HostPath::parse("/x").unwrap(),
            source: None,
            volume: Some(volume.to_owned()),
            subpath: String::new(),
            writable,
        };
        let container = Container {
            id: "1".repeat(64),
            name: "runner-1".to_owned(),
            mounts: vec![
                mount("builds", true),
                mount("cache", false),
                mount("both", false),
                mount("both", true),
                part("shared", "job-7"),
            ],
            networks: vec![("ci".to_owned(), "2".repeat(64))],
            ..Container::default()
        };
        let caller = Caller { pid: Some(1), container: Some(container), ..Caller::default() };
        Who { caller, owner: Owner::new("job-7") }
    }

    fn standing(share: &str, object: Object, id: &str, name: &str, owner: Option<&str>) -> Standing {
        let policy = compile("x", &format!("[owner]\nisolate = true\nshare = {{ {share} }}")).unwrap();
        Sight { who: &job(), policy: &policy }.standing(Seen { object, id, name, owner })
    }

    #[test]
    fn a_caller_sees_its_own_container_and_what_that_is_attached_to() {
        let (id, net) = ("1".repeat(64), "2".repeat(64));
        for (object, id, name, expected) in [
            (Object::Container, id.as_str(), "runner-1", Standing::Borrowed(Purpose::Use)),
            (Object::Container, "4", "runner-1", Standing::Foreign),
            (Object::Network, &net, "ci", Standing::Borrowed(Purpose::Use)),
            (Object::Network, "5", "ci", Standing::Foreign),
            (Object::Network, "6", "bridge", Standing::Borrowed(Purpose::Use)),
            (Object::Volume, "builds", "builds", Standing::Borrowed(Purpose::Write)),
            (Object::Volume, "cache", "cache", Standing::Borrowed(Purpose::Use)),
            (Object::Volume, "both", "both", Standing::Borrowed(Purpose::Write)),
            (Object::Volume, "other", "other", Standing::Foreign),
            (Object::Volume, "shared", "shared", Standing::Foreign),
        ] {
            assert_eq!(standing("", object, id, name, None), expected, "{object:?} {name}");
            // Somebody's label on it changes nothing about what it is attached to.
            assert_eq!(standing("", object, id, name, Some("job-8")), expected, "{object:?} {name}");
            assert_eq!(standing("", object, id, name, Some("job-7")), Standing::Own, "{object:?} {name}");
        }
    }

    #[test]
    fn what_is_shared_is_there_to_be_used() {
        let share = "networks = ['ci-*'], volumes = ['go']";
        assert_eq!(standing(share, Object::Network, "7", "ci-db", None), Standing::Borrowed(Purpose::Use));
        assert_eq!(standing(share, Object::Volume, "go", "go", None), Standing::Borrowed(Purpose::Write));
        assert_eq!(standing(share, Object::Container, "8", "ci-db", None), Standing::Foreign);
    }

    #[test]
    fn a_wide_pattern_shares_nothing_that_an_owner_made() {
        let policy = compile("x", "[owner]\nshare = { networks = ['*'], volumes = ['cache-*'] }").unwrap();
        assert!(matches(&policy.share.networks, "ci-net") && matches(&policy.share.volumes, "cache-go"));
        assert!(!matches(&policy.share.volumes, "data") && !matches(&policy.share.volumes, "my-cache-go"));
        for name in ["app--sw0123456789ab", &"0123456789abcdef".repeat(4)] {
            assert!(!matches(&policy.share.networks, name), "{name}");
        }
    }

    #[test]
    fn caches_are_ones_own_or_ones_projects_or_everybodys() {
        let named = |policy: &str, project: Option<&str>| {
            let policy = compile("x", policy).unwrap();
            let Who { caller, owner } = job();
            let who = Who { caller: Caller { project: project.map(str::to_owned), ..caller }, owner };
            Sight { who: &who, policy: &policy }.cache()
        };
        let own = Some(Owner::new("job-7").tag().to_owned());
        let isolate = |cache: &str| format!("[owner]\nisolate = true\n[build]\ncache = '{cache}'");
        assert_eq!(named(&isolate("own"), Some("p=1")), own);
        assert_eq!(named(&isolate("group"), None), own);
        assert_eq!(named(&isolate("group"), Some("p=1")), named(&isolate("group"), Some("p=1")));
        assert_ne!(named(&isolate("group"), Some("p=1")), own);
        assert_ne!(named(&isolate("group"), Some("p=1")), named(&isolate("group"), Some("p=2")));
        assert_eq!(named(&isolate("shared"), Some("p=1")), None);
        assert_eq!(named("", None), None, "nothing is anybody's own there");
    }
}
