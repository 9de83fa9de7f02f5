//! JSON as a strict tree: everything the engine's decoder would read differently from us is an error here.
//!
//! The engine's decoder (Go `encoding/json`) merges equal keys, takes invalid UTF-8 and, on 20.10, ignores what follows
//! the document. This reader keeps every member in order so that [`crate::api::object`] can refuse equal keys, and it
//! refuses byte order marks, lone surrogates, trailing data and deep nesting. It knows nothing of fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Deepest nesting of a JSON body; the deepest body of API 1.51 (network create) needs 6
pub const MAX_DEPTH: usize = 32;

/// One JSON value, members in the order they came
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number written as an integer, in the range of `i64` or `u64`
    Int(i128),
    /// Any other number; no field of the Engine API takes one
    Float(f64),
    /// A string
    Text(String),
    /// An array
    List(Vec<Json>),
    /// An object; keys may still repeat
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one whole document of at most [`MAX_DEPTH`] levels
    ///
    /// # Errors
    /// The reader's words, with line and column, when the bytes are not exactly one JSON document.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Seed { depth: 0 }.deserialize(&mut reader).map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        Ok(value)
    }

    /// Whether the value is what Go calls zero: a field that holds it means the same as one that is absent
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::Text(value) => value.is_empty(),
            Self::List(value) => value.is_empty(),
            Self::Object(value) => value.is_empty(),
        }
    }

    /// The kind of the value in a user's words
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number with a fraction or exponent",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The member of an object; of equal keys the first
    pub fn member(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The same, to be changed
    pub fn member_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        members.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A string's text
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The document as the engine would write it, down to the letters that Go escapes
    pub fn to_engines_bytes(&self) -> Vec<u8> {
        let mut written = Vec::new();
        for byte in self.to_bytes() {
            match byte {
                b'<' => written.extend(br"\u003c"),
                b'>' => written.extend(br"\u003e"),
                b'&' => written.extend(br"\u0026"),
                other => written.push(other),
            }
        }
        written
    }

    /// The document as bytes
    pub fn to_bytes(&self) -> Vec<u8> {
        // A tree of strings, integers and booleans always has a text; floats here came from a document.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match u64::try_from(*value) {
                Ok(value) => serializer.serialize_u64(value),
                Err(_) => serializer.serialize_i64(i64::try_from(*value).map_err(serde::ser::Error::custom)?),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let element = self.deeper::<A::Error>()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(element)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let member = self.deeper::<A::Error>()?;
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            members.push((key, map.next_value_seed(member)?));
        }
        if members.len() > MAX_MEMBERS {
            return Err(A::Error::custom(format_args!("an object has more than {MAX_MEMBERS} members")));
        }
        Ok(Json::Object(members))
    }
}

/// Most members of one object; keeps the search for equal keys cheap
const MAX_MEMBERS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_might_read_otherwise_is_refused() {
        let cases: [&[u8]; 12] = [
            b"",
            b"{",
            b"\xef\xbb\xbf{}",
            b"{} {}",
            b"{}}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\xff\"}",
            br#"{"a":"\ud800"}"#,
            b"// c\n{}",
            b"{\"a\":01}",
        ];
        for case in cases {
            assert!(Json::parse(case).is_err(), "accepted {:?}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        let nest = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(Json::parse(&nest(MAX_DEPTH)).is_ok());
        let error = Json::parse(&nest(MAX_DEPTH + 1)).unwrap_err();
        assert!(error.contains("nested deeper"), "{error}");
        assert!(Json::parse(&nest(1_000_000)).is_err());
    }

    #[test]
    fn equal_keys_are_kept_for_the_reader_of_fields() {
        let Json::Object(members) = Json::parse(br#"{"a":1,"\u0061":2}"#).unwrap() else { panic!() };
        assert_eq!(members.len(), 2);
    }

    #[test]
    fn extreme_integers_survive() {
        for text in ["-9223372036854775808", "18446744073709551615", "0"] {
            let value = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(value.to_string(), text);
        }
    }
}
