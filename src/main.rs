//! The `sockwarden` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sockwarden::cli::run()
}
