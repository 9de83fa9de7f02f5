//! The table of known attacks, `docs/attacks.md`: every row is there, and every test that it names exists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rows by their letter, and how many of each there are
const ROWS: &[(char, usize)] = &[('C', 9), ('J', 9), ('H', 15), ('M', 11), ('P', 12), ('O', 20), ('B', 17)];

/// Row and its last column
fn rows() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let cells = |line: &str| line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned()).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(cells);
    let rows = rows.filter(|cells| cells[0] != "row" && !cells[0].starts_with("---"));
    rows.map(|cells| match cells.as_slice() {
        [row, what, tests] if !what.is_empty() => (row.clone(), tests.clone()),
        other => panic!("not three columns: {other:?}"),
    })
    .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a test of this name exists: a case of a family, or a function with `#[test]` before it
fn exists(name: &str) -> bool {
    if let Some((family, case)) = name.split_once(": ") {
        let file = root().join(format!("tests/cases/{family}.toml"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        return text.lines().any(|line| line == format!("name = \"{case}\""));
    }
    let Some((module, function)) = name.rsplit_once("::") else { return false };
    let path = module.replace("::", "/");
    let path = if path.starts_with("src/") { path } else { format!("tests/{path}") };
    let files = ["{}.rs", "{}/tests.rs"].map(|file| PathBuf::from(file.replace("{}", &path)));
    files.iter().filter_map(|file| std::fs::read_to_string(root().join(file)).ok()).any(|text| {
        let before = text.split_once(&format!("fn {function}(")).map(|(before, _)| before.trim_end());
        before.is_some_and(|before| before.ends_with("#[test]") || before.ends_with("#[tokio::test]"))
    })
}

#[test]
fn every_row_stands_there_once() {
    let expected: Vec<String> =
        ROWS.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}"))).collect();
    let found: Vec<String> = rows().into_iter().map(|(row, _)| row).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_test_of_a_row_exists() {
    let mut missing = Vec::new();
    for (row, tests) in rows() {
        // Every second piece stands between backticks.
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let excused = ["Not ours: ", "Does not apply: "].iter().any(|words| tests.starts_with(words));
        if named.is_empty() && !excused {
            missing.push(format!("{row} names no test and gives no reason"));
        }
        missing.extend(named.iter().filter(|name| !exists(name)).map(|name| format!("{row}: no test `{name}`")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn what_does_not_exist_is_not_found() {
    for name in [
        "privileged: no such case",
        "nosuch: privileged is refused by name",
        "wire::framing::pipelined",
        "wire::framing::CREATE",
        "wire::nosuch::a_body_is_never_the_next_request",
        "wire::proxy::json",
        "privileged is refused by name",
        "",
    ] {
        assert!(!exists(name), "{name}");
    }
}

#[test]
fn every_family_of_cases_has_its_rows() {
    let named: BTreeSet<String> = rows()
        .iter()
        .flat_map(|(_, tests)| {
            tests
                .split('`')
                .skip(1)
                .step_by(2)
                .filter_map(|name| name.split_once(": "))
                .map(|(family, _)| family.to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    for file in std::fs::read_dir(root().join("tests/cases")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(named.contains(name.trim_end_matches(".toml")), "no row names a case of tests/cases/{name}");
    }
}
