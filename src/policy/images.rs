//! The image names of an operation: what it makes, pulls, pushes and only looks at.
//!
//! Names are in the engine's own full form, as `docker.io/library/app:1`, so that each has one spelling. What a build's
//! `FROM` uses is not here: the engine alone reads it.

use crate::api::image_ref::{ImageRef, Meaning, Named};
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::ask::What;
use crate::policy::asks::asks;

/// The names that an operation gives to images, with their fields; those in an archive that is loaded are not known yet
pub fn made(operation: &Operation) -> Vec<(String, String)> {
    use Operation as O;
    let (O::BuildClassic(_) | O::BuildSolve(_) | O::ImageTag(_) | O::ImageCommit(_) | O::ImageImport(_)) = operation
    else {
        return Vec::new();
    };
    let new = |field: &str| field == "query.repo" || field.starts_with("query.t[") || field.contains(".name[");
    images(operation).filter(|(_, field)| new(field)).map(|(image, field)| (name(&image), field)).collect()
}

/// What an operation fetches from a registry
pub fn pulled(operation: &Operation) -> Option<ImageRef> {
    let Operation::ImagePull(_) = operation else { return None };
    images(operation).next().map(|(image, _)| image)
}

/// What an operation sends to a registry
pub fn pushed(operation: &Operation) -> Option<ImageRef> {
    let Operation::ImagePush(_) = operation else { return None };
    images(operation).next().map(|(image, _)| image)
}

/// What an operation takes away, as it was named
pub fn removed(operation: &Operation) -> Option<&ImageRef> {
    match operation {
        Operation::ImageRemove(Request { subject, .. }) => Some(subject),
        _ => None,
    }
}

/// The images that an operation shows or lists by, as they were named, with their fields
///
/// They matter where some images are not to be seen.
pub fn looked_at(operation: &Operation) -> Vec<(String, String)> {
    match operation {
        Operation::ImageInspect(Request { subject, .. }) => vec![(subject.given().to_owned(), PATH.to_owned())],
        Operation::ImageHistory(Request { subject, .. }) => vec![(subject.given().to_owned(), PATH.to_owned())],
        Operation::ImageList(Request { query, .. }) => {
            let mut found = Vec::new();
            for key in ["before", "since"] {
                let values = query.filters.0.get(key).into_iter().flatten();
                found.extend(values.map(|value| (value.clone(), format!("query.filters.{key}"))));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// The images that a build is to know of before it is built on them, with their fields
pub fn resolved(operation: &Operation) -> Vec<(ImageRef, String)> {
    let (name, mode, field) = match operation {
        Operation::BridgeResolveImage(Request { body: Protobuf(body), .. }) => {
            (Some(body.reference.as_str()), &body.resolve_mode, "Ref")
        }
        Operation::BridgeResolveSource(Request { body: Protobuf(body), .. }) => {
            let source = body.source.as_ref().and_then(|source| source.identifier.strip_prefix(SCHEME));
            (source, &body.resolve_mode, "Source.identifier")
        }
        _ => return Vec::new(),
    };
    // The registry alone is asked then.
    let name = name.filter(|_| mode != "pull");
    name.and_then(|name| ImageRef::read(name).ok()).map(|image| (image, field.to_owned())).into_iter().collect()
}

/// What BuildKit says of an image that is not there (0.13 to 0.25)
pub fn not_found(image: &ImageRef) -> String {
    format!("{image}: not found")
}

/// What stands before the name of an image that a build is made of
pub const SCHEME: &str = "docker-image://";

/// The name in full; a digest counts alone, as the engine pays no heed to a tag beside it
pub fn name(image: &ImageRef) -> String {
    match image.meaning() {
        Meaning::Named(named @ Named { digest: Some(_), .. }) => Named { tag: None, ..named.clone() }.to_string(),
        Meaning::Named(_) | Meaning::Id(_) => image.to_string(),
    }
}

/// What the engine says of an image that is not there (20.10 to 28.5)
pub fn missing(given: &str) -> String {
    let full = ImageRef::read(given).map_or_else(|_| given.to_owned(), |image| image.to_string());
    let short = full.strip_prefix("docker.io/library/").or_else(|| full.strip_prefix("docker.io/"));
    format!("No such image: {}", short.unwrap_or(&full))
}

fn images(operation: &Operation) -> impl Iterator<Item = (ImageRef, String)> {
    asks(operation).into_iter().filter_map(|ask| match ask.what {
        What::Image(image) => Some((image, ask.field)),
        _ => None,
    })
}

/// The field of the image that the path names
const PATH: &str = "path.name";

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;
    use crate::api::call::Call;
    use crate::api::credentials::RegistryHeaders;

    fn operation(method: Method, target: &str) -> Operation {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Call::read(&method, path, Some(query), RegistryHeaders::default()).unwrap().operation(b"").unwrap()
    }

    #[test]
    fn the_four_ways_that_name_images_in_the_query_are_known() {
        for (target, names) in [
            ("/build?t=app&t=r.example/app:1&t=", vec!["docker.io/library/app:latest", "r.example/app:1"]),
            ("/images/source/tag?repo=app&tag=2", vec!["docker.io/library/app:2"]),
            ("/images/source/tag?repo=app:1&tag=2", vec!["docker.io/library/app:2"]),
            ("/images/source/tag?repo=docker.io/library/app:1", vec!["docker.io/library/app:1"]),
            ("/commit?container=x&repo=app", vec!["docker.io/library/app:latest"]),
            ("/commit?container=x", vec![]),
            ("/images/create?fromSrc=-&repo=app&tag=1", vec!["docker.io/library/app:1"]),
            ("/images/create?fromImage=app&tag=1", vec![]),
            ("/images/app/push?tag=1", vec![]),
        ] {
            let found: Vec<String> = made(&operation(Method::POST, target)).into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, names, "{target}");
        }
    }

    #[test]
    fn a_pull_is_of_a_tag_a_digest_or_every_tag() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (target, expected) in [
            ("/images/create?fromImage=app&tag=1".to_owned(), "docker.io/library/app:1".to_owned()),
            ("/images/create?fromImage=app".to_owned(), "docker.io/library/app:*".to_owned()),
            (format!("/images/create?fromImage=app&tag={digest}"), format!("docker.io/library/app@{digest}")),
            (format!("/images/create?fromImage=app:1@{digest}"), format!("docker.io/library/app@{digest}")),
        ] {
            let image = pulled(&operation(Method::POST, &target)).map(|image| name(&image));
            assert_eq!(image, Some(expected), "{target}");
        }
    }

    #[test]
    fn a_missing_image_is_told_of_by_its_short_name() {
        for (given, said) in [
            ("app", "app:latest"),
            ("docker.io/library/app:1", "app:1"),
            ("team/app:1", "team/app:1"),
            ("r.example/app", "r.example/app:latest"),
            ("deadbeefdead", "deadbeefdead:latest"),
        ] {
            assert_eq!(missing(given), format!("No such image: {said}"));
        }
    }
}
