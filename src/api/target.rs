//! The request target: path and query, decoded once and strictly.
//!
//! The engine decodes the path once, cleans it and routes on the result, so `/%63ontainers/json`, `//info` and
//! `/x/../info` reach handlers; its query lets the first of equal keys win. Here each of those is an error, and what is
//! forwarded is built anew from the parts.

use thiserror::Error;

use crate::api::version::{ApiVersion, BadVersion};

/// Why a target was not understood
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// A `%` without two hexadecimal digits, or what they make is not UTF-8
    #[error("malformed escape in {0}")]
    Escape(&'static str),
    /// A byte that has no place in a target
    #[error("`{}` may not stand in {place}", .byte.escape_debug())]
    Byte {
        /// The byte
        byte: char,
        /// Where it stood
        place: &'static str,
    },
    /// `//`, `.`, `..` or a slash at the end
    #[error("the path has an empty or dot segment")]
    Segment,
    /// Not below `/`
    #[error("the target must be a path")]
    Form,
    /// A version prefix in a spelling that is not taken
    #[error("`{}` is no API version; use `/v1.NN/`", .0.escape_debug())]
    Version(String),
    /// Older than [`ApiVersion::MIN`]; the engine's own words
    #[error("client version {0} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version", min = ApiVersion::MIN)]
    TooOld(String),
    /// Newer than [`ApiVersion::MAX`]; the engine's own words
    #[error("client version {0} is too new. Maximum supported API version is {max}", max = ApiVersion::MAX)]
    TooNew(String),
}

/// A decoded target
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The version prefix, if there was one
    pub version: Option<ApiVersion>,
    /// Path after the version, decoded, one string a segment; an escaped slash is part of its segment
    pub segments: Vec<String>,
    /// Decoded query, in order
    pub query: Vec<(String, String)>,
}

impl Target {
    /// Reads path and query as they stood in the request line
    ///
    /// # Errors
    /// When any part could be read in two ways.
    pub fn read(path: &str, query: Option<&str>) -> Result<Self, BadTarget> {
        let mut segments = path
            .strip_prefix('/')
            .ok_or(BadTarget::Form)?
            .split('/')
            .map(|segment| decode(segment, "the path"))
            .collect::<Result<Vec<_>, _>>()?;
        let version = match segments.first().and_then(|first| first.strip_prefix('v')) {
            Some(text) if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') || text.is_empty() => {
                let version = read_version(text)?;
                segments.remove(0);
                Some(version)
            }
            _ => None,
        };
        // `GET /networks/` is a route of its own in the engine, the same as `/networks`.
        if segments == ["networks", ""] {
            segments.pop();
        }
        let dotted = |segment: &String| segment.split('/').any(|part| matches!(part, "" | "." | ".."));
        if segments.is_empty() || segments.iter().any(dotted) {
            return Err(BadTarget::Segment);
        }
        Ok(Self { version, segments, query: read_query(query.unwrap_or(""))? })
    }
}

fn read_version(text: &str) -> Result<ApiVersion, BadTarget> {
    ApiVersion::parse(text).map_err(|error| match error {
        BadVersion::Spelling => BadTarget::Version(text.to_owned()),
        BadVersion::TooOld => BadTarget::TooOld(text.to_owned()),
        BadVersion::TooNew => BadTarget::TooNew(text.to_owned()),
    })
}

fn read_query(query: &str) -> Result<Vec<(String, String)>, BadTarget> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode_form(key)?, decode_form(value)?))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn decode_form(text: &str) -> Result<String, BadTarget> {
    decode(&text.replace('+', "%20"), "the query")
}

fn decode(text: &str, place: &'static str) -> Result<String, BadTarget> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(BadTarget::Escape(place)),
                }
            }
            // `;` separates pairs for engines built with Go below 1.17; the others have no meaning worth two readings.
            b';' | b'\\' | b'#' => return Err(BadTarget::Byte { byte: char::from(byte), place }),
            byte => byte,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| BadTarget::Escape(place))?;
    let control = |c: char| c.is_control() && !(place == "the query" && matches!(c, '\t' | '\n' | '\r'));
    match decoded.chars().find(|c| control(*c)) {
        Some(byte) => Err(BadTarget::Byte { byte, place }),
        None => Ok(decoded),
    }
}

/// Appends a segment to a path, escaping what is not plainly a name; slashes of image names stay
pub fn push_segment(path: &mut String, segment: &str) {
    path.push('/');
    escape(path, segment, b"/:@");
}

/// Appends one pair to a query
pub fn push_pair(query: &mut String, key: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    escape(query, key, b"");
    query.push('=');
    escape(query, value, b"");
}

fn escape(into: &mut String, text: &str, plain: &[u8]) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Result<Target, BadTarget> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Target::read(path, query)
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        for target in [
            "//info",
            "/./info",
            "/x/../info",
            "/%2e%2e/info",
            "/a%2f%2fb",
            "/info/",
            "/a%2f..%2fb",
            "",
            "info",
            "/v1.41",
        ] {
            assert!(read(target).is_err(), "{target}");
        }
        for target in
            ["/in%zzfo", "/info%", "/%ff", "/a%00", "/a%0a", "/a;b", "/a\\b", "/a#b", "/x?a=%z", "/x?a;b", "/x?a=%00"]
        {
            assert!(read(target).is_err(), "{target}");
        }
    }

    #[test]
    fn version_prefixes_are_read_strictly() {
        assert_eq!(read("/v1.41/info").unwrap().version, ApiVersion::new(41));
        assert_eq!(read("/info").unwrap().version, None);
        assert_eq!(read("/volumes").unwrap().segments, ["volumes"]);
        for target in ["/v01.41/info", "/v1.41.0/info", "/v1..41/info", "/v1/info", "/v/info", "/v5.0.0/libpod/info"] {
            assert!(matches!(read(target), Err(BadTarget::Version(_))), "{target}");
        }
        assert!(matches!(read("/v1.23/info"), Err(BadTarget::TooOld(_))));
        assert!(matches!(read("/v1.99/info"), Err(BadTarget::TooNew(_))));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut path = String::new();
        push_segment(&mut path, "images");
        push_segment(&mut path, "127.0.0.1:5000/a b/ü");
        let mut query = String::new();
        push_pair(&mut query, "filters", r#"{"label":["a=b&c"]} +%"#);
        let target = Target::read(&path, Some(&query)).unwrap();
        assert_eq!(target.segments.join("/"), "images/127.0.0.1:5000/a b/ü");
        assert_eq!(target.query, [("filters".to_owned(), r#"{"label":["a=b&c"]} +%"#.to_owned())]);
    }
}
