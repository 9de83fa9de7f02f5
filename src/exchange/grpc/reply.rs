//! What becomes of a call's answer: passed on as it comes, looked at message by message, or given here.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::answer::Refused;
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::exchange::Exchange;
use crate::exchange::grpc::shown::{History, Plain};
use crate::policy::cache::Cache;

/// What becomes of an answer
pub enum Course {
    /// Passed on piece by piece
    Passed,
    /// Passed on message by message, each as it is, changed, or not at all
    Looked(Box<dyn Reply>),
    /// Given here; the engine is not asked
    Own(Vec<Bytes>),
}

/// Looks at an answer, message by message
pub trait Reply: Send {
    /// What the client gets in the place of a message: the message, another one, or nothing
    ///
    /// Until the first message is judged the client has got nothing, so that a refusal then is the whole answer. After that
    /// it is the answer's end. Either way the engine's side is cancelled.
    fn message(&mut self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send + '_>>;

    /// Whether the answer has said all: it ends well then, and the engine's side is cancelled
    fn is_done(&self) -> bool {
        false
    }

    /// Changes the trailers, as the text of an error; `grpc-message` is percent-encoded
    fn trailers(&mut self, _trailers: &mut HeaderMap) {}
}

impl Exchange {
    /// What becomes of the answer to an operation that was judged and recorded
    pub(super) fn course(&mut self, operation: &Operation) -> Result<Course, Refused> {
        let course = match operation {
            Operation::BuildHistory(_) => self.history(),
            Operation::BridgeSolve(request) => Course::Looked(Box::new(self.judge_of_steps(request.subject.as_str()))),
            // One empty list, and a stream without a record: nothing in the cache is one's own.
            Operation::BuildDiskUsage(_) if self.has_no_cache() => Course::Own(vec![Bytes::new()]),
            Operation::BuildCachePrune(_) if self.has_no_cache() => Course::Own(Vec::new()),
            // The engine keeps spans in memory, each in many times the bytes that it took to send it (28.5).
            Operation::BuildTrace(_) => Course::Own(vec![Bytes::new()]),
            _ => Course::Passed,
        };
        let Some(view) = self.view.clone() else { return Ok(course) };
        let is_progress = matches!(operation, Operation::BuildStatus(_));
        let plain = |inner| Course::Looked(Box::new(Plain { view, is_progress, inner }));
        Ok(match course {
            Course::Passed => plain(None),
            Course::Looked(reply) => plain(Some(reply)),
            Course::Own(messages) => Course::Own(messages),
        })
    }

    fn has_no_cache(&self) -> bool {
        self.view.is_some() && self.policy.cache != Cache::Own
    }

    fn history(&self) -> Course {
        let Some(view) = self.view.clone() else { return Course::Passed };
        Course::Looked(Box::new(History { view, who: Arc::clone(&self.who), own: Arc::clone(&self.gate.own) }))
    }
}
