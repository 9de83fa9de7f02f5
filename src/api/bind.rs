//! `HostConfig.Binds`: `source:target[:mode]`, as the engine's Linux parser reads it.
//!
//! The engine cleans the source lexically, so `/ws/../etc` is `/etc`; here the cleaned path is what is judged and sent.

use std::fmt;

use crate::api::json::Json;
use crate::api::names::{Name, VolumeName};
use crate::api::object::{At, Field, Malformed, Value};

/// One element of `Binds`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bind {
    /// What is mounted
    pub source: BindSource,
    /// Path in the container
    pub target: String,
    /// Words after the second colon, in order
    pub mode: Vec<String>,
}

/// What a bind mounts
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BindSource {
    /// A new volume without a name
    #[default]
    Anonymous,
    /// A volume, made when it does not exist
    Volume(VolumeName),
    /// A path of the host
    Host(HostPath),
}

/// An absolute path of the host without `.`, `..` or doubled slashes
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HostPath(String);

impl HostPath {
    /// Reads an absolute path and cleans it lexically, as Go's `path.Clean`
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with('/').then(|| Self(clean(text)))
    }

    /// The path
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Cleans an absolute path lexically
pub fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Bind {
    /// Whether the mount is read-only
    pub fn is_read_only(&self) -> bool {
        self.mode.iter().any(|word| word == "ro")
    }

    /// Takes the right to write away, and to relabel, which is to write
    pub fn make_read_only(&mut self) {
        self.mode.retain(|word| !matches!(word.as_str(), "rw" | "ro" | "z" | "Z"));
        self.mode.push("ro".to_owned());
    }

    /// Puts a socket in the place of the source; of the mode stays only that it is read-only
    pub fn set_socket(&mut self, path: &HostPath) {
        self.source = BindSource::Host(path.clone());
        self.mode.retain(|word| word == "ro");
    }

    /// Puts a volume in the place of the source, which is not filled from the image, as no host path is
    pub fn set_volume(&mut self, name: &VolumeName) {
        self.source = BindSource::Volume(name.clone());
        self.mode.retain(|word| word == "ro");
        self.mode.push("nocopy".to_owned());
    }

    /// Reads one as the engine does
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts.as_slice() {
            [target] => ("", *target, ""),
            [source, target] => (*source, *target, ""),
            [source, target, mode] => (*source, *target, *mode),
            _ => return Err("more than `source:target:mode`"),
        };
        if !target.starts_with('/') {
            return Err("the target must be an absolute path in the container");
        }
        let source = match source {
            "" if parts.len() == 1 => BindSource::Anonymous,
            "" => return Err("the source is empty"),
            path if path.starts_with('/') => BindSource::Host(HostPath::parse(path).ok_or("not a path")?),
            name => BindSource::Volume(
                VolumeName::parse(name).map_err(|_| "the source is neither an absolute path nor a volume's name")?,
            ),
        };
        let mode: Vec<String> = mode.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        for group in MODES {
            if mode.iter().filter(|word| group.contains(&word.as_str())).count() > 1 {
                return Err("two modes that exclude each other");
            }
        }
        if !mode.iter().all(|word| MODES.iter().any(|group| group.contains(&word.as_str()))) {
            return Err("an unknown mode");
        }
        Ok(Self { source, target: target.to_owned(), mode })
    }
}

/// Words of a mode; at most one of each group
const MODES: &[&[&str]] = &[
    &["rw", "ro"],
    &["z", "Z"],
    &["private", "rprivate", "slave", "rslave", "shared", "rshared"],
    &["nocopy"],
    &["consistent", "cached", "delegated"],
];

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            BindSource::Anonymous => return f.write_str(&self.target),
            BindSource::Volume(name) => write!(f, "{name}:{}", self.target)?,
            BindSource::Host(path) => write!(f, "{path}:{}", self.target)?,
        }
        if self.mode.is_empty() { Ok(()) } else { write!(f, ":{}", self.mode.join(",")) }
    }
}

impl Value for Bind {
    fn read(json: Json, at: &At<'_>) -> Result<Self, Malformed> {
        let text = String::read(json, at)?;
        Self::parse(&text).map_err(|why| at.malformed(format!("`{}`: {why}", text.escape_debug())))
    }

    fn write(&self) -> Json {
        Json::Text(self.to_string())
    }

    fn is_unset(&self) -> bool {
        false
    }

    fn describe(path: &str, since: u8, fields: &mut Vec<Field>) {
        fields.push(Field {
            path: path.to_owned(),
            since,
            sample: Json::Text("/host:/inside".to_owned()),
            message: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_read_as_the_engine_reads_them() {
        for (text, written) in [
            ("/a/../../etc:/v:ro", "/etc:/v:ro"),
            ("//etc/./x/:/v", "/etc/x:/v"),
            ("name:/v:nocopy,z", "name:/v:nocopy,z"),
            ("/ws:/v:", "/ws:/v"),
            ("/only", "/only"),
        ] {
            assert_eq!(Bind::parse(text).unwrap().to_string(), written);
        }
        for text in [
            "/ws:/v:rw,ro",
            "./x:/v",
            "~/x:/v",
            "\\etc:/v",
            "a:b:c:d",
            ":/v",
            "/a:v",
            "/a:/v:exec",
            "",
            "../x:/v",
            "C:\\:/v",
        ] {
            assert!(Bind::parse(text).is_err(), "{text}");
        }
    }
}
