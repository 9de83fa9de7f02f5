//! The values fields can hold, each with its reading and writing.
//!
//! `null` is the default of every type, as for the engine. Pointers, lists and maps tell it from zero and from empty.

use std::collections::BTreeMap;

use crate::api::json::Json;
use crate::api::object::{At, Field, Malformed, Members, Object, SAMPLE, Value, write_object};

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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        leaf(path, since, Json::Bool(true), fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        leaf(path, since, Json::Text(SAMPLE.to_owned()), fields);
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

            fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
                leaf(path, since, Json::Int(1), fields);
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

            fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
                <$type>::describe(path, since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        T::describe(&format!("{path}[]"), since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        T::describe(&format!("{path}.*"), since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        T::describe(path, since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        T::describe(path, since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        <Option<Vec<String>>>::describe(path, since, fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        leaf(path, since, Json::Object(Vec::new()), fields);
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

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        leaf(path, since, Json::List(vec![Json::Int(24), Json::Int(80)]), fields);
    }
}

/// Lists a field that has nothing below it
fn leaf(path: &str, since: u8, sample: Json, fields: &mut Vec<Field>) {
    fields.push(Field { path: path.to_owned(), since, sample, message: Vec::new() });
}
