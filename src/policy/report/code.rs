//! The codes of diagnostics. A code is never reused; each has a section in `docs/codes.md`.

/// Whether a file with such a problem can be used
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot
    Error,
    /// It can
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $severity:ident;)*) => {
        /// A kind of problem in a policy file
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is shown and documented
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Whether the file can be used nevertheless
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// Not TOML, or the same key twice
    Syntax "P001" Error;
    /// A key that nothing reads
    UnknownKey "P002" Error;
    /// A value of another type
    WrongType "P003" Error;
    /// A key that must be there
    MissingKey "P004" Error;
    /// A word that is none of those known
    UnknownWord "P005" Error;
    /// Neither an operation nor a group
    UnknownOperation "P006" Error;
    /// An operation that is closed whatever the policy says
    ClosedOperation "P007" Error;
    /// An image pattern that cannot match any reference
    ImagePattern "P008" Error;
    /// A host path pattern that cannot match any path
    PathPattern "P009" Error;
    /// Not an address and ports
    PortPattern "P010" Error;
    /// Not a regular expression
    BadRegex "P011" Error;
    /// A rule that allows, with an expression that need not match the whole value
    UnanchoredRegex "P012" Error;
    /// A number or size out of range
    BadAmount "P013" Error;
    /// Text that cannot be used here
    BadText "P014" Error;
    /// A rule with another's id
    SameId "P015" Error;
    /// A test's request that is not understood
    BadRequest "P016" Error;
    /// A test whose verdict is another one
    TestFailed "P017" Error;
    /// A rule that grants all rights of the host
    OpenRights "P018" Error;
    /// A key without effect in this version
    NoEffect "P101" Warning;
    /// A grant that another one contains
    Covered "P102" Warning;
    /// A grant that is wholly forbidden
    Cancelled "P103" Warning;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_section() {
        let text = include_str!("../../../docs/codes.md");
        for code in Code::ALL {
            assert!(text.contains(&format!("\n## {}: ", code.as_str())), "docs/codes.md lacks {}", code.as_str());
        }
    }
}
