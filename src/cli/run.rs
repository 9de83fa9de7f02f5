//! `sockwarden run`: a private listener for one command, which leaves nothing behind.
//!
//! The command stays in our process group, so a terminal goes on treating both as one job: what it sends by Ctrl-C or
//! Ctrl-Z reaches the command by itself, and stops and continues us with it. Signals that somebody sends to us alone are
//! passed on.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

use crate::api::bind::HostPath;
use crate::audit::tally::Summary;
use crate::cli::plural;
use crate::cli::run::passing::Passing;
use crate::cli::run::place::Place;
use crate::config::{Config, Flags};
use crate::log;
use crate::owner::rule::Rule;
use crate::reap::clean::Cleaned;
use crate::reap::hand::Hand;
use crate::server::{Rest, Role, Server};

mod passing;
mod place;

/// Arguments of `run`; each beats the configuration file
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Policy, a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = "ci")]
    policy: String,
    /// Engine, as unix:///path (default: DOCKER_HOST, or unix:///var/run/docker.sock)
    #[arg(long, value_name = "URL")]
    engine: Option<String>,
    /// File of the record (default: as for serve)
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Configuration file (default: /etc/sockwarden/sockwarden.toml, if it exists)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep what was made when the command fails
    #[arg(long)]
    keep_on_failure: bool,
    /// Remove the images that were built, too
    #[arg(long)]
    remove_images: bool,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the command; its status is ours, and 2 is that it never began for a reason of our own
pub fn run(arguments: Arguments) -> ExitCode {
    match execute(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sockwarden: {error}");
            ExitCode::from(2)
        }
    }
}

fn execute(arguments: Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Arguments { policy, engine, audit, config, keep_on_failure, remove_images, command } = arguments;
    let place = Place::make()?;
    let listen = Some(place.socket());
    let flags = Flags { engine, listen, policy: Some(policy), audit, mode: Some("0600".into()), group: None };
    let mut config = Config::load(config.as_deref(), flags)?;
    place.is_of(&config.engine)?;
    config.log.level = config.log.level.min(LevelFilter::WARN);
    // Several commands run at a time, and nothing is to be remembered of any.
    config.state = place.socket().with_file_name("state");
    // Cleaning up is all that is waited for at the end.
    config.limits.grace = MOST_CLEANING;
    config.limits.connections = config.limits.connections.min(CONNECTIONS);
    for listener in &mut config.listeners {
        (listener.name, listener.owner) = (LISTENER.to_owned(), Rule::Fixed(place.owner().to_owned()));
    }
    let _log = log::init(&config.log)?;
    let directory = working_directory();
    let record = config.audit.path.display().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        // Before the command begins: from here on no signal ends us.
        let passing = Passing::listen()?;
        let dead = tokio::spawn(clean_up_after_the_dead(config.clone()));
        let server = Server::open(config, Vec::new())?;
        let audit = Arc::clone(server.audit());
        let (over, done) = oneshot::channel();
        let until = async { done.await.unwrap_or(Rest::Goes) };
        let serving = tokio::spawn(server.serve(Role::Command { images: remove_images, directory }, until));
        let status = match start(&command, &place) {
            Ok(child) => passing.until_end_of(child).await,
            Err(error) => Err(error),
        };
        let failed = !status.as_ref().is_ok_and(ExitStatus::success);
        let rest = if keep_on_failure && failed { Rest::Stays } else { Rest::Goes };
        // It fails when the server is gone already, which the next line shows.
        let _ = over.send(rest);
        let cleaned = serving.await.ok().flatten();
        let _ = timeout(MOST_CLEANING, dead).await;
        Ok::<_, Box<dyn std::error::Error>>(Ended { status, rest, cleaned, summary: audit.tally().summary() })
    })?;
    // A client that the command left behind may still be connected, and the ledger be written: it lies in the place.
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(tell(ended, &command, place.owner(), &record))
}

