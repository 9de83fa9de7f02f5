//! What can be wrong with the configuration, in the words of who wrote it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no configuration
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read
    #[error("cannot read the configuration `{}`: {}", .0.display(), .1)]
    Read(PathBuf, #[source] io::Error),
    /// The file is larger than any configuration
    #[error("the configuration `{}` is larger than {} bytes", .0.display(), super::MAX_FILE)]
    TooLarge(PathBuf),
    /// The file has a mistake; the message shows the line
    #[error("{}: {}", .0.display(), .1)]
    Written(PathBuf, #[source] Box<toml::de::Error>),
    /// A flag or an environment variable has a value that is none
    #[error("{key}: `{value}` is not {expected}")]
    Value {
        /// `--mode`, `DOCKER_HOST`
        key: &'static str,
        /// What was given
        value: String,
        /// What was expected, with an example
        expected: String,
    },
    /// A group that is not in the list of groups
    #[error("{key}: no group `{name}` in `{}`; a number works too", .file.display())]
    NoGroup {
        /// `--group` or `listener.group`
        key: &'static str,
        /// What was given
        name: String,
        /// Where it was looked for
        file: PathBuf,
    },
    /// The list of groups cannot be read
    #[error("{key}: cannot look up the group `{name}`: {source}; a number works too")]
    Groups {
        /// `--group` or `listener.group`
        key: &'static str,
        /// What was given
        name: String,
        /// What happened
        source: io::Error,
    },
    /// `--mode` or `--group` without a listener they could belong to
    #[error("`--mode` and `--group` belong to the socket of `--listen`; the listeners of the file have their own")]
    StrayFlag,
    /// Two listeners share what must be one's own
    #[error("two listeners have the {0} `{1}`")]
    Twice(&'static str, String),
    /// We would be our own engine
    #[error("the engine's socket `{}` is also a listener: sockwarden would call itself", .0.display())]
    Loop(PathBuf),
    /// There is no place by default
    #[error("no place for {0}: neither `{1}` nor `HOME` is set to an absolute path; help: give `{2}`")]
    NoPlace(&'static str, &'static str, &'static str),
    /// An owner is to be named by a variable that says nothing
    #[error("listener.owner: the environment variable `{0}` is not set, or empty")]
    NoVariable(String),
    /// An owner is to be named by a variable that holds no such name
    #[error(
        "listener.owner: what the environment variable `{0}` holds cannot be a fixed name; help: at most 255 bytes in one line, no `=`, not the form of another kind of owner"
    )]
    OddVariable(String),
    /// The working directory is gone
    #[error("cannot tell the working directory: {0}")]
    WorkingDirectory(#[source] io::Error),
}
