//! What no mount may give away, whatever it is called: engines' sockets and data, the kernel's interfaces, our own files.
//!
//! A mount gives away what it is, what lies below, and what is mounted below. Each is compared by device and inode (which
//! sees through links, hard links and bind mounts of the thing itself) and by its place on the device (which sees through
//! a bind mount of something above or below it). All of it is looked up anew each time: an engine that restarts has a new
//! socket, and what does not exist yet is protected by where it will be.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::api::bind::HostPath;
use crate::mount::node::{Identity, Node};
use crate::mount::place::Place;
use crate::mount::table::{Mount, Table};
use crate::mount::view::View;

/// A file or directory that no mount may give away, with all that is below
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    what: String,
    path: HostPath,
    whose: Whose,
}

/// Whose name a path is
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Engine,
    Ours,
    /// The usual places, wherever one of us has them
    Both,
}

impl Protected {
    /// A path on the engine's file system: its data root
    pub fn engine(what: &str, path: &HostPath) -> Self {
        Self { what: what.to_owned(), path: path.clone(), whose: Whose::Engine }
    }

    /// A path of our own: the record's directory, the configuration, a listener; `None` unless it is absolute UTF-8
    pub fn ours(what: &str, path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        Some(Self { what: what.to_owned(), path: HostPath::parse(path.to_str()?)?, whose: Whose::Ours })
    }
}

/// What is protected, however sockwarden is configured
pub(super) fn standing() -> Vec<Protected> {
    let protected = |(what, path): &(&str, &str)| {
        Some(Protected { what: (*what).to_owned(), path: HostPath::parse(path)?, whose: Whose::Both })
    };
    STANDING.iter().filter_map(protected).collect()
}

/// A thing that is to be mounted
pub(super) struct Subject {
    name: String,
    identity: Option<Identity>,
    above: Vec<Identity>,
    mount: u64,
    place: Place,
}

impl Subject {
    /// Something that is there
    pub(super) fn of(node: &Node, place: Place, above: Vec<Identity>) -> Self {
        Self { name: node.name.clone(), identity: Some(node.seen.identity), above, mount: node.seen.mount, place }
    }

    /// Something that would be made below `node`
    pub(super) fn to_come(node: &Node, rest: &str, place: Place, mut above: Vec<Identity>) -> Self {
        above.push(node.seen.identity);
        let name = format!("{}/{rest}", node.name.trim_end_matches('/'));
        Self { name, identity: None, above, mount: node.seen.mount, place }
    }
}

/// What is not held against something, as what it was found in lies there already
pub(super) struct Pardon<'a> {
    /// What it was found in
    pub(super) root: Subject,
    /// Names of what is protected
    pub(super) names: &'a [&'a str],
}

impl Pardon<'_> {
    fn covers(&self, guard: &Guard) -> bool {
        // A volume may show what holds the engine's data.
        let holds = guard.place.as_ref().is_some_and(|place| self.root.place.contains(place));
        let lies_in = !holds && gives(&self.root, &[], guard) == Some(Gives::LiesIn);
        lies_in && self.names.contains(&guard.what.as_str())
    }
}

/// Everything that is protected, as it is now
pub(super) struct Protection<'a> {
    guards: Vec<Guard>,
    engine: &'a Table,
    own: &'a Table,
}

struct Guard {
    what: String,
    path: String,
    identity: Option<Identity>,
    /// Every directory that leads to it
    holders: Vec<Identity>,
    place: Option<Place>,
}

/// How a mount gives something away, the plainest first
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gives {
    Is,
    LiesIn,
    Holds,
}

impl<'a> Protection<'a> {
    /// Looks for all of `protected` in the engine's view and in ours
    pub(super) fn new([engine, own]: [(&'a Arc<View>, &'a Table); 2], protected: &[Protected]) -> Self {
        let mut guards = Vec::new();
        let same = Arc::ptr_eq(engine.0, own.0);
        for (whose, (view, table)) in [(Whose::Engine, engine), (Whose::Ours, own)] {
            let mut look = Lookup { view, table, own: own.1, known: HashMap::new() };
            let named =
                |one: &&Protected| one.whose == whose || one.whose == Whose::Both && !(same && whose == Whose::Ours);
            guards.extend(protected.iter().filter(named).map(|one| look.guard(&one.what, one.path.as_str())));
            for user in view.names(USERS) {
                guards.extend(
                    USERS_SOCKETS
                        .iter()
                        .map(|name| look.guard("an engine's socket", &format!("{USERS}/{user}/{name}"))),
                );
            }
        }
        Self { guards, engine: engine.1, own: own.1 }
    }

