//! Patterns as written to patterns as used: text, host paths, host ports. Images have a file of their own.
//!
//! In all of them `*` is the only special character; what else a library gives a meaning is escaped here.

use std::net::IpAddr;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use crate::policy::{PublishPattern, TextPattern};

/// Why a pattern cannot be used, and what was probably meant
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// What is wrong
    pub what: String,
    /// What to write instead
    pub help: Option<String>,
}

impl BadPattern {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A name of a network or volume, in which `*` stands for any text
///
/// # Errors
/// When no object can have such a name.
pub fn name(pattern: &str) -> Result<TextPattern, BadPattern> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '*');
    if pattern.is_empty() || !pattern.chars().all(plain) {
        let help = "names are letters, digits, `_`, `.` and `-`; `*` stands for any text".to_owned();
        return Err(BadPattern { what: "no object can have this name".to_owned(), help: Some(help) });
    }
    text(pattern)
}

/// Whole text in which `*` stands for any text
pub fn text(pattern: &str) -> Result<TextPattern, BadPattern> {
    let literals: Vec<String> = pattern.split('*').map(regex::escape).collect();
    let regex = Regex::new(&format!(r"\A(?s:{})\z", literals.join(".*")));
    regex.map(TextPattern).map_err(|error| BadPattern::new(error.to_string()))
}

/// A glob in which only `*` (within a segment) and `**` (across segments) are special
///
/// `alternatives` are in the library's own syntax and stand after the pattern.
fn glob(pattern: &str, alternatives: &str) -> Result<GlobMatcher, BadPattern> {
    GlobBuilder::new(&format!("{}{alternatives}", escape(pattern)))
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| BadPattern::new(error.kind().to_string()))
}

fn escape(pattern: &str) -> String {
    let escape = |c: char| match c {
        '?' | '[' | ']' | '{' | '}' | '\\' | '!' | ',' => format!("\\{c}"),
        c => c.to_string(),
    };
    pattern.chars().map(escape).collect()
}

/// A pattern of host paths, and one of the directories in which such a path may lie; `dir/**` is also the directory
pub fn path(pattern: &str) -> Result<(GlobMatcher, GlobMatcher), BadPattern> {
    if !pattern.starts_with('/') {
        return Err(BadPattern::new("a host path begins with `/`")
            .help("the engine looks the path up on its own host, not in the caller's directory"));
    }
    let segments: Vec<&str> = pattern.split('/').skip(1).collect();
    if pattern != "/" && segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(BadPattern::new("the path is not clean, so that no mount can match it")
            .help(format!("write `{}`", crate::api::bind::clean(pattern))));
    }
    if segments.iter().any(|segment| segment.contains("**") && *segment != "**") {
        return Err(BadPattern::new("`**` must be a whole segment").help("within a segment write `*`"));
    }
    let paths = match pattern.strip_suffix("/**") {
        Some("") => glob("", "{/,/**}"),
        Some(directory) => glob(directory, "{,/**}"),
        None => glob(pattern, ""),
    }?;
    Ok((paths, above(&segments)?))
}

/// Every directory above a path, up to the first `**`, below which any directory may be
fn above(segments: &[&str]) -> Result<GlobMatcher, BadPattern> {
    let mut directories = vec!["/".to_owned()];
    let mut directory = String::new();
    for segment in segments.iter().take(segments.len().saturating_sub(1)) {
        directory = format!("{directory}/{}", escape(segment));
        directories.push(directory.clone());
        if *segment == "**" {
            break;
        }
    }
    glob("", &format!("{{{}}}", directories.join(",")))
}

