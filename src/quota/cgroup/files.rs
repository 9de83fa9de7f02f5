//! Cgroups as files: what is to be made and written, and the doing of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::mounts::Hierarchies;
use super::{Sums, is_tag};

/// One thing to be so
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory
    Directory(PathBuf),
    /// A file that says this
    Says(PathBuf, String),
    /// The same, where the kernel has the file
    MaySay(PathBuf, String),
    /// A cgroup whose children have these controllers
    Enables(PathBuf),
}

impl Hierarchies {
    /// What is above all owners
    pub(super) fn first_steps(&self, ours: &str) -> Vec<Step> {
        let mut steps = Vec::from([&self.memory, &self.cpu, &self.pids].map(|root| Step::Directory(root.join(ours))));
        // Before Linux 5.11 a parent does not count what its children use, unless told so.
        steps.push(Step::MaySay(self.memory.join(ours).join("memory.use_hierarchy"), "1".to_owned()));
        steps
    }

    /// What an owner's cgroup takes
    pub(super) fn steps(&self, ours: &str, tag: &str, sums: &Sums) -> Vec<Step> {
        let mut steps = self.first_steps(ours);
        let [memory, cpu, pids] = [&self.memory, &self.cpu, &self.pids].map(|root| root.join(ours).join(tag));
        steps.extend([&memory, &cpu, &pids].map(|directory| Step::Directory(directory.clone())));
        let bytes = sums.memory.map(whole_pages);
        let text =
            |number: Option<i64>, none: &str| number.map_or_else(|| none.to_owned(), |number| number.to_string());
        steps.push(Step::Says(memory.join("memory.limit_in_bytes"), text(bytes, "-1")));
        let both = bytes.map(|bytes| bytes.saturating_mul(2));
        steps.push(Step::MaySay(memory.join("memory.memsw.limit_in_bytes"), text(both, "-1")));
        steps.push(Step::Says(cpu.join("cpu.cfs_period_us"), PERIOD.to_string()));
        steps.push(Step::Says(cpu.join("cpu.cfs_quota_us"), text(sums.nano_cpus.map(cpu_time), "-1")));
        steps.push(Step::Says(pids.join("pids.max"), text(sums.pids, "max")));
        steps
    }

    /// Tags of the cgroups that there are, in any hierarchy
    pub(super) fn tags(&self, ours: &str) -> Vec<String> {
        let mut tags: Vec<String> = self.all.iter().flat_map(|root| tags(&root.join(ours))).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// Takes an owner's cgroup out of every hierarchy
    pub(super) fn remove(&self, ours: &str, tag: &str) -> io::Result<()> {
        // Those that carry limits go last: while anything is in one of them, all of them stay.
        let limits = [&self.memory, &self.cpu, &self.pids];
        for root in limits.into_iter().chain(&self.all) {
            if has_children(&root.join(ours).join(tag))? {
                return Err(Errno::BUSY.into());
            }
        }
        let others = self.all.iter().filter(|root| !limits.contains(root));
        others.chain(limits).try_for_each(|root| remove(&root.join(ours).join(tag)))
    }
}

/// What is above all owners, in version 2
pub(super) fn unified_first(root: &Path, ours: &str) -> Vec<Step> {
    let ours = root.join(ours);
    vec![Step::Enables(root.to_owned()), Step::Directory(ours.clone()), Step::Enables(ours)]
}

/// What an owner's cgroup takes, in version 2
pub(super) fn unified(root: &Path, ours: &str, tag: &str, sums: &Sums) -> Vec<Step> {
    let mut steps = unified_first(root, ours);
    let own = root.join(ours).join(tag);
    steps.push(Step::Directory(own.clone()));
    steps.push(Step::Enables(own.clone()));
    let text = |number: Option<i64>| number.map_or_else(|| "max".to_owned(), |number| number.to_string());
    let memory = text(sums.memory.map(whole_pages));
    steps.push(Step::Says(own.join("memory.max"), memory.clone()));
    steps.push(Step::MaySay(own.join("memory.swap.max"), memory));
    steps.push(Step::Says(own.join("cpu.max"), format!("{} {PERIOD}", text(sums.nano_cpus.map(cpu_time)))));
    steps.push(Step::Says(own.join("pids.max"), text(sums.pids)));
    steps
}

/// Makes it all so
///
/// What fails is tried once more at the end: memory cannot be raised above memory and swap, nor that be lowered below it,
/// so one of the two has to come first, and which one depends on what was before.
pub(super) fn carry_out(steps: &[Step]) -> io::Result<()> {
    let mut again = Vec::new();
    for step in steps {
        match carry_out_one(step) {
            Ok(()) => {}
            Err(error)
                if matches!(step, Step::Says(..) | Step::MaySay(..))
                    && Errno::from_io_error(&error) == Some(Errno::INVAL) =>
            {
                again.push(step);
            }
            Err(error) => return Err(error),
        }
    }
    again.into_iter().try_for_each(carry_out_one)
}

fn carry_out_one(step: &Step) -> io::Result<()> {
    match step {
        Step::Directory(path) => match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        },
        Step::Says(path, text) => say(path, text),
        Step::MaySay(path, text) => match say(path, text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            said => said,
        },
        Step::Enables(directory) => {
            let path = directory.join("cgroup.subtree_control");
            let enabled = fs::read_to_string(&path)?;
            let missing =
                CONTROLLERS.iter().filter(|controller| !enabled.split_whitespace().any(|has| has == **controller));
            let words: Vec<String> = missing.map(|controller| format!("+{controller}")).collect();
            if words.is_empty() { Ok(()) } else { write(&path, &words.join(" ")) }
        }
    }
}

