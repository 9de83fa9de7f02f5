//! What is on record so far, in numbers: for whoever wants a summary at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::audit::record::{Ended, Opened};

/// Numbers over all lines that were written
#[derive(Debug, Default)]
pub struct Tally(Mutex<Summary>);

/// What was made and what was refused
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operations that made something, as `container.create`, and how often
    pub made: BTreeMap<&'static str, u64>,
    /// Calls that a policy refused
    pub refused: u64,
    /// What the first of them was told
    pub first: Option<String>,
}

impl Tally {
    /// The numbers so far
    pub fn summary(&self) -> Summary {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn refused(&self, line: &Opened<'_>) {
        if line.verdict == "deny" {
            let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            summary.refused += 1;
            summary.first = summary.first.take().or_else(|| line.message.map(ToOwned::to_owned));
        }
    }

    pub(super) fn ended(&self, line: &Ended<'_>) {
        let made = MADE.iter().find(|name| **name == line.operation);
        if let (Some(name), Some(200..=299)) = (made, line.status) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).made.entry(name).or_default() += 1;
        }
    }
}

/// Operations that a summary speaks of
const MADE: &[&str] = &[
    "container.create",
    "network.create",
    "volume.create",
    "build.build",
    "image.commit",
    "image.import",
    "image.load",
];

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use jiff::Timestamp;

    use super::*;
    use crate::audit::record::Outcome;

    #[test]
    fn only_what_the_engine_made_counts() {
        let tally = Tally::default();
        let end = |operation: &'static str, status| Ended {
            time: Timestamp::try_from(SystemTime::UNIX_EPOCH).unwrap(),
            event: "end",
            id: "1",
            listener: "ci",
            operation,
            status,
            grpc_status: None,
            outcome: Outcome::Complete,
            bytes_in: 0,
            bytes_out: 0,
            duration_ms: 0,
        };
        for (operation, status) in [
            ("container.create", Some(201)),
            ("container.create", Some(409)),
            ("container.create", None),
            ("container.start", Some(204)),
            ("volume.create", Some(201)),
        ] {
            tally.ended(&end(operation, status));
        }
        assert_eq!(tally.summary().made, [("container.create", 1), ("volume.create", 1)].into());
    }
}
