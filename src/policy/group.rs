//! Groups of operations: the words a policy's `allow` and `forbid` are made of, besides single operations.

use crate::api::closed::{CLOSED, Closed};
use crate::api::operation::{ENDPOINTS, METHODS};

/// A named set of operations
#[derive(Debug)]
pub struct Group {
    /// Its name in a policy
    pub name: &'static str,
    /// What it is for, for the reference
    pub about: &'static str,
    /// Operations, and prefixes of operations that end in a dot or are empty
    with: &'static [&'static str],
    /// Operations that the prefixes would include
    without: &'static [&'static str],
}

/// Every group
pub static GROUPS: &[Group] = &[
    group("*", "every operation that is not closed", &[""], &[]),
    group("system", "`system.read`, and `docker login`", &["system."], &[]),
    group(
        "system.read",
        "what the engine is and does",
        &["system.ping", "system.version", "system.info", "system.events", "system.df"],
        &[],
    ),
    group("container", "containers, from create to remove; not prune", &["container."], &["container.prune"]),
    group(
        "container.read",
        "lists, inspects, logs and figures of containers",
        &[
            "container.list",
            "container.inspect",
            "container.logs",
            "container.stats",
            "container.top",
            "container.changes",
        ],
        &[],
    ),
    group("container.archive", "`docker cp`, both ways", &["container.archive."], &[]),
    group("exec", "`docker exec`", &["exec."], &[]),
    group("image", "images; not prune", &["image."], &["image.prune"]),
    group(
        "image.read",
        "lists, inspects and history of images",
        &["image.list", "image.inspect", "image.history"],
        &[],
    ),
    group("image.save", "`docker save`", &["image.export", "image.export.many"], &[]),
    group(
        "build",
        "`docker build`, with BuildKit and without; not prune",
        &["build."],
        &["build.prune", "build.cache.prune"],
    ),
    group("network", "networks; not prune", &["network."], &["network.prune"]),
    group("network.read", "lists and inspects of networks", &["network.list", "network.inspect"], &[]),
    group("volume", "volumes; not prune", &["volume."], &["volume.prune"]),
    group("volume.read", "lists and inspects of volumes", &["volume.list", "volume.inspect"], &[]),
    group(
        "prune",
        "every prune",
        &["container.prune", "image.prune", "build.prune", "build.cache.prune", "network.prune", "volume.prune"],
        &[],
    ),
];

const fn group(
    name: &'static str,
    about: &'static str,
    with: &'static [&'static str],
    without: &'static [&'static str],
) -> Group {
    Group { name, about, with, without }
}

impl Group {
    /// Its operations
    pub fn operations(&self) -> Vec<&'static str> {
        let within = |name: &str| {
            let matches =
                |with: &&str| name == *with || ((with.is_empty() || with.ends_with('.')) && name.starts_with(*with));
            self.with.iter().any(matches) && !self.without.contains(&name)
        };
        names().into_iter().filter(|name| within(name)).collect()
    }
}

/// The operations a word stands for: those of a group, or one
pub fn operations(word: &str) -> Option<Vec<&'static str>> {
    if let Some(group) = GROUPS.iter().find(|group| group.name == word) {
        return Some(group.operations());
    }
    names().into_iter().find(|name| *name == word).map(|name| vec![name])
}

/// The closed operation of that name
pub fn closed(word: &str) -> Option<&'static Closed> {
    CLOSED.iter().find(|closed| closed.name == word)
}

/// What was probably meant by a word that is neither an operation nor a group
pub fn meant(word: &str) -> Vec<&'static str> {
    let words: Vec<&'static str> = GROUPS.iter().map(|group| group.name).chain(names()).collect();
    if let Some(known) = words.iter().find(|known| word.trim_end_matches(['*', '.']) == **known) {
        return vec![known];
    }
    let verb = |name: &&&str| name.rsplit('.').next() == Some(word);
    let same: Vec<&str> = words.iter().filter(verb).copied().collect();
    if !same.is_empty() {
        return same;
    }
    crate::policy::report::nearest(word, words).into_iter().collect()
}

/// Every operation's name, once
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = ENDPOINTS.iter().chain(METHODS).map(|endpoint| endpoint.name).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_group_names_operations() {
        let names = names();
        for Group { name, with, without, .. } in GROUPS {
            for word in with.iter().chain(*without).filter(|word| !word.is_empty() && !word.ends_with('.')) {
                assert!(names.contains(word), "{name}: {word} is no operation");
            }
            assert!(!operations(name).unwrap().is_empty(), "{name}");
        }
        for name in names.iter().filter(|name| name.ends_with(".prune")) {
            assert!(operations("prune").unwrap().contains(name), "{name}");
        }
        assert_eq!(operations("*").unwrap(), names);
    }

    #[test]
    fn what_was_meant_is_found() {
        for (word, expected) in [
            ("container.*", &["container"][..]),
            ("pull", &["image.pull"]),
            ("containers", &["container"]),
            ("image.pul", &["image.pull"]),
            ("kubernetes", &[]),
        ] {
            assert_eq!(meant(word), expected, "{word}");
        }
    }
}
