//! Which cgroup hierarchies are mounted, from the text of `/proc/self/mountinfo`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::NoGround;

/// What is mounted whole
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Hierarchies of version 1: their controllers, and where
    pub(super) by_controller: Vec<(Vec<String>, PathBuf)>,
    /// Version 2
    pub(super) unified: Option<PathBuf>,
}

/// The hierarchies of version 1
#[derive(Debug, PartialEq, Eq)]
pub struct Hierarchies {
    /// `memory`
    pub(super) memory: PathBuf,
    /// `cpu`
    pub(super) cpu: PathBuf,
    /// `pids`
    pub(super) pids: PathBuf,
    /// Every one, those included: the engine makes the owner's cgroup in the others
    pub(super) all: Vec<PathBuf>,
}

/// Reads a mount table; a hierarchy that is mounted several times counts once
pub(super) fn read(mountinfo: &str) -> Mounted {
    let mut mounted = Mounted::default();
    let mut devices = BTreeSet::new();
    for line in mountinfo.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let (head, tail): (Vec<&str>, Vec<&str>) = (head.split(' ').collect(), tail.split(' ').collect());
        let ([_, _, device, root, place, ..], [kind, _, options]) = (head.as_slice(), tail.as_slice()) else {
            continue;
        };
        // Below another root it is a part only, and escaped names are none of the usual places.
        if *root != "/" || place.contains('\\') || !devices.insert(*device) {
            continue;
        }
        match *kind {
            "cgroup2" => mounted.unified = mounted.unified.or(Some(place.into())),
            "cgroup" => {
                mounted.by_controller.push((options.split(',').map(str::to_owned).collect(), place.into()));
            }
            _ => drop(devices.remove(device)),
        }
    }
    mounted
}

impl Hierarchies {
    /// Those that carry limits have to be there
    pub(super) fn of(mounted: Mounted) -> Result<Self, NoGround> {
        let with = |controller: &'static str| {
            let found =
                mounted.by_controller.iter().find(|(controllers, _)| controllers.iter().any(|has| has == controller));
            found.map(|(_, place)| place.clone()).ok_or(NoGround::NotMounted(controller))
        };
        let (memory, cpu, pids) = (with("memory")?, with("cpu")?, with("pids")?);
        let all = mounted.by_controller.into_iter().map(|(_, place)| place).chain(mounted.unified).collect();
        Ok(Self { memory, cpu, pids, all })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Debian with systemd and cgroup version 1
    const V1: &str = "\
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
32 24 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,mode=755
33 32 0:28 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
34 32 0:29 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
38 32 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
39 32 0:34 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
40 32 0:35 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,pids
91 24 0:34 / /srv/chroot/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";

    /// Debian 12 and Ubuntu 22.04
    const V2: &str = "\
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

    /// A container on a host with version 1, whose own part of each hierarchy is mounted
    const INSIDE: &str = "\
812 811 0:29 /docker/0123 /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:16 - cgroup memory rw,memory
813 811 0:30 /docker/0123 /sys/fs/cgroup/pids ro,nosuid,nodev,noexec,relatime master:17 - cgroup pids rw,pids
";

    #[test]
    fn the_hierarchies_of_a_host_are_found() {
        let found = Hierarchies::of(read(V1)).unwrap();
        assert_eq!(found.memory, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(found.cpu, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(found.pids, Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(found.all.len(), 5, "{:?}", found.all);
        assert_eq!(read(V2).unified.as_deref(), Some(Path::new("/sys/fs/cgroup")));
    }

    #[test]
    fn a_part_of_a_hierarchy_is_none() {
        let found = Hierarchies::of(read(INSIDE));
        assert!(matches!(found, Err(NoGround::NotMounted("memory"))), "{found:?}");
        assert_eq!(read(""), Mounted::default());
        assert_eq!(read("half a line\n1 2 3 - 4"), Mounted::default());
    }
}
