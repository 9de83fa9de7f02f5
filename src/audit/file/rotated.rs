//! Audit files that are finished: `audit.jsonl.2026-11-21T031600.123456Z`, the time in UTC at which it was put away.
//!
//! Names sort by age. Only names of exactly this form are ever counted or removed; an archive that somebody made beside
//! them is not ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Gives the file its dated name: later than any other's, also after the clock was set back
pub fn put_away(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let now = Timestamp::try_from(now).map_err(io::Error::other)?;
    let latest = list(path)?.pop().map(|(time, _)| time);
    let after = latest
        .map(|latest| latest.checked_add(SignedDuration::from_micros(1)))
        .transpose()
        .map_err(io::Error::other)?;
    let time = after.map_or(now, |after| after.max(now));
    let away = with_suffix(path, &time.strftime(FORM).to_string());
    fs::rename(path, &away)?;
    Ok(away)
}

/// Undoes [`put_away`], as long as nothing took the place
pub fn put_back(away: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, away, CWD, path, RenameFlags::NOREPLACE)?)
}

/// Removes the oldest until no more than `keep` are left; 0 keeps all
pub fn thin_out(path: &Path, keep: usize) -> io::Result<()> {
    let all = list(path)?;
    let excess = if keep == 0 { 0 } else { all.len().saturating_sub(keep) };
    for (_, old) in all.into_iter().take(excess) {
        match fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The finished files of `path`, oldest first
pub fn list(path: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = with_suffix(Path::new(path.file_name().unwrap_or_default()), "");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let suffix = name.to_str().zip(prefix.to_str()).and_then(|(name, prefix)| name.strip_prefix(prefix));
        if let Some(time) = suffix.and_then(time_of) {
            found.push((time, path.with_file_name(name)));
        }
    }
    found.sort();
    Ok(found)
}

/// The time in a suffix, if it is written as we write it
fn time_of(suffix: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(FORM, suffix).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (time.strftime(FORM).to_string() == suffix).then_some(time)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// No colon: tools take what stands before one for a host
const FORM: &str = "%Y-%m-%dT%H%M%S.%6fZ";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_say_when_and_are_later_than_any_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_230_960_123_456);
        for (clock, name) in [
            (at, "audit.jsonl.2026-11-21T031600.123456Z"),
            (at, "audit.jsonl.2026-11-21T031600.123457Z"),
            (at - Duration::from_secs(3600), "audit.jsonl.2026-11-21T031600.123458Z"),
        ] {
            fs::write(&path, name).unwrap();
            let away = put_away(&path, clock).unwrap();
            assert_eq!(away, directory.path().join(name));
            assert_eq!(fs::read_to_string(&away).unwrap(), name);
        }
        assert_eq!(list(&path).unwrap().len(), 3);
    }

    #[test]
    fn only_the_oldest_of_our_own_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let others =
            ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2026-11-21T031600.000001Z.gz", "b.2020-11-21T031600.000001Z"];
        let ours = ["2026-01-02T000000.000000Z", "2026-01-01T000000.000000Z", "2025-12-31T000000.000000Z"];
        for name in others.map(str::to_owned).into_iter().chain(ours.map(|time| format!("audit.jsonl.{time}"))) {
            fs::write(directory.path().join(name), "").unwrap();
        }
        thin_out(&path, 0).unwrap();
        assert_eq!(list(&path).unwrap().len(), 3);
        thin_out(&path, 1).unwrap();
        let left: Vec<_> = list(&path).unwrap().into_iter().map(|(_, path)| path).collect();
        assert_eq!(left, [path.with_file_name("audit.jsonl.2026-01-02T000000.000000Z")]);
        for name in others {
            assert!(directory.path().join(name).exists(), "{name}");
        }
    }
}