/// Writes only what is not so yet
fn say(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path)?.trim() == text { Ok(()) } else { write(path, text) }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // The kernel takes one write as one value.
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

/// Tags of the cgroups below a directory
pub(super) fn tags(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_tag(name)).collect()
}

/// Takes a cgroup away; one that is not there is away
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn has_children(directory: &Path) -> io::Result<bool> {
    let mut entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?.flatten(),
    };
    Ok(entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())))
}

/// The kernel counts memory in pages
fn whole_pages(bytes: i64) -> i64 {
    bytes - bytes % PAGE
}

/// CPU time a period, in microseconds
fn cpu_time(nano_cpus: i64) -> i64 {
    (nano_cpus / (NANO / PERIOD)).max(LEAST)
}

const CONTROLLERS: &[&str] = &["memory", "cpu", "pids"];
/// Bytes of a page, or of several
const PAGE: i64 = 4096;
/// The kernel's default CPU period, in microseconds
const PERIOD: i64 = 100_000;
/// Nanoseconds in a second
const NANO: i64 = 1_000_000_000;
/// Less CPU time a period the kernel does not take
const LEAST: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "sockwarden-01234567";
    const TAG: &str = "0123456789ab";
    const SUMS: Sums = Sums { memory: Some((4 << 30) + 5), nano_cpus: Some(1_500_000_000), pids: Some(100) };

    fn shown(steps: &[Step]) -> Vec<String> {
        let line = |step: &Step| match step {
            Step::Directory(path) => format!("mkdir {}", path.display()),
            Step::Says(path, text) => format!("{} = {text}", path.display()),
            Step::MaySay(path, text) => format!("{} ?= {text}", path.display()),
            Step::Enables(path) => format!("enable {}", path.display()),
        };
        steps.iter().map(line).collect()
    }

    fn hierarchies(root: &Path) -> Hierarchies {
        let [memory, cpu, pids] = ["memory", "cpu,cpuacct", "pids"].map(|name| root.join(name));
        let all = vec![memory.clone(), cpu.clone(), pids.clone(), root.join("devices")];
        Hierarchies { memory, cpu, pids, all }
    }

    #[test]
    fn in_version_1_each_hierarchy_carries_its_sum() {
        let steps = shown(&hierarchies(Path::new("")).steps(OURS, TAG, &SUMS));
        assert_eq!(
            steps,
            [
                "mkdir memory/sockwarden-01234567",
                "mkdir cpu,cpuacct/sockwarden-01234567",
                "mkdir pids/sockwarden-01234567",
                "memory/sockwarden-01234567/memory.use_hierarchy ?= 1",
                "mkdir memory/sockwarden-01234567/0123456789ab",
                "mkdir cpu,cpuacct/sockwarden-01234567/0123456789ab",
                "mkdir pids/sockwarden-01234567/0123456789ab",
                "memory/sockwarden-01234567/0123456789ab/memory.limit_in_bytes = 4294967296",
                "memory/sockwarden-01234567/0123456789ab/memory.memsw.limit_in_bytes ?= 8589934592",
                "cpu,cpuacct/sockwarden-01234567/0123456789ab/cpu.cfs_period_us = 100000",
                "cpu,cpuacct/sockwarden-01234567/0123456789ab/cpu.cfs_quota_us = 150000",
                "pids/sockwarden-01234567/0123456789ab/pids.max = 100",
            ]
        );
    }

    #[test]
    fn in_version_2_the_controllers_come_down_the_whole_path() {
        assert_eq!(
            shown(&unified(Path::new("/cg"), OURS, TAG, &SUMS)),
            [
                "enable /cg",
                "mkdir /cg/sockwarden-01234567",
                "enable /cg/sockwarden-01234567",
                "mkdir /cg/sockwarden-01234567/0123456789ab",
                "enable /cg/sockwarden-01234567/0123456789ab",
                "/cg/sockwarden-01234567/0123456789ab/memory.max = 4294967296",
                "/cg/sockwarden-01234567/0123456789ab/memory.swap.max ?= 4294967296",
                "/cg/sockwarden-01234567/0123456789ab/cpu.max = 150000 100000",
                "/cg/sockwarden-01234567/0123456789ab/pids.max = 100",
            ]
        );
        let none = shown(&unified(Path::new("/cg"), OURS, TAG, &Sums::default()));
        assert!(none.contains(&"/cg/sockwarden-01234567/0123456789ab/cpu.max = max 100000".to_owned()), "{none:?}");
    }

    #[test]
    fn what_is_so_already_is_not_written_and_what_is_missing_fails() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join(name);
        fs::write(file("same"), "5\n").unwrap();
        fs::set_permissions(file("same"), std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        fs::write(file("other"), "max\n").unwrap();
        fs::write(file("cgroup.subtree_control"), "cpu io\n").unwrap();
        let steps = [
            Step::Directory(file("new")),
            Step::Directory(file("new")),
            Step::Says(file("same"), "5".to_owned()),
            Step::Says(file("other"), "7".to_owned()),
            Step::MaySay(file("missing"), "7".to_owned()),
            Step::Enables(place.path().to_owned()),
        ];
        carry_out(&steps).unwrap();
        assert_eq!(fs::read_to_string(file("other")).unwrap(), "7");
        assert_eq!(fs::read_to_string(file("cgroup.subtree_control")).unwrap(), "+memory +pids");
        assert!(carry_out(&[Step::Says(file("missing"), "7".to_owned())]).is_err());
        assert!(!file("missing").exists());
    }

    #[test]
    fn a_cgroup_with_something_in_it_stays_in_every_hierarchy() {
        let place = tempfile::tempdir().unwrap();
        let found = hierarchies(place.path());
        for root in &found.all {
            fs::create_dir_all(root.join(OURS).join(TAG)).unwrap();
        }
        let inside = found.pids.join(OURS).join(TAG).join("container");
        fs::create_dir(&inside).unwrap();
        fs::create_dir(found.memory.join(OURS).join("not-a-tag")).unwrap();
        assert_eq!(found.tags(OURS), [TAG]);
        assert!(found.remove(OURS, TAG).is_err());
        assert!(found.all.iter().all(|root| root.join(OURS).join(TAG).exists()));
        fs::remove_dir(inside).unwrap();
        found.remove(OURS, TAG).unwrap();
        assert!(found.tags(OURS).is_empty());
        found.remove(OURS, TAG).unwrap();
    }
}
