//! Values of options: sizes, CPUs, durations, and lists of `key=value`.

use serde_json::{Value, json};

use crate::policy::command::BadRequest;
use crate::policy::command::draft::Draft;
use crate::policy::compile::amount;
use crate::policy::file::value::Amount;

/// `512m`
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    if text == "0" {
        return Ok(0);
    }
    amount::bytes(&Amount::Text(text.to_owned()))
}

/// `1.5`
pub(super) fn nano_cpus(text: &str) -> Result<i64, String> {
    amount::nano_cpus(&Amount::Text(text.to_owned()))
}

/// `1m30s`
pub(super) fn nanoseconds(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is no duration such as 30s or 1m30s");
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        let number: i64 = number.parse().map_err(|_| bad())?;
        total = number.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = tail;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

/// `--filter key=value`, all in one parameter
pub(super) fn filter(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(BadRequest::new("a filter is `key=value`"));
    };
    json_param(draft, "filters", |filters| {
        let key = key.to_owned();
        if !filters.get(&key).is_some_and(Value::is_array) {
            *slot(filters, &key) = json!([]);
        }
        if let Some(list) = slot(filters, &key).as_array_mut() {
            list.push(json!(value));
        }
    });
    Ok(())
}

/// Changes a parameter that holds a JSON object
pub(super) fn json_param(draft: &mut Draft, name: &str, change: impl FnOnce(&mut Value)) {
    let at = draft.query.iter().position(|(param, _)| param == name);
    let old = at.map(|at| draft.query.remove(at).1);
    let mut value = old.and_then(|old| serde_json::from_str(&old).ok()).unwrap_or(Value::Null);
    change(&mut value);
    draft.param(name, value.to_string());
}

/// A member of an object, made when absent
pub(super) fn slot<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    &mut value[key]
}

/// `name=soft[:hard]`
pub(super) fn ulimit(text: &str) -> Result<Value, BadRequest> {
    let bad = || BadRequest::new(format!("`{text}` is no ulimit such as nofile=1024:2048"));
    let (name, limits) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| bad());
    Ok(json!({ "Name": name, "Soft": number(soft)?, "Hard": number(hard)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, expected) in
            [("30s", 30_000_000_000), ("1m30s", 90_000_000_000), ("5ms", 5_000_000), ("1h", 3_600_000_000_000)]
        {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "30", "s", "1x", "99999999999h"] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
    }
}
