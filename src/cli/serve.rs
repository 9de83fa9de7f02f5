//! `sockwarden serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Config, Flags};
use crate::log;
use crate::server::signals::Signals;
use crate::server::socket::inherited;
use crate::server::{Role, Server};

/// Arguments of `serve`; each beats the configuration file
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Engine, as unix:///path (default: DOCKER_HOST, or unix:///var/run/docker.sock)
    #[arg(long, value_name = "URL")]
    engine: Option<String>,
    /// Socket to serve (default: /run/sockwarden/docker.sock, or in the user's runtime directory)
    #[arg(long, value_name = "PATH")]
    listen: Option<PathBuf>,
    /// Policy, a shipped name or a file (default: ci)
    #[arg(long, value_name = "NAME|FILE")]
    policy: Option<String>,
    /// Rights of the socket (default: 0660)
    #[arg(long, value_name = "OCTAL")]
    mode: Option<String>,
    /// Group of the socket
    #[arg(long, value_name = "NAME|GID")]
    group: Option<String>,
    /// File of the record (default: /var/log/sockwarden/audit.jsonl, or in the user's state directory)
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Configuration file (default: /etc/sockwarden/sockwarden.toml, if it exists)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves until it is told to end
pub fn run(arguments: Arguments) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockwarden: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { engine, listen, policy, mode, group, audit, config } = arguments;
    // Before there are threads: it clears the variables.
    let inherited = inherited()?;
    let config = Config::load(config.as_deref(), Flags { engine, listen, policy, mode, group, audit })?;
    let _log = log::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = Signals::of_service()?;
        let server = Server::open(config, inherited)?;
        ready(&server);
        server.serve(Role::Service(signals), std::future::pending()).await;
        Ok(())
    })
}

/// Tells scripts by a line, and systemd by its socket, that connections are taken
fn ready(server: &Server) {
    use std::io::Write as _;
    // Whoever closed our standard output does not wait for the line.
    let _ = writeln!(std::io::stdout(), "sockwarden: ready on {}", server.listening());
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET") {
        let told = std::os::unix::net::UnixDatagram::unbound().and_then(|socket| notify(&socket, &path));
        if let Err(error) = told {
            tracing::warn!(%error, "systemd was not told");
        }
    }
}

/// `sd_notify(3)`; a path that begins with `@` is in the abstract namespace
fn notify(socket: &std::os::unix::net::UnixDatagram, path: &std::ffi::OsStr) -> std::io::Result<usize> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::SocketAddr;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    socket.send_to_addr(b"READY=1\n", &address)
}
