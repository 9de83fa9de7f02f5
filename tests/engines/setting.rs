//! Which engines the tests run on: `SOCKWARDEN_TEST_ENGINES`, as `"bookworm=/path/a.sock sid=/path/b.sock"`.
//!
//! Tests that pass because nothing was there to test would be worse than none, so an unset variable is a failure, and
//! `none` has to be asked for by name.

use std::io::Write as _;
use std::path::PathBuf;
use std::thread;

/// One real engine
#[derive(Debug, Clone)]
pub struct Engine {
    /// Name
    pub name: String,
    /// Its own socket
    pub socket: PathBuf,
}

/// Runs `test` on each engine at the same time, and fails with everything that failed
pub fn on_each_engine(test: impl Fn(&Engine) -> Vec<String> + Sync) {
    let mut failed = Vec::new();
    thread::scope(|scope| {
        let runs: Vec<_> = engines()
            .into_iter()
            .map(|engine| {
                let test = &test;
                scope.spawn(move || {
                    let failed = test(&engine);
                    failed.into_iter().map(|what| format!("{}: {what}", engine.name)).collect::<Vec<_>>()
                })
            })
            .collect();
        for run in runs {
            match run.join() {
                Ok(what) => failed.extend(what),
                // The panic's own message was printed by the thread.
                Err(_) => failed.push("an engine's run broke off".to_owned()),
            }
        }
    });
    assert!(failed.is_empty(), "{} failed:\n\n{}\n", failed.len(), failed.join("\n\n"));
}

fn engines() -> Vec<Engine> {
    let setting = std::env::var("SOCKWARDEN_TEST_ENGINES").unwrap_or_default();
    match setting.trim() {
        "" => panic!(
            "SOCKWARDEN_TEST_ENGINES is not set: `tests/run` starts real engines and sets it; \
             `SOCKWARDEN_TEST_ENGINES=none cargo test` leaves the engines out"
        ),
        "none" => {
            // Not through `eprintln`, which a passing test swallows.
            let _ =
                writeln!(std::io::stderr(), "\n!!! SOCKWARDEN_TEST_ENGINES=none: NOTHING is tested on a real engine\n");
            Vec::new()
        }
        named => named.split_whitespace().map(engine).collect(),
    }
}

fn engine(text: &str) -> Engine {
    let (name, socket) = text.split_once('=').unwrap_or_else(|| panic!("`{text}` is not name=socket"));
    Engine { name: name.to_owned(), socket: socket.into() }
}
