//! What the engine may fetch: patterns over addresses, and hosts that no wildcard covers.
//!
//! The engine fetches from the host's own network, where loopback, the cloud's metadata and neighbours answer that a job
//! cannot reach. A pattern covers those only if it names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::TextPattern;

/// Whether a pattern grants an address
pub fn covers(pattern: &TextPattern, url: &str) -> bool {
    // An address that somebody reads otherwise is no address.
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if url.contains(odd) || !pattern.0.is_match(url) {
        return false;
    }
    let (before, host, after) = parts(url);
    // What covers another host as well is a wildcard.
    !is_inner(host) || !pattern.0.is_match(&format!("{before}{ELSEWHERE}{after}"))
}

/// The host of an address, what stands before it, and what stands behind
fn parts(url: &str) -> (&str, &str, &str) {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(begin..).unwrap_or("");
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let begin = begin + rest.get(..end).and_then(|authority| authority.rfind('@')).map_or(0, |at| at + 1);
    let rest = url.get(begin..).unwrap_or("");
    let length = match rest.find(']').filter(|_| rest.starts_with('[')) {
        Some(at) => at + 1,
        None => rest.find([':', '/', '?', '#']).unwrap_or(rest.len()),
    };
    let (host, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
    (url.get(..begin).unwrap_or(""), host, after)
}

/// Whether a host is not certainly one of the internet
fn is_inner(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let bare = bare.split('%').next().unwrap_or_default();
    match bare.parse() {
        Ok(IpAddr::V4(address)) => is_inner_v4(address),
        Ok(IpAddr::V6(address)) => is_inner_v6(address),
        // A name without a dot is one of the engine's own network; what ends in digits is a number in another spelling.
        Err(_) => {
            let last = bare.rsplit('.').next().unwrap_or_default();
            !bare.contains('.')
                || INNER.contains(&last)
                || last.starts_with(|c: char| c.is_ascii_digit())
                || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240
        // Of providers, behind which others sit (RFC 6598), and of test networks.
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (18..20).contains(&second))
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    // What is not global unicast, and what holds an IPv4 address within (6to4, Teredo, NAT64).
    let [first, second, ..] = address.segments();
    first & 0xe000 != 0x2000 || first == 0x2002 || (first == 0x2001 && second == 0)
}

/// A host that nobody has
const ELSEWHERE: &str = "sockwarden-elsewhere.invalid";
/// Last parts of names that are not of the internet
const INNER: &[&str] = &["localhost", "local", "internal", "lan", "home", "corp", "intranet", "invalid", "test"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compile::pattern::text;

    fn granted(pattern: &str, url: &str) -> bool {
        covers(&text(pattern).unwrap(), url)
    }

    #[test]
    fn a_wildcard_covers_hosts_of_the_internet() {
        for url in [
            "https://example.com/x.tar",
            "http://93.184.216.34/x",
            "https://me@example.com:8443/x",
            "git@github.com:a/b.git",
            "github.com/a/b",
            "https://[2606:2800:220:1::1]/x",
        ] {
            assert!(granted("*", url), "{url}");
        }
        assert!(granted("https://*.example.com/*", "https://files.example.com/x"));
    }

    #[test]
    fn hosts_of_the_engines_own_network_must_be_named() {
        for url in [
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
            assert!(granted(url, url), "{url}");
        }
        assert!(granted("http://127.0.0.1:8899/*", "http://127.0.0.1:8899/creds"));
        assert!(!granted("http*://*.1:8899/*", "http://sockwarden-elsewhere.invalid/x"));
    }

    #[test]
    fn an_address_with_another_reading_is_covered_by_nothing() {
        for url in ["https://example.com\\@127.0.0.1/x", "https://example.com/\n", "https://exa mple.com/"] {
            assert!(!granted("*", url), "{url}");
        }
    }
}
