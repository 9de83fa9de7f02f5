//! Dockerfiles: what is taken is no matter of comments, blank lines and line ends, nor of what stands before it.

use std::collections::BTreeMap;

use crate::api::dockerfile::{Source, Taken, Why, sources, triggers};
use crate::api::image_ref::ImageRef;

/// A line with a build argument, as `NAME=value`, and a Dockerfile
pub fn dockerfile(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let argument = parts.next().and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.split_once('='));
    let arguments = argument.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect();
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or(b"")) else { return };
    let _ = triggers(&[text.to_owned()]);

    let read = taken(text, &arguments);
    let (top, rest) = split(text);
    for more in ["# ADD http://h/x /y \\\n", "\t\r\n"] {
        let with = format!("{top}{}", rest.replace('\n', &format!("\n{more}")));
        assert_eq!(taken(&with, &arguments), read, "{with:?}");
    }
    if !text.contains('\r') {
        assert_eq!(taken(&text.replace('\n', "\r\n"), &arguments), read, "{text:?}");
    }
    let Ok(found) = read else { return };
    for what in &found {
        match what {
            Taken::Image(image) => assert_eq!(ImageRef::read(image.given()).as_ref(), Ok(image)),
            Taken::Url(url) => assert!(url.to_ascii_lowercase().starts_with("http"), "{url}"),
        }
    }
    // The first of them may go on with what came before; the second is a line of its own.
    if let Ok(all) = taken(&format!("{text}\nLABEL a=b\nADD http://h/x /y\n"), &arguments) {
        assert_eq!(all.last(), Some(&Taken::Url("http://h/x".to_owned())), "{text:?}");
        assert!(found.len() < all.len(), "{text:?}");
    }
}

/// What is taken, wherever it stands
fn taken(text: &str, arguments: &BTreeMap<String, Option<String>>) -> Result<Vec<Taken>, Why> {
    let read = sources(text.as_bytes(), arguments, "").map_err(|bad| {
        assert!(!bad.to_string().contains('\n'), "{bad}");
        bad.why
    })?;
    Ok(read.into_iter().map(|Source { what, .. }| what).collect())
}

/// The comments at the top, which may be directives, and what follows
fn split(text: &str) -> (&str, &str) {
    let is_comment = |line: &&str| line.trim_start_matches('\u{feff}').trim_start().starts_with('#');
    let end = text.split_inclusive('\n').take_while(is_comment).map(str::len).sum();
    text.split_at_checked(end).unwrap_or((text, ""))
}
