//! An image archive on its way to the engine: the names in it are judged before the engine has the whole of it.
//!
//! The engine gives an image its names when it has read the archive to its end. What is refused breaks it off before the
//! part that names it, so nothing in it is kept.

use std::future::Future as _;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use hyper::body::{Body, Frame};
use tokio::task::JoinHandle;

use crate::answer::{BoxError, Refused, denial};
use crate::api::archive::{ImageArchive, Named};
use crate::exchange::finding::Finding;
use crate::exchange::images::{Hold, Images};
use crate::owner::images::Making;
use crate::policy::ask::{Ask, What};
use crate::policy::images;
use crate::policy::judge::found::judge_names;
use crate::stream::Upload;

/// Why an archive was broken off, for who waits for the engine's answer
#[derive(Debug, Clone, Default)]
pub struct BrokenOff(Arc<Mutex<Option<Refused>>>);

impl BrokenOff {
    /// The reason, if there is one
    pub fn take(&self) -> Option<Refused> {
        self.0.lock().ok()?.take()
    }
}

/// Holds the names in an archive against a policy, and records what comes of it
#[derive(Debug)]
pub struct JudgeOfNames {
    /// Records what was found
    pub finding: Finding,
    /// Longest file of names that is read, in bytes
    pub most: usize,
    /// Whose names are whose; none where they are everybody's
    pub images: Option<Images>,
    /// The names that were claimed
    pub claimed: Arc<Mutex<Vec<Making>>>,
}

impl JudgeOfNames {
    /// What the request holds of the names
    pub fn hold(&self) -> Hold {
        if self.images.is_some() { Hold::Loading(Arc::clone(&self.claimed)) } else { Hold::Nothing }
    }

    async fn judge(&self, names: Vec<Named>) -> Result<(), Refused> {
        let made = names.iter().map(|Named { image, field }| (images::name(image), (*field).to_owned())).collect();
        let ask = |Named { image, field }| Ask { what: What::Image(image), field: field.to_owned() };
        let mut asks: Vec<Ask> = names.into_iter().map(ask).collect();
        let hold = match &self.images {
            Some(images) => images.make(made).await?,
            None => Ok(Hold::Nothing),
        };
        let hold = hold.unwrap_or_else(|taken| {
            asks.extend(taken);
            Hold::Nothing
        });
        let verdict = judge_names(&self.finding.policy, asks);
        if !self.finding.record("archive", &verdict)? {
            return Err(Refused::Denied(denial(&self.finding.policy.name, &verdict)));
        }
        if let Some(images) = &self.images {
            hold.write_down(&images.ledger).await?;
        }
        if let (Hold::Making(mut making), Ok(mut claimed)) = (hold, self.claimed.lock()) {
            making.sent();
            claimed.push(making);
        }
        Ok(())
    }
}

/// Names that are being judged
struct Judging {
    verdict: JoinHandle<Result<(), Refused>>,
    /// What may go on then
    read: Vec<u8>,
}

/// An archive that is read and written anew while it passes
pub struct Load {
    upload: Upload,
    /// What has come and was not read yet
    piece: Bytes,
    /// Until the first bytes say whether it is compressed
    start: Option<Vec<u8>>,
    unpack: Option<MultiGzDecoder<Vec<u8>>>,
    archive: ImageArchive,
    judge: Arc<JudgeOfNames>,
    /// What names are waited for, and what may go on then
    judging: Option<Judging>,
    broken_off: BrokenOff,
    ended: bool,
}

impl Load {
    /// Passes `upload` on while `judge` lets it
    pub fn new(upload: Upload, judge: JudgeOfNames, broken_off: &BrokenOff) -> Self {
        let archive = ImageArchive::new(judge.most);
        Self {
            upload,
            piece: Bytes::new(),
            start: Some(Vec::new()),
            unpack: None,
            archive,
            judge: Arc::new(judge),
            judging: None,
            broken_off: broken_off.clone(),
            ended: false,
        }
    }

    /// Reads some of what has come; returns what is to be sent for it
    fn read(&mut self) -> Result<Vec<u8>, Refused> {
        let some = self.piece.split_to(self.piece.len().min(PIECE));
        let mut out = Vec::new();
        let bytes = match self.start.take() {
            None => some.to_vec(),
            Some(mut start) => {
                start.extend_from_slice(&some);
                if start.len() < GZIP.len() {
                    self.start = Some(start);
                    return Ok(out);
                }
                if start.starts_with(GZIP) {
                    self.unpack = Some(MultiGzDecoder::new(Vec::new()));
                }
                start
            }
        };
        match &mut self.unpack {
            None => self.archive.push(&bytes, &mut out)?,
            Some(unpack) => {
                unpack.write_all(&bytes).map_err(|_| Refused::Archive("its compression is broken".to_owned()))?;
                self.archive.push(&std::mem::take(unpack.get_mut()), &mut out)?;
            }
        }
        Ok(out)
    }

    /// Reads the end
    fn finish(&mut self) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::new();
        let mut rest = self.start.take().unwrap_or_default();
        if let Some(unpack) = self.unpack.take() {
            let broken = |_| Refused::Archive("its compression ends too early".to_owned());
            rest = unpack.finish().map_err(broken)?;
        }
        self.archive.push(&rest, &mut out)?;
        self.archive.finish(&mut out)?;
        Ok(out)
    }

    /// Has the names judged that were found in what was read; it goes on only then
    fn judged(&mut self, read: Vec<u8>) -> Vec<u8> {
        let names = self.archive.names();
        if names.is_empty() {
            return read;
        }
        let judge = Arc::clone(&self.judge);
        self.judging = Some(Judging { verdict: tokio::spawn(async move { judge.judge(names).await }), read });
        Vec::new()
    }

    fn broken_off(&mut self, why: Refused) -> BoxError {
        let said = why.to_string();
        self.ended = true;
        if let Ok(mut reason) = self.broken_off.0.lock() {
            *reason = Some(why);
        }
        said.into()
    }
}

impl Body for Load {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(Judging { verdict, .. }) = &mut this.judging {
                let judged = ready!(Pin::new(verdict).poll(cx));
                let read = this.judging.take().map(|judging| judging.read).unwrap_or_default();
                match judged.unwrap_or(Err(Refused::Unrecorded)) {
                    Ok(()) if read.is_empty() => {}
                    Ok(()) => return Poll::Ready(Some(Ok(Frame::data(read.into())))),
                    Err(why) => return Poll::Ready(Some(Err(this.broken_off(why)))),
                }
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let read = if this.piece.has_remaining() {
                this.read()
            } else {
                match ready!(Pin::new(&mut this.upload).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        this.piece = frame.into_data().unwrap_or_default();
                        continue;
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None => {
                        this.ended = true;
                        this.finish()
                    }
                }
            };
            match read.map(|read| this.judged(read)) {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out.into())))),
                Err(why) => return Poll::Ready(Some(Err(this.broken_off(why)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.judging.is_none()
    }
}

/// How gzip begins
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Bytes read at a time; compressed ones become a thousand times as many at most
const PIECE: usize = 4 << 10;
