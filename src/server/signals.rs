//! What the system tells a service by signals: to read its policies again, and to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that came since they were first listened to
#[derive(Debug)]
pub struct Signals {
    reload: Option<Signal>,
    end: Option<[Signal; 2]>,
}

/// What a signal means
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT
    End,
}

impl Signals {
    /// Listens to those that a service obeys
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn of_service() -> io::Result<Self> {
        let end = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        Ok(Self { reload: Some(signal(SignalKind::hangup())?), end: Some(end) })
    }

    /// Listens to none: they are somebody else's
    pub fn none() -> Self {
        Self { reload: None, end: None }
    }

    /// The next one
    pub async fn next(&mut self) -> Told {
        let reload = async {
            match &mut self.reload {
                Some(reload) => drop(reload.recv().await),
                None => std::future::pending().await,
            }
        };
        let end = async {
            match &mut self.end {
                Some([terminate, interrupt]) => tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = reload => Told::Reload,
            () = end => Told::End,
        }
    }
}