/// Host ports: `8080`, `*:1024-65535`, `127.0.0.1:0`, `[::1]:8080`
pub fn publish(pattern: &str) -> Result<PublishPattern, BadPattern> {
    let bad =
        |what: String| BadPattern::new(what).help("write `address:first-last`, as `*:1024-65535` or `127.0.0.1:0`");
    let (address, ports) = match pattern.rsplit_once(':') {
        None if pattern == "*" => ("*", "*"),
        Some((address, ports)) => (address.trim_start_matches('[').trim_end_matches(']'), ports),
        None => ("*", pattern),
    };
    let address = match address {
        "*" => None,
        address if address.parse::<IpAddr>().is_ok() => Some(address.to_owned()),
        address => return Err(bad(format!("`{address}` is no IP address"))),
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(bad(format!("`{text}` is no port; ports are 0 (any free one) to 65535"))),
    };
    let ports = match ports.split_once('-') {
        _ if ports == "*" => (0, u16::MAX),
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(ports)?, port(ports)?),
    };
    if ports.0 > ports.1 {
        return Err(bad(format!("the range ends before it begins: {}-{}", ports.0, ports.1)));
    }
    Ok(PublishPattern { address, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_matched_whole_and_only_the_star_is_special() {
        let matches = |pattern: &str, value: &str| text(pattern).unwrap().0.is_match(value);
        assert!(matches("SYS_*", "SYS_PTRACE"));
        assert!(matches("*", "any\ntext"));
        assert!(matches("net.ipv4.*=1", "net.ipv4.x=1"));
        assert!(!matches("net.ipv4.*", "netxipv4.a"));
        assert!(!matches("NET", "NET_RAW"));
        assert!(!matches("NET_RAW", "NET_RAW\n"));
        assert!(!matches("net_raw", "NET_RAW"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn paths_are_matched_whole_by_segments() {
        let matches = |pattern: &str, value: &str| path(pattern).unwrap().0.is_match(value);
        for (pattern, value) in [
            ("/srv/cache/**", "/srv/cache"),
            ("/srv/cache/**", "/srv/cache/a/b"),
            ("/srv/*", "/srv/a"),
            ("/srv/*/cache", "/srv/a/cache"),
            ("/srv/**/cache", "/srv/cache"),
            ("/srv/**/cache", "/srv/a/b/cache"),
            ("/**", "/"),
            ("/**", "/etc/shadow"),
            ("/", "/"),
            ("/a[b]?", "/a[b]?"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("/srv/cache/**", "/srv/cache2"),
            ("/srv/cache/**", "/srv"),
            ("/srv/cache", "/srv/cache/a"),
            ("/srv/*", "/srv/a/b"),
            ("/srv/*", "/srv"),
            ("/", "/etc"),
            ("/a[b]?", "/ab"),
            ("/srv/**/cache", "/srv/xcache"),
        ] {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
        for pattern in ["", "srv", "./a", "~/a", "/a/../b", "/a//b", "/a/", "/a/./b", "/a**", "/a/**b/c"] {
            assert!(path(pattern).is_err(), "{pattern}");
        }
        assert_eq!(path("/a/b/../c/").unwrap_err().help.unwrap(), "write `/a/c`");
    }

    #[test]
    fn directories_above_a_pattern_are_known() {
        let above = |pattern: &str, value: &str| path(pattern).unwrap().1.is_match(value);
        for (pattern, value) in [
            ("/home/*/.ssh/**", "/"),
            ("/home/*/.ssh/**", "/home"),
            ("/home/*/.ssh/**", "/home/alice"),
            ("/srv/**/secret", "/srv/any/where"),
            ("/a,b/c", "/a,b"),
        ] {
            assert!(above(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("/home/*/.ssh/**", "/home/alice/.config"),
            ("/home/*/.ssh/**", "/homes"),
            ("/srv/**/secret", "/srva"),
            ("/a,b/c", "/a"),
        ] {
            assert!(!above(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn ports_are_read() {
        let read = |pattern: &str| publish(pattern).map(|PublishPattern { address, ports }| (address, ports));
        assert_eq!(read("8080").unwrap(), (None, (8080, 8080)));
        assert_eq!(read("*:0").unwrap(), (None, (0, 0)));
        assert_eq!(read("127.0.0.1:1024-65535").unwrap(), (Some("127.0.0.1".into()), (1024, 65535)));
        assert_eq!(read("[::1]:80").unwrap(), (Some("::1".into()), (80, 80)));
        assert_eq!(read("*:*").unwrap(), (None, (0, 65535)));
        for pattern in ["", "a", "*:", "localhost:80", "*:70000", "*:20-10", "*:-1", "*:+1", "1.2.3:80", "*:80/tcp"] {
            assert!(read(pattern).is_err(), "{pattern}");
        }
    }
}
