//! How a listener names the owner of what its callers make.
//!
//! Names of different kinds never meet: a container's is its full id, a label's has `=` in it, the others have their
//! kind and a colon before them, and a fixed name may look like none of these.

use super::Owner;
use crate::caller::{Caller, Container};

/// How owners are named
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rule {
    /// `container`: the caller's container
    #[default]
    Container,
    /// `label:KEY`: the value of that label of the caller's container
    Label(String),
    /// `uid`: the caller's user
    Uid,
    /// `unit`: the caller's systemd unit
    Unit,
    /// A name, whoever calls
    Fixed(String),
}

/// What proves who a container belongs to, beyond what the container has itself
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The owner that made the caller's container, through sockwarden
    pub made_by: Option<String>,
    /// Whether the container's label that names owners is its own, and not its image's
    pub label_is_its_own: bool,
}

impl Rule {
    /// Reads what is written; `None` for a fixed name that looks like another kind's
    pub fn read(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None if text == "container" => Self::Container,
            None if text == "uid" => Self::Uid,
            None if text == "unit" => Self::Unit,
            Some(("label", key)) if !key.is_empty() && !key.contains('=') => Self::Label(key.to_owned()),
            _ => return Self::fixed(text),
        })
    }

    /// A fixed name; `None` if it looks like another kind's
    pub fn fixed(name: &str) -> Option<Self> {
        let id = name.len() == ID_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let kind = name.split_once(':').is_some_and(|(kind, _)| KINDS.contains(&kind));
        let fits = !name.is_empty() && !id && !kind && !name.contains('=') && name != UNKNOWN;
        fits.then(|| Self::Fixed(name.to_owned()))
    }

    /// Whether it asks where the calling process is
    pub fn asks_for_the_process(&self) -> bool {
        match self {
            Self::Container | Self::Label(_) | Self::Unit => true,
            Self::Uid | Self::Fixed(_) => false,
        }
    }

    /// The owner of what a caller makes that can be seen
    ///
    /// A container that an owner made, and that calls in turn, is that owner's; only a listener of one owner is everybody's.
    pub fn owner(&self, caller: &Caller, evidence: &Evidence) -> Owner {
        let Caller { uid, gid: _, pid: _, container, cgroup, unit, slice: _, job: _, project: _, mounts: _ } = caller;
        let of_user = || format!("uid:{uid}");
        let of_place = || match (container, cgroup) {
            (Some(Container { id, .. }), _) => id.clone(),
            (None, Some(cgroup)) => format!("cgroup:{cgroup}"),
            (None, None) => of_user(),
        };
        let name = match (self, &evidence.made_by) {
            (Self::Fixed(name), _) => name.clone(),
            (_, Some(maker)) => maker.clone(),
            (Self::Container, None) => of_place(),
            (Self::Label(key), None) => match label(caller, key).filter(|_| evidence.label_is_its_own) {
                Some(value) => format!("{key}={value}"),
                None => of_place(),
            },
            (Self::Uid, None) => of_user(),
            (Self::Unit, None) => match (container, unit) {
                (None, Some(unit)) => format!("unit:{unit}"),
                _ => of_place(),
            },
        };
        Owner::new(&name)
    }

    /// The owner of what a caller makes that cannot be seen
    pub fn owner_unseen(&self, uid: u32, listener: &str) -> Owner {
        match self {
            Self::Fixed(name) => Owner::new(name),
            Self::Uid => Owner::new(&format!("uid:{uid}")),
            Self::Container | Self::Label(_) | Self::Unit => Owner::new(&format!("listener:{listener}")),
        }
    }

    /// The owner on record of a caller that is not let in, as it could not be identified
    pub fn owner_unknown() -> Owner {
        Owner::new(UNKNOWN)
    }
}

/// The label of a caller's container, if it fits into a name
fn label<'a>(caller: &'a Caller, key: &str) -> Option<&'a str> {
    let value = caller.container.as_ref()?.labels.get(key)?;
    let fits = (1..=MOST_BYTES).contains(&value.len()) && !value.contains(char::is_control);
    fits.then_some(value.as_str())
}

