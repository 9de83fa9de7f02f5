//! Lines as they come out, for fields that try to be more than a field.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::*;

/// What was written
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of the log of what `work` does, through the same queue and gate as in use
fn logged(format: LogFormat, level: LevelFilter, work: impl FnOnce()) -> Vec<String> {
    let sink = Sink::default();
    let (writer, _worker) = NonBlockingBuilder::default().lossy(false).finish(Lines(sink.clone()));
    let (log, mut last) = (Log { format, level, path: None }, writer.clone());
    tracing::subscriber::with_default(subscriber(&log, writer), work);
    // Dropping the worker waits for a second at most.
    last.write_all(LAST.as_bytes()).unwrap();
    let begun = Instant::now();
    let text = loop {
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        if let Some(text) = text.strip_suffix(LAST) {
            break text.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text:?}");
        std::thread::yield_now();
    };
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.split_terminator('\n').map(str::to_owned).collect()
}

/// Behind all that is logged
const LAST: &str = "that is all\n";

/// Ends lines, drives terminals, reverses text, and imitates fields
const NASTY: &str =
    "x\n2026-11-21T03:16:00Z  INFO sockwarden: forged uid=0\r\u{1b}[2K\u{9b}2J\u{85}\u{202e}\u{2028}\"\0end";

#[test]
fn no_field_makes_a_line_or_drives_a_terminal() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let lines = logged(format, LevelFilter::TRACE, || {
            info!(path = %NASTY, "refused");
            info!(path = NASTY, "refused");
            info!(path = ?NASTY, "refused");
            info!("refused {NASTY}");
            info!(error = &io::Error::other(NASTY) as &dyn std::error::Error, "refused");
        });
        assert_eq!(lines.len(), 5, "{lines:#?}");
        for line in &lines {
            assert!(!line.contains(is_unsafe), "{line:?}");
            assert!(line.contains("refused") && line.contains("end"), "{line:?}");
        }
    }
}

#[test]
fn json_stays_json_and_keeps_what_was_said() {
    let lines = logged(LogFormat::Json, LevelFilter::INFO, || info!(path = %NASTY, status = 403, "refused"));
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["path"], NASTY);
    assert_eq!(line["status"], 403);
    assert_eq!(line["message"], "refused");
    assert_eq!(line["level"], "INFO");
}

#[test]
fn a_value_in_text_cannot_be_taken_for_two() {
    let lines = logged(LogFormat::Text, LevelFilter::INFO, || {
        info!(path = %"a uid=0", owner = "b", empty = "", quote = %"\"", count = 7, list = ?["a b"], "refused");
    });
    let (_, fields) = lines[0].split_once("refused ").unwrap();
    assert_eq!(fields, r#"path="a uid=0" owner=b empty="" quote="\"" count=7 list="[\"a b\"]""#);
}

#[test]
fn levels_hold_and_libraries_get_no_further_than_warnings() {
    let work = || {
        tracing::debug!("ours");
        info!(target: "h2::codec", "theirs");
        error!(target: "h2::codec", "theirs failed");
        error!("ours failed");
    };
    let messages = |level| {
        let lines = logged(LogFormat::Json, level, work);
        let message = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].to_string();
        lines.iter().map(message).collect::<Vec<_>>()
    };
    assert_eq!(messages(LevelFilter::TRACE), [r#""ours""#, r#""theirs failed""#, r#""ours failed""#]);
    assert_eq!(messages(LevelFilter::INFO), [r#""theirs failed""#, r#""ours failed""#]);
    assert_eq!(messages(LevelFilter::OFF), [""; 0]);
}

#[test]
fn a_file_is_appended_to_and_a_missing_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, "before\n").unwrap();
    let log = |path| Log { format: LogFormat::Text, level: LevelFilter::INFO, path: Some(path) };
    assert!(init(&log(directory.path().join("gone/log"))).is_err());
    let guard = init(&log(path.clone())).unwrap();
    // The only log of the process, so other tests write here too.
    info!("began");
    drop(guard);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\n") && text.contains(" INFO ") && text.contains(": began\n"), "{text}");
    assert!(init(&log(path)).is_err());
}
