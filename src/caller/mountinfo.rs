//! `/proc/PID/mountinfo`: the container whose own files a process has at `/etc`, for layouts whose control groups do not
//! tell.
//!
//! Docker and Podman mount a file of the container's directory there. That is a hint and no proof: whoever may mount can
//! mount something of that name. So the process must also share its mount namespace with the container's first process.

use super::cgroup::is_id;

/// The id in the sources of `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`, where they agree
pub fn container(text: &str) -> Option<&str> {
    let mut ids = text.lines().filter_map(id);
    let first = ids.next()?;
    ids.all(|id| id == first).then_some(first)
}

/// Fields: mount, parent, device, path in the file system, mount point, and more
fn id(line: &str) -> Option<&str> {
    let mut fields = line.split(' ');
    let (source, target) = (fields.nth(3)?, fields.next()?);
    let file = target.strip_prefix("/etc/").filter(|file| FILES.contains(file))?;
    let directory = source.strip_suffix(file)?.strip_suffix('/')?;
    let (above, id) = match directory.strip_suffix("/userdata") {
        Some(directory) => directory.rsplit_once("/overlay-containers/")?,
        None => directory.rsplit_once("/containers/")?,
    };
    (is_id(id) && (above.is_empty() || above.starts_with('/'))).then_some(id)
}

const FILES: &[&str] = &["hostname", "hosts", "resolv.conf"];

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5aa4ab75ff8b1684ac3c58db1af4ec19a46380dbbadea2f232b0670b820a2f7f";

    fn of(text: &str) -> Option<String> {
        container(&text.replace("ID", ID).replace("OTHER", &ID.replace('5', "6"))).map(str::to_owned)
    }

    #[test]
    fn a_container_is_known_by_its_files() {
        let docker = "856 511 0:128 / / rw,relatime - overlay overlay rw\n\
            878 856 254:0 /var/lib/docker/containers/ID/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw\n\
            879 856 254:0 /var/lib/docker/containers/ID/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n";
        let own_disk = "879 856 254:0 /containers/ID/hostname /etc/hostname rw,relatime - ext4 /dev/vdb rw\n";
        let podman =
            "9 8 0:25 /containers/storage/overlay-containers/ID/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n";
        for text in [docker, own_disk, podman] {
            assert_eq!(of(text).as_deref(), Some(ID), "{text}");
        }
    }

    #[test]
    fn anything_else_of_that_name_is_none() {
        for text in [
            "1 2 254:0 /var/lib/docker/containers/ID/hostname /mnt/hostname rw - ext4 /dev/vda rw\n",
            "1 2 254:0 /var/lib/docker/containers/ID/hostname /etc/hosts rw - ext4 /dev/vda rw\n",
            "1 2 254:0 /var/lib/docker/containers/IDx/hostname /etc/hostname rw - ext4 /dev/vda rw\n",
            "1 2 254:0 /var/lib/docker/volumes/v/_data/ID/hostname /etc/hostname rw - ext4 /dev/vda rw\n",
            "1 2 254:0 /containers/ID/hosts /etc/hosts rw - ext4 a rw\n1 2 254:0 /containers/OTHER/hostname /etc/hostname rw - ext4 a rw\n",
            "1 2 3\n\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
