//! Image references, normalised as the engine does (`distribution/reference`), so that a rule sees one spelling.

use std::fmt;

use crate::api::names::BadName;

/// A reference to an image: as given, and what it means
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    given: String,
    meaning: Meaning,
}

/// What an image reference means
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meaning {
    /// `sha256:` and 64 hexadecimal digits: one image whatever its names
    Id(String),
    /// A name in a repository
    Named(Named),
}

/// A normalised name: `docker.io/library/debian:12`
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// Registry and repository, as `docker.io/library/debian`
    pub repository: String,
    /// Tag, when one was given
    pub tag: Option<String>,
    /// Digest, when one was given
    pub digest: Option<String>,
}

impl ImageRef {
    /// Reads any reference the engine takes: name, `name:tag`, `name@digest`, `sha256:…` or 64 hexadecimal digits
    ///
    /// # Errors
    /// When the text is none of those.
    pub fn read(text: &str) -> Result<Self, BadName> {
        let bad = |why| BadName::new("image reference", text, why);
        let meaning = match text.strip_prefix("sha256:") {
            Some(hex) if is_id(hex) => Meaning::Id(text.to_owned()),
            Some(hex) if !hex.is_empty() && hex.len() < 64 && is_hex(hex) => Meaning::Id(text.to_owned()),
            Some(_) => return Err(bad("not a sha256 id")),
            None if is_id(text) => Meaning::Id(format!("sha256:{text}")),
            None => Meaning::Named(Named::read(text).map_err(bad)?),
        };
        Ok(Self { given: text.to_owned(), meaning })
    }

    /// A repository and, given apart, its tag or digest, as pull, commit and tag take them
    ///
    /// # Errors
    /// When the parts do not make a reference.
    pub fn join(repository: &str, tag: &str) -> Result<Self, BadName> {
        let text = match tag {
            "" => repository.to_owned(),
            digest if digest.contains(':') => format!("{repository}@{digest}"),
            tag => format!("{repository}:{tag}"),
        };
        Self::read(&text)
    }

    /// Every tag of the repository, written `*`: what pull and push without a tag mean
    #[must_use]
    pub fn every_tag(mut self) -> Self {
        if let Meaning::Named(named @ Named { tag: None, digest: None, .. }) = &mut self.meaning {
            named.tag = Some("*".to_owned());
        }
        self
    }

    /// The text as the client gave it
    pub fn given(&self) -> &str {
        &self.given
    }

    /// What it means
    pub fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// Whether the engine could also take the name for the beginning of an id
    pub fn may_be_id(&self) -> bool {
        matches!(self.meaning, Meaning::Id(_)) || is_hex(&self.given)
    }

    /// Whether the engine found this image by one of `names`, which are those it has for it, and not by its id
    ///
    /// A digest counts alone: the engine pays no heed to a tag beside it.
    pub fn is_one_of<'a>(&self, names: impl IntoIterator<Item = &'a Self>) -> bool {
        let Meaning::Named(given) = &self.meaning else { return false };
        let wanted = match &given.digest {
            Some(_) => Named { tag: None, ..given.clone() }.to_string(),
            None => given.to_string(),
        };
        names.into_iter().any(|name| name.to_string() == wanted)
    }
}

impl fmt::Display for ImageRef {
    /// The normalised form, with the tag the engine would add
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.meaning {
            Meaning::Id(id) => f.write_str(id),
            Meaning::Named(named) => named.fmt(f),
        }
    }
}

impl Named {
    fn read(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err("the digest is not `algorithm:hex`"),
            None => (text, None),
        };
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest.get(last..).and_then(|last| last.split_once(':')) {
            Some((end, tag)) if is_tag(tag) => (rest.get(..last + end.len()).unwrap_or(""), Some(tag.to_owned())),
            Some(_) => return Err("the tag is not letters, digits, `_`, `.` and `-`, at most 128"),
            None => (rest, None),
        };
        // As the engine: the first segment is a registry if it looks like a host.
        let (domain, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || has_upper(first) => {
                (first, rest)
            }
            _ => ("docker.io", name),
        };
        let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
        if !is_domain(domain) {
            return Err("the registry is not `host[:port]`");
        }
        let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
        if path.is_empty() || !path.split('/').all(is_component) {
            return Err("a repository is lower-case letters and digits, joined by `.`, `_`, `__`, `-` and `/`");
        }
        let repository = format!("{domain}/{library}{path}");
        if repository.len() > 255 {
            return Err("the repository is longer than 255 bytes");
        }
        Ok(Self { repository, tag, digest })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, digest } = self;
        f.write_str(repository)?;
        match (tag, digest) {
            (Some(tag), _) => write!(f, ":{tag}")?,
            (None, None) => f.write_str(":latest")?,
            (None, Some(_)) => {}
        }
        digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        matches!((algorithm, hex.len()), ("sha256", 64) | ("sha384", 96) | ("sha512", 128)) && is_hex(hex)
    })
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().enumerate().all(|(index, b)| word(b) || (index > 0 && matches!(b, b'.' | b'-')))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    };
    host_is_good && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().copied().is_some_and(alnum) && bytes.last().copied().is_some_and(alnum);
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators.all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_one_image_are_one() {
        for text in ["a", "library/a", "docker.io/a", "index.docker.io/a", "docker.io/library/a:latest"] {
            assert_eq!(ImageRef::read(text).unwrap().to_string(), "docker.io/library/a:latest", "{text}");
        }
        assert_eq!(ImageRef::read("localhost/a").unwrap().to_string(), "localhost/a:latest");
        assert_eq!(ImageRef::read("127.0.0.1:5000/a/b:1").unwrap().to_string(), "127.0.0.1:5000/a/b:1");
        assert_eq!(ImageRef::read("[::1]:5000/a").unwrap().to_string(), "[::1]:5000/a:latest");
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(ImageRef::read(&digest).unwrap().to_string(), format!("docker.io/library/{digest}"));
    }

    #[test]
    fn what_the_engine_would_not_take_is_refused() {
        for text in [
            "",
            "A",
            "a:",
            "a@",
            "a@sha256:0",
            "a::b",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "ä",
            "a b",
            "-a",
            "a:-b",
            "evil.com:x/a",
            "sha256:xyz",
            "a:b:c",
            "a/../b",
            "http://a/b",
        ] {
            assert!(ImageRef::read(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn ids_are_known_as_ids() {
        let id = "0123456789abcdef".repeat(4);
        assert!(matches!(ImageRef::read(&id).unwrap().meaning(), Meaning::Id(_)));
        assert!(ImageRef::read("deadbeef").unwrap().may_be_id());
        assert!(!ImageRef::read("busybox").unwrap().may_be_id());
    }
}
