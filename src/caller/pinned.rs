//! A hold on the peer's process, so that what is read under its number is its own.
//!
//! A number is used again as soon as its process is gone. A descriptor of the process itself, which the kernel gives with
//! the connection since 6.5, tells whether it lived through all that was read. Older kernels leave its start: a process
//! that began after the connection was accepted is not the one that made it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerPidfd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// A hold on a process
#[derive(Debug)]
pub enum Hold {
    /// The process itself
    Descriptor(OwnedFd),
    /// It began at or before this many clock ticks after the boot
    Began(u64),
}

impl Hold {
    /// A hold on the process that made a connection, which was accepted just now; `None` when it is gone
    pub fn of(stream: impl AsFd) -> io::Result<Option<Self>> {
        match getsockopt(&stream.as_fd(), PeerPidfd) {
            Ok(descriptor) => Ok(Some(Self::Descriptor(descriptor))),
            Err(Errno::ENOPROTOOPT) => Ok(Some(Self::before_now())),
            Err(error @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// A hold on whatever began before now
    pub fn before_now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
        let ticks = clock_ticks_per_second();
        Self::Began(seconds.saturating_mul(ticks).saturating_add(nanos.saturating_mul(ticks) / 1_000_000_000))
    }

    /// Reads something about process `pid`, if that is the one held, from before to after
    pub fn read<T>(&self, pid: i32, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Descriptor(descriptor) => {
                let read = read();
                if number(descriptor)? != Some(pid) || has_ended(descriptor)? {
                    return Err(gone());
                }
                read
            }
            Self::Began(latest) => {
                let before = began(pid)?;
                let read = read();
                if before > *latest || began(pid)? != before {
                    return Err(gone());
                }
                read
            }
        }
    }
}

/// The number of the process, if it has one here and has not been buried
fn number(descriptor: &OwnedFd) -> io::Result<Option<i32>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    Ok(number.and_then(|number| number.trim().parse().ok()).filter(|number| *number > 0))
}

fn has_ended(descriptor: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

/// When a process began, in clock ticks after the boot
fn began(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Its name comes before, in parentheses, and may be anything.
    let (_, fields) = text.rsplit_once(')').ok_or_else(gone)?;
    fields.split_ascii_whitespace().nth(BEGAN).and_then(|began| began.parse().ok()).ok_or_else(gone)
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Where `starttime` is among the fields behind the name
const BEGAN: usize = 19;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    fn descriptor(child: &Child) -> Hold {
        let pid = rustix::process::Pid::from_child(child);
        Hold::Descriptor(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap())
    }

    #[test]
    fn what_is_read_of_a_living_process_is_its_own() {
        let mut child = sleeper();
        for hold in [descriptor(&child), Hold::before_now()] {
            assert_eq!(hold.read(pid(&child), || Ok(7)).unwrap(), 7, "{hold:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn nothing_is_read_of_a_process_that_ended_meanwhile() {
        for hold in [descriptor, |_: &Child| Hold::before_now()] {
            let mut child = sleeper();
            let hold = hold(&child);
            let read = hold.read(pid(&child), || {
                child.kill()?;
                child.wait()
            });
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::NotFound, "{hold:?}");
        }
    }

    #[test]
    fn a_process_that_is_held_is_no_other() {
        let (mut held, mut other) = (sleeper(), sleeper());
        assert!(descriptor(&held).read(pid(&other), || Ok(())).is_err());
        // Who began later than the connection did not make it.
        assert!(Hold::Began(0).read(pid(&other), || Ok(())).is_err());
        for child in [&mut held, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_kernel_gives_the_process_with_the_connection() {
        let (one, _other) = UnixStream::pair().unwrap();
        let hold = Hold::of(&one).unwrap().unwrap();
        assert!(hold.read(i32::try_from(std::process::id()).unwrap(), || Ok(())).is_ok(), "{hold:?}");
    }
}
