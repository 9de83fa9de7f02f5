//! The command line: arguments to subcommands, errors to exit codes; the only code that prints.

mod check;
mod clean;
mod coverage;
mod run;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A policy proxy for the Docker Engine's socket
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the engine's API through a policy, in the foreground
    Serve(serve::Arguments),
    /// Run a command with a Docker of its own, and leave nothing behind
    Run(run::Arguments),
    /// Remove what an owner has on the engine
    Clean(clean::Arguments),
    /// Check policy files, and run their tests, without serving
    Check {
        /// Policy files, or names of shipped policies
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print every operation, parameter and field that is known, and what becomes of it
    Coverage {
        /// Policy, a shipped name or a file
        #[arg(long, default_value = "ci", value_name = "NAME|FILE")]
        policy: String,
    },
}

/// Runs the command line of this process: 0 done, 1 refused or found something, 2 could not run
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Clean(arguments) => clean::run(arguments),
        Command::Check { files } => check::run(&files),
        Command::Coverage { policy } => coverage::run(&policy),
    }
}

/// A number of things, in words
fn plural(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
