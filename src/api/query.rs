//! Query parameters as closed, typed sets: one line a parameter, from which `read` and `write` are made.
//!
//! The engine takes the first of equal scalar keys, Podman the last; here a repeated one is refused. What is written is
//! the value in one spelling, so that nothing of the received query string reaches the engine.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::api::json::Json;
use crate::api::names::Name;
use crate::api::object::{At, Value};

/// Why a query was not understood
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("query parameter `{}`: {what}", name.escape_debug())]
pub struct BadQuery {
    name: String,
    what: String,
}

impl BadQuery {
    fn new(name: &str, what: impl Into<String>) -> Self {
        Self { name: name.to_owned(), what: what.into() }
    }
}

/// The pairs of one query while they are read
#[derive(Debug, Clone, Default)]
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    /// Takes one parameter; absent is the default
    ///
    /// # Errors
    /// When it is repeated though it may not be, or its value is not understood.
    pub fn take<T: Param>(&mut self, name: &'static str) -> Result<T, BadQuery> {
        let mut values = Vec::new();
        self.0.retain_mut(|(key, value)| {
            let mine = key == name;
            if mine {
                values.push(std::mem::take(value));
            }
            !mine
        });
        if values.len() > 1 && !T::REPEATS {
            return Err(BadQuery::new(name, "given more than once"));
        }
        T::read(values).map_err(|what| BadQuery::new(name, what))
    }

    /// Ends the reading: nothing may be left
    ///
    /// # Errors
    /// Naming the first parameter that is not known.
    pub fn close(self) -> Result<(), BadQuery> {
        match self.0.first() {
            Some((name, _)) => Err(BadQuery::new(name, "unknown")),
            None => Ok(()),
        }
    }
}

/// The parameters of one operation, made by [`query!`](crate::query)
pub trait Parameters: Sized {
    /// Every parameter's name, with the minor of the API version that brought it; 24 for all older ones
    const NAMES: &'static [(&'static str, u8)];

    /// Takes the parameters out of `pairs`
    ///
    /// # Errors
    /// When one of them is not understood.
    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery>;

    /// Appends the parameters that say something
    fn append(&self, pairs: &mut Vec<(&'static str, String)>);
}

/// Declares a struct whose fields are query parameters, with `read` and `write` made from the same lines
#[macro_export]
macro_rules! query {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $key:literal $(since $since:literal)? => $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $crate::api::query::Parameters for $name {
            const NAMES: &'static [(&'static str, u8)] = &[$(($key, $crate::api::query::since(&[$($since)?]))),*];

            fn take(pairs: &mut $crate::api::query::Pairs) -> Result<Self, $crate::api::query::BadQuery> {
                Ok(Self { $($field: pairs.take($key)?,)* })
            }

            fn append(&self, pairs: &mut Vec<(&'static str, String)>) {
                let Self { $($field,)* } = self;
                $(for value in $crate::api::query::Param::write($field) {
                    pairs.push(($key, value));
                })*
            }
        }
    };
}

/// The version a line names, or the oldest
pub const fn since(named: &[u8]) -> u8 {
    match named {
        [since, ..] => *since,
        [] => crate::api::version::ApiVersion::MIN.minor(),
    }
}

impl Parameters for () {
    const NAMES: &'static [(&'static str, u8)] = &[];

    fn take(_: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(())
    }

    fn append(&self, _: &mut Vec<(&'static str, String)>) {}
}

/// A value of a parameter
pub trait Param: Sized {
    /// Whether several values are one list
    const REPEATS: bool = false;

    /// Reads the values given, none when the parameter is absent
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(values: Vec<String>) -> Result<Self, String>;

    /// The values to send, none when the engine would do the same without
    fn write(&self) -> Vec<String>;
}

impl Param for Option<bool> {
    fn read(values: Vec<String>) -> Result<Self, String> {
        let Some(value) = values.first() else { return Ok(None) };
        // The engine takes every other word, such as `f` or `off`, for true.
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "0" | "no" | "false" | "none" => Ok(Some(false)),
            "1" | "yes" | "true" => Ok(Some(true)),
            other => Err(format!("`{}` is neither `1` nor `0`", other.escape_debug())),
        }
    }

    fn write(&self) -> Vec<String> {
        self.iter().map(|value| String::from(if *value { "1" } else { "0" })).collect()
    }
}

impl Param for bool {
    fn read(values: Vec<String>) -> Result<Self, String> {
        <Option<bool> as Param>::read(values).map(Option::unwrap_or_default)
    }

    fn write(&self) -> Vec<String> {
        if *self { vec![String::from("1")] } else { Vec::new() }
    }
}

impl Param for Option<i64> {
    fn read(values: Vec<String>) -> Result<Self, String> {
        match values.first().map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| format!("`{}` is no integer", text.escape_debug())),
        }
    }

    fn write(&self) -> Vec<String> {
        self.iter().map(i64::to_string).collect()
    }
}

impl Param for String {
    fn read(values: Vec<String>) -> Result<Self, String> {
        Ok(values.into_iter().next().unwrap_or_default())
    }

    fn write(&self) -> Vec<String> {
        Some(self.clone()).filter(|text| !text.is_empty()).into_iter().collect()
    }
}

impl Param for Vec<String> {
    const REPEATS: bool = true;

    fn read(values: Vec<String>) -> Result<Self, String> {
        Ok(values)
    }

    fn write(&self) -> Vec<String> {
        self.clone()
    }
}

/// A name, absent when empty
impl<T: Name> Param for Option<T> {
    fn read(values: Vec<String>) -> Result<Self, String> {
        match values.first().map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => T::parse_param(text).map(Some).map_err(|error| error.to_string()),
        }
    }

    fn write(&self) -> Vec<String> {
        self.iter().map(|name| name.as_str().to_owned()).collect()
    }
}

