//! What tests expect of an engine by: its generation, and where it keeps images.

use super::setting::Engine;

impl Engine {
    /// The name of the engine of its age that has the older store of images
    pub fn generation(&self) -> &str {
        match self.store() {
            Store::Own => &self.name,
            Store::Containerd => "sid",
        }
    }

    /// Where it keeps images
    pub fn store(&self) -> Store {
        if self.name == "containerd" { Store::Containerd } else { Store::Own }
    }

    /// A number below four, of its own
    pub fn number(&self) -> usize {
        ["bookworm", "trixie", "sid", "containerd"].iter().position(|name| *name == self.name).unwrap_or_default()
    }

    /// Whether it is one of those named: by its own name, or by its generation
    pub fn is_among<T: AsRef<str>>(&self, names: &[T]) -> bool {
        names.iter().any(|name| [self.name.as_str(), self.generation()].contains(&name.as_ref()))
    }
}

/// Where an engine keeps images
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In layers of its own, found by what they are laid on
    Own,
    /// In containerd's store, found by their digests
    Containerd,
}
