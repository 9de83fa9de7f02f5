//! Typed JSON objects: one line a field, from which both `read` and `write` are made, so that they cannot drift apart.
//!
//! The set of fields is closed. The engine matches keys under Unicode case folding and merges equal ones, therefore any
//! key that is not exactly a field's name but folds to one is refused, and so is a repeated one. A field nobody knows is
//! refused by name unless it holds a zero value: real clients send many of those, and the engine ignores them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::api::json::Json;

/// Why a JSON body was not understood; the message names the field's path
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {what}")]
pub struct Malformed {
    /// Path of the field, as in `HostConfig.Mounts[0].Type`
    pub at: String,
    /// What is wrong with it
    pub what: String,
}

/// Where in a body we are
#[derive(Clone, Copy)]
pub enum At<'a> {
    /// The body itself
    Body,
    /// The same, of a message, and how many more elements all its lists may have
    Message(&'a Cell<usize>),
    /// A member of an object or map
    Member(&'a At<'a>, &'a str),
    /// An element of an array
    Element(&'a At<'a>, usize),
}

impl At<'_> {
    /// The error that `what` is wrong here
    pub fn malformed(&self, what: impl Into<String>) -> Malformed {
        Malformed { at: self.to_string(), what: what.into() }
    }

    /// Takes room for one element more; false when there is none
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Body => true,
            Self::Message(left) => left.replace(left.get().saturating_sub(1)) > 0,
            Self::Member(parent, _) | Self::Element(parent, _) => parent.has_room(),
        }
    }

    pub(crate) fn expected(&self, wanted: &str, json: &Json) -> Malformed {
        self.malformed(format!("expected {wanted}, got {}", json.kind()))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body | Self::Message(_) => f.write_str("body"),
            Self::Member(Self::Body | Self::Message(_), key) => write!(f, "{}", key.escape_debug()),
            Self::Member(parent, key) => write!(f, "{parent}.{}", key.escape_debug()),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value of a field
pub trait Value: Sized + Default {
    /// Reads the value; `null` is the default, as for the engine
    ///
    /// # Errors
    /// When the value is of another type or out of range.
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed>;

    /// The value as JSON
    fn write(&self) -> Json;

    /// Whether the engine takes the value for an absent field
    fn is_unset(&self) -> bool;

    /// Appends every field at and below `path`; `[]` stands for an element and `*` for a key
    fn describe(path: &str, since: u8, fields: &mut Vec<Field>);
}

/// One field of a body, as it is listed
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// As `HostConfig.Mounts[].Type`
    pub path: String,
    /// Minor of the API version that brought it; 24 for all older ones
    pub since: u8,
    /// A value that says something, of a field in JSON
    pub sample: Json,
    /// A message in which the field says something, of a field in protobuf
    pub message: Vec<u8>,
}

/// An object with a closed set of fields, made by [`object!`](crate::object)
pub trait Object: Sized {
    /// Every field's name, exactly as the engine spells it, in one list for each embedded struct
    const FIELDS: &'static [&'static [&'static str]];

    /// Takes this object's fields out of `members`
    ///
    /// # Errors
    /// When one of them is not understood.
    fn take(members: &mut Members<'_>) -> Result<Self, Malformed>;

    /// Appends the fields that say something
    fn append(&self, members: &mut Vec<(String, Json)>);

    /// Appends every field below `path`
    fn describe(path: &str, since: u8, fields: &mut Vec<Field>);
}

/// The path of a member
pub fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The members of one object while they are read
pub struct Members<'a> {
    at: &'a At<'a>,
    left: Vec<(String, Json)>,
}

impl<'a> Members<'a> {
    /// Opens an object whose fields are exactly `fields`
    ///
    /// # Errors
    /// When the value is no object, a key repeats, or a key is a field's name in another spelling.
    pub fn open(json: Json, fields: &[&[&str]], at: &'a At<'a>) -> Result<Self, Malformed> {
        let left = match json {
            Json::Object(members) => members,
            Json::Null => Vec::new(),
            other => return Err(at.expected("an object", &other)),
        };
        let mut seen = BTreeMap::new();
        for (key, _) in &left {
            let here = At::Member(at, key);
            let folded = fold(key);
            // Names of fields are plain ASCII.
            let known = fields.iter().copied().flatten().find(|field| field.eq_ignore_ascii_case(&folded));
            if let Some(first) = seen.insert(folded, key) {
                return Err(here.malformed(format!("the same key twice, first as `{}`", first.escape_debug())));
            }
            if let Some(field) = known.filter(|field| *field != key) {
                return Err(here.malformed(format!("must be spelled `{field}`")));
            }
        }
        Ok(Self { at, left })
    }

    /// Takes one field; absent is the default
    ///
    /// # Errors
    /// When its value is not understood.
    pub fn field<T: Value>(&mut self, name: &str) -> Result<T, Malformed> {
        match self.left.iter().position(|(key, _)| key == name) {
            Some(index) => T::read(self.left.swap_remove(index).1, &At::Member(self.at, name)),
            None => Ok(T::default()),
        }
    }

    /// Ends the reading: what is left must hold zero values, and is dropped
    ///
    /// # Errors
    /// Naming the first field that is not known.
    pub fn close(self) -> Result<(), Malformed> {
        match self.left.iter().find(|(_, value)| !value.is_zero()) {
            Some((key, _)) => Err(At::Member(self.at, key).malformed("unknown field")),
            None => Ok(()),
        }
    }
}

/// Case folding as Go's decoder does it for keys: ASCII, and the two letters that fold into ASCII
pub(crate) fn fold(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// Reads a whole body as one object; no body at all is the empty object
///
/// # Errors
/// When a field is not understood.
pub fn read_body<T: Object>(json: Option<Json>) -> Result<T, Malformed> {
    let mut members = Members::open(json.unwrap_or(Json::Null), T::FIELDS, &At::Body)?;
    let value = T::take(&mut members)?;
    members.close()?;
    Ok(value)
}

/// Writes an object with the fields that say something
pub fn write_object<T: Object>(object: &T) -> Json {
    let mut members = Vec::new();
    object.append(&mut members);
    Json::Object(members)
}

/// Appends one field unless the engine would take it for absent
pub fn append<T: Value>(members: &mut Vec<(String, Json)>, name: &str, value: &T) {
    if !value.is_unset() {
        members.push((name.to_owned(), value.write()));
    }
}

/// Declares a struct whose fields are the members of a JSON object, with `read` and `write` made from the same lines
#[macro_export]
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $key:literal $(since $since:literal)? => $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $name {
            /// Names of the fields
            pub const NAMES: &'static [&'static str] = &[$($key),*];
        }

        impl $crate::api::object::Object for $name {
            const FIELDS: &'static [&'static [&'static str]] = &[Self::NAMES];

            fn take(
                members: &mut $crate::api::object::Members<'_>,
            ) -> Result<Self, $crate::api::object::Malformed> {
                Ok(Self { $($field: members.field($key)?,)* })
            }

            fn append(&self, members: &mut Vec<(String, $crate::api::json::Json)>) {
                let Self { $($field,)* } = self;
                $($crate::api::object::append(members, $key, $field);)*
            }

            fn describe(path: &str, since: u8, fields: &mut Vec<$crate::api::object::Field>) {
                $(
                    let since_here = [since, $($since)?].into_iter().max().unwrap_or(since);
                    let path_here = $crate::api::object::member(path, $key);
                    <$type as $crate::api::object::Value>::describe(&path_here, since_here, fields);
                )*
            }
        }
    };
}

/// A text for a field's sample; as a name, path or reference it is odd enough to be noticed
pub const SAMPLE: &str = "sample";
