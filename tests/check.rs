//! `sockwarden check` as scripts see it: exit code, standard output, standard error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::process::Command;

fn check(files: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwarden"));
    let output = command.arg("check").args(files).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_and_streams_tell_scripts_what_people_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wrong = file("wrong.toml", "alow = []\n");
    let odd = file("odd.toml", "extends = 'ci'\nallow = ['image.pull']\n");
    let failing = file("failing.toml", "[[test]]\nrequest = 'docker ps'\nexpect = 'allow'\n");

    let (code, out, err) = check(&["ci", "deny-all"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("2 files, ") && out.ends_with(" tests: 0 errors, 0 warnings\n"), "{out}");

    let (code, out, err) = check(&[&odd]);
    assert_eq!((code, out.as_str()), (0, "1 file, 0 tests: 0 errors, 1 warning\n"), "{err}");
    assert!(err.contains("warning[P102]"), "{err}");

    let (code, out, err) = check(&[&wrong, &failing, "ci"]);
    assert_eq!((code, out.starts_with("3 files, ")), (1, true), "{out}");
    assert!(err.contains("error[P002]") && err.contains(&format!("--> {wrong}:1:1")), "{err}");
    assert!(err.contains("error[P017]") && !err.contains('\x1b'), "{err}");

    let (code, _, err) = check(&["/nonexistent.toml", "ci"]);
    assert_eq!(code, 2);
    assert!(err.contains("/nonexistent.toml"), "{err}");

    let (code, out, _) = check(&[]);
    assert_eq!((code, out.as_str()), (2, ""));
}
