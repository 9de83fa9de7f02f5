//! Owners: the names under which things are made and may be seen again.

pub mod images;
pub mod rule;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::policy::modify::{OWNER_LABEL, RECORD_LABEL};

/// An owner
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    name: Arc<str>,
    tag: Arc<str>,
}

impl Owner {
    /// The owner of that name
    pub fn new(name: &str) -> Self {
        let digest = Sha256::digest(name);
        let tag: String = digest.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.into(), tag: tag.into() }
    }

    /// Its name, as on record and in labels
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A short word made from the name, the same at any time and on any machine: 12 hexadecimal digits
    ///
    /// For places where the name itself has no room or may not stand, such as the names of its objects and its cgroup.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a container's labels of ours are its own, not what its image has
///
/// A container has its image's labels and its own, and the engine tells them as one. What sockwarden makes has at least one
/// label of ours that no image can have had before: the record of its making.
pub fn are_its_own(container: &BTreeMap<String, String>, image: &BTreeMap<String, String>) -> bool {
    let own = |key: &str| container.get(key).is_some_and(|value| image.get(key) != Some(value));
    own(RECORD_LABEL) || own(OWNER_LABEL)
}

/// Bytes of the digest that make a tag
const TAG_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_made_of_the_name_alone() {
        assert_eq!(Owner::new("job-7").tag(), Owner::new("job-7").tag());
        assert_ne!(Owner::new("job-7").tag(), Owner::new("job-8").tag());
        assert_eq!(Owner::new("job-7").tag().len(), 12);
    }

    #[test]
    fn labels_that_an_image_has_too_prove_nothing() {
        let labels =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let image = labels(&[(OWNER_LABEL, "a"), (RECORD_LABEL, "1")]);
        for (container, own) in [
            (labels(&[(OWNER_LABEL, "a"), (RECORD_LABEL, "1")]), false),
            (labels(&[(OWNER_LABEL, "a")]), false),
            (labels(&[]), false),
            (labels(&[(OWNER_LABEL, "b"), (RECORD_LABEL, "1")]), true),
            (labels(&[(OWNER_LABEL, "a"), (RECORD_LABEL, "2")]), true),
        ] {
            assert_eq!(are_its_own(&container, &image), own, "{container:?}");
        }
        assert!(are_its_own(&labels(&[(OWNER_LABEL, "a")]), &labels(&[])));
    }
}
