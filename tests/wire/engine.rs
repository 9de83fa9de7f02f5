//! The engine, played by the test: it takes the proxy's connections in order and answers by hand.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::peer::{Message, Peer};

/// A socket in the engine's place
pub struct Engine {
    socket: PathBuf,
    connections: Receiver<UnixStream>,
    _directory: TempDir,
}

impl Engine {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (sender, connections) = channel();
        // Ends with the test's process; a failed send means that the test is over.
        std::thread::spawn(move || listener.incoming().flatten().all(|stream| sender.send(stream).is_ok()));
        Self { socket, connections, _directory: directory }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The proxy's next connection
    pub fn accept(&self) -> Peer {
        let stream = self.connections.recv_timeout(Duration::from_secs(100));
        Peer::of(stream.expect("the proxy does not connect to the engine"))
    }

    /// The proxy's next connection, unless `done` comes before
    pub fn next_before(&self, done: impl Fn() -> bool) -> Option<Peer> {
        loop {
            match self.connections.recv_timeout(Duration::from_millis(5)) {
                Ok(stream) => return Some(Peer::of(stream)),
                Err(_) if done() => return None,
                Err(_) => {}
            }
        }
    }

    /// The next request, answered with 200 and `{}`
    pub fn answer(&self) -> Message {
        self.answer_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    }

    /// The next request, answered with the given bytes
    pub fn answer_with(&self, response: &str) -> Message {
        let mut peer = self.accept();
        let message = peer.message();
        peer.send(response);
        message
    }

    /// Fails if the proxy connected since the last connection taken here
    ///
    /// Connections come in the order they were made, so ours must be the next.
    pub fn has_heard_nothing(&self) {
        let mut ours = Peer::of(UnixStream::connect(&self.socket).unwrap());
        ours.send(MARK);
        let mut next = self.accept();
        let first = next.exactly(MARK.len());
        assert_eq!(String::from_utf8_lossy(&first), MARK, "the engine heard a request");
    }
}

/// What no request begins with
const MARK: &str = "the test itself";
