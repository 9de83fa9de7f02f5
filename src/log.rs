//! The operational log: what sockwarden itself does and what went wrong. Not the record, which is in `audit`.
//!
//! Lines go through a bounded queue to a thread of their own, so that a slow disk or terminal delays no request; when the
//! queue is full lines are lost, which is why nothing that must be known may be written here only. Whatever a client sent
//! may be in a field, so no field can end a line, make a new one, or move a terminal's cursor.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{Mode, OFlags};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{fmt as lines, registry};

use crate::config::{Log, LogFormat};

/// Writes the last lines when dropped; to be held until the process ends
#[must_use]
#[derive(Debug)]
pub struct Guard {
    _worker: WorkerGuard,
}

/// Begins the log of this process; a second call is an error
pub fn init(log: &Log) -> io::Result<Guard> {
    let out: Box<dyn Write + Send> = match &log.path {
        None => Box::new(io::stderr()),
        Some(path) => {
            let flags = OFlags::APPEND | OFlags::CREATE | OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
            Box::new(File::from(rustix::fs::open(path, flags, mode)?))
        }
    };
    // The queue is allocated at once: the crate's default takes five megabytes.
    let (writer, worker) =
        NonBlockingBuilder::default().buffered_lines_limit(QUEUE).thread_name("log").finish(Lines(out));
    tracing::subscriber::set_global_default(subscriber(log, writer)).map_err(io::Error::other)?;
    Ok(Guard { _worker: worker })
}

fn subscriber<W>(log: &Log, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Libraries get no further than warnings: at finer levels some write headers and frames.
    let others = log.level.min(LevelFilter::WARN);
    let levels = Targets::new().with_target(env!("CARGO_PKG_NAME"), log.level).with_default(others);
    let layer = match log.format {
        LogFormat::Text => lines::layer().with_ansi(false).with_writer(writer).fmt_fields(Quoted).boxed(),
        LogFormat::Json => lines::layer().json().flatten_event(true).with_writer(writer).boxed(),
    };
    registry().with(layer.with_filter(levels))
}

/// Fields as `name=value`, with quotes around whatever could be taken for more than one value
struct Quoted;

impl<'w> FormatFields<'w> for Quoted {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pairs = Pairs { writer, first: true, result: Ok(()) };
        fields.record(&mut pairs);
        pairs.result
    }
}

struct Pairs<'w> {
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Pairs<'_> {
    fn pair(&mut self, field: &Field, value: &str) {
        let gap = if std::mem::take(&mut self.first) { "" } else { " " };
        let plain = !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\'));
        self.result = self.result.and_then(|()| match field.name() {
            // INVARIANT: messages are our own words, never a client's.
            "message" => write!(self.writer, "{gap}{value}"),
            name if plain => write!(self.writer, "{gap}{name}={value}"),
            name => write!(self.writer, "{gap}{name}={value:?}"),
        });
    }
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // `%value` comes here too, and writes itself without quotes.
        self.pair(field, &format!("{value:?}"));
    }
}

/// Writes each event as exactly one line
///
/// The last gate, whatever a format lets through: tracing's text writes line feeds of fields as they are, its JSON leaves
/// the control characters above 0x7f.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    /// INVARIANT: one call is one event; the layer hands each over in one piece, and so does the queue.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = escaped(text.strip_suffix('\n').unwrap_or(&text)).into_owned();
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters in the form `\u001b`, which is right in text and in a JSON string
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 16), |mut line, c| {
        if is_unsafe(c) {
            line.push_str(&format!("\\u{:04x}", u32::from(c)))
        } else {
            line.push(c)
        }
        line
    }))
}

/// Ends a line somewhere, drives a terminal, or shows text in another order than it has
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Lines that may wait for the disk
const QUEUE: usize = 4096;

#[cfg(test)]
mod tests;
