//! `sockwarden check`: everything wrong with policy files and what their tests say, without serving.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::policy::check::check;
use crate::policy::report::Style;
use crate::policy::shipped;

/// Checks the files and shipped policies named: 0 all fine, 1 something was found, 2 a file could not be read
pub fn run(files: &[PathBuf]) -> ExitCode {
    let (mut errors, mut warnings, mut tests, mut unread) = (0, 0, 0, 0);
    let style = style();
    for file in files {
        let name = file.to_string_lossy();
        let text = match read(file) {
            Ok(text) => text,
            Err(error) => {
                say(&format!("error: {name}: {error}"));
                unread += 1;
                continue;
            }
        };
        let checked = check(&name, &text);
        if !checked.report.is_empty() {
            say(&format!("{}\n", checked.report.render(style)));
        }
        errors += checked.report.errors();
        warnings += checked.report.warnings();
        tests += checked.tests;
    }
    let summary = format!(
        "{}, {}: {}, {}",
        count(files.len() - unread, "file"),
        count(tests, "test"),
        count(errors, "error"),
        count(warnings, "warning"),
    );
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stdout(), "{summary}");
    match (unread, errors) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(1),
        _ => ExitCode::from(2),
    }
}

/// A shipped policy's name stands for it; anything else is a file
fn read(file: &Path) -> Result<String, String> {
    match file.to_str().and_then(shipped::text) {
        Some(text) => Ok(text.to_owned()),
        None => std::fs::read_to_string(file).map_err(|error| error.to_string()),
    }
}

fn style() -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if unwanted || !std::io::stderr().is_terminal() { Style::Plain } else { Style::Colour }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
