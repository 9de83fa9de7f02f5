//! Whether a path of cgroups means the same to the engine as to us.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::NoGround;

/// The engine's process has to be in sight, and in our cgroup namespace
pub(super) fn shared_with(engine: &Path) -> Result<(), NoGround> {
    let elsewhere = |why: &str| NoGround::Elsewhere(why.to_owned());
    let stream = UnixStream::connect(engine)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(io::Error::from)?;
    let pid = peer.pid.as_raw_nonzero().get();
    let own = fs::read_link("/proc/self/ns/cgroup")?;
    match fs::read_link(format!("/proc/{pid}/ns/cgroup")) {
        Ok(theirs) => (own == theirs).then_some(()).ok_or_else(|| elsewhere("it is in another cgroup namespace")),
        Err(_) => Err(elsewhere("its process cannot be seen from here")),
    }
}
