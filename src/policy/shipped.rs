//! The policies that are part of the program, by name.

/// Name and text of every shipped policy, the strictest first
pub const ALL: &[(&str, &str)] = &[
    ("deny-all", include_str!("../../policies/deny-all.toml")),
    ("readonly", include_str!("../../policies/readonly.toml")),
    ("ci", include_str!("../../policies/ci.toml")),
    ("unrestricted", include_str!("../../policies/unrestricted.toml")),
];

/// The text of a shipped policy
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}