/// A parameter that some client sends and no engine from API 1.24 on reads: understood, and not sent on
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored;

impl Param for Ignored {
    fn read(_: Vec<String>) -> Result<Self, String> {
        Ok(Self)
    }

    fn write(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A parameter that may be there only without a value
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacant;

impl Param for Vacant {
    const REPEATS: bool = true;

    fn read(values: Vec<String>) -> Result<Self, String> {
        match values.iter().find(|value| !value.is_empty()) {
            Some(value) => Err(format!("`{}` has no meaning here", value.escape_debug())),
            None => Ok(Self),
        }
    }

    fn write(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A text of which the first counts, as the engine takes it
///
/// docker-py says a Dockerfile from elsewhere twice: where it has put it, and its contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First(pub String);

impl Param for First {
    const REPEATS: bool = true;

    fn read(values: Vec<String>) -> Result<Self, String> {
        Ok(Self(values.into_iter().next().unwrap_or_default()))
    }

    fn write(&self) -> Vec<String> {
        Param::write(&self.0)
    }
}

/// A parameter whose value is a JSON document
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonParam<T>(pub T);

impl<T: Value> Param for JsonParam<T> {
    fn read(values: Vec<String>) -> Result<Self, String> {
        match values.first().map(String::as_str) {
            None | Some("") => Ok(Self(T::default())),
            Some(text) => {
                let json = Json::parse(text.as_bytes())?;
                T::read(json, &At::Body).map(Self).map_err(|error| error.to_string())
            }
        }
    }

    fn write(&self) -> Vec<String> {
        Some(self.0.write().to_string()).filter(|_| !self.0.is_unset()).into_iter().collect()
    }
}

/// `filters`: values by key, in either of the engine's two forms
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Param for Filters {
    fn read(values: Vec<String>) -> Result<Self, String> {
        let document = match values.first().map(String::as_str) {
            None | Some("") => return Ok(Self::default()),
            Some(text) => Json::parse(text.as_bytes())?,
        };
        let members = match document {
            Json::Null => return Ok(Self::default()),
            Json::Object(members) => members,
            other => return Err(format!("expected an object, got {}", other.kind())),
        };
        let mut filters = BTreeMap::new();
        for (key, value) in members {
            let texts = match value {
                Json::Null => Vec::new(),
                Json::List(elements) => elements.into_iter().map(text).collect::<Result<_, _>>()?,
                // `{"label":{"x":false}}` still filters by x for labels and never matches for others.
                Json::Object(members) => members
                    .into_iter()
                    .map(|(text, on)| match on {
                        Json::Bool(true) => Ok(text),
                        other => Err(format!("`{}` must be true, not {other}", text.escape_debug())),
                    })
                    .collect::<Result<_, _>>()?,
                other => return Err(format!("`{}` must be an array, not {}", key.escape_debug(), other.kind())),
            };
            if filters.insert(key.clone(), texts).is_some() {
                return Err(format!("`{}` twice", key.escape_debug()));
            }
        }
        // A key without a value filters nothing, and is not sent.
        filters.retain(|_, values| !values.is_empty());
        Ok(Self(filters))
    }

    fn write(&self) -> Vec<String> {
        let member = |(key, values): (&String, &Vec<String>)| {
            let on = values.iter().map(|value| (value.clone(), Json::Bool(true))).collect();
            (key.clone(), Json::Object(on))
        };
        let members: Vec<_> = self.0.iter().filter(|(_, values)| !values.is_empty()).map(member).collect();
        if members.is_empty() { Vec::new() } else { vec![Json::Object(members).to_string()] }
    }
}

fn text(json: Json) -> Result<String, String> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(format!("expected a string, got {}", other.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Result<Filters, String> {
        Filters::read(vec![text.to_owned()])
    }

    #[test]
    fn both_forms_of_filters_become_one() {
        let list = filters(r#"{"label":["a=b","c"]}"#).unwrap();
        assert_eq!(list, filters(r#"{"label":{"a=b":true,"c":true}}"#).unwrap());
        assert_eq!(list.write(), [r#"{"label":{"a=b":true,"c":true}}"#]);
        assert_eq!(filters(r#"{"label":["c"],"status":{},"name":[],"id":null}"#), filters(r#"{"label":["c"]}"#));
        assert!(filters(r#"{"label":null}"#).unwrap().write().is_empty());
    }

    #[test]
    fn filters_with_two_readings_are_refused() {
        for text in [
            r#"{"label":["a"],"label":["b"]}"#,
            r#"{"label":{"x":false}}"#,
            r#"{"label":"a"}"#,
            "[]",
            "{}{}",
            r#"{"a":[1]}"#,
        ] {
            assert!(filters(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_the_engine_takes_for_true_by_accident_are_refused() {
        for word in ["f", "n", "off", "null", "00", "-0", "t"] {
            assert!(<Option<bool> as Param>::read(vec![word.to_owned()]).is_err(), "{word}");
        }
        assert_eq!(<Option<bool> as Param>::read(vec![" TRUE ".to_owned()]), Ok(Some(true)));
    }

    #[test]
    fn repeated_and_unknown_parameters_are_refused_by_name() {
        let pair = |key: &str| (key.to_owned(), "1".to_owned());
        let mut pairs = Pairs(vec![pair("all"), pair("all")]);
        assert_eq!(pairs.take::<bool>("all").unwrap_err().to_string(), "query parameter `all`: given more than once");
        assert_eq!(Pairs(vec![pair("ALL")]).close().unwrap_err().to_string(), "query parameter `ALL`: unknown");
    }
}
