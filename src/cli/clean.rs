//! `sockwarden clean`: removes what an owner has, now.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::audit::cleanup::Object;
use crate::config::{Config, Flags};
use crate::log;
use crate::reap::clean::Cleaned;
use crate::reap::hand::Hand;
use crate::reap::inventory::{Count, Inventory};

/// Arguments of `clean`; each beats the configuration file
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Owner, as in the record and in the label `sockwarden.owner`
    #[arg(required_unless_present = "list")]
    owner: Option<String>,
    /// List the owners that have something on the engine, and remove nothing
    #[arg(long, conflicts_with_all = ["owner", "dry_run", "images", "grace"])]
    list: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove the images that it built, too
    #[arg(long)]
    images: bool,
    /// Seconds that containers get to stop by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60))]
    grace: u64,
    /// Engine, as unix:///path (default: DOCKER_HOST, or unix:///var/run/docker.sock)
    #[arg(long, value_name = "URL")]
    engine: Option<String>,
    /// File of the record (default: as for serve)
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Configuration file (default: /etc/sockwarden/sockwarden.toml, if it exists)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Cleans up: 0 nothing is left, 1 something is, 2 could not run
pub fn run(arguments: Arguments) -> ExitCode {
    match clean(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sockwarden: {error}");
            ExitCode::from(2)
        }
    }
}

fn clean(arguments: Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Arguments { owner, list, dry_run, images, grace, engine, audit, config } = arguments;
    let config = Config::load(config.as_deref(), Flags { engine, audit, ..Flags::default() })?;
    let _log = log::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hand = Hand::new(config);
    runtime.block_on(async {
        match owner {
            Some(owner) if !list && dry_run => {
                let Inventory { objects, doubtful } = hand.look(&owner, images).await?;
                say("would remove", &objects);
                Ok(doubt(&doubtful))
            }
            Some(owner) if !list => {
                let Cleaned { removed, stays, doubtful } =
                    hand.clean(&owner, images, Duration::from_secs(grace)).await?;
                say("removed", &removed);
                for (object, why) in &stays {
                    eprintln!("sockwarden: {} {} stays: {why}", object.kind.as_str(), object.name);
                }
                let code = doubt(&doubtful);
                Ok(if stays.is_empty() { code } else { ExitCode::FAILURE })
            }
            _ => {
                for (owner, count) in hand.owners().await? {
                    print(&format!("{owner}\t{}", counted(&count)));
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

fn say<'a>(what: &str, objects: impl IntoIterator<Item = &'a Object>) {
    for Object { kind, name, id } in objects {
        let id = if name == id { String::new() } else { format!(" ({id})") };
        print(&format!("{what} {} {name}{id}", kind.as_str()));
    }
}

/// Containers that were left alone are something that is left
fn doubt(doubtful: &[Object]) -> ExitCode {
    for Object { name, id, .. } in doubtful {
        eprintln!("sockwarden: container {name} ({id}) is left alone: its labels may be its image's");
    }
    if doubtful.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn counted(count: &Count) -> String {
    let one = |(kind, number): (&_, &usize)| super::plural(*number, crate::audit::cleanup::Kind::as_str(*kind));
    count.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A line of data; whoever closed our standard output does not want more
fn print(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
