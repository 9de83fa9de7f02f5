//! What is found in a stream that passes, names in an archive or steps of a build: judged then, and on record at once.

use std::sync::Arc;

use jiff::Timestamp;

use crate::answer::{Refused, denial};
use crate::audit::Audit;
use crate::audit::record::{NamesFound, ask_lines, verdict_word};
use crate::exchange::Exchange;
use crate::policy::judge::{Decision, Verdict};
use crate::policy::{Mode, Policy};

/// Records verdicts on what was found for one exchange
#[derive(Debug)]
pub struct Finding {
    /// The policy
    pub policy: Arc<Policy>,
    audit: Arc<Audit>,
    id: String,
    listener: Arc<str>,
    operation: &'static str,
}

impl Exchange {
    /// What records for this exchange
    pub(super) fn finding(&self) -> Finding {
        Finding {
            policy: Arc::clone(&self.policy),
            audit: Arc::clone(&self.gate.audit),
            id: self.id.clone(),
            listener: Arc::clone(&self.gate.name),
            operation: self.operation,
        }
    }
}

impl Finding {
    /// Records a verdict; what it refuses is refused, and answered with `absent` where all of that is another's
    ///
    /// # Errors
    /// When what was found does not pass, or the verdict cannot be written down.
    pub fn settle(&self, event: &'static str, verdict: &Verdict, absent: Option<String>) -> Result<(), Refused> {
        if self.record(event, verdict)? {
            return Ok(());
        }
        Err(match absent.filter(|_| verdict.is_of_others()) {
            Some(said) => Refused::Absent(said),
            None => Refused::Denied(denial(&self.policy.name, verdict)),
        })
    }

    /// Whether what was found passes
    fn record(&self, event: &'static str, verdict: &Verdict) -> Result<bool, Refused> {
        let passes = verdict.decision != Decision::Deny || self.policy.mode != Mode::Enforce;
        let line = NamesFound {
            time: Timestamp::now(),
            event,
            id: &self.id,
            listener: &self.listener,
            policy: &self.policy.name,
            operation: self.operation,
            verdict: verdict_word(verdict.decision, passes),
            asks: ask_lines(&verdict.asks),
        };
        self.audit.found(&line).map_err(|error| {
            tracing::error!(%error, "the record cannot be written");
            Refused::Unrecorded
        })?;
        Ok(passes)
    }
}
