//! Host paths: what a mount's source really is, on the engine's own file system.
//!
//! A path says little: it may be a link, or a link by the time the engine mounts it, or one of several names of
//! `/var/run`. So it is opened as the engine would open it ([`Host::resolve`]), and from then on the descriptor counts:
//! the name is asked of the kernel and opened again to see that it leads to the same thing, and what is protected is told
//! by device, inode and place on the device. [`Pin`] then makes a name that leads to what was checked and that no job
//! can turn elsewhere.
//!
//! Knows nothing of policies: it says what a path is, and whether anything that is protected would be given away by it.
//! All calls block, for as long as a file system does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use crate::api::bind::HostPath;

pub use self::error::{Unresolved, Unseen};
pub use self::node::{Identity, Kind};
pub use self::pin::{Pin, PinError};
pub use self::protected::Protected;

use self::node::Node;
use self::place::Place;
use self::protected::{Pardon, Protection, Subject};
use self::table::Table;
use self::view::View;

mod error;
mod node;
mod pin;
mod place;
mod protected;
mod table;
mod view;

/// The engine's file system, as far as we can see it
#[derive(Debug)]
pub struct Host {
    engine: Arc<View>,
    own: Arc<View>,
    protected: Vec<Protected>,
}

/// What a path leads to, opened
#[derive(Debug)]
pub struct Resolved {
    path: HostPath,
    file: OwnedFd,
    identity: Identity,
    kind: Kind,
    place: Place,
    protected: Option<String>,
    engine: Arc<View>,
    own: Arc<View>,
}

/// A path with nothing at its end
#[derive(Debug)]
pub struct Missing {
    /// The deepest directory above that exists
    pub parent: Resolved,
    /// What is missing below it, without links
    pub rest: String,
    protected: Option<String>,
}

/// The directory that a path must not leave, or the file that it must be
struct Inside<'a> {
    root: Node,
    /// What is not held against the path where `root` lies in it already
    pardoned: &'a [&'a str],
}

impl Host {
    /// Finds the file system of the process behind the engine's socket
    ///
    /// The socket is protected, also where `protect` does not name it.
    ///
    /// # Errors
    /// When it cannot be seen from here, in words for an operator.
    pub fn open(engine_socket: &Path, protect: &[Protected]) -> Result<Self, Unseen> {
        let (engine, own) = View::of_engine(engine_socket)?;
        let mut protected = protected::standing();
        protected.extend_from_slice(protect);
        protected.extend(Protected::ours("the engine's socket", engine_socket));
        Ok(Self { engine, own, protected })
    }

    /// Follows a path as the engine would, to what it is now
    ///
    /// # Errors
    /// When it leads nowhere, or nowhere that is certain.
    pub fn resolve(&self, path: &HostPath) -> Result<Resolved, Unresolved> {
        match self.engine.resolve(path.as_str()) {
            Ok(node) => self.judge(node, None),
            Err(Unresolved::NotThere) => Err(self.missing(path, None)),
            Err(error) => Err(error),
        }
    }

    /// Follows a path like [`Host::resolve`], and refuses what does not lie in `root`, itself followed
    ///
    /// What `root` itself lies in is not held against what is in it, where its name is in `pardoned`: a volume lies in the
    /// engine's data.
    ///
    /// # Errors
    /// As [`Host::resolve`], and when a link leads out of `root`.
    pub fn resolve_in(&self, root: &HostPath, path: &HostPath, pardoned: &[&str]) -> Result<Resolved, Unresolved> {
        let inside = Inside { root: self.engine.resolve(root.as_str())?, pardoned };
        match self.engine.resolve(path.as_str()) {
            Ok(node) => self.judge(node, Some(&inside)),
            Err(Unresolved::NotThere) => Err(self.missing(path, Some(&inside))),
            Err(error) => Err(error),
        }
    }

    /// What a path of our own leads to, by device and inode; none where it cannot be followed
    pub fn own(&self, path: &Path) -> Option<(Identity, Kind)> {
        let node = self.own.resolve(path.to_str()?).ok()?;
        Some((node.seen.identity, node.seen.kind))
    }

