//! When the other end of a Unix socket is gone altogether, not only done with sending.
//!
//! End of file on a read means that the peer sends no more; it may still read. The kernel tells the difference as
//! `EPOLLHUP`, which is always reported, whatever is asked for.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// Watches for the peer's end
///
/// Holds a descriptor of its own, so that it can outlive the borrow of the stream.
#[derive(Debug)]
pub struct Hangup(AsyncFd<std::os::fd::OwnedFd>);

impl Hangup {
    /// Watches the other end of `stream`
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        let descriptor = stream.as_fd().try_clone_to_owned()?;
        // Priority data does not exist on Unix sockets, so nothing but the hang-up wakes this.
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that lie about their descriptor; `OwnedFd` cannot"
        )]
        let watched = AsyncFd::with_interest(descriptor, Interest::PRIORITY);
        watched.map(Self)
    }

    /// Waits until the peer has closed its socket
    pub async fn wait(&self) {
        // An error means that the reactor is ending, and so are we.
        let _ = self.0.ready(Interest::PRIORITY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn only_a_full_close_is_a_hangup() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(&here).unwrap();
        there.write_all(b"x").await.unwrap();
        there.shutdown().await.unwrap();
        assert!(timeout(Duration::from_millis(50), hangup.wait()).await.is_err());
        drop(there);
        timeout(Duration::from_secs(60), hangup.wait()).await.unwrap();
    }
}
