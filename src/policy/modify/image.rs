//! The owner's label on images, and the one thing that is asked for by it.
//!
//! The engine puts labels of a build's query after the last of the Dockerfile, so ours win whatever stands there or comes
//! from a base image's `ONBUILD` (20.10 to 28.5). Archives that are loaded keep the labels that they come with.

use std::collections::BTreeMap;

use crate::api::build::Build;
use crate::api::buildkit::bridge::Return;
use crate::api::buildkit::image_config::{is_config, labelled};
use crate::api::create::Config;
use crate::api::parameters as q;
use crate::api::request::OptionalBody;
use crate::policy::asks::RESERVED_LABELS;
use crate::policy::modify::{LISTENER_LABEL, OWNER_LABEL};

/// Labels of what is stamped on everything that are for images too: containers made of one inherit the others
fn labels(stamped: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    stamped.iter().filter(|(key, _)| IMAGES.contains(&key.as_str()))
}

pub(super) fn build(stamped: &BTreeMap<String, String>, query: &mut Build) {
    for (key, value) in labels(stamped) {
        query.labels.0.get_or_insert_default().insert(key.clone(), value.clone());
    }
}

/// The engine fills up what the body leaves out from the container
pub(super) fn commit(stamped: &BTreeMap<String, String>, body: &mut OptionalBody<Config>) {
    for (key, value) in labels(stamped) {
        let config = body.0.get_or_insert_default();
        config.labels.get_or_insert_default().insert(key.clone(), value.clone());
    }
}

/// The client returns the image's configuration itself, so what it says of labels is said again here
pub(super) fn returned(stamped: &BTreeMap<String, String>, returned: &mut Return) {
    let labels: BTreeMap<&str, &str> = labels(stamped).map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let metadata = returned.result.iter_mut().flat_map(|result| &mut result.metadata);
    for (_, config) in metadata.filter(|(key, _)| is_config(key)) {
        // What cannot be read is refused, unless nothing is.
        if let Ok(labelled) = labelled(config, RESERVED_LABELS, &labels) {
            *config = labelled;
        }
    }
}

/// An import has no labels but those of its instructions
pub(super) fn import(stamped: &BTreeMap<String, String>, query: &mut q::Import) {
    for (key, value) in labels(stamped) {
        // What is not printed may end the line; a name without a label is a claim in the ledger all the same.
        if !value.contains(char::is_control) {
            let escaped: String = value.chars().flat_map(escape).collect();
            query.changes.push(format!("LABEL {key}=\"{escaped}\""));
        }
    }
}

/// In double quotes the builder reads `\`, `"` and `$` in its own way
fn escape(c: char) -> impl Iterator<Item = char> {
    let escaped = matches!(c, '"' | '\\' | '$').then_some('\\');
    escaped.into_iter().chain([c])
}

/// Only what this owner built, committed or imported: labels are joined by *and*
pub(super) fn prune(stamped: &BTreeMap<String, String>, query: &mut q::Filtered) {
    for (key, value) in stamped.iter().filter(|(key, _)| *key == OWNER_LABEL) {
        query.filters.0.entry("label".to_owned()).or_default().push(format!("{key}={value}"));
    }
}

/// Whose an image is, and through which listener it was made
const IMAGES: &[&str] = &[OWNER_LABEL, LISTENER_LABEL];

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(owner: &str) -> BTreeMap<String, String> {
        [(OWNER_LABEL, owner), ("sockwarden.memory", "1")].map(|(key, value)| (key.into(), value.into())).into()
    }

    #[test]
    fn a_label_is_one_value_whatever_is_in_it() {
        let mut query = q::Import::default();
        import(&stamped(r#"a "q" $HOME \ x"#), &mut query);
        assert_eq!(query.changes, [r#"LABEL sockwarden.owner="a \"q\" \$HOME \\ x""#]);
        import(&stamped("a\nLABEL b=c"), &mut query);
        assert_eq!(query.changes.len(), 1);
    }

    #[test]
    fn what_is_for_containers_alone_is_not_put_on_images() {
        let mut query = Build::default();
        build(&stamped("a"), &mut query);
        assert_eq!(query.labels.0.unwrap().into_keys().collect::<Vec<_>>(), [OWNER_LABEL]);
    }

    #[test]
    fn a_clients_filter_only_narrows_a_prune() {
        let mut query = q::Filtered::default();
        query.filters.0.insert("label".to_owned(), vec!["sockwarden.owner=other".to_owned()]);
        prune(&stamped("a"), &mut query);
        assert_eq!(query.filters.0["label"], ["sockwarden.owner=other", "sockwarden.owner=a"]);
    }
}