/// What stands before a colon in names of other kinds
const KINDS: &[&str] = &["container", "label", "uid", "unit", "env", "cgroup", "listener", "unknown"];
/// Nobody's name
const UNKNOWN: &str = "unknown";
/// Digits of a container's id
const ID_DIGITS: usize = 64;
/// Bytes of a label's value that can be a name
const MOST_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn in_container(labels: &[(&str, &str)]) -> Caller {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let container = Container { id: "c".repeat(64), labels, ..Container::default() };
        Caller { uid: 1000, container: Some(container), ..Caller::default() }
    }

    fn named(rule: &str, caller: &Caller, evidence: &Evidence) -> String {
        Rule::read(rule).unwrap().owner(caller, evidence).to_string()
    }

    #[test]
    fn every_rule_names_its_kind_of_owner() {
        let job = in_container(&[("job", "7")]);
        let host = Caller { uid: 1000, unit: Some("runner.service".to_owned()), ..Caller::default() };
        let pod = Caller { uid: 0, cgroup: Some("/kubepods/x".to_owned()), ..Caller::default() };
        let own = Evidence { made_by: None, label_is_its_own: true };
        let id = "c".repeat(64);
        for (rule, caller, owner) in [
            ("container", &job, id.as_str()),
            ("container", &host, "uid:1000"),
            ("container", &pod, "cgroup:/kubepods/x"),
            ("label:job", &job, "job=7"),
            ("label:none", &job, &id),
            ("label:job", &host, "uid:1000"),
            ("uid", &job, "uid:1000"),
            ("uid", &pod, "uid:0"),
            ("unit", &host, "unit:runner.service"),
            ("unit", &job, &id),
            ("unit", &pod, "cgroup:/kubepods/x"),
            ("team-a", &job, "team-a"),
            ("team-a", &host, "team-a"),
        ] {
            assert_eq!(named(rule, caller, &own), owner, "{rule} {caller:?}");
        }
    }

    #[test]
    fn what_an_owner_made_calls_in_its_name() {
        let evidence = Evidence { made_by: Some("job=7".to_owned()), label_is_its_own: true };
        for rule in ["container", "label:job", "uid", "unit"] {
            assert_eq!(named(rule, &in_container(&[("job", "8")]), &evidence), "job=7", "{rule}");
        }
        assert_eq!(named("team-a", &in_container(&[]), &evidence), "team-a");
    }

    #[test]
    fn a_label_that_the_image_brought_or_that_is_no_name_is_nobodys() {
        let id = "c".repeat(64);
        assert_eq!(named("label:job", &in_container(&[("job", "7")]), &Evidence::default()), id);
        let own = Evidence { made_by: None, label_is_its_own: true };
        for value in ["", "a\nb", &"x".repeat(256)] {
            assert_eq!(named("label:job", &in_container(&[("job", value)]), &own), id, "{value}");
        }
    }

    #[test]
    fn a_fixed_name_is_no_other_kinds() {
        for name in ["ci", "/run/a.sock", "team:a", "uid2", "label", "7"] {
            assert_eq!(Rule::read(name), Some(Rule::Fixed(name.to_owned())), "{name}");
        }
        let (id, upper) = ("0".repeat(64), "A".repeat(64));
        for name in [
            "uid:0",
            "unit:x.service",
            "label:",
            "label:a=b",
            "listener:/run/a.sock",
            "cgroup:/x",
            "a=b",
            "unknown",
            "",
            "env:",
            "container:x",
            &id,
            &upper,
        ] {
            assert_eq!(Rule::read(name), None, "{name}");
        }
    }

    #[test]
    fn who_cannot_be_seen_is_the_listener_or_what_does_not_depend_on_it() {
        let unseen = |rule: &str| Rule::read(rule).unwrap().owner_unseen(5, "ci").to_string();
        for rule in ["container", "label:job", "unit"] {
            assert_eq!(unseen(rule), "listener:ci", "{rule}");
        }
        assert_eq!((unseen("uid"), unseen("team-a")), ("uid:5".to_owned(), "team-a".to_owned()));
    }
}
