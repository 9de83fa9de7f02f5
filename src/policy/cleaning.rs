//! What becomes of an owner's objects when it ends: `clean_up`, `lease`, `grace`, `keep` and `images` of `[owner]`.

use std::time::Duration;

/// When an owner's objects are removed, and how
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// What ends an owner
    pub when: CleanUp,
    /// An owner without a request for so long has ended
    pub lease: Option<Duration>,
    /// Time that its containers get to stop by themselves
    pub grace: Duration,
    /// Whether what a failed caller made stays
    pub keep: Keep,
    /// Whether images that it built are removed too
    pub images: bool,
}

/// What ends an owner
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CleanUp {
    /// Nothing
    #[default]
    Never,
    /// The end of the caller's container
    WhenCallerEnds,
    /// The end of sockwarden itself
    WhenSockwardenEnds,
}

/// What of an ended owner stays
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing
    #[default]
    Nothing,
    /// Everything, when the caller's container ended with another status than 0
    OnFailure,
}

impl Cleaning {
    /// Whether anything is ever removed
    pub fn is_on(&self) -> bool {
        self.when != CleanUp::Never
    }
}