    /// What a mount of the subject would give away, as the end of a sentence
    pub(super) fn of(&self, subject: &Subject, pardon: Option<&Pardon<'_>>) -> Option<String> {
        let mount = self.engine.get(subject.mount).or_else(|| self.own.get(subject.mount));
        if let Some(mount) = mount.filter(|mount| mount.is_kernel()) {
            return Some(format!("lies on a `{}` file system of the kernel", mount.kind));
        }
        let mounted: Vec<&Mount> = self.engine.below(Path::new(&subject.name)).collect();
        let gives = |guard| Some((gives(subject, &mounted, guard)?, guard));
        let pardoned = |gives: Gives, guard: &Guard| {
            // What is mounted below may hold it all the same.
            let held =
                || guard.place.as_ref().is_some_and(|place| mounted.iter().any(|mount| mount.place.contains(place)));
            gives == Gives::LiesIn && pardon.is_some_and(|pardon| pardon.covers(guard)) && !held()
        };
        let gives = |guard| gives(guard).filter(|(gives, guard)| !pardoned(*gives, guard));
        if let Some((gives, guard)) = self.guards.iter().filter_map(gives).min_by_key(|(gives, _)| *gives) {
            let gives = match gives {
                Gives::Is => "is",
                Gives::LiesIn => "lies in",
                Gives::Holds => "holds",
            };
            return Some(format!("{gives} {} (`{}`)", guard.what, guard.path));
        }
        let mount = mounted.iter().find(|mount| mount.is_kernel())?;
        Some(format!("holds a `{}` file system of the kernel (`{}`)", mount.kind, mount.point.display()))
    }
}

fn gives(subject: &Subject, mounted: &[&Mount], guard: &Guard) -> Option<Gives> {
    let Guard { what: _, path: _, identity, holders, place } = guard;
    let same_place = place.as_ref() == Some(&subject.place);
    if same_place || identity.is_some() && subject.identity == *identity {
        return Some(Gives::Is);
    }
    let in_place = place.as_ref().is_some_and(|place| place.contains(&subject.place));
    if in_place || identity.is_some_and(|identity| subject.above.contains(&identity)) {
        return Some(Gives::LiesIn);
    }
    let holds = |part: &Place| place.as_ref().is_some_and(|place| part.contains(place) || place.contains(part));
    let is_holder = subject.identity.is_some_and(|identity| holders.contains(&identity));
    let held = is_holder || holds(&subject.place) || mounted.iter().any(|mount| holds(&mount.place));
    held.then_some(Gives::Holds)
}

/// Looks for protected things in one view; most share the directories above them
struct Lookup<'a> {
    view: &'a View,
    table: &'a Table,
    own: &'a Table,
    known: HashMap<String, Option<Rc<Known>>>,
}

struct Known {
    identity: Identity,
    above: Vec<Identity>,
    place: Option<Place>,
}

impl Lookup<'_> {
    /// Follows a path one directory at a time: what a link hides leads to the thing too, and what cannot be looked at
    /// or is not there yet has its place below the last that can
    fn guard(&mut self, what: &str, path: &str) -> Guard {
        let mut guard =
            Guard { what: what.to_owned(), path: path.to_owned(), identity: None, holders: Vec::new(), place: None };
        let ends = path.char_indices().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| at);
        for end in [1].into_iter().chain(ends).chain([path.len()]) {
            let Some((prefix, rest)) = path.split_at_checked(end) else { continue };
            let Some(known) = self.known(prefix) else { break };
            guard.holders.extend(guard.identity.take());
            guard.holders.extend(&known.above);
            guard.place = known.place.as_ref().map(|place| place.join(rest.trim_start_matches('/')));
            guard.identity = Some(known.identity);
            if rest.is_empty() {
                return guard;
            }
        }
        guard.holders.extend(guard.identity.take());
        guard
    }

    fn known(&mut self, path: &str) -> Option<Rc<Known>> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let known = self.view.resolve(path).ok().and_then(|node| {
            let above = self.view.above(&node).ok()?;
            let place = Place::of(&node, self.table, self.own);
            Some(Rc::new(Known { identity: node.seen.identity, above, place }))
        });
        self.known.insert(path.to_owned(), known.clone());
        known
    }
}

/// The usual places of engines' sockets and data, and the kernel's interfaces
const STANDING: &[(&str, &str)] = &[
    ("an engine's socket", "/run/docker.sock"),
    ("an engine's socket", "/var/run/docker.sock"),
    ("an engine's socket", "/run/cri-dockerd.sock"),
    ("an engine's sockets", "/run/docker"),
    ("containerd's sockets", "/run/containerd"),
    ("Podman's sockets", "/run/podman"),
    ("BuildKit's sockets", "/run/buildkit"),
    ("CRI-O's sockets", "/run/crio"),
    ("the engine's data", "/var/lib/docker"),
    ("containerd's data", "/var/lib/containerd"),
    ("Podman's data", "/var/lib/containers"),
    ("the kernel's interface", "/proc"),
    ("the kernel's interface", "/sys"),
    ("the host's devices", "/dev"),
];

/// Where the sockets of users' own engines are
const USERS: &str = "/run/user";
const USERS_SOCKETS: &[&str] = &["docker.sock", "docker", "containerd", "podman", "buildkit"];
