//! The limit on open files, raised at the start: every connection needs two, and the soft limit is often only 1024.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and returns it; `None` is without limit
///
/// A failure is worth a line in the log and no more: a hardened unit forbids the call, and sets the limit itself.
pub fn raise_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

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
