//! A request while the options of a command fill it in.

use serde_json::{Value, json};

use crate::api::target::{push_pair, push_segment};
use crate::policy::command::Http;

/// Query and body
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub query: Vec<(String, String)>,
    pub body: Value,
    /// Options that are not part of a request, by name
    pub notes: Vec<(&'static str, String)>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { query: Vec::new(), body: json!({}), notes: Vec::new() }
    }
}

impl Draft {
    /// The place of a field, as `HostConfig.Memory`; made when absent
    pub fn slot(&mut self, path: &str) -> &mut Value {
        path.split('.').fold(&mut self.body, member)
    }

    /// Appends to a list
    pub fn push(&mut self, path: &str, value: Value) {
        let slot = self.slot(path);
        match slot {
            Value::Array(list) => list.push(value),
            other => *other = json!([value]),
        }
    }

    /// Sets a member of a map whose keys may have dots
    pub fn entry(&mut self, path: &str, key: &str) -> &mut Value {
        member(self.slot(path), key)
    }

    /// Sets a parameter
    pub fn param(&mut self, name: &str, value: impl Into<String>) {
        self.query.push((name.to_owned(), value.into()));
    }

    /// The value of an option that is not part of a request
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.iter().rev().find(|(note, _)| *note == name).map(|(_, value)| value.as_str())
    }

    /// The requests of `steps`; in a path `{}` is the operand, in a query too
    pub fn requests(&self, steps: &[(&str, &str)], operand: &str) -> Vec<Http> {
        steps.iter().map(|(method, path)| self.request(method, path, operand)).collect()
    }

    /// One request; the draft's query and body go with it unless `path` has a query of its own
    pub fn request(&self, method: &str, path: &str, operand: &str) -> Http {
        let (path, own) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut target = String::new();
        for segment in path.split('/').skip(1) {
            push_segment(&mut target, if segment == "{}" { operand } else { segment });
        }
        let mut query = String::new();
        for (key, value) in own.iter().flat_map(|own| own.split('&')).filter_map(|pair| pair.split_once('=')) {
            push_pair(&mut query, key, if value == "{}" { operand } else { value });
        }
        if own.is_none() {
            self.query.iter().for_each(|(key, value)| push_pair(&mut query, key, value));
        }
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        let empty = self.body.as_object().is_none_or(serde_json::Map::is_empty);
        let body = if own.is_some() || empty { Vec::new() } else { self.body.to_string().into_bytes() };
        Http { method: method.to_owned(), target, body }
    }
}

fn member<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    &mut value[key]
}
