//! Typed JSON objects: one line a field, from which both `read` and `write` are made, so that they cannot drift apart.
//!
//! The set of fields is closed. The engine matches keys under Unicode case folding and merges equal ones, therefore any
//! key that is not exactly a field's name but folds to one is refused, and so is a repeated one. A field nobody knows is
//! refused by name unless it holds a zero value: real clients send many of those, and the engine ignores them.

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

    fn expected(&self, wanted: &str, json: &Json) -> Malformed {
        self.malformed(format!("expected {wanted}, got {}", json.kind()))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Member(Self::Body, key) => write!(f, "{}", key.escape_debug()),
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
            if let Some(first) = seen.insert(fold(key), key) {
                return Err(here.malformed(format!("the same key twice, first as `{}`", first.escape_debug())));
            }
            let known = fields.iter().copied().flatten().find(|field| fold(field) == fold(key));
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
fn fold(key: &str) -> String {
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
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $key:literal => $field:ident: $type:ty,)* }) => {
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
        }
    };
}

impl Value for bool {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        match json {
            Json::Null => Ok(false),
            Json::Bool(value) => Ok(value),
            other => Err(at.expected("true or false", &other)),
        }
    }

    fn write(&self) -> Json {
        Json::Bool(*self)
    }

    fn is_unset(&self) -> bool {
        !self
    }
}

impl Value for String {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        match json {
            Json::Null => Ok(Self::new()),
            Json::Text(value) => Ok(value),
            other => Err(at.expected("a string", &other)),
        }
    }

    fn write(&self) -> Json {
        Json::Text(self.clone())
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
                match json {
                    Json::Null => Ok(0),
                    Json::Int(value) => Self::try_from(value)
                        .map_err(|_| at.malformed(format!("`{value}` is out of range"))),
                    other => Err(at.expected("an integer", &other)),
                }
            }

            fn write(&self) -> Json {
                Json::Int((*self).into())
            }

            fn is_unset(&self) -> bool {
                *self == 0
            }
        }
    )*};
}
integers!(i64, u64, u32, u16);

/// Pointers to scalars: the engine tells `null` from zero
macro_rules! pointers {
    ($($type:ty),*) => {$(
        impl Value for Option<$type> {
            fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
                match json {
                    Json::Null => Ok(None),
                    other => <$type>::read(other, at).map(Some),
                }
            }

            fn write(&self) -> Json {
                self.as_ref().map_or(Json::Null, Value::write)
            }

            fn is_unset(&self) -> bool {
                self.is_none()
            }
        }
    )*};
}
pointers!(bool, i64, String);

impl<T: Value> Value for Option<Vec<T>> {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        let elements = match json {
            Json::Null => return Ok(None),
            Json::List(elements) => elements,
            other => return Err(at.expected("an array", &other)),
        };
        let read = |(index, element)| match element {
            Json::Null => Err(At::Element(at, index).malformed("null is no element")),
            element => T::read(element, &At::Element(at, index)),
        };
        elements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    fn write(&self) -> Json {
        self.as_ref().map_or(Json::Null, |elements| Json::List(elements.iter().map(Value::write).collect()))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

/// Maps keep their keys exactly: labels, options and endpoints are matched case-sensitively by the engine
impl<T: Value> Value for Option<BTreeMap<String, T>> {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        let members = match json {
            Json::Null => return Ok(None),
            Json::Object(members) => members,
            other => return Err(at.expected("an object", &other)),
        };
        let mut map = BTreeMap::new();
        for (key, value) in members {
            let here = At::Member(at, &key);
            let value = T::read(value, &here)?;
            if map.contains_key(&key) {
                return Err(here.malformed("the same key twice"));
            }
            map.insert(key, value);
        }
        Ok(Some(map))
    }

    fn write(&self) -> Json {
        let write = |map: &BTreeMap<String, T>| map.iter().map(|(key, value)| (key.clone(), value.write())).collect();
        self.as_ref().map_or(Json::Null, |map| Json::Object(write(map)))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T: Object> Value for Option<Box<T>> {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        if json == Json::Null {
            return Ok(None);
        }
        let mut members = Members::open(json, T::FIELDS, at)?;
        let value = T::take(&mut members)?;
        members.close()?;
        Ok(Some(Box::new(value)))
    }

    fn write(&self) -> Json {
        self.as_ref().map_or(Json::Null, |object| write_object(&**object))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

/// An object as an array's element or a plain struct field
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plain<T>(pub T);

impl<T: Object + Default + PartialEq> Value for Plain<T> {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        let mut members = Members::open(json, T::FIELDS, at)?;
        let value = T::take(&mut members)?;
        members.close()?;
        Ok(Self(value))
    }

    fn write(&self) -> Json {
        write_object(&self.0)
    }

    fn is_unset(&self) -> bool {
        self.0 == T::default()
    }
}

/// Words of a command: engines up to 28 take one string for a list of one (`strslice.StrSlice`)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Option<Vec<String>>);

impl Words {
    /// The words, none for `null`
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flatten()
    }
}

impl Value for Words {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        match json {
            Json::Text(word) => Ok(Self(Some(vec![word]))),
            other => Value::read(other, at).map(Self),
        }
    }

    fn write(&self) -> Json {
        self.0.write()
    }

    fn is_unset(&self) -> bool {
        self.0.is_none()
    }
}

/// `{}`: the value of Go's sets (`ExposedPorts`, `Volumes`)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Empty;

impl Value for Empty {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        Members::open(json, &[], at)?.close()?;
        Ok(Self)
    }

    fn write(&self) -> Json {
        Json::Object(Vec::new())
    }

    fn is_unset(&self) -> bool {
        false
    }
}

/// Height and width of a console in cells, as `[2]uint`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleSize(pub Option<[u64; 2]>);

impl Value for ConsoleSize {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        match <Option<Vec<u64>>>::read(json, at)?.as_deref() {
            None => Ok(Self(None)),
            Some([height, width]) => Ok(Self(Some([*height, *width]))),
            Some(_) => Err(at.malformed("expected height and width")),
        }
    }

    fn write(&self) -> Json {
        self.0.map(Vec::from).write()
    }

    fn is_unset(&self) -> bool {
        self.0.is_none()
    }
}
