//! The file after crashes, full disks, rotations and hands from outside.

use std::process::Command;

use super::*;

const KEPT: Rotation = Rotation { size: None, age: None, keep: 0 };

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn older(path: &Path) -> Vec<String> {
    rotated::list(path).unwrap().iter().map(|(_, path)| read(path)).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn lines_are_whole_private_and_kept_over_a_restart() {
    let (directory, _) = directory();
    let path = directory.path().join("state/audit.jsonl");
    for line in ["a", "b"] {
        AuditFile::open(&path, KEPT, true).unwrap().append(line.as_bytes()).unwrap();
    }
    assert_eq!(read(&path), "a\nb\n");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_line_with_an_end_inside_is_refused() {
    let (_directory, path) = directory();
    let file = AuditFile::open(&path, KEPT, false).unwrap();
    assert_eq!(file.append(b"a\nb").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(read(&path), "");
}

#[test]
fn a_line_torn_by_a_crash_is_kept_apart_from_the_next() {
    let (_directory, path) = directory();
    fs::write(&path, "a\nhal").unwrap();
    let file = AuditFile::open(&path, KEPT, false).unwrap();
    file.append(b"b").unwrap();
    file.append(b"c").unwrap();
    assert_eq!(read(&path), "a\nhal\nb\nc\n");
}

#[test]
fn what_is_not_a_plain_file_of_its_own_is_refused() {
    let (directory, path) = directory();
    let target = directory.path().join("target");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(AuditFile::open(&path, KEPT, false).is_err());
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(AuditFile::open(&path, KEPT, false).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_lock_that_is_kept_is_an_error_in_the_end_and_not_for_long() {
    let (_directory, path) = directory();
    let mut file = AuditFile::open(&path, KEPT, false).unwrap();
    file.patience = Duration::from_millis(100);
    let other = File::open(&path).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    assert_eq!(file.append(b"a").unwrap_err().kind(), ErrorKind::ResourceBusy);
    // Closing it is not enough while another test has a process begin, which has a copy for a moment.
    rustix::fs::flock(&other, FlockOperation::Unlock).unwrap();
    file.append(b"b").unwrap();
    assert_eq!(read(&path), "b\n");
    // Nobody is kept out between lines.
    rustix::fs::flock(File::open(&path).unwrap(), FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn a_file_moved_or_removed_from_outside_is_begun_anew() {
    let (directory, path) = directory();
    let file = AuditFile::open(&path, KEPT, false).unwrap();
    file.append(b"a").unwrap();
    let moved = directory.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    file.append(b"b").unwrap();
    assert_eq!((read(&moved), read(&path)), ("a\n".into(), "b\n".into()));
    fs::remove_file(&path).unwrap();
    file.append(b"c").unwrap();
    assert_eq!(read(&path), "c\n");
    fs::write(&path, "").unwrap();
    file.append(b"d").unwrap();
    assert_eq!(read(&path), "d\n");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    file.append(b"lost").unwrap_err();
    fs::remove_dir(&path).unwrap();
    file.append(b"e").unwrap();
    assert_eq!(read(&path), "e\n");
}

#[test]
fn a_full_file_is_put_away_and_the_oldest_removed() {
    let (_directory, path) = directory();
    let file = AuditFile::open(&path, Rotation { size: Some(8), keep: 2, ..KEPT }, true).unwrap();
    for line in ["aaa", "bbb", "ccc", "ddd", "eeeeeeeeeeee", "f", "g"] {
        file.append(line.as_bytes()).unwrap();
    }
    assert_eq!(older(&path), ["ccc\nddd\n", "eeeeeeeeeeee\n"]);
    assert_eq!(read(&path), "f\ng\n");
}

#[test]
fn an_old_file_is_put_away_and_an_empty_one_has_no_age() {
    let (_directory, path) = directory();
    let hours = |count: u64| SystemTime::now() + Duration::from_secs(count * 3600);
    let file = AuditFile::open(&path, Rotation { age: Some(Duration::from_secs(24 * 3600)), ..KEPT }, false).unwrap();
    for (line, time) in [("a", 48), ("b", 71), ("c", 72), ("d", 95), ("e", 1), ("f", 97)] {
        file.append_at(line.as_bytes(), hours(time)).unwrap();
    }
    assert_eq!(older(&path), ["a\nb\n", "c\nd\ne\n"]);
    assert_eq!(read(&path), "f\n");
}

#[test]
fn widened_rights_pass_on_to_the_next_file() {
    let (_directory, path) = directory();
    let file = AuditFile::open(&path, Rotation { size: Some(2), ..KEPT }, false).unwrap();
    file.append(b"a").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    file.append(b"b").unwrap();
    assert_eq!((read(&path), mode(&path)), ("b\n".into(), 0o640));
}

#[test]
fn a_lock_that_is_kept_for_seconds_holds_a_line_up_and_loses_none() {
    let (_directory, path) = directory();
    let file = AuditFile::open(&path, KEPT, false).unwrap();
    let other = File::open(&path).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    thread::scope(|scope| {
        let line = scope.spawn(|| file.append(b"a"));
        // As a disk that is busy for a while.
        thread::sleep(Duration::from_secs(2));
        assert!(!line.is_finished(), "it did not wait");
        rustix::fs::flock(&other, FlockOperation::Unlock).unwrap();
        line.join().unwrap().unwrap();
    });
    assert_eq!(read(&path), "a\n");
}

/// Two open files are to each other what two processes are
#[test]
fn neither_threads_nor_instances_mix_or_lose_lines() {
    let (_directory, path) = directory();
    let rotation = Rotation { size: Some(4000), ..KEPT };
    let files = [(); 2].map(|()| AuditFile::open(&path, rotation, false).unwrap());
    thread::scope(|scope| {
        for thread in 0..8 {
            let file = &files[thread % 2];
            scope.spawn(move || {
                for number in 0..100 {
                    file.append(format!("{thread} {number} {}", "x".repeat(number)).as_bytes()).unwrap();
                }
            });
        }
    });
    let mut found: Vec<_> = (older(&path).concat() + &read(&path)).lines().map(|line| line.to_owned()).collect();
    let mut expected: Vec<_> = (0..8)
        .flat_map(|thread| (0..100).map(move |number| format!("{thread} {number} {}", "x".repeat(number))))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(older(&path).iter().all(|file| file.len() <= 4000));
}

/// The kernel itself cuts a line short, as on a full disk: a limit on the size of files holds for a whole process, so
/// this test runs itself again in one of its own.
#[test]
fn a_line_that_does_not_fit_leaves_nothing() {
    const CHILD: &str = "SOCKWARDEN_TEST_AUDIT";
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        let (_directory, path) = directory();
        let output = Command::new("sh")
            .args(["-c", r#"trap "" XFSZ; ulimit -f 2; exec "$@""#, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "audit::file::tests::a_line_that_does_not_fit_leaves_nothing"])
            .env(CHILD, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        assert_eq!(read(&path), "a\nb\n");
        return;
    };
    let file = AuditFile::open(&path, KEPT, false).unwrap();
    file.append(b"a").unwrap();
    // Longer than two blocks of 512 or 1024 bytes: the first of them are written, the others are not.
    let error = file.append(&[b'x'; 4000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    file.append(b"b").unwrap();
}

#[test]
fn a_file_that_cannot_be_put_away_is_written_on() {
    let (_directory, path) = directory();
    let file = AuditFile::open(&path, Rotation { size: Some(2), ..KEPT }, false).unwrap();
    file.append(b"a").unwrap();
    // No later name can be given than the last there is, so the rename does not happen.
    fs::write(path.with_file_name("audit.jsonl.9999-12-30T220000.999999Z"), "").unwrap();
    file.append(b"b").unwrap();
    file.append(b"c").unwrap();
    assert_eq!(read(&path), "a\nb\nc\n");
    fs::remove_file(path.with_file_name("audit.jsonl.9999-12-30T220000.999999Z")).unwrap();
    file.append_at(b"d", SystemTime::now() + RETRY + RETRY).unwrap();
    assert_eq!((older(&path), read(&path)), (vec!["a\nb\nc\n".to_owned()], "d\n".to_owned()));
}
