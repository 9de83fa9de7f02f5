//! Caches that BuildKit reads and writes elsewhere, in the words of `--cache-from` and `--cache-to`.
//!
//! What is read becomes part of the engine's own cache, from which everybody's builds are served: whoever may name what is
//! read says what others get (`CACHED`) for their steps.

use std::collections::BTreeMap;

use crate::api::image_ref::ImageRef;
use crate::api::json::Json;
use crate::policy::ask::{Flag, What};
use crate::policy::asks::Asks;
use crate::policy::asks::exporter::is_off;

pub(super) fn import_image(image: &str, field: &str, asks: &mut Asks) {
    import("registry", &named(image), field, asks);
}

fn named(image: &str) -> BTreeMap<String, String> {
    [("ref".to_owned(), image.to_owned())].into()
}

pub(super) fn import(kind: &str, attrs: &BTreeMap<String, String>, field: &str, asks: &mut Asks) {
    asks.flag(Flag::CacheImport, said(kind, attrs), field);
    registry(kind, attrs, field, asks);
}

pub(super) fn export(kind: &str, attrs: &BTreeMap<String, String>, field: &str, asks: &mut Asks) {
    asks.flag(Flag::CacheTo, said(kind, attrs), field);
    if kind == "registry" {
        asks.add(What::Operation("image.push"), field);
    }
    registry(kind, attrs, field, asks);
}

fn registry(kind: &str, attrs: &BTreeMap<String, String>, field: &str, asks: &mut Asks) {
    if kind == "registry" {
        asks.image(attrs.get("ref").map_or("", String::as_str), &format!("{field}.ref"));
    }
    for (key, value) in attrs.iter().filter(|(key, value)| key.ends_with("insecure") && !is_off(value)) {
        asks.add(What::Odd("cache attribute", format!("{key}={value}")), format!("{field}.{key}"));
    }
}

/// As the docker CLI writes it: `type=registry,ref=docker.io/library/x:latest`, and what else is said
pub fn said(kind: &str, attrs: &BTreeMap<String, String>) -> String {
    let image = |text: &String| ImageRef::read(text).map_or_else(|_| text.clone(), |image| image.to_string());
    let named = attrs.get("ref").map(|text| format!(",ref={}", image(text))).unwrap_or_default();
    let others = attrs.iter().filter(|(key, _)| *key != "ref").map(|(key, value)| format!(",{key}={value}"));
    format!("type={kind}{named}{}", others.collect::<String>())
}

/// The same of a cache that is only an image's name
pub fn of_image(image: &str) -> String {
    said("registry", &named(image))
}

/// The imports that an option of the frontend holds, as JSON; none if it has another reading
pub fn written(json: &str) -> Option<Vec<(String, BTreeMap<String, String>)>> {
    let Json::List(entries) = Json::parse(json.as_bytes()).ok()? else { return None };
    entries.into_iter().map(entry).collect()
}

/// The engine takes keys in any case, and the last of several
fn entry(json: Json) -> Option<(String, BTreeMap<String, String>)> {
    let Json::Object(members) = json else { return None };
    let (mut kind, mut attrs) = (None, None);
    for (key, value) in members {
        let twice = match (key.as_str(), value) {
            ("Type", Json::Text(text)) => kind.replace(text).is_some(),
            ("Attrs", Json::Object(members)) => {
                let mut map = BTreeMap::new();
                for (key, value) in members {
                    let Json::Text(text) = value else { return None };
                    if map.insert(key, text).is_some() {
                        return None;
                    }
                }
                attrs.replace(map).is_some()
            }
            ("Attrs", Json::Null) => attrs.replace(BTreeMap::new()).is_some(),
            _ => return None,
        };
        if twice {
            return None;
        }
    }
    Some((kind?, attrs.unwrap_or_default()))
}

/// The same as JSON again
pub fn write(imports: Vec<(String, BTreeMap<String, String>)>) -> String {
    let entry = |(kind, attrs): (String, BTreeMap<String, String>)| {
        let attrs = attrs.into_iter().map(|(key, value)| (key, Json::Text(value))).collect();
        Json::Object(vec![("Type".to_owned(), Json::Text(kind)), ("Attrs".to_owned(), Json::Object(attrs))])
    };
    Json::List(imports.into_iter().map(entry).collect()).to_string()
}
