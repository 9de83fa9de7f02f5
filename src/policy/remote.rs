//! What the engine may fetch: patterns over addresses, and hosts that no wildcard covers.
//!
//! The engine fetches from the host's own network, where loopback, the cloud's metadata and neighbours answer that a job
//! cannot reach. A pattern covers those, and whatever is not plainly a name of the internet, only if it names them.

use std::sync::LazyLock;

use regex::Regex;

use crate::policy::TextPattern;

/// Whether a pattern grants an address
pub fn covers(pattern: &TextPattern, url: &str) -> bool {
    // An address that somebody reads otherwise is no address.
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if url.contains(odd) || !pattern.0.is_match(url) {
        return false;
    }
    let host = host(url);
    !is_inner(host) || named_host(pattern).is_some_and(|named| named.eq_ignore_ascii_case(host))
}

/// The host that a pattern names; none where a wildcard stands in it, or before it
pub fn named_host(pattern: &TextPattern) -> Option<String> {
    let regex = pattern.0.as_str();
    let text = regex.strip_prefix("\\A(?s:").and_then(|regex| regex.strip_suffix(")\\z")).unwrap_or(regex);
    // Backslashes only take meanings away, and the only one that is left is the wildcard.
    let text = text.replace(".*", "\0").replace('\\', "");
    let host = host(&text);
    let end = text.find(host)? + host.len();
    let wild = text.get(..end).is_none_or(|before| before.contains('\0'));
    (!wild && !host.is_empty()).then(|| host.to_owned())
}

/// The host of an address
fn host(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(begin..).unwrap_or("");
    let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len())).unwrap_or("");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let length = match host.find(']').filter(|_| host.starts_with('[')) {
        Some(at) => at + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host.get(..length).unwrap_or("")
}

fn is_inner(host: &str) -> bool {
    static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("\\A(?:{INNER})\\z")).ok());
    WHOLE.as_ref().is_none_or(|inner| inner.is_match(host))
}

/// Hosts that are not certainly ones of the internet, as an expression that BuildKit reads likewise
///
/// A name of one part, or of the last parts that are never of the internet; a number in any spelling; what is neither.
pub const INNER: &str = "(?i:(?:[^./?#:@]*|(?:[^./?#:@]+\\.)+(?:localhost|local|localdomain|internal|intranet|lan|home|\
    corp|private|invalid|test|arpa)|(?:[^./?#:@]*\\.)*[0-9][^./?#:@]*|\\[[^/?#@]*\\]|\
    [^/?#:@]*[^a-z0-9._/?#:@-][^/?#:@]*)\\.?)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compile::pattern::text;

    fn granted(pattern: &str, url: &str) -> bool {
        covers(&text(pattern).unwrap(), url)
    }

    #[test]
    fn a_wildcard_covers_hosts_of_the_internet() {
        for url in
            ["https://example.com/x.tar", "https://me@example.com:8443/x", "git@github.com:a/b.git", "github.com/a/b"]
        {
            assert!(granted("*", url), "{url}");
        }
        assert!(granted("https://*.example.com/*", "https://files.example.com/x"));
    }

    #[test]
    fn hosts_of_the_engines_own_network_must_be_named() {
        for url in [
            "http://93.184.216.34/x",
            "https://[2606:2800:220:1::1]/x",
            "http:///x",
            "http://127.0.0.1:8899/creds",
            "http://127.1/x",
            "http://2130706433/x",
            "http://0x7f000001/x",
            "http://0x7f.0.0.1/x",
            "http://0177.0.0.1/x",
            "http://localhost/x",
            "http://LOCALHOST./x",
            "http://a.localhost/x",
            "http://[::1]:80/x",
            "http://[::ffff:127.0.0.1]/x",
            "http://[fe80::1%25eth0]/x",
            "http://[fd00::1]/x",
            "http://[64:ff9b::7f00:1]/x",
            "http://[2002:7f00:1::]/x",
            "http://0.0.0.0/x",
            "http://0/x",
            "http://169.254.169.254/latest/meta-data",
            "http://metadata.google.internal/x",
            "http://metadata/x",
            "http://10.0.0.1/x",
            "http://172.16.9.9/x",
            "http://192.168.1.1/x",
            "http://100.64.0.1/x",
            "https://example.com@127.0.0.1/x",
            "git@localhost:a/b.git",
            "git://127.0.0.1/a",
        ] {
            assert!(!granted("*", url), "{url}");
            assert!(!granted("http*", url), "{url}");
            assert!(granted(url, url) || url == "http:///x", "{url}");
        }
        assert!(granted("http://127.0.0.1:*/*", "http://127.0.0.1:8899/creds"));
        for pattern in ["http://127.0.0.1:*", "http://127.0.0.1*"] {
            assert!(!granted(pattern, "http://127.0.0.1:x@169.254.169.254/y"), "{pattern}");
        }
        assert!(!granted("http*://*.1:8899/*", "http://127.0.0.1:8899/creds"));
    }

    #[test]
    fn an_address_with_another_reading_is_covered_by_nothing() {
        for url in ["https://example.com\\@127.0.0.1/x", "https://example.com/\n", "https://exa mple.com/"] {
            assert!(!granted("*", url), "{url}");
        }
    }
}
