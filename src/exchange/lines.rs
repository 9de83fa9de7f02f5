//! The lines of the record: of a refusal, of what is sent, of what came and was no request.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use jiff::Timestamp;

use crate::answer::{self, Body, Refused};
use crate::audit::new_id;
use crate::audit::record::{Opened, Outcome, ask_lines, change_lines};
use crate::exchange::{Exchange, Gate, Who};
use crate::policy::Mode;
use crate::policy::ask::What;
use crate::policy::judge::Decision;
use crate::running::Making;
use crate::stream::End;

impl Exchange {
    /// Answers a refusal and records it; a refusal that cannot be recorded is still one
    pub(super) fn refuse(&mut self, refused: &Refused) -> Response<Body> {
        let (status, message) = self.note(refused);
        let response = answer::error(status, &message);
        // The rest of a body that was not read is no next request, nor is what follows a head with two readings.
        match refused {
            Refused::Header(_)
            | Refused::TooLarge { .. }
            | Refused::NoRoom
            | Refused::TooSlow(_)
            | Refused::BodyBroken => answer::and_close(response),
            _ => response,
        }
    }

    /// Records a refusal and returns its status and its message
    pub(super) fn note(&mut self, refused: &Refused) -> (StatusCode, String) {
        self.on_record = true;
        let status = refused.status();
        let message = refused.message(&self.id);
        match self.end.take() {
            // Recorded already: only the end is missing.
            Some(mut end) => {
                end.answered(status.as_u16());
                end.outcome(if matches!(refused, Refused::Engine(_)) {
                    Outcome::EngineFailed
                } else {
                    Outcome::Refused
                });
            }
            None => {
                if let Some(closed) = refused.closed() {
                    self.operation = closed.name;
                }
                // Not what failed or was not understood.
                let denied = status == StatusCode::FORBIDDEN
                    || self.policy.mode == Mode::Enforce
                        && self.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Deny);
                let word = if denied { "deny" } else { "error" };
                if let Err(error) = self.gate.audit.refused(&self.opened(word, Some(status), Some(&message))) {
                    tracing::error!(%error, id = self.id, "a refusal could not be recorded");
                }
            }
        }
        tracing::info!(id = self.id, operation = self.operation, status = status.as_u16(), reason = message, "refused");
        (status, message)
    }

    pub(super) fn opened<'a>(
        &'a self,
        verdict: &'static str,
        status: Option<StatusCode>,
        message: Option<&'a str>,
    ) -> Opened<'a> {
        let judged = self.verdict.as_ref();
        let images = judged.iter().flat_map(|verdict| &verdict.asks).filter_map(|judged| match &judged.ask.what {
            What::Image(image) => Some(image.to_string()),
            _ => None,
        });
        Opened {
            time: Timestamp::now(),
            event: "request",
            id: &self.id,
            listener: &self.gate.name,
            caller: &self.who.caller,
            owner: self.who.owner.name(),
            policy: &self.policy.name,
            operation: self.operation,
            request: &self.request,
            api_version: self.api_version.clone(),
            objects: self.objects.clone(),
            images: images.collect(),
            verdict,
            asks: judged.map(|verdict| ask_lines(&verdict.asks)).unwrap_or_default(),
            changes: judged.map(change_lines).unwrap_or_default(),
            status: status.map(|status| status.as_u16()),
            message,
        }
    }

    /// The end keeps the place among the running until it is recorded
    pub(super) fn end_line(&mut self, making: Option<Making>) -> End {
        let Self { gate, id, operation, begun, bytes, place, .. } = self;
        let (audit, name) = (Arc::clone(&gate.audit), Arc::clone(&gate.name));
        End::new(audit, id.clone(), name, operation, *begun, Arc::clone(bytes), (place.take(), making))
    }
}

/// A client that goes while something is looked up, or while others of its owner are counted, leaves a line as well
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.on_record {
            return;
        }
        let line = self.opened("error", None, Some("the client went before its request was judged"));
        if let Err(error) = self.gate.audit.refused(&line) {
            tracing::error!(%error, id = self.id, "a call that was given up could not be recorded");
        }
    }
}

/// Records what came on a connection and was no request, and returns the answer where hyper has sent none
///
/// `begun` says whether a part of a head was read. A connection that ends between two requests is nobody's call.
pub fn unreadable(gate: &Gate, who: &Who, error: &hyper::Error, begun: bool) -> Option<Vec<u8>> {
    let (refused, answered) = match error {
        error if error.is_parse_too_large() => (Refused::HeadTooLarge, true),
        error if error.is_parse() => (Refused::NoHttp(error.to_string()), true),
        error if error.is_timeout() && begun => (Refused::HeadTooSlow(gate.limits.head_time), false),
        error if error.is_incomplete_message() && begun => (Refused::HeadBroken, false),
        error => {
            tracing::debug!(%error, listener = &*gate.name, "connection ended");
            return None;
        }
    };
    let id = new_id();
    let (status, message) = (refused.status(), refused.message(&id));
    let policy = Arc::clone(&gate.policy.borrow());
    let line = Opened {
        time: Timestamp::now(),
        event: "request",
        id: &id,
        listener: &gate.name,
        caller: &who.caller,
        owner: who.owner.name(),
        policy: &policy.name,
        operation: "unknown",
        request: "",
        api_version: None,
        objects: Vec::new(),
        images: Vec::new(),
        verdict: "error",
        asks: Vec::new(),
        changes: Vec::new(),
        status: Some(status.as_u16()),
        message: Some(&message),
    };
    if let Err(error) = gate.audit.refused(&line) {
        tracing::error!(%error, "a refusal could not be recorded");
    }
    (!answered).then(|| answer::last_words(status, &message))
}