/// What came of a command
struct Ended {
    status: io::Result<ExitStatus>,
    rest: Rest,
    cleaned: Option<Cleaned>,
    summary: Summary,
}

/// The working directory by its real name and by the shell's, which may lead there through links; never the root
fn working_directory() -> Vec<(HostPath, HostPath)> {
    let host_path = |path: &Path| path.to_str().and_then(HostPath::parse);
    let Ok(real) = std::env::current_dir().and_then(std::fs::canonicalize) else { return Vec::new() };
    let Some(path) = host_path(&real).filter(|path| path.as_str() != "/") else { return Vec::new() };
    let shown = std::env::var_os("PWD").map(PathBuf::from);
    let shown = shown.filter(|shown| *shown != real && std::fs::canonicalize(shown).is_ok_and(|shown| shown == real));
    let names = [Some(path.clone()), shown.as_deref().and_then(host_path)];
    names.into_iter().flatten().map(|name| (name, path.clone())).collect()
}

fn start(command: &[OsString], place: &Place) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments).env("DOCKER_HOST", format!("unix://{}", place.socket().display()));
    for other in OTHER_ENGINES {
        child.env_remove(other);
    }
    child.spawn()
}

/// Removes what was made for commands whose `sockwarden run` was killed
async fn clean_up_after_the_dead(config: Config) {
    let dead = place::dead(&config.engine);
    let hand = Hand::new(config);
    for dead in dead {
        match hand.clean(dead.owner(), false, Duration::ZERO).await {
            Ok(cleaned) if cleaned.is_whole() => dead.forget(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, owner = dead.owner(), "cannot clean up after an earlier command"),
        }
    }
}

/// Three lines on standard error, and the exit code
fn tell(ended: Ended, command: &[OsString], owner: &str, record: &str) -> ExitCode {
    let Ended { status, rest, cleaned, summary } = ended;
    let Summary { made, refused, first } = summary;
    let made: Vec<String> = made.iter().map(|(operation, number)| thing(operation, *number)).collect();
    let made = if made.is_empty() { "nothing".to_owned() } else { made.join(", ") };
    let left = match (rest, cleaned) {
        (Rest::Stays, _) => format!("all of it stays; remove it with `sockwarden clean {owner}`"),
        (Rest::Goes, Some(cleaned)) if cleaned.is_whole() => "nothing is left".to_owned(),
        (Rest::Goes, _) => format!("something is left; see `sockwarden clean --dry-run {owner}`"),
    };
    eprintln!("sockwarden: made {made}; {left}");
    let first =
        first.map_or(String::new(), |first| format!(", the first with: {}", first.trim_start_matches("sockwarden: ")));
    eprintln!("sockwarden: refused {}{first}", plural(usize::try_from(refused).unwrap_or(usize::MAX), "call"));
    eprintln!("sockwarden: the record is in {record}, owner {owner}");
    match status {
        Ok(status) => {
            let code = status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
            eprintln!("sockwarden: cannot run `{program}`: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

/// What an operation made, in words
fn thing(operation: &str, number: u64) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    match operation.split_once('.') {
        Some(("build" | "image", "build")) => plural(number, "build"),
        Some(("image", how)) => format!("{} by {how}", plural(number, "image")),
        Some((kind, _)) => plural(number, kind),
        None => plural(number, operation),
    }
}

/// The listener's name in records and labels
const LISTENER: &str = "run";
/// Time for what still writes when all is cleaned up; on a busy disk the ledger takes a while
const SHUTDOWN: Duration = Duration::from_secs(10);
/// Longest time that cleaning up may take
const MOST_CLEANING: Duration = Duration::from_secs(60);
/// Connections at a time: the open files of one command's clients fit under everybody's soft limit
const CONNECTIONS: usize = 256;
/// Variables that could lead clients elsewhere, or have them speak TLS
const OTHER_ENGINES: &[&str] = &["DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
