//! Names that cross the border: each a type that cannot hold anything else.
//!
//! A slash in a container's name is a link alias, that is, a reference to another container (20.10 to 28.5), so no name
//! here has one. Grammar as of `daemon/names/names.go`: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.

use std::fmt;

use crate::api::image_ref::ImageRef;

/// Why a name was not taken
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no {kind}: {why}", name.escape_debug())]
pub struct BadName {
    kind: &'static str,
    name: String,
    why: &'static str,
}

impl BadName {
    pub(crate) fn new(kind: &'static str, name: &str, why: &'static str) -> Self {
        Self { kind, name: name.to_owned(), why }
    }
}

/// What stands in a route's placeholder
pub trait Name: Sized {
    /// Reads the decoded text
    ///
    /// # Errors
    /// When the text is not such a name.
    fn parse(text: &str) -> Result<Self, BadName>;

    /// Reads the text of a query parameter
    ///
    /// # Errors
    /// When the text is not such a name.
    fn parse_param(text: &str) -> Result<Self, BadName> {
        Self::parse(text)
    }

    /// The text for the engine
    fn as_str(&self) -> &str;

    /// Puts the object's full id in place of the name, so that the engine cannot take it for another
    fn pin(&mut self, _id: &str) {}
}

macro_rules! names {
    ($($(#[$meta:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl Name for $name {
            fn parse(text: &str) -> Result<Self, BadName> {
                plain($kind, text).map(|()| Self(text.to_owned()))
            }

            // Clients put one slash before a container's name where it is not part of a path.
            fn parse_param(text: &str) -> Result<Self, BadName> {
                Self::parse(text.strip_prefix('/').unwrap_or(text))
            }

            fn as_str(&self) -> &str {
                &self.0
            }

            fn pin(&mut self, id: &str) {
                self.0 = id.to_owned();
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A container by id, name or prefix of an id
    ContainerRef, "container name or id";
    /// A network by id, name or prefix of an id
    NetworkRef, "network name or id";
    /// A volume by name
    VolumeName, "volume name";
    /// An exec instance; the engine matches the whole id only
    ExecId, "exec id";
}

fn plain(kind: &'static str, text: &str) -> Result<(), BadName> {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match text.chars().next() {
        None => Err(BadName::new(kind, text, "it is empty")),
        Some(first) if !first.is_ascii_alphanumeric() => {
            Err(BadName::new(kind, text, "it must begin with a letter or digit"))
        }
        Some(_) if text.contains('/') => Err(BadName::new(kind, text, "a slash would name a link alias")),
        Some(_) if !text.chars().all(rest) => {
            Err(BadName::new(kind, text, "only letters, digits, `_`, `.` and `-` may be in it"))
        }
        Some(_) if text.len() > MAX_NAME => Err(BadName::new(kind, text, "it is longer than 255 bytes")),
        Some(_) => Ok(()),
    }
}

/// Longest name, in bytes; the engine has no limit, file systems and DNS do
const MAX_NAME: usize = 255;

impl Name for ImageRef {
    fn parse(text: &str) -> Result<Self, BadName> {
        Self::read(text)
    }

    fn as_str(&self) -> &str {
        self.given()
    }

    fn pin(&mut self, id: &str) {
        if let Ok(pinned) = Self::read(id) {
            *self = pinned;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for text in ["", "/a", "a/b", "..", ".", "-a", "a b", "a\n", "a\0", "ä", "a%2fb", "a\\b"] {
            assert!(ContainerRef::parse(text).is_err(), "{text:?}");
            assert!(VolumeName::parse(text).is_err(), "{text:?}");
        }
        assert!(ContainerRef::parse_param("/web").is_ok());
        assert!(ContainerRef::parse_param("//web").is_err());
    }
}
