//! Answers of BuildKit as their owner is to see them: its own builds, by the names that it gave them.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::answer::Refused;
use crate::engine::EngineError;
use crate::exchange::Who;
use crate::exchange::grpc::reply::Reply;
use crate::exchange::own::OwnIds;
use crate::policy::view::View;
use crate::shown::builds::{error_details, error_text, event, progress};

/// Takes the owner's suffix out of what an answer says, after somebody else has looked at it
pub struct Plain {
    /// The owner's names
    pub view: View,
    /// Whether messages are news of a build
    pub is_progress: bool,
    /// Who looks at the answer before
    pub inner: Option<Box<dyn Reply>>,
}

impl Reply for Plain {
    fn message(&mut self, message: Bytes) -> Looked<'_> {
        Box::pin(async move {
            let message = match &mut self.inner {
                Some(inner) => inner.message(message).await?,
                None => Some(message),
            };
            Ok(message.map(|message| if self.is_progress { progress(&self.view, message) } else { message }))
        })
    }

    fn is_done(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.is_done())
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) {
        if let Some(inner) = &mut self.inner {
            inner.trailers(trailers);
        }
        let text = trailers.get(MESSAGE).and_then(|text| text.to_str().ok()).map(|text| error_text(&self.view, text));
        if let Some(text) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            trailers.insert(MESSAGE, text);
        }
        if let Some(details) = trailers.remove(DETAILS)
            && let Some(details) = error_details(&self.view, details.as_bytes())
            && let Ok(details) = HeaderValue::try_from(details)
        {
            trailers.insert(DETAILS, details);
        }
    }
}

/// Lets the owner's own builds pass, and remembers which blobs are theirs
pub struct History {
    /// The owner's names
    pub view: View,
    /// The owner
    pub who: Arc<Who>,
    /// What is known to be owners' own
    pub own: Arc<OwnIds>,
}

impl Reply for History {
    fn message(&mut self, message: Bytes) -> Looked<'_> {
        let shown = event(&self.view, message).map(|own| {
            own.map(|own| {
                own.blobs.iter().for_each(|blob| self.own.learn_blob(blob, self.who.owner.name()));
                own.message
            })
        });
        let shown = shown.map_err(|error| EngineError::Broken(format!("what it says of builds: {error}")).into());
        Box::pin(std::future::ready(shown))
    }
}

type Looked<'a> = Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send + 'a>>;

/// Why a call failed, in words
const MESSAGE: &str = "grpc-message";
/// The same with more, for programs
const DETAILS: &str = "grpc-status-details-bin";
