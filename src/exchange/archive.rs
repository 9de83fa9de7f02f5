//! An archive that is read and written anew on its way to the engine: what is found in it is judged before the engine has the
//! end of it.
//!
//! The engine uses an archive when it has read it to its end. What is refused breaks it off before that.

use std::future::Future as _;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use hyper::body::{Body, Frame};
use tokio_util::task::AbortOnDropHandle;

use crate::answer::{BoxError, Refused};
use crate::stream::Upload;

/// Reads an archive piece by piece, and writes it anew
pub trait Reading: Send + Sync + Unpin + 'static {
    /// Reads the next bytes and appends what is to be sent for them
    ///
    /// # Errors
    /// When something in them is not understood; nothing of `out` is sent then.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused>;

    /// Reads the end
    ///
    /// # Errors
    /// When it ends in the middle of something.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Refused>;

    /// The verdict on what was found since this was last asked; what was read goes on when it is there
    fn verdict(&mut self) -> Option<AbortOnDropHandle<Result<(), Refused>>>;

    /// The refusal of an archive whose compression is broken
    fn broken(&self, why: &'static str) -> Refused;
}

/// Why an archive was broken off, for who waits for the engine's answer
#[derive(Debug, Clone, Default)]
pub struct BrokenOff(Arc<Mutex<Option<Refused>>>);

impl BrokenOff {
    /// The reason, if there is one
    pub fn take(&self) -> Option<Refused> {
        self.0.lock().ok()?.take()
    }
}

/// What is being judged
struct Judging {
    verdict: AbortOnDropHandle<Result<(), Refused>>,
    /// What may go on then
    read: Vec<u8>,
}

/// An archive that is read and written anew while it passes
pub struct Archive<R> {
    upload: Upload,
    /// What has come and was not read yet
    piece: Bytes,
    /// Until the first bytes say whether it is compressed
    start: Option<Vec<u8>>,
    unpack: Option<MultiGzDecoder<Vec<u8>>>,
    reading: R,
    /// What is waited for, and what may go on then
    judging: Option<Judging>,
    broken_off: BrokenOff,
    ended: bool,
}

impl<R: Reading> Archive<R> {
    /// Passes `upload` on as `reading` writes it
    pub fn new(upload: Upload, reading: R, broken_off: &BrokenOff) -> Self {
        Self {
            upload,
            piece: Bytes::new(),
            start: Some(Vec::new()),
            unpack: None,
            reading,
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
            None => self.reading.push(&bytes, &mut out)?,
            Some(unpack) => {
                unpack.write_all(&bytes).map_err(|_| self.reading.broken("its compression is broken"))?;
                self.reading.push(&std::mem::take(unpack.get_mut()), &mut out)?;
            }
        }
        Ok(out)
    }

    /// Reads the end
    fn finish(&mut self) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::new();
        let mut rest = self.start.take().unwrap_or_default();
        if let Some(unpack) = self.unpack.take() {
            rest = unpack.finish().map_err(|_| self.reading.broken("its compression ends too early"))?;
        }
        self.reading.push(&rest, &mut out)?;
        self.reading.finish(&mut out)?;
        Ok(out)
    }

    /// Has judged what was found in what was read; it goes on only then
    fn judged(&mut self, read: Vec<u8>) -> Vec<u8> {
        let Some(verdict) = self.reading.verdict() else { return read };
        self.judging = Some(Judging { verdict, read });
        Vec::new()
    }

    fn broken_off(&mut self, why: Refused) -> BoxError {
        let said = why.to_string();
        self.ended = true;
        self.upload.drain();
        if let Ok(mut reason) = self.broken_off.0.lock() {
            *reason = Some(why);
        }
        said.into()
    }
}

impl<R: Reading> Body for Archive<R> {
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
