//! The answer to `LLBBridge/Solve`: every step that the build would run, judged before the client learns its name.
//!
//! Nothing has run yet: a result is made when the client returns it, or reads from it, by the name that the engine gave it.

use std::pin::Pin;

use bytes::Bytes;

use crate::answer::Refused;
use crate::api::buildkit::bridge::Solved;
use crate::api::image_ref::ImageRef;
use crate::api::message::read_message;
use crate::api::request::Misread;
use crate::exchange::Exchange;
use crate::exchange::finding::Finding;
use crate::exchange::grpc::reply::Reply;
use crate::exchange::images::Images;
use crate::policy::ask::{Ask, What};
use crate::policy::images::not_found;
use crate::policy::judge::Facts;
use crate::policy::judge::found::{answered, judge_steps};

/// Holds the steps of a build against a policy, and records what comes of it
pub struct JudgeOfSteps {
    /// Records what was found
    pub finding: Finding,
    /// The build, by its name on the engine
    pub build: String,
    /// What is the owner's own
    pub facts: Facts,
    /// Whose images are whose; none where they are everybody's
    pub images: Option<Images>,
}

impl Exchange {
    /// What judges the steps that are answered to the call
    pub(super) fn judge_of_steps(&mut self, build: &str) -> JudgeOfSteps {
        JudgeOfSteps {
            finding: self.finding(),
            build: build.to_owned(),
            facts: std::mem::take(&mut self.facts),
            images: self.images(),
        }
    }
}

impl JudgeOfSteps {
    async fn judge(&self, message: &Bytes) -> Result<(), Refused> {
        let solved: Solved = read_message(message.clone()).map_err(Misread::from)?;
        let found = answered(&self.finding.policy, &solved, &self.facts);
        let sources: Vec<_> = found.asks.iter().filter_map(source).collect();
        let foreign = match &self.images {
            Some(images) => images.unseen(&self.build, &sources).await?,
            None => Vec::new(),
        };
        let verdict = judge_steps(&self.finding.policy, found, foreign);
        let first = verdict.refused().next().and_then(|(ask, _)| sources.iter().find(|(_, field)| *field == ask.field));
        self.finding.settle("steps", &verdict, first.map(|(image, _)| not_found(image)))
    }
}

fn source(ask: &Ask) -> Option<(ImageRef, String)> {
    match &ask.what {
        What::Image(image) => Some((image.clone(), ask.field.clone())),
        _ => None,
    }
}

impl Reply for JudgeOfSteps {
    fn message(&mut self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send + '_>> {
        Box::pin(async move { self.judge(&message).await.map(|()| Some(message)) })
    }
}
