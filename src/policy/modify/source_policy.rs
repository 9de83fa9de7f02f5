//! A policy's images, frontends and addresses as rules of BuildKit's own.
//!
//! They hold for what a frontend fetches while it still reads, such as what a base image is, which nobody sees here. Of
//! several rules that match, the last one counts. Sources are named as BuildKit names them: `docker-image://…` with
//! registry and tag, `git://…` for every repository.

use crate::api::buildkit::source_policy::{Constraint, Policy as Rules, Rule, Selector};
use crate::policy::ask::Flag;
use crate::policy::remote::{INNER, named_host};
use crate::policy::{Grants, ImagePattern, Policy, TextPattern};

/// The rules that say what a policy says
pub(super) fn source_policy(policy: &Policy) -> Rules {
    let mut rules = vec![rule(DENY, String::new(), &[])];
    let Grants { allow, forbid } = &policy.images;
    rules.extend(allow.iter().map(|(pattern, _)| image(ALLOW, pattern, &[])));
    if let Some(Grants { allow, forbid }) = policy.flags.get(&Flag::Remote) {
        rules.extend(allow.iter().flat_map(|(pattern, _)| remote(ALLOW, pattern)));
        rules.push(rule(
            DENY,
            format!("\\A(?:https?|git|ssh)://(?:[^/?#]*@)?{INNER}(?::[^/?#@]*)?(?:[/?#].*)?\\z"),
            &[],
        ));
        let named = allow.iter().map(|(pattern, _)| pattern).filter(|pattern| named_host(pattern).is_some());
        rules.extend(named.flat_map(|pattern| remote(ALLOW, pattern)));
        // Before an `@` a pattern's host is another one's user.
        rules.push(rule(DENY, "\\Ahttps?://[^/?#]*@".to_owned(), &[]));
        rules.extend(forbid.iter().flat_map(|(pattern, _)| remote(DENY, pattern)));
    }
    rules.extend(forbid.iter().map(|(pattern, _)| image(DENY, pattern, &[])));
    // The client's own.
    for own in ["local://", "oci-layout://", "oci-layout\\+blob://", "http://buildkit-session/"] {
        rules.push(rule(ALLOW, format!("\\A{own}"), &[]));
    }
    let frontend = [("image.recordtype", "frontend")];
    rules.push(rule(DENY, "\\Adocker-image".to_owned(), &frontend));
    let Grants { allow, forbid } = &policy.frontends;
    rules.extend(allow.iter().map(|(pattern, _)| image(ALLOW, pattern, &frontend)));
    rules.extend(forbid.iter().map(|(pattern, _)| image(DENY, pattern, &frontend)));
    Rules { version: 1, rules }
}

fn rule(action: i32, regex: String, constraints: &[(&str, &str)]) -> Rule {
    let constraint = |(key, value): &(&str, &str)| Constraint {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        condition: EQUAL,
    };
    let constraints = constraints.iter().map(constraint).collect();
    Rule { action, selector: Some(Selector { identifier: regex, match_type: REGEX, constraints }), updates: None }
}

/// A tag's digest stands behind it once the engine has found it
fn image(action: i32, pattern: &ImagePattern, constraints: &[(&str, &str)]) -> Rule {
    let reference = inner(pattern.reference.as_str());
    rule(action, format!("\\Adocker-image(?:\\+blob)?://(?:{reference})(?:@sha256:[0-9a-f]{{64}})?\\z"), constraints)
}

/// The engine names a repository `git://…` whichever way it fetches it
fn remote(action: i32, pattern: &TextPattern) -> [Rule; 2] {
    let address = inner(pattern.0.as_str());
    let other = ["https://", "http://", "ssh://"].iter().find_map(|scheme| {
        let rest = address.strip_prefix("(?s:")?.strip_prefix(scheme)?;
        Some(format!("\\Agit://(?s:{rest}\\z"))
    });
    let same = format!("\\A{address}\\z");
    [rule(action, same.clone(), &[]), rule(action, other.unwrap_or(same), &[])]
}

/// An expression without its anchors
fn inner(regex: &str) -> &str {
    let regex = regex.strip_prefix("\\A").unwrap_or(regex);
    regex.strip_suffix("\\z").unwrap_or(regex)
}

