//! A service on the host's loopback address, which no build should reach.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// One that answers every question with one word, and counts who came
pub struct Loopback {
    port: u16,
    came: Arc<AtomicUsize>,
}

impl Loopback {
    /// One that says `word`
    pub fn saying(word: &str) -> Self {
        let listeners = both();
        let port = listeners[0].local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        for listener in listeners {
            let (counted, word) = (Arc::clone(&came), word.to_owned());
            // It ends with the test.
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let word = word.clone();
                    thread::spawn(move || answer(stream, &word));
                }
            });
        }
        Self { port, came }
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
}

fn answer(mut stream: TcpStream, word: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut [0; 4096]);
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
