//! An owner's own names: what it calls `web` is `web--sw0123456789ab` on the engine, so that every owner has a `web`.
//!
//! The suffix is a fixed word of the owner. Containers, networks and named volumes that the owner makes carry it, and
//! nobody may write one into a name: [`is_reserved`] is refused for everybody.

use crate::policy::modify::OWNER_LABEL;

/// One owner's names
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    owner: String,
    suffix: String,
    unnamed: String,
    borrows_volumes: bool,
}

impl View {
    /// The names of `owner`, whose short word is `tag`; a container without a name gets `unnamed`
    pub fn new(owner: &str, tag: &str, unnamed: &str) -> Self {
        let unnamed = unnamed.to_owned();
        Self { owner: owner.to_owned(), suffix: suffix(tag), unnamed, borrows_volumes: false }
    }

    /// The same for who may also see volumes that others made
    pub fn borrowing_volumes(self, borrows_volumes: bool) -> Self {
        Self { borrows_volumes, ..self }
    }

    /// Whether volumes that others made may be seen
    pub fn borrows_volumes(&self) -> bool {
        self.borrows_volumes
    }

    /// What stands at the end of every name of this owner
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The name on the engine
    pub fn full(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// Whether a name as it is on the engine is this owner's
    pub fn owns(&self, name: &str) -> bool {
        name.strip_suffix(&*self.suffix).is_some_and(|short| !short.is_empty() && !is_reserved(short))
    }

    /// The owner's name for what the engine calls `name`
    pub fn short<'a>(&self, name: &'a str) -> &'a str {
        name.strip_suffix(&*self.suffix).unwrap_or(name)
    }

    /// A container's name where the client gave none; the engine's own choice would have no suffix
    pub fn unnamed(&self) -> String {
        self.full(&self.unnamed)
    }

    /// The label that all objects of this owner have, as filters name it
    pub fn label(&self) -> String {
        format!("{OWNER_LABEL}={}", self.owner)
    }
}

/// The suffix of the owner whose short word is `tag`
pub fn suffix(tag: &str) -> String {
    format!("{MARK}{tag}")
}

/// Whether a name that a client gives could be taken for one that carries a suffix already
pub fn is_reserved(name: &str) -> bool {
    name.match_indices(MARK).any(|(at, mark)| {
        let tag = name.get(at + mark.len()..).unwrap_or("").chars().take(TAG);
        tag.clone().count() == TAG && tag.into_iter().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    })
}

/// Whether a name may be the beginning of an id
pub fn is_like_an_id(name: &str) -> bool {
    !name.is_empty() && name.len() <= ID && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name has the form of a whole id
pub fn is_whole_id(name: &str) -> bool {
    name.len() == ID && is_like_an_id(name)
}

/// What a suffix begins with
const MARK: &str = "--sw";
/// Digits of a tag
const TAG: usize = 12;
/// Digits of an id
const ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_the_engine_is_the_owners_name_again() {
        let view = View::new("job-7", "0123456789ab", "calm_otter1");
        assert_eq!(view.full("web"), "web--sw0123456789ab");
        assert_eq!(view.short(&view.full("web")), "web");
        assert_eq!(view.short("web--sw0123456789ac"), "web--sw0123456789ac");
        assert_eq!(view.label(), "sockwarden.owner=job-7");
        assert!(view.owns(&view.full("web")) && !view.owns("web") && !view.owns(view.suffix()));
        assert!(!view.owns("web--sw0123456789ac") && !view.owns(&view.full("web--sw0123456789ac")));
    }

    #[test]
    fn a_name_with_anybodys_suffix_is_reserved() {
        for name in ["web--sw0123456789ab", "--sw000000000000", "a--swx--swffffffffffff", "a--sw0123456789abc"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["web", "web--sw", "web--sw0123456789a", "web--sw0123456789aG", "web-sw0123456789ab", "--swé"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
