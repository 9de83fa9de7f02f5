//! An engine that answers everything at once and remembers what it heard, for tests of many requests.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// A socket in the engine's place
pub struct Prompt {
    socket: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
    _directory: TempDir,
}

impl Prompt {
    /// Says where its data is, and `{}` to everything else
    pub fn start() -> Self {
        Self::saying(|request| match request.starts_with("GET /v1.41/info ") {
            true => r#"{"DockerRootDir":"/var/lib/docker"}"#.to_owned(),
            false => "{}".to_owned(),
        })
    }

    /// Says what is made of each request; an empty text is a 404
    ///
    /// Every image is there; look-ups of images and of the version are not heard.
    pub fn saying(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::having(|_| IMAGE.to_owned(), answer)
    }

    /// The same with images of its own: what it says of each look-up; an empty text is a 404
    ///
    /// An answer of `!` is none: the connection ends.
    pub fn having(
        image: impl Fn(&str) -> String + Send + Sync + 'static,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (ours, both) = (Arc::clone(&heard), Arc::new((image, answer)));
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, both) = (Arc::clone(&ours), Arc::clone(&both));
                thread::spawn(move || serve(stream, &heard, &both.0, &both.1));
            }
        });
        Self { socket, heard, _directory: directory }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it heard since it was asked last, one text a request
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

fn is_look_up(request: &str) -> bool {
    let image = || request.starts_with("GET /v1.41/images/") && !request.starts_with("GET /v1.41/images/json ");
    request.starts_with("GET /_ping ") || (image() && request.contains("/json HTTP"))
}

/// Who lives and who has something is asked also when nobody calls
fn looks_after_owners(request: &str) -> bool {
    let watches = request.contains("/events?") && request.contains("%22die%22");
    watches || request.contains("label%22%3A%7B%22sockwarden.listener%3D")
}

const IMAGE: &str =
    r#"{"Id":"sha256:1111111111111111111111111111111111111111111111111111111111111111","RepoTags":["a:latest"]}"#;

/// Reads requests as they come; one that is not framed as it must be is heard as it is, and ends the connection
fn serve(
    mut stream: UnixStream,
    heard: &Mutex<Vec<String>>,
    image: &dyn Fn(&str) -> String,
    answer: &dyn Fn(&str) -> String,
) {
    let (mut unread, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        while let Some(length) = whole(&unread) {
            let request: Vec<u8> = unread.drain(..length).collect();
            let request = String::from_utf8_lossy(&request).into_owned();
            let body = if looks_after_owners(&request) {
                "[]".to_owned()
            } else if is_look_up(&request) {
                if request.starts_with("GET /_ping ") { "OK".to_owned() } else { image(&request) }
            } else {
                let body = answer(&request);
                heard.lock().unwrap().push(request);
                body
            };
            let (status, body) = match body.as_str() {
                "!" => return,
                "" => ("404 Not Found", "{\"message\":\"No such thing\"}\n"),
                body => ("200 OK", body),
            };
            let head = format!("HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n");
            if stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(length @ 1..) => unread.extend_from_slice(&piece[..length]),
            _ if unread.is_empty() => return,
            _ => return heard.lock().unwrap().push(String::from_utf8_lossy(&unread).into_owned()),
        }
    }
}

/// Length of the first request, once it has come
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("transfer-encoding:") == Some("chunked") {
        let end = bytes[head..].windows(5).position(|window| window == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let length = value("content-length:").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}