const ALLOW: i32 = 0;
const DENY: i32 = 1;
/// By regular expression
const REGEX: i32 = 2;
const EQUAL: i32 = 0;

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::policy::compile::compile;

    /// What BuildKit makes of it: the last rule that matches counts
    fn allows(policy: &str, identifier: &str, attrs: &[(&str, &str)]) -> bool {
        let policy = compile("x", policy).unwrap_or_else(|report| panic!("{report}"));
        let matches = |rule: &&Rule| {
            let Some(Selector { identifier: regex, constraints, match_type }) = &rule.selector else { panic!() };
            assert_eq!(*match_type, REGEX);
            let constrained = |one: &Constraint| attrs.contains(&(one.key.as_str(), one.value.as_str()));
            Regex::new(regex).unwrap().is_match(identifier) && constraints.iter().all(constrained)
        };
        source_policy(&policy).rules.iter().rfind(matches).unwrap().action == ALLOW
    }

    #[test]
    fn buildkit_is_told_what_the_policy_says() {
        let policy = "[images]\nallow = ['debian:12', 'docker.io/bitnami/**', 'docker/dockerfile:*', '127.0.0.1:*/**']\n\
            forbid = ['bitnami/evil']\n[build]\nremote = { allow = ['https://example.com/*'], forbid = ['*/secret*'] }\n\
            frontends = ['docker/dockerfile:1']";
        let digest = format!("@sha256:{}", "0".repeat(64));
        for (identifier, expected) in [
            ("docker-image://docker.io/library/debian:12".to_owned(), true),
            (format!("docker-image://docker.io/library/debian:12{digest}"), true),
            (format!("docker-image://docker.io/library/debian:12{digest}x"), false),
            ("docker-image://docker.io/library/debian:13".to_owned(), false),
            ("docker-image://docker.io/bitnami/redis:1".to_owned(), true),
            ("docker-image://docker.io/bitnami/evil:1".to_owned(), false),
            ("docker-image://127.0.0.1:5000/a:1".to_owned(), true),
            ("docker-image://evil.example/docker.io/bitnami/x:1".to_owned(), false),
            ("https://example.com/x.tar".to_owned(), true),
            ("git://example.com/x.git".to_owned(), true),
            ("git://example.com/secret.git".to_owned(), false),
            ("https://example.com.evil/x".to_owned(), false),
            ("http://127.0.0.1/x".to_owned(), false),
            ("local://context".to_owned(), true),
            ("oci-layout://x@sha256:0".to_owned(), true),
            ("http://buildkit-session/abc".to_owned(), true),
            ("ftp://x".to_owned(), false),
        ] {
            assert_eq!(allows(policy, &identifier, &[]), expected, "{identifier}");
        }
    }

    #[test]
    fn an_image_that_may_be_used_may_not_run_as_a_frontend() {
        let frontend = &[("image.recordtype", "frontend")][..];
        let image = "docker-image://docker.io/docker/dockerfile:1";
        let any = "[images]\nallow = ['**']\n";
        let named = format!("{any}[build]\nfrontends = ['docker/dockerfile:*']");
        assert!(allows(any, image, &[]) && !allows(any, image, frontend));
        assert!(allows(&named, image, frontend));
        assert!(!allows(&named, "docker-image://docker.io/evil/dockerfile:1", frontend));
    }

    #[test]
    fn no_wildcard_reaches_the_engines_own_network() {
        for inner in ["http://127.0.0.1/x", "http://169.254.169.254/x", "http://localhost:80/x", "https://[::1]/x"] {
            let all = "[build]\nremote = ['*', 'http*']";
            assert!(!allows(all, inner, &[]), "{inner}");
            assert!(allows(&format!("[build]\nremote = ['{inner}']"), inner, &[]), "{inner}");
        }
        let named = "[build]\nremote = ['http://127.0.0.1:*']";
        assert!(allows(named, "http://127.0.0.1:80/x", &[]));
        assert!(!allows(named, "http://127.0.0.1:x@169.254.169.254/y", &[]));
        assert!(allows("[build]\nremote = ['*']", "https://example.com/x", &[]));
    }
}
