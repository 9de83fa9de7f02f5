//! A table of a policy file while it is read: each key is taken once, and nothing may be left.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::policy::ask::Flag;
use crate::policy::file::value::{Duty, Granted, Value, wrong_type};
use crate::policy::report::{Code, Problem, Report};

/// A table being read
#[derive(Debug)]
pub struct Section<'a> {
    /// Its path, as `run`; empty for the file itself
    path: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file itself
    pub fn root(document: &'a Spanned<DeTable<'a>>) -> Self {
        Self { path: String::new(), table: document.as_ref(), span: 0..0, known: Vec::new() }
    }

    /// A table that is the value of `path`
    pub fn of(path: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        let DeValue::Table(table) = value.as_ref() else { return None };
        Some(Self { path: path.to_owned(), table, span: value.span(), known: Vec::new() })
    }

    /// Where it begins
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Takes a key's value
    pub fn take<T: Value>(&mut self, key: &'static str, report: &mut Report) -> Option<Spanned<T>> {
        let value = self.raw(key)?;
        let read = T::read(value, &self.at(key), report)?;
        Some(Spanned::new(value.span(), read))
    }

    /// Takes a key's value; its absence is a problem
    pub fn need<T: Value>(&mut self, key: &'static str, report: &mut Report) -> Option<Spanned<T>> {
        if self.raw(key).is_none() {
            let message = format!("`{}` is missing", self.at(key));
            report.push(Problem::new(Code::MissingKey, self.span(), message));
        }
        self.take(key, report)
    }

    /// Takes what a key grants
    pub fn take_granted(&mut self, key: &'static str, duty: Duty, report: &mut Report) -> Option<Spanned<Granted>> {
        let value = self.raw(key)?;
        let read = Granted::read(value, duty, &self.at(key), report)?;
        Some(Spanned::new(value.span(), read))
    }

    /// Takes a table
    pub fn section(&mut self, key: &'static str, report: &mut Report) -> Option<Section<'a>> {
        let value = self.raw(key)?;
        let section = Section::of(&self.at(key), value);
        if section.is_none() {
            report.push(wrong_type(value, &self.at(key), "a table").help(format!("write `[{}]`", self.at(key))));
        }
        section
    }

    /// Takes a list of tables, `[[key]]`
    pub fn sections(&mut self, key: &'static str, report: &mut Report) -> Vec<Section<'a>> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let tables = match value.as_ref() {
            DeValue::Array(values) => values.iter().map(|value| Section::of(&self.at(key), value)).collect(),
            _ => None,
        };
        if tables.is_none() {
            let problem = wrong_type(value, &self.at(key), "a list of tables");
            report.push(problem.help(format!("write `[[{}]]`", self.at(key))));
        }
        tables.unwrap_or_default()
    }

    /// All keys and values of a table whose keys are free
    pub fn pairs<T: Value>(self, report: &mut Report) -> Vec<(Spanned<String>, Spanned<T>)> {
        let pair = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &std::borrow::Cow<'a, str> = key.as_ref();
            let read = T::read(value, &format!("{}.{name}", self.path), report)?;
            Some((Spanned::new(key.span(), name.to_string()), Spanned::new(value.span(), read)))
        };
        self.table.iter().filter_map(pair).collect()
    }

    /// Ends the reading: keys that were not taken are unknown
    pub fn close(self, report: &mut Report) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.known.contains(&key.as_ref().as_ref())) {
            let name = key.as_ref();
            let message = match self.path.as_str() {
                "" => format!("the file has no key `{name}`"),
                path => format!("`{path}` has no key `{name}`"),
            };
            let problem = Problem::new(Code::UnknownKey, key.span(), message).label("unknown key");
            let near = problem.clone().meant(name, self.known.iter().copied());
            if near != problem {
                report.push(near);
                continue;
            }
            let mut places = PLACES.iter().copied().chain(Flag::ALL.iter().map(|flag| (flag.section(), flag.key())));
            let elsewhere = places.find(|(section, key)| *key == name && *section != self.path);
            report.push(match elsewhere {
                Some((section, key)) => problem.help(format!("`{key}` stands in `[{section}]`")),
                None => problem.help(format!("known here: {}", self.known.join(", "))),
            });
        }
    }

    fn raw(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.iter().find(|(name, _)| name.as_ref() == key).map(|(_, value)| value)
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Sections of keys that are not flags
const PLACES: &[(&str, &str)] = &[
    ("run", "publish"),
    ("build", "frontends"),
    ("mounts", "caller"),
    ("mounts", "socket"),
    ("mounts", "resolve"),
    ("mounts", "pin"),
    ("owner", "isolate"),
    ("owner", "share"),
    ("owner.share", "networks"),
    ("owner.share", "volumes"),
    ("owner", "clean_up"),
    ("owner", "lease"),
    ("owner", "grace"),
    ("owner", "keep"),
    ("build", "cache"),
    ("limits", "memory"),
    ("limits", "cpus"),
    ("limits", "pids"),
    ("limits", "shm_size"),
    ("limits", "ulimits"),
    ("quota", "containers"),
    ("quota", "networks"),
    ("quota", "volumes"),
    ("quota", "execs"),
    ("quota", "ports"),
    ("force", "labels"),
    ("force", "no_new_privileges"),
    ("force", "cap_drop"),
];