    fn judge(&self, node: Node, inside: Option<&Inside<'_>>) -> Result<Resolved, Unresolved> {
        let (engine, own) = (self.engine.table()?, self.own.table()?);
        let place = Place::of(&node, &engine, &own).ok_or(Unresolved::Unlisted)?;
        let above = self.engine.above(&node)?;
        let pardoned = self.pardoned(inside, &node, &above, &engine, &own)?;
        let subject = Subject::of(&node, place.clone(), above);
        let protected = self.protection(&engine, &own).of(&subject, pardoned.as_ref());
        let Node { file, seen, name, whole_name: _, parent: _ } = node;
        Ok(Resolved {
            path: HostPath::parse(&name).ok_or(Unresolved::Moving)?,
            file,
            identity: seen.identity,
            kind: seen.kind,
            place,
            protected,
            engine: Arc::clone(&self.engine),
            own: Arc::clone(&self.own),
        })
    }

    /// What is not held against what lies in a root, once it is sure that it does
    fn pardoned<'a>(
        &self,
        inside: Option<&Inside<'a>>,
        node: &Node,
        above: &[Identity],
        engine: &Table,
        own: &Table,
    ) -> Result<Option<Pardon<'a>>, Unresolved> {
        let Some(Inside { root, pardoned }) = inside else { return Ok(None) };
        let is_root = node.seen.identity == root.seen.identity;
        // By name and by what is above: neither a bind mount nor a rename in between makes one of another place.
        let below = above.contains(&root.seen.identity) && Path::new(&node.name).starts_with(&root.name);
        if !is_root && !below {
            return Err(Unresolved::Outside);
        }
        let place = Place::of(root, engine, own).ok_or(Unresolved::Unlisted)?;
        let root = Subject::of(root, place, self.engine.above(root)?);
        Ok(Some(Pardon { root, names: pardoned }))
    }

    fn protection<'a>(&'a self, engine: &'a Table, own: &'a Table) -> Protection<'a> {
        Protection::new([(&self.engine, engine), (&self.own, own)], &self.protected)
    }

    /// What of a path is there, and what is not
    fn missing(&self, path: &HostPath, inside: Option<&Inside<'_>>) -> Unresolved {
        match self.deepest(path, inside) {
            Ok(missing) => Unresolved::Missing(Box::new(missing)),
            Err(error) => error,
        }
    }

    fn deepest(&self, path: &HostPath, inside: Option<&Inside<'_>>) -> Result<Missing, Unresolved> {
        let path = path.as_str();
        let ends = path.char_indices().rev().filter(|(_, c)| *c == '/').map(|(at, _)| at);
        for end in ends {
            let Some((above, rest)) = path.split_at_checked(end) else { continue };
            let node = match self.engine.resolve(if above.is_empty() { "/" } else { above }) {
                Ok(node) => node,
                Err(Unresolved::NotThere) => continue,
                Err(error) => return Err(error),
            };
            let rest = rest.trim_start_matches('/');
            let next = rest.split('/').next().unwrap_or(rest);
            match self.engine.look_at(&node, next) {
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
                Ok(Kind::Link) => {
                    return Err(Unresolved::Dangling(format!("{}/{next}", node.name.trim_end_matches('/'))));
                }
                // It came while we looked.
                Ok(_) => return Err(Unresolved::Moving),
            }
            let (engine, own) = (self.engine.table()?, self.own.table()?);
            let place = Place::of(&node, &engine, &own).ok_or(Unresolved::Unlisted)?.join(rest);
            let above = self.engine.above(&node)?;
            let pardoned = self.pardoned(inside, &node, &above, &engine, &own)?;
            let subject = Subject::to_come(&node, rest, place, above);
            let protected = self.protection(&engine, &own).of(&subject, pardoned.as_ref());
            return Ok(Missing { parent: self.judge(node, inside)?, rest: rest.to_owned(), protected });
        }
        Err(Unresolved::Moving)
    }
}

impl Resolved {
    /// The path as the engine has it, every link followed
    ///
    /// May hold a colon: no source of a `Binds` entry then, only of a `Mounts` entry.
    pub fn path(&self) -> &HostPath {
        &self.path
    }

    /// Device and inode
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What it is
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What protected thing a mount of it would give away: `holds the engine's socket `/run/docker.sock``
    pub fn protected(&self) -> Option<&str> {
        self.protected.as_deref()
    }
}

impl Missing {
    /// What protected thing would be touched if the path were made
    pub fn protected(&self) -> Option<&str> {
        self.protected.as_deref()
    }
}

impl AsFd for Resolved {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Looks before something that moves is called uncertain
const TRIES: usize = 64;
