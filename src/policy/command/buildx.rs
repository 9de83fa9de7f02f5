//! What `docker buildx build` has beyond `docker build`, and what becomes of it in a build's calls.
//!
//! Nothing is read from the client's machine: secrets, SSH agents and metadata files are its own, and no call names them.

use std::collections::BTreeMap;

use crate::api::buildkit::control::{CacheOptionsEntry, Exporter};
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::{BadRequest, csv};

pub(super) const OPTIONS: &[Opt] = &[
    opt("allow", "", "", Kind::Note),
    opt("annotation", "", "", Kind::Note),
    opt("attest", "", "", Kind::Note),
    opt("build-context", "", "", Kind::Note),
    opt("builder", "", "", Kind::Note),
    opt("cache-to", "", "", Kind::Note),
    opt("call", "", "", Kind::Note),
    opt("check", "", "", Kind::SwitchNote),
    opt("load", "", "", Kind::SwitchNote),
    opt("metadata-file", "", "", Kind::Note),
    opt("no-cache-filter", "", "", Kind::Note),
    opt("output", "o", "", Kind::Note),
    opt("progress", "", "", Kind::Note),
    opt("provenance", "", "", Kind::Note),
    opt("push", "", "", Kind::SwitchNote),
    opt("sbom", "", "", Kind::Note),
    opt("secret", "", "", Kind::Note),
    opt("ssh", "", "", Kind::Note),
];

/// The words of one command: options by name, and the context
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub notes: Vec<(&'static str, String)>,
    pub context: String,
}

impl Words {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.notes.iter().filter(move |(note, _)| *note == name).map(|(_, value)| value.as_str())
    }

    /// Rights that steps may have
    pub fn entitlements(&self) -> impl Iterator<Item = String> + '_ {
        self.all("allow").map(str::to_owned)
    }

    /// Where the result goes: into the engine if nothing else is said
    pub fn exporters(&self, tags: &[String]) -> Result<Vec<Exporter>, BadRequest> {
        let mut exporters = self.all("output").map(output).collect::<Result<Vec<_>, _>>()?;
        if exporters.is_empty() {
            exporters.push(Exporter { kind: IMAGE.to_owned(), attrs: BTreeMap::new() });
        }
        for Exporter { attrs, kind: _ } in exporters.iter_mut().filter(|exporter| exporter.kind == IMAGE) {
            if !tags.is_empty() {
                attrs.entry("name".to_owned()).or_insert_with(|| tags.join(","));
            }
            if self.all("push").next().is_some() {
                attrs.insert("push".to_owned(), "true".to_owned());
            }
        }
        Ok(exporters)
    }

    /// Caches that are written
    pub fn exports(&self) -> Result<Vec<CacheOptionsEntry>, BadRequest> {
        self.all("cache-to").map(|text| cache(text).map(|(kind, attrs)| CacheOptionsEntry { kind, attrs })).collect()
    }

    /// Options of the frontend
    pub fn options(&self) -> Result<Vec<(String, String)>, BadRequest> {
        let mut options = Vec::new();
        if is_remote(&self.context) {
            options.push(("context".to_owned(), self.context.clone()));
        }
        for text in self.all("build-context") {
            let Some((name, value)) = text.split_once('=') else {
                return Err(BadRequest::new(format!("`{text}` is not name=context")));
            };
            let elsewhere =
                is_remote(value) || ["docker-image://", "oci-layout://"].iter().any(|s| value.starts_with(s));
            let value = if elsewhere { value.to_owned() } else { format!("local:{name}") };
            options.push((format!("context:{name}"), value));
        }
        for text in self.all("attest") {
            let (kind, attrs) = typed(text)?;
            let said = attrs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
            options.push((format!("attest:{kind}"), said.join(",")));
        }
        for kind in ["provenance", "sbom"] {
            let value = |text: &str| match text {
                "true" | "1" => "disabled=false".to_owned(),
                "false" | "0" => "disabled=true".to_owned(),
                other => other.to_owned(),
            };
            options.extend(self.all(kind).map(|text| (format!("attest:{kind}"), value(text))));
        }
        let calls = self.all("call").chain(self.all("check").map(|_| "check"));
        for call in calls.map(|call| call.split(',').next().unwrap_or(call)) {
            let request = match call {
                "build" => continue,
                "check" => "lint",
                other => other,
            };
            options.push(("requestid".to_owned(), format!("frontend.{request}")));
        }
        Ok(options)
    }
}

/// A cache as `--cache-from` and `--cache-to` name it: an image's name, or fields
pub(super) fn cache(text: &str) -> Result<(String, BTreeMap<String, String>), BadRequest> {
    if !text.contains('=') {
        return Ok(("registry".to_owned(), [("ref".to_owned(), text.to_owned())].into()));
    }
    typed(text)
}

/// A directory, `-` for standard output, or fields; what is on the client's machine is not said to the engine
fn output(text: &str) -> Result<Exporter, BadRequest> {
    if !text.contains('=') {
        let kind = if text == "-" { "tar" } else { "local" };
        return Ok(Exporter { kind: kind.to_owned(), attrs: BTreeMap::new() });
    }
    let (kind, mut attrs) = typed(text)?;
    let dest = attrs.remove("dest");
    let kind = match kind.as_str() {
        "registry" => {
            attrs.insert("push".to_owned(), "true".to_owned());
            IMAGE
        }
        "image" => IMAGE,
        "docker" if dest.is_none() => IMAGE,
        other => other,
    };
    Ok(Exporter { kind: kind.to_owned(), attrs })
}

/// `type=…` and the fields besides
fn typed(text: &str) -> Result<(String, BTreeMap<String, String>), BadRequest> {
    let fields = csv::fields(text)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
    let mut attrs: BTreeMap<String, String> = fields.collect();
    let kind = attrs.remove("type").ok_or_else(|| BadRequest::new(format!("`{text}` has no type")))?;
    Ok((kind, attrs))
}

/// What the engine fetches by itself
fn is_remote(context: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"].iter().any(|scheme| context.starts_with(scheme))
}

/// The engine's own images, as its exporter calls them
const IMAGE: &str = "moby";
