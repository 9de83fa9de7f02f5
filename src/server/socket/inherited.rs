//! Sockets handed over by systemd (`sd_listen_fds(3)`): made, owned and removed by the socket unit, not by us.

use std::env;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use crate::server::socket::SocketError;

/// The inherited listeners with their names (`FileDescriptorName=`), non-blocking; none without `LISTEN_PID`
///
/// To be called once, before there are threads: it removes the variables, so that they mean nobody else.
pub fn inherited() -> Result<Vec<(String, UnixListener)>, SocketError> {
    // listenfd takes the descriptors also where nobody says for whom they are.
    if env::var_os("LISTEN_PID").is_none_or(|pid| pid.is_empty()) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut descriptors = ListenFd::from_env();
    (0..descriptors.len())
        .map(|index| {
            // systemd's word for a descriptor without a name.
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            let listener = descriptors.take_unix_listener(index).ok().flatten();
            let listening = listener.filter(|it| rustix::net::sockopt::socket_acceptconn(it).unwrap_or(false));
            match listening {
                Some(listener) if listener.set_nonblocking(true).is_ok() => Ok((name, listener)),
                Some(_) | None => Err(SocketError::NotAListener(name)),
            }
        })
        .collect()
}
