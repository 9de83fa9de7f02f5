//! Image patterns over the normalised reference, completed as the docker CLI completes a name.

use regex::Regex;

use crate::api::image_ref::ImageRef;
use crate::policy::ImagePattern;
use crate::policy::compile::pattern::BadPattern;

/// Reads a pattern
///
/// Without a registry it is one of docker.io, without a tag and digest it matches all of them. A pattern with a tag only
/// does not match that tag with a digest, since the engine then goes by the digest alone.
pub fn image(pattern: &str) -> Result<ImagePattern, BadPattern> {
    if pattern == "**" {
        return whole(".*", ".*", ".*");
    }
    if pattern == "sha256:*" {
        return Ok(ImagePattern { nameless: true, ..whole("sha256:[0-9a-f]*", NOTHING, NOTHING)? });
    }
    if pattern.starts_with("sha256:") {
        let known = ImageRef::read(pattern).map_err(|error| BadPattern::new(error.to_string()))?;
        return whole(&regex::escape(known.given()), NOTHING, NOTHING);
    }
    let (name, digest) = match pattern.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (pattern, None),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name.get(last..).and_then(|last| last.split_once(':')) {
        Some((end, tag)) => (name.get(..last + end.len()).unwrap_or(""), Some(tag)),
        None => (name, None),
    };
    check(pattern, name, tag, digest)?;
    let name = complete(name);
    let (registry, repository) = (registry(&name), repository(&name));
    let stars = |text: &str| text.split('*').map(regex::escape).collect::<Vec<_>>().join("[^/@]*");
    let reference = match (tag.map(stars), digest.map(stars)) {
        (None, None) => format!("{repository}(?::[^/@]+)?(?:@.+)?"),
        (Some(tag), None) => format!("{repository}:{tag}"),
        (None, Some(digest)) => format!("{repository}(?::[^/@]+)?@{digest}"),
        (Some(tag), Some(digest)) => format!("{repository}:{tag}@{digest}"),
    };
    whole(&reference, &repository, &registry)
}

fn whole(reference: &str, repository: &str, registry: &str) -> Result<ImagePattern, BadPattern> {
    let regex =
        |regex: &str| Regex::new(&format!(r"\A(?s:{regex})\z")).map_err(|error| BadPattern::new(error.to_string()));
    let (reference, repository, registry) = (regex(reference)?, regex(repository)?, regex(registry)?);
    Ok(ImagePattern { reference, repository, registry, nameless: false })
}

/// The expression for the registry alone
fn registry(name: &str) -> String {
    match name.split('/').next() {
        None | Some("**") => "[^/]*".to_owned(),
        Some(registry) => registry.split('*').map(regex::escape).collect::<Vec<_>>().join("[^/]*"),
    }
}

/// The expression for a repository; `*` stays in a segment, `**` is any number of them
fn repository(name: &str) -> String {
    let segments: Vec<&str> = name.split('/').collect();
    let mut regex = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            // The first of several is the registry, which may have a port.
            "**" if index == 0 => regex.push_str("(?:[^/@]+/)+"),
            "**" if last => regex.push_str("[^:@]+"),
            "**" => regex.push_str("(?:[^/:@]+/)*"),
            segment => {
                let literals: Vec<String> = segment.split('*').map(regex::escape).collect();
                regex.push_str(&literals.join("[^/:@]*"));
                regex.push_str(if last { "" } else { "/" });
            }
        }
    }
    regex
}

