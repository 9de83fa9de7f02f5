//! A loose reader of requests that errs as the engine does: Go's `encoding/json` and `net/url`, and nothing of ours.
//!
//! It exists to hold the proxy to its first law. What the engine makes of the bytes it is sent must be what was judged,
//! so those bytes are read here with every liberty the engine takes: keys fold, equal keys overwrite or merge, unknown
//! fields are ignored, escapes decode.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Reads a document as Go decodes it into a struct: members of `fields` under any folding, the last one winning, objects
/// merging
fn member(object: &[(String, Tree)], field: &str) -> Option<Tree> {
    let mut found: Option<Tree> = None;
    for (_, value) in object.iter().filter(|(key, _)| fold(key) == fold(field)) {
        found = Some(match (found, value) {
            (Some(Tree::Object(mut before)), Tree::Object(after)) => {
                before.extend(after.iter().cloned());
                Tree::Object(before)
            }
            // `null` leaves scalars as they were, and unsets pointers, maps and lists.
            (Some(before @ Tree::Scalar(_)), Tree::Scalar(Value::Null)) => before,
            (_, value) => value.clone(),
        });
    }
    found
}

/// JSON with its repeated keys, in order
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Scalar(Value),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> serde::Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Tree;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.into()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Tree::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Tree {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        // Go's `Decoder` reads the first document and leaves the rest.
        serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()
    }

    /// What stands at a path of fields, read as Go would
    pub fn at(&self, path: &[&str]) -> Option<Self> {
        let Some((field, rest)) = path.split_first() else { return Some(self.clone()) };
        match self {
            Self::Object(members) => member(members, field)?.at(rest),
            _ => None,
        }
    }

    /// With the last of equal keys, for maps, whose keys Go compares exactly
    pub fn plain(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(list) => Value::Array(list.iter().map(Self::plain).collect()),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.clone(), value.plain())).collect::<Map<_, _>>())
            }
        }
    }
}

/// Go's folding of keys: simple Unicode case folding, of which two letters beyond ASCII fold into it
fn fold(key: &str) -> String {
    key.chars()
        .flat_map(|c| match c {
            '\u{17f}' => 's'.to_lowercase(),
            '\u{212a}' => 'k'.to_lowercase(),
            other => other.to_lowercase(),
        })
        .collect()
}

/// `url.Parse` and `ParseQuery`: decoded path, and all values by key
pub fn target(target: &str) -> Option<(String, BTreeMap<String, Vec<String>>)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescape(&key.replace('+', " ")), unescape(&value.replace('+', " "))) {
            pairs.entry(key).or_default().push(value);
        }
    }
    Some((unescape(path)?, pairs))
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}
