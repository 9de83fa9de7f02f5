//! A policy's images, frontends and addresses as rules of BuildKit's own.
//!
//! They hold for what a frontend fetches while it still reads, such as what a base image is, which nobody sees here. Of
//! several rules that match, the last one counts. Sources are named as BuildKit names them: `docker-image://…` with
//! registry and tag, `git://…` for every repository.

use crate::api::buildkit::source_policy::{Constraint, Policy as Rules, Rule, Selector};
use crate::policy::ask::Flag;
use crate::policy::{Grants, ImagePattern, Policy, TextPattern};

/// The rules that say what a policy says
pub(super) fn source_policy(policy: &Policy) -> Rules {
    let mut rules = vec![rule(DENY, String::new(), &[])];
    // The client's own.
    for own in ["local://", "oci-layout://", "oci-layout\\+blob://", "http://buildkit-session/"] {
        rules.push(rule(ALLOW, format!("\\A{own}"), &[]));
    }
    let Grants { allow, forbid } = &policy.images;
    rules.extend(allow.iter().map(|(pattern, _)| image(ALLOW, pattern, &[])));
    if let Some(Grants { allow, forbid }) = policy.flags.get(&Flag::Remote) {
        rules.extend(allow.iter().flat_map(|(pattern, _)| remote(ALLOW, pattern)));
        rules.extend(forbid.iter().flat_map(|(pattern, _)| remote(DENY, pattern)));
    }
    rules.extend(forbid.iter().map(|(pattern, _)| image(DENY, pattern, &[])));
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
