//! The limit on open files, raised at the start: a connection needs up to three, and the soft limit is often only 1024.
//!
//! Without a file to be had nobody could be accepted and no engine reached, so fewer connections are taken than that.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many connections as there are files for, at most `wanted`
pub fn connections(wanted: usize) -> usize {
    // Commands that we start inherit it, and some of them rely on a low one.
    if enough_for(getrlimit(Resource::Nofile).current) < wanted
        && let Err(error) = raise_limit()
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let files = getrlimit(Resource::Nofile).current;
    let most = enough_for(files);
    if most < wanted {
        tracing::warn!(files, connections = most, "open files for fewer connections than `connections` in `[limits]`");
    }
    most.min(wanted)
}

fn enough_for(files: Option<u64>) -> usize {
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    (files.saturating_sub(OWN) / EACH).max(1)
}

/// Raises the soft limit to the hard one and returns it; `None` is without limit
///
/// A failure is worth a line in the log and no more: a hardened unit forbids the call, and sets the limit itself.
fn raise_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

/// Open files of a connection: the client's, the engine's, and one that watches for the client's end
const EACH: usize = 3;
/// Open files of sockwarden itself: sockets, the record, the log, questions to the engine
const OWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let lower = maximum.map_or(4096, |maximum| maximum.min(4096)).saturating_sub(1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        assert_eq!(raise_limit().unwrap(), maximum);
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
        assert_eq!(raise_limit().unwrap(), maximum);
    }
}
