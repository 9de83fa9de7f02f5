//! The whole proxy beside the bare socket, in one run, as a ratio.
//!
//! A stand-in engine answers at once, so that what is measured is what sockwarden adds. Rounds of both alternate; the
//! figure is the median round of each. `cargo bench --bench proxy`

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

const ROUNDS: usize = 9;
const REQUESTS: usize = 2000;
const DOWNLOAD: usize = 512 << 20;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let (bare, proxied) = (directory.path().join("engine.sock"), directory.path().join("docker.sock"));
    let listener = UnixListener::bind(&bare).unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| drop(thread::spawn(move || engine(stream.unwrap())))));
    let proxy = Proxy::start(&bare, &proxied, &directory.path().join("audit.jsonl"));
    println!("resident memory, idle: {} KiB", proxy.resident());

    let list = "GET /v1.51/containers/json HTTP/1.1\r\nHost: docker\r\n\r\n";
    let body = r#"{"Image":"alpine","HostConfig":{"Memory":1073741824}}"#;
    let create = format!(
        "POST /v1.51/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    compare("container.list, one connection, kept alive", &bare, &proxied, |socket| requests(socket, list));
    compare("container.create, one connection, kept alive", &bare, &proxied, |socket| requests(socket, &create));
    compare("512 MiB down", &bare, &proxied, download);
    println!("resident memory, after: {} KiB", proxy.resident());
}

/// Prints the median of each side and their ratio
fn compare(what: &str, bare: &Path, proxied: &Path, run: impl Fn(&Path)) {
    let time = |socket: &Path| {
        let begun = Instant::now();
        run(socket);
        begun.elapsed().as_secs_f64()
    };
    let (mut direct, mut through): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (time(bare), time(proxied))).unzip();
    direct.sort_by(f64::total_cmp);
    through.sort_by(f64::total_cmp);
    let (direct, through) = (direct[ROUNDS / 2], through[ROUNDS / 2]);
    println!("{what}: bare {direct:.3} s, through {through:.3} s, ratio {:.2}", through / direct);
}

fn requests(socket: &Path, request: &str) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..REQUESTS {
        stream.write_all(request.as_bytes()).unwrap();
        let length = head(&mut reader);
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
    }
}

fn download(socket: &Path) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(b"GET /v1.51/images/get?names=alpine HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        .unwrap();
    let bytes = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    assert!(bytes as usize > DOWNLOAD, "only {bytes} bytes came");
}

/// Reads a head; returns the length of the body
fn head(reader: &mut impl std::io::BufRead) -> u64 {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the connection ended");
        if line == "\r\n" {
            return length;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
}

/// A stand-in engine on one connection
fn engine(stream: UnixStream) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let list = "[".to_owned() + &r#"{"Id":"0123456789abcdef","Names":["/web"]},"#.repeat(100) + "{}]";
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let length = head(&mut reader);
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
        let begin = "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\n";
        let answered = if line.contains("/images/get") {
            let head = format!("{begin}Content-Length: {DOWNLOAD}\r\n\r\n");
            let piece = vec![0; 1 << 20];
            writer
                .write_all(head.as_bytes())
                .and_then(|()| (0..DOWNLOAD / piece.len()).try_for_each(|_| writer.write_all(&piece)))
        } else {
            let body = if line.contains("/containers/json") {
                list.as_str()
            } else {
                r#"{"Id":"0123456789abcdef","Warnings":[]}"#
            };
            writer.write_all(format!("{begin}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
        };
        if answered.is_err() || line.contains("/images/get") {
            return;
        }
    }
}

struct Proxy(Child);

impl Proxy {
    /// Serves `unrestricted` with its record, so that no look-up of ours is in the figures
    fn start(engine: &Path, listen: &Path, audit: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockwarden"))
            .arg("serve")
            .args(["--engine", &format!("unix://{}", engine.display())])
            .args([
                "--listen",
                listen.to_str().unwrap(),
                "--policy",
                "unrestricted",
                "--audit",
                audit.to_str().unwrap(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Self(child)
    }

    fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
