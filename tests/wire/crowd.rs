//! A crowd that holds thousands of connections and sends little or nothing: everybody else goes on as before.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::peer::Peer;
use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, plain};

/// Connections of the crowd
const CROWD: usize = 5000;
/// What the test itself opens: the crowd's end of each connection, and a little
const FILES: u64 = CROWD as u64 + 500;
/// Resident memory of the proxy with the whole crowd, in KiB: 32 KiB a connection without optimisation, and itself
const BOUND: u64 = 32 * CROWD as u64 + (32 << 10);
/// Times below this are noise of a busy machine
const FLOOR: Duration = Duration::from_micros(500);
/// Most measurements of one kind; the best one counts
const ROUNDS: usize = 40;
/// Calls of one measurement; their median counts
const CALLS: usize = 25;

/// What `docker ps` does: a connection, a ping, a list
fn docker_ps(socket: &Path) -> Duration {
    let began = Instant::now();
    let mut client = Peer::of(UnixStream::connect(socket).unwrap());
    for request in [plain("GET", "/_ping"), plain("GET", "/v1.41/containers/json")] {
        let answer = client.send(request).message();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"), "{answer:?}");
    }
    began.elapsed()
}

/// The median of some calls
fn measured(socket: &Path) -> Duration {
    let mut times: Vec<Duration> = (0..CALLS).map(|_| docker_ps(socket)).collect();
    times.sort();
    times[CALLS / 2]
}

/// Every kind of guest that takes a seat and orders nothing
fn guest(socket: &Path, number: usize) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    let words: &[u8] = match number % 5 {
        0 => b"",
        1 => b"GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\n",
        2 => b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        3 => b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        _ => b"G",
    };
    stream.write_all(words).unwrap();
    stream
}

/// Sends a byte of a head on each of some connections over and over, and opens another for each that is closed
fn slowloris(socket: PathBuf, enough: Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let connect = || {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(b"GET /v1.41/containers/json HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
            stream
        };
        let mut streams: Vec<UnixStream> = (0..200).map(|_| connect()).collect();
        let mut sent = 0;
        while !enough.load(Ordering::Relaxed) {
            for stream in &mut streams {
                match stream.write_all(b"a") {
                    Ok(()) => sent += 1,
                    Err(_) => *stream = connect(),
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        sent
    })
}

fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>, files| limit.is_none_or(|limit| limit >= files);
    // The proxy needs two for each connection and inherits our limit.
    assert!(enough(maximum, 2 * FILES), "this test needs {} open files, and {maximum:?} are allowed", 2 * FILES);
    if !enough(current, 2 * FILES) {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    }
}

#[test]
fn docker_ps_is_as_fast_as_ever_beside_five_thousand_idle_connections_and_a_slowloris() {
    allow_files();
    let engine = Prompt::start();
    // However long it takes here, no guest is to be shown out for it.
    let config = "[limits]\nhead_time = \"1h\"\nbody_time = \"1h\"\n".to_owned();
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup { config, ..Setup::default() });

    // What is usual is measured in turn with the rest: other tests keep the machine busy in between.
    let beside = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup::default());
    let crowd: Vec<UnixStream> = (0..CROWD).map(|number| guest(&proxy.socket, number)).collect();
    let enough = Arc::new(AtomicBool::new(false));
    let slow = slowloris(proxy.socket.clone(), Arc::clone(&enough));
    let (mut usual, mut crowded) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        usual = usual.min(measured(&beside.socket));
        crowded = crowded.min(measured(&proxy.socket));
        if crowded <= 2 * usual {
            break;
        }
    }
    let memory = proxy.peak_memory();
    enough.store(true, Ordering::Relaxed);
    assert!(slow.join().unwrap() >= 200, "the slowloris did not get to send");
    // Nobody was shut out to make this easy.
    for (number, mut stream) in crowd.iter().enumerate() {
        stream.set_nonblocking(true).unwrap();
        let still_open = stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(still_open, "guest {number} was shown out");
    }
    assert!(crowded <= (2 * usual).max(FLOOR), "usually {usual:?}, in a crowd {crowded:?}");
    assert!(memory < BOUND, "{memory} KiB for {CROWD} connections");
}
