//! A body that is read as a whole: no longer than may be, in no more time, and not too many large ones at once.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::answer::Refused;
use crate::config::Limits;

/// Room for the large bodies of all listeners, in KiB
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

/// A body and the room it takes, until it is dropped
#[derive(Debug, Default)]
pub struct Whole {
    /// The bytes
    pub bytes: Vec<u8>,
    share: Share,
}

/// A share of the room, until it is dropped
#[derive(Debug, Default)]
pub struct Share(Option<OwnedSemaphorePermit>);

impl Share {
    /// Takes what is missing for so many bytes
    ///
    /// # Errors
    /// When there is no room.
    pub fn grow(&mut self, length: usize, room: &Room) -> Result<(), Refused> {
        let held = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = length.saturating_sub(SMALL).div_ceil(KIB).saturating_sub(held);
        if more > 0 {
            let permits = u32::try_from(more).map_err(|_| Refused::NoRoom)?;
            let more = Arc::clone(&room.0).try_acquire_many_owned(permits).map_err(|_| Refused::NoRoom)?;
            match &mut self.0 {
                Some(share) => share.merge(more),
                None => self.0 = Some(more),
            }
        }
        Ok(())
    }
}

impl Room {
    /// As much as the limits say, and always enough for one
    pub fn new(limits: &Limits) -> Self {
        Self::of(limits.bodies_bytes.max(limits.body_bytes))
    }

    /// For so many bytes
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / KIB + 1)))
    }
}

/// Reads a body
///
/// # Errors
/// When it is too long, too slow or broken, or when there is no room for it.
pub async fn read(mut body: impl Body<Data = Bytes> + Unpin, limits: &Limits, room: &Room) -> Result<Whole, Refused> {
    let limit = limits.body_bytes;
    if body.size_hint().lower() > limit as u64 {
        return Err(Refused::TooLarge { limit });
    }
    let mut whole = Whole::default();
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refused::BodyBroken)?;
            let piece = frame.into_data().unwrap_or_default();
            if whole.bytes.len() + piece.len() > limit {
                return Err(Refused::TooLarge { limit });
            }
            whole.push(&piece, room)?;
        }
        Ok(())
    };
    // A client that never pauses uses up the task's turn, and the clock would not be looked at any more.
    unconstrained(timeout(limits.body_time, all)).await.map_err(|_| Refused::TooSlow(limits.body_time))??;
    Ok(whole)
}

impl Whole {
    fn push(&mut self, piece: &Bytes, room: &Room) -> Result<(), Refused> {
        self.share.grow(self.bytes.len() + piece.len(), room)?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

const KIB: usize = 1 << 10;
/// A body of so many bytes takes no room: nearly all are smaller, and a connection costs as much by itself
const SMALL: usize = 16 << 10;
