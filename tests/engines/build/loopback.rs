//! A service on the host's loopback address, which no build should reach.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One that answers every question with one word, counts who came, and keeps what was asked for
pub struct Loopback {
    port: u16,
    came: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Loopback {
    /// One that says `word`
    pub fn saying(word: &str) -> Self {
        let listeners = both();
        let port = listeners[0].local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        for listener in listeners {
            let (counted, asked, word) = (Arc::clone(&came), Arc::clone(&asked), word.to_owned());
            // It ends with the test.
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let (asked, word) = (Arc::clone(&asked), word.clone());
                    thread::spawn(move || answer(stream, &asked, &word));
                }
            });
        }
        Self { port, came, asked }
    }

    /// Its port
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were made to it
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// Waits for the first connection
    pub async fn until_somebody_came(&self) {
        while self.came() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The targets that were asked for since the last time, in HTTP without TLS
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>, word: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]);
    // Registries are asked with TLS first.
    if let ["GET" | "HEAD", target, ..] = request.split(' ').collect::<Vec<_>>().as_slice() {
        asked.lock().unwrap().push((*target).to_owned());
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", word.len());
    let _ = stream.write_all(format!("{head}{word}").as_bytes());
}

/// One port of two addresses: the shipped policy names images of the first one's registries
fn both() -> [TcpListener; 2] {
    loop {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(other) = TcpListener::bind(("127.0.0.2", port)) {
            return [one, other];
        }
    }
}
