//! API versions: one spelling, a closed range.

use std::fmt;

/// An API version `1.N` with N from 24 to 51
///
/// 1.24 is the oldest in which container start takes no `HostConfig` (engine-wide escape below it); 1.51 is the newest
/// whose fields are modelled here (Docker 28.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(u8);

impl ApiVersion {
    /// The oldest version that is forwarded
    pub const MIN: Self = Self(24);
    /// The newest version that is forwarded
    pub const MAX: Self = Self(51);

    /// Version `1.minor`, if it is in the range
    pub const fn new(minor: u8) -> Option<Self> {
        if minor < Self::MIN.0 || minor > Self::MAX.0 { None } else { Some(Self(minor)) }
    }

    /// N of `1.N`
    pub const fn minor(self) -> u8 {
        self.0
    }

    /// Reads `1.NN`; the engine also takes `01.41`, `1.41.0` and `1..41`, which are refused here
    pub fn parse(text: &str) -> Result<Self, BadVersion> {
        let minor = text.strip_prefix("1.").filter(|minor| minor.len() == 2).ok_or(BadVersion::Spelling)?;
        if !minor.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadVersion::Spelling);
        }
        match minor.parse() {
            Ok(minor) if minor > Self::MAX.0 => Err(BadVersion::TooNew),
            Ok(minor) => Self::new(minor).ok_or(BadVersion::TooOld),
            Err(_) => Err(BadVersion::Spelling),
        }
    }

    /// The version an engine that speaks up to `text` and we have in common
    pub fn lowered(text: &str) -> Option<Self> {
        match Self::parse(text) {
            Ok(version) => Some(version),
            Err(BadVersion::TooNew) => Some(Self::MAX),
            Err(BadVersion::TooOld | BadVersion::Spelling) => None,
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// Why a version is not taken
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadVersion {
    /// Not `1.NN`
    Spelling,
    /// Below [`ApiVersion::MIN`]
    TooOld,
    /// Above [`ApiVersion::MAX`]
    TooNew,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_version_is_taken() {
        assert_eq!(ApiVersion::parse("1.41"), Ok(ApiVersion(41)));
        for text in ["", "1", "1.", "1.4", "01.41", "1.041", "1.41.0", "1..41", "1.+1", "1.4١", "2.41", " 1.41"] {
            assert_eq!(ApiVersion::parse(text), Err(BadVersion::Spelling), "{text}");
        }
        assert_eq!(ApiVersion::parse("1.23"), Err(BadVersion::TooOld));
        assert_eq!(ApiVersion::parse("1.52"), Err(BadVersion::TooNew));
        assert_eq!(ApiVersion::lowered("1.55"), Some(ApiVersion::MAX));
    }
}
