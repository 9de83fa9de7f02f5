//! The engine's events, one JSON document a line: those of the owner's own objects pass.

use crate::api::json::Json;
use crate::policy::ask::Object;
use crate::policy::modify::OWNER_LABEL;
use crate::shown::{Sees, Sieve, TooLong};

/// Lets the events of one owner pass
#[derive(Debug)]
pub struct Events<S> {
    sees: S,
    line: Vec<u8>,
}

impl<S: Sees> Events<S> {
    /// Those that `sees` lets be seen
    pub fn new(sees: S) -> Self {
        Self { sees, line: Vec::new() }
    }

    fn passes(&self, line: &[u8]) -> bool {
        let Ok(event) = Json::parse(line) else { return false };
        let text = |of: Option<&Json>| of.and_then(Json::text).unwrap_or("").to_owned();
        let actor = event.member("Actor");
        let attributes = actor.and_then(|actor| actor.member("Attributes"));
        let attribute = |key: &str| attributes.and_then(|all| all.member(key)).and_then(Json::text);
        let id = text(actor.and_then(|actor| actor.member("ID")));
        // Networks and volumes have no labels in events, but names that only their owner gives.
        let own_container = || attribute("container").is_some_and(|container| self.sees.is_own_container(container));
        let own_name = |name: &str| self.sees.short(name) != name;
        match event.member("Type").and_then(Json::text) {
            Some("container") => self.sees.is_own(attribute(OWNER_LABEL)),
            Some("image") => attribute(OWNER_LABEL).is_some() && self.sees.is_own(attribute(OWNER_LABEL)),
            Some("network") => {
                let name = attribute("name").unwrap_or("");
                own_name(name) || self.sees.sees(Object::Network, &id, name, None) && own_container()
            }
            Some("volume") => own_name(&id) || own_container(),
            _ => false,
        }
    }
}

impl<S: Sees> Sieve for Events<S> {
    fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, TooLong> {
        let mut passed = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > MOST {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if self.passes(line.trim_ascii_end()) {
                    passed.extend(line);
                }
            }
        }
        Ok(passed)
    }

    fn end(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.line);
        if self.passes(&line) { line } else { Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

/// Longest line of an event, in bytes; the longest have a container's labels
const MOST: usize = 1 << 20;
