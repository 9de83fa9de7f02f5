//! The import table: which part of the crate may know which, held against the source.
//!
//! `api` and `policy` decide, so they must not wait, do I/O or read a clock. The rest points one way; each exception
//! stands here by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module and what it may import
const TABLE: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["api", "audit", "config", "log", "owner", "policy", "reap", "server"]),
    (
        "server",
        &[
            "answer", "api", "audit", "caller", "config", "engine", "exchange", "hangup", "owner", "policy", "quota",
            "reap", "running",
        ],
    ),
    ("reap", &["audit", "config", "engine", "owner", "policy", "running"]),
    (
        "exchange",
        &[
            "answer", "api", "audit", "caller", "config", "engine", "mount", "owner", "policy", "quota", "running",
            "shown", "stream",
        ],
    ),
    // The body of what is sent is that of what is answered: `answer::Body`.
    ("engine", &["answer", "api", "audit", "policy"]),
    ("stream", &["answer", "audit", "hangup", "running", "shown"]),
    ("shown", &["api", "policy"]),
    // A refusal wraps the engine's error, which alone decides its status.
    ("answer", &["api", "engine", "policy"]),
    ("config", &["api", "audit", "caller", "owner"]),
    ("log", &["config"]),
    ("audit", &["caller", "policy"]),
    ("caller", &["api"]),
    ("mount", &["api"]),
    ("policy", &["api"]),
    ("api", &[]),
    ("hangup", &[]),
    ("owner", &["caller", "policy"]),
    ("quota", &[]),
    ("running", &[]),
];

/// Words that pure modules do not contain
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "rustix",
];

/// Source files by top-level module
fn modules() -> BTreeMap<String, Vec<PathBuf>> {
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in found {
        let first = path.strip_prefix(&source).unwrap().iter().next().unwrap();
        let name = Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned();
        modules.entry(name).or_default().push(path);
    }
    modules
}

/// The code of a file, without comments and without its tests
fn code(path: &Path) -> String {
    if path.file_stem().is_some_and(|name| name == "tests") {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Top-level modules that a text names after `crate::` or `sockwarden::`, also in braces
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, root) in code.match_indices("crate::").chain(code.match_indices("sockwarden::")) {
        let rest = &code[at + root.len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => drop(found.insert(word(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (index, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() => {
                            found.insert(word(&list[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn braces_and_paths_are_both_imports() {
    let found = imports("use crate::{api::{a, b}, policy};\nlet x = crate::engine::E; sockwarden::cli::run()");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["api", "cli", "engine", "policy"]);
}

#[test]
fn imports_follow_the_table() {
    let modules = modules();
    let mut wrong = Vec::new();
    for (name, paths) in modules.iter().filter(|(name, _)| *name != "lib" && *name != "fuzzing") {
        let Some((_, allowed)) = TABLE.iter().find(|(module, _)| module == name) else {
            wrong.push(format!("module `{name}` is not in the table"));
            continue;
        };
        for path in paths {
            for import in imports(&code(path)) {
                // Macros are exported at the root of the crate, and only of `api`.
                let is_macro = ["message", "object", "one_of", "query"].contains(&import.as_str());
                let known = if is_macro { "api" } else { import.as_str() };
                if known != name && !allowed.contains(&known) {
                    wrong.push(format!("{} imports `{import}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_allows_nothing_that_nobody_needs() {
    let modules = modules();
    let mut unused = Vec::new();
    for (name, allowed) in TABLE {
        let used: BTreeSet<_> = modules[*name].iter().flat_map(|path| imports(&code(path))).collect();
        unused.extend(
            allowed.iter().filter(|module| !used.contains(**module)).map(|module| format!("{name} -> {module}")),
        );
    }
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn what_decides_does_not_wait_or_touch_the_world() {
    let modules = modules();
    let mut wrong = Vec::new();
    for path in ["api", "policy"].iter().flat_map(|name| &modules[*name]) {
        let code = code(path);
        wrong.extend(
            IMPURE.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: `{word}`", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
