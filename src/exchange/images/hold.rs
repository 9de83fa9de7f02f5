//! What a request holds of the ledger from before it is sent until the engine's answer has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body, Frame, SizeHint};

use crate::answer::{self, BoxError, Refused};
use crate::api::operation::Operation;
use crate::engine::EngineError;
use crate::exchange::images::Images;
use crate::exchange::images::errors::Errors;
use crate::owner::images::{Building, Ledger, Making, Pulling};

/// What a request holds
#[derive(Debug, Default)]
pub enum Hold {
    /// Nothing
    #[default]
    Nothing,
    /// Names that it makes
    Making(Making),
    /// Names that are found in an archive while it passes
    Loading(Arc<Mutex<Vec<Making>>>),
    /// A name that it pulls
    Pulling(Pulling),
    /// What a build with the classic builder names, and what it is made of
    Building {
        /// The names
        making: Option<Making>,
        /// Keeps what it is made of
        _kept: Building,
    },
    /// Names that it takes away
    Removing {
        /// The ledger
        ledger: Arc<Ledger>,
        /// The names
        names: Vec<String>,
    },
}

impl Hold {
    /// The same with what a build is made of
    pub fn building(self, building: Building) -> Self {
        let making = if let Self::Making(making) = self { Some(making) } else { None };
        Self::Building { making, _kept: building }
    }

    /// The names that it makes
    pub fn makes(&mut self) -> BTreeSet<String> {
        let Self::Making(making) = self else { return BTreeSet::new() };
        making.names().iter().map(|claimed| claimed.name.clone()).collect()
    }

    /// Writes down what is claimed, so that a crash does not lose it
    ///
    /// # Errors
    /// When it cannot be written; nothing may be sent then.
    pub async fn write_down(&self, ledger: &Arc<Ledger>) -> Result<(), Refused> {
        let Self::Making(_) = self else { return Ok(()) };
        let ledger = Arc::clone(ledger);
        let saved = tokio::task::spawn_blocking(move || ledger.save()).await;
        saved.map_err(std::io::Error::other).and_then(|saved| saved).map_err(|error| {
            tracing::error!(%error, "the ledger of images could not be written");
            Refused::Unrecorded
        })
    }

    /// The request is on its way
    pub fn sent(&mut self) {
        if let Self::Making(making) | Self::Building { making: Some(making), .. } = self {
            making.sent();
        }
    }

    /// There is no answer: what never reached the engine is given back, of the rest nobody knows
    pub async fn lost(self, why: &Refused, images: Option<&Images>) {
        match (self, why, images) {
            (
                Self::Making(mut making) | Self::Building { making: Some(mut making), .. },
                Refused::Engine(EngineError::Unreachable(_)),
                _,
            ) => making.unsent(),
            // It was broken off before its end, and the engine gives names at the end.
            (hold @ Self::Loading(_), Refused::Denied(_) | Refused::Archive(_), Some(images)) => {
                hold.failed(images).await
            }
            // The engine builds when it has the whole context.
            (
                hold @ Self::Building { .. },
                Refused::Denied(_)
                | Refused::Absent(_)
                | Refused::Context(_)
                | Refused::Dangling(_)
                | Refused::Unrecorded
                | Refused::NoRoom,
                Some(images),
            ) => hold.failed(images).await,
            _ => {}
        }
    }

    /// The engine's answer has begun; what ends with it is settled, the rest is held until the body has ended
    pub async fn answered(self, status: StatusCode, operation: &Operation, images: &Images) -> Self {
        let streams = matches!(
            operation,
            Operation::BuildClassic(_) | Operation::ImageLoad(_) | Operation::ImageImport(_) | Operation::ImagePull(_)
        );
        match (status.is_success(), streams) {
            (true, true) => return self,
            (true, false) => self.done(),
            (false, _) => self.failed(images).await,
        }
        Self::Nothing
    }

    /// Follows an answer to its end
    pub fn follow<B>(self, body: B, images: Images) -> answer::Body
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + Unpin + 'static,
    {
        match self {
            Self::Nothing => body.map_err(Into::into).boxed(),
            hold => Followed { body, images, errors: Errors::default(), hold: Some(hold) }.boxed(),
        }
    }

    /// The answer has ended, and says how
    pub fn ended(self, well: bool, images: &Images) {
        if well {
            return self.done();
        }
        let images = images.clone();
        tokio::spawn(async move { self.failed(&images).await });
    }

    fn done(self) {
        match self {
            Self::Nothing => {}
            Self::Making(making) => making.made(),
            Self::Loading(all) => all_of(&all).into_iter().for_each(Making::made),
            Self::Pulling(pulling) => pulling.pulled(),
            Self::Building { making, _kept: _ } => making.into_iter().for_each(Making::made),
            Self::Removing { ledger, names } => ledger.removed(&names),
        }
    }

    /// The engine tells of a failure: some of the names may be there all the same
    async fn failed(self, images: &Images) {
        let makings = match self {
            Self::Making(making) => vec![making],
            Self::Loading(all) => all_of(&all),
            Self::Building { making, .. } => making.into_iter().collect(),
            Self::Nothing | Self::Pulling(_) | Self::Removing { .. } => Vec::new(),
        };
        for mut making in makings {
            let mut now = BTreeMap::new();
            for claimed in making.names() {
                if let Ok(id) = images.id(&claimed.name).await {
                    now.insert(claimed.name.clone(), id);
                }
            }
            making.tried(&now);
        }
    }
}

fn all_of<T>(all: &Mutex<Vec<T>>) -> Vec<T> {
    all.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
}

/// An answer whose end says what became of the names
struct Followed<B> {
    body: B,
    images: Images,
    errors: Errors,
    hold: Option<Hold>,
}

impl<B> Followed<B> {
    fn end(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        hold.ended(!self.errors.found() && self.errors.is_whole(), &self.images);
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Followed<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => this.errors.read(frame.data_ref().map(Bytes::as_ref).unwrap_or_default()),
            // Nobody knows how it ended.
            Some(Err(_)) => {
                this.hold = None;
            }
            None => this.end(),
        }
        // Before the last byte goes on: who has read it may ask for the image at once.
        if this.body.is_end_stream() {
            this.end();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.hold.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
