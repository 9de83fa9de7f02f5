//! Signals on their way from us to the command.

use std::io;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that come to us, from now on
#[derive(Debug)]
pub struct Passing(mpsc::Receiver<Signal>);

impl Passing {
    /// Takes every signal that can be passed on; none of them ends us any more
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn listen() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        for number in PASSED {
            let mut signals = signal(SignalKind::from_raw(number.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(*number).await.is_ok() {} });
        }
        Ok(Self(receiver))
    }

    /// Passes signals on until the command has ended
    ///
    /// # Errors
    /// When its end cannot be waited for.
    pub async fn until_end_of(mut self, mut child: Child) -> io::Result<std::process::ExitStatus> {
        loop {
            // The process keeps its id until it was waited for, which happens nowhere else.
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            tokio::select! {
                status = child.wait() => return status,
                Some(number) = self.0.recv() => if let Some(pid) = pid.filter(|_| !sent_by_terminal(number)) {
                    // Whoever has ended just now needs no signal.
                    let _ = kill_process(pid, number);
                },
            }
        }
    }
}

/// Whether a terminal sends such a signal to its whole foreground group, and we are in it: then the command has it too
fn sent_by_terminal(number: Signal) -> bool {
    let by_terminal = [Signal::INT, Signal::QUIT, Signal::WINCH].contains(&number);
    by_terminal
        && std::fs::File::open("/dev/tty")
            .is_ok_and(|terminal| rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}

/// What is passed on: all that people and CI runners send to tell a process something
const PASSED: &[Signal] =
    &[Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::ALARM];

/// Signals that wait to be passed on
const WAITING: usize = 64;
