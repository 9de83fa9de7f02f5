//! With whom builds of an owner share what BuildKit keeps between builds: cache mounts, and files of build contexts.
//!
//! Layers are not meant: they are found by what they were made of, and everybody's.

/// `cache` in `[build]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cache {
    /// With nobody
    #[default]
    Own,
    /// With other jobs of the same project
    Group,
    /// With everybody
    Shared,
}
