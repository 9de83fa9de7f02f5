//! A Dockerfile as the classic builder reads it: what it takes from outside of its context.
//!
//! The classic builder fetches images and addresses as it goes, in the engine, so what a build may take is judged from this
//! text before the engine has it. Its parser is BuildKit's `frontend/dockerfile/{parser,shell,instructions}` of each
//! engine's age (20.10: 0.8, 28.5: 0.25), driven by moby's `builder/dockerfile`. What those read alike is read here in
//! the same way; what they do not, and what only the engine can know, is refused by name. So whatever an engine fetches is
//! listed, or the text is refused; more may be listed than one engine fetches, as stages that `target` leaves out.
//!
//! One thing cannot be known here: variables in a stage hold what the base image says. `ENV` does not change that: it sets
//! the first of two equal names in an image's configuration, and the builder expands the last.

use std::collections::BTreeMap;

use crate::api::image_ref::ImageRef;

mod expand;
mod instruction;
mod lines;
mod stages;
mod why;

#[cfg(test)]
mod tests;

pub use self::why::{BadDockerfile, Why};

/// Something that an instruction takes from outside of the context
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is
    pub what: Taken,
    /// Where its instruction begins, from 1; of triggers the trigger, from 1
    pub line: u32,
    /// As `FROM`, `COPY --from`, `ADD`, `ONBUILD ADD`
    pub instruction: &'static str,
    /// As `linux/arm64/v8`, where `FROM` says so
    pub platform: Option<String>,
    /// Whether its stage is built: it is not behind the one that is the target
    pub is_built: bool,
}

/// What is taken
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// An image; neither an earlier stage nor `scratch`
    Image(ImageRef),
    /// An address that the engine fetches from the host's network
    Url(String),
}

/// What a Dockerfile takes from outside of its context, as any engine could read it
///
/// `target` is the name of the last stage that is built; empty, or of no stage, all of them are.
///
/// # Errors
/// When engines could read it in two ways, or what it takes cannot be known from its text.
pub fn sources(
    text: &[u8],
    build_args: &BTreeMap<String, Option<String>>,
    target: &str,
) -> Result<Vec<Source>, BadDockerfile> {
    stages::read(text, build_args, target)
}

/// What the triggers of a base image take, `OnBuild` of its configuration, when a build begins from it
///
/// # Errors
/// As of [`sources`].
pub fn triggers(lines: &[String]) -> Result<Vec<Source>, BadDockerfile> {
    let mut found = Vec::new();
    for (index, text) in lines.iter().enumerate() {
        let line = u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1));
        stages::trigger(text, line, &mut found)?;
    }
    Ok(found)
}