/// The repository with the registry and namespace that the docker CLI adds
fn complete(name: &str) -> String {
    match name.split_once('/') {
        Some(("**", _)) => name.to_owned(),
        Some(("index.docker.io", rest)) => complete(&format!("docker.io/{rest}")),
        Some(("docker.io", rest)) if !rest.contains('/') && rest != "**" => format!("docker.io/library/{rest}"),
        Some((registry, _)) if is_registry(registry) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether some reference can match: with `1` for each star, the pattern must be a reference
fn check(pattern: &str, name: &str, tag: Option<&str>, digest: Option<&str>) -> Result<(), BadPattern> {
    if name.split('/').any(|segment| segment.contains("**") && segment != "**") {
        return Err(BadPattern::new("`**` must be a whole segment").help("within a segment write `*`"));
    }
    if let Some((scheme, rest)) = pattern.split_once("://") {
        return Err(BadPattern::new(format!("`{scheme}://` has no place in an image reference"))
            .help(format!("write `{rest}`")));
    }
    if !name.contains('/') && name != "localhost" && name.contains('.') || (name == "localhost" && tag.is_some()) {
        return Err(BadPattern::new("this is the name of an image on docker.io, not a registry")
            .help(format!("for every image of a registry write `{}/**`", pattern.trim_end_matches('/'))));
    }
    let odd = |c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '*';
    if digest.is_some_and(|digest| digest.contains('*') && digest.contains(odd)) {
        return Err(BadPattern::new("the digest is not `algorithm:hex`"));
    }
    let digest = digest.filter(|digest| !digest.contains('*'));
    let mut sample = name.replace("**", "*").replace('*', "1");
    for (separator, part) in [(':', tag), ('@', digest)] {
        if let Some(part) = part {
            sample.push(separator);
            sample.push_str(&part.replace("**", "*").replace('*', "1"));
        }
    }
    let problem = match ImageRef::read(&sample) {
        Ok(_) => return Ok(()),
        Err(error) => {
            let error = error.to_string();
            BadPattern::new(error.split_once(" is no image reference: ").map_or(&*error, |(_, why)| why))
        }
    };
    let lower = name.to_ascii_lowercase();
    Err(if lower != name { problem.help(format!("write `{}`", pattern.replacen(name, &lower, 1))) } else { problem })
}

/// An expression that matches nothing: an image that is named by its id has no repository and no registry
const NOTHING: &str = "[a&&b]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_matched_apart() {
        for (pattern, registry, expected) in [
            ("debian", "docker.io", true),
            ("docker.io/**", "docker.io", true),
            ("docker.io/**", "index.docker.io", true),
            ("*.example.com/ci/**", "registry.example.com", true),
            ("localhost:*/**", "localhost:5000", true),
            ("**", "evil.com", true),
            ("**/app", "evil.com", true),
            ("docker.io/**", "docker.io.evil.com", false),
            ("docker.io/**", "evil.com", false),
            ("localhost:*/**", "localhost", false),
            ("sha256:*", "evil.com", false),
        ] {
            let image = format!("{registry}/x:latest");
            assert_eq!(super::image(pattern).unwrap().matches_registry(&image), expected, "{pattern} {registry}");
        }
    }

    fn matches(pattern: &str, reference: &str) -> bool {
        image(pattern).unwrap().matches(&ImageRef::read(reference).unwrap().to_string())
    }

    #[test]
    fn patterns_are_completed_as_names_are() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let pinned = format!("debian:12{digest}");
        for (pattern, reference) in [
            ("debian", "debian"),
            ("debian", "docker.io/library/debian:12"),
            ("debian", &pinned),
            ("docker.io/debian", "debian"),
            ("index.docker.io/debian", "debian"),
            ("docker.io/**", "debian:12"),
            ("docker.io/**", &pinned),
            ("docker.io/library/**", "debian"),
            ("docker.io/library/*", "debian:12"),
            ("library/*", "debian:12"),
            ("bitnami/*", "bitnami/redis:1"),
            ("*", "debian:12"),
            ("debian:1*", "debian:12"),
            ("debian@sha256:*", &pinned),
            (&format!("debian{digest}"), &pinned),
            ("debian:12@*", &pinned),
            ("localhost:*/**", "localhost:5000/a/b:1"),
            ("127.0.0.1:*/**", "127.0.0.1:5000/a"),
            ("[::1]:*/**", "[::1]:5000/a"),
            ("*.example.com/ci/**", "registry.example.com/ci/a/b"),
            ("registry.example.com/*/app", "registry.example.com/x/app:1"),
            ("**", "evil.com/x"),
            ("**", &"0".repeat(64)),
            ("**/app", "registry.example.com/x/app:1"),
            (&format!("sha256:{}", "0".repeat(64)), &"0".repeat(64)),
            ("sha256:*", &"0".repeat(64)),
        ] {
            assert!(matches(pattern, reference), "{pattern} {reference}");
        }
    }

    #[test]
    fn nothing_is_matched_by_a_part_of_its_name() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let pinned = format!("debian:12{digest}");
        for (pattern, reference) in [
            ("docker.io/library/**", "evil.com/docker.io/library/x"),
            ("docker.io/library/**", "docker.io/other/x"),
            ("docker.io/**", "docker.io.evil.com/x"),
            ("docker.io/**", "evil.com/x"),
            ("docker.io/**", &"0".repeat(64)),
            ("sha256:*", "debian"),
            ("debian", "debian-evil"),
            ("debian", "evil/debian"),
            ("debian", "evil.com/library/debian"),
            ("debian:12", "debian:12-evil"),
            ("debian:12", &pinned),
            ("debian:12", "debian"),
            ("debian:latest@*", "debian"),
            ("docker.io/library/*", "docker.io/library/a/b"),
            ("docker.io/*", "docker.io/a/b"),
            ("localhost:*/**", "localhost.evil.com:80/a"),
            ("localhost:*/**", "localhost/a"),
            ("127.0.0.1:*/**", "127.0.0.1.evil.com:80/a"),
            ("*.example.com/**", "evil.com/x.example.com/a"),
            ("*.example.com/**", "example.com/a"),
            ("registry.example.com/**", "registryxexample.com/a"),
        ] {
            assert!(!matches(pattern, reference), "{pattern} {reference}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        for pattern in [
            "",
            "Debian",
            "a b",
            "http://a/b",
            "a/",
            "/a",
            "a//b",
            "a:",
            "a:-x",
            "a@sha256:0",
            "a**",
            "registry.example.com",
            "localhost:*",
            "registry.example.com:5000",
            "a/../b",
            "sha256:xyz",
        ] {
            assert!(image(pattern).is_err(), "{pattern}");
        }
        assert!(
            image("registry.example.com:5000").unwrap_err().help.unwrap().ends_with("`registry.example.com:5000/**`")
        );
    }
}
