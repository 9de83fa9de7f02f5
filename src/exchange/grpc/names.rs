//! The names that a build gives to images: its last word says what has become of them.

use std::pin::Pin;

use bytes::Bytes;
use http::HeaderMap;

use crate::answer::Refused;
use crate::exchange::grpc::reply::Reply;
use crate::exchange::images::{Hold, Images};
use crate::owner::images::Building;

/// Settles the names with the status of the answer, before the client hears of it
///
/// An answer without a status settles nothing: the build may go on, and its names stay claimed.
pub struct Naming {
    /// The names
    pub hold: Hold,
    /// The images
    pub images: Images,
    /// The build, for as long as it runs
    pub building: Option<Building>,
    /// Who looks at the answer besides
    pub inner: Option<Box<dyn Reply>>,
}

impl Reply for Naming {
    fn message(&mut self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send + '_>> {
        match &mut self.inner {
            Some(inner) => inner.message(message),
            None => Box::pin(async { Ok(Some(message)) }),
        }
    }

    fn is_done(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.is_done())
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) {
        self.building = None;
        if let Some(status) = trailers.get("grpc-status") {
            let hold = std::mem::take(&mut self.hold);
            hold.ended(status == "0", &self.images);
        }
        if let Some(inner) = &mut self.inner {
            inner.trailers(trailers);
        }
    }
}
