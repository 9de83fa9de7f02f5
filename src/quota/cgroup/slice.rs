//! Slices of systemd, for engines whose cgroup driver it is: systemd makes them and keeps their limits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{NoGround, Sums, is_tag};

/// systemd, through its own command
#[derive(Debug)]
pub struct Systemd {
    command: PathBuf,
    /// Where it keeps what `set-property --runtime` set, until the next boot
    control: PathBuf,
}

impl Systemd {
    /// The systemd that runs this host
    pub(super) fn running() -> Result<Self, NoGround> {
        if !Path::new("/run/systemd/system").is_dir() {
            return Err(NoGround::Elsewhere("systemd does not run here".to_owned()));
        }
        Ok(Self { command: "systemctl".into(), control: CONTROL.into() })
    }

    /// Sets the limits of an owner's slice, also of one that is not started yet
    pub(super) fn limit(&self, slice: &str, sums: &Sums) -> io::Result<()> {
        let mut arguments = vec!["set-property".to_owned(), "--runtime".to_owned(), slice.to_owned()];
        arguments.extend(properties(sums));
        self.run(&arguments)
    }

    /// Tags of an engine's slices with limits
    pub(super) fn tags(&self, ours: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.control) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| Some(tag(ours, &name)?.to_owned())).collect()
    }

    /// Stops an owner's slice, and forgets its limits
    pub(super) fn remove(&self, slice: &str) -> io::Result<()> {
        self.run(&["stop".to_owned(), slice.to_owned()])?;
        self.run(&["revert".to_owned(), slice.to_owned()])
    }

    fn run(&self, arguments: &[String]) -> io::Result<()> {
        let mut command = Command::new(&self.command);
        let output = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(io::Error::other(format!("systemctl {}: {said}", arguments.join(" "))))
    }
}

/// The slice of an owner; by its name it lies in that of its engine, and that in `sockwarden.slice`
pub(super) fn name(ours: &str, tag: &str) -> String {
    format!("{ours}-{tag}.slice")
}

fn tag<'a>(ours: &str, control: &'a str) -> Option<&'a str> {
    let tag = control.strip_prefix(ours)?.strip_prefix('-')?.strip_suffix(".slice.d")?;
    is_tag(tag).then_some(tag)
}

fn properties(sums: &Sums) -> [String; 4] {
    let text = |number: Option<i64>| number.map_or_else(|| "infinity".to_owned(), |number| number.to_string());
    // In percent of one CPU, with two digits; an empty one is no limit.
    let cpus = sums.nano_cpus.map_or_else(String::new, |nano| {
        let hundredths = (nano / HUNDREDTH_OF_A_PERCENT).max(1);
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    });
    [
        format!("MemoryMax={}", text(sums.memory)),
        format!("MemorySwapMax={}", text(sums.memory)),
        format!("CPUQuota={cpus}"),
        format!("TasksMax={}", text(sums.pids)),
    ]
}

const CONTROL: &str = "/run/systemd/system.control";
/// In CPUs of 10⁻⁹
const HUNDREDTH_OF_A_PERCENT: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "sockwarden-01234567";
    const TAG: &str = "0123456789ab";
    const SLICE: &str = "sockwarden-01234567-0123456789ab.slice";

    /// A command in systemctl's place that writes down what it is told
    fn systemd(script: &str) -> (tempfile::TempDir, Systemd) {
        let place = tempfile::tempdir().unwrap();
        let command = place.path().join("systemctl");
        let told = place.path().join("told");
        let text = format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", told.display());
        // Written by another process: while this one has it open for writing, a process that another test begins has so
        // too, and what somebody writes cannot be run.
        let mut writer = Command::new("sh");
        writer.args(["-c", r#"printf %s "$1" > "$2" && chmod 755 "$2""#, "sh", &text]).arg(&command);
        assert!(writer.status().unwrap().success());
        let control = place.path().join("control");
        fs::create_dir(&control).unwrap();
        (place, Systemd { command, control })
    }

    #[test]
    fn systemd_is_told_the_sums_of_the_owners_slice() {
        let (place, systemd) = systemd("");
        let sums = Sums { memory: Some(4 << 30), nano_cpus: Some(1_500_000_000), pids: Some(100) };
        assert_eq!(name(OURS, TAG), SLICE);
        systemd.limit(SLICE, &sums).unwrap();
        systemd.limit(SLICE, &Sums { nano_cpus: Some(125_500_000), ..Sums::default() }).unwrap();
        systemd.limit(SLICE, &Sums::default()).unwrap();
        systemd.remove(SLICE).unwrap();
        assert_eq!(
            fs::read_to_string(place.path().join("told")).unwrap(),
            "set-property --runtime sockwarden-01234567-0123456789ab.slice MemoryMax=4294967296 MemorySwapMax=4294967296 CPUQuota=150.00% TasksMax=100\n\
             set-property --runtime sockwarden-01234567-0123456789ab.slice MemoryMax=infinity MemorySwapMax=infinity CPUQuota=12.55% TasksMax=infinity\n\
             set-property --runtime sockwarden-01234567-0123456789ab.slice MemoryMax=infinity MemorySwapMax=infinity CPUQuota= TasksMax=infinity\n\
             stop sockwarden-01234567-0123456789ab.slice\n\
             revert sockwarden-01234567-0123456789ab.slice\n"
        );
    }

    #[test]
    fn what_systemd_refuses_is_an_error_in_its_words() {
        let (_place, systemd) = systemd("echo 'Unit is masked.' >&2; exit 1");
        let error = systemd.limit(SLICE, &Sums::default()).unwrap_err().to_string();
        assert!(error.contains("Unit is masked."), "{error}");
        // What could not be stopped keeps its limits.
        assert!(systemd.remove(SLICE).is_err());
    }

    #[test]
    fn slices_are_found_by_what_was_set_on_them() {
        let (_place, systemd) = systemd("");
        for name in [
            "sockwarden-01234567-0123456789ab.slice.d",
            "sockwarden-89abcdef-0123456789ab.slice.d",
            "user-0123456789ab.slice.d",
            "a.service.d",
        ] {
            fs::create_dir(systemd.control.join(name)).unwrap();
        }
        assert_eq!(systemd.tags(OURS), [TAG]);
    }
}
