//! What `[owner]` says of cleaning up, as written.

use toml::Spanned;

use crate::policy::file::section::Section;
use crate::policy::file::value::Amount;
use crate::policy::report::Report;

/// The keys of `[owner]` that are about the end of an owner
#[derive(Debug, Clone, Default)]
pub struct Cleaning {
    /// `never`, `when-caller-ends` or `when-sockwarden-ends`
    pub clean_up: Option<Spanned<String>>,
    /// A time, as `4h`
    pub lease: Option<Spanned<Amount>>,
    /// A time, as `10s`
    pub grace: Option<Spanned<Amount>>,
    /// `nothing` or `on-failure`
    pub keep: Option<Spanned<String>>,
    /// Whether built images go too
    pub images: Option<Spanned<bool>>,
}

impl Cleaning {
    /// Takes them
    pub fn take(owner: &mut Section<'_>, report: &mut Report) -> Self {
        Self {
            clean_up: owner.take("clean_up", report),
            lease: owner.take("lease", report),
            grace: owner.take("grace", report),
            keep: owner.take("keep", report),
            images: owner.take("images", report),
        }
    }
}
