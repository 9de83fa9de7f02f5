//! `/proc/PID/cgroup`: in which container, or which unit of systemd, the kernel has a process.
//!
//! A process may make control groups below its own and name them as it likes, but never move above. So what is told here
//! is always the outermost: the first unit from the root, the first container from the root. Control groups of version 1,
//! of version 2 and of both at once are read alike.

/// The control groups of a process
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups(Vec<Line>);

/// One hierarchy and where in it the process is
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Controllers or name; empty for version 2
    hierarchy: String,
    path: String,
}

impl Cgroups {
    /// Reads the file's text; a line that is none says nothing
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (hierarchy, path) = rest.split_once(':')?;
            path.starts_with('/').then(|| Line { hierarchy: hierarchy.to_owned(), path: path.to_owned() })
        };
        let mut lines: Vec<Line> = text.lines().filter_map(line).collect();
        // Where both versions are in use, version 2 and systemd's own tree know best.
        lines.sort_by_key(|line| match line.hierarchy.as_str() {
            "" => 0,
            "name=systemd" => 1,
            _ => 2,
        });
        Self(lines)
    }

    /// Ids of containers in which the process may be, each once, the outermost of each hierarchy first
    pub fn containers(&self) -> Vec<&str> {
        let mut ids = Vec::new();
        for line in &self.0 {
            for id in line.path.split('/').filter_map(container_id) {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    /// Whether the process is in container `id`, as whose first process is in `first`
    ///
    /// In each hierarchy in which the first process is in a group of the container's, this one must be in the same group or
    /// below it. A group elsewhere that only has the container's name is not the container's.
    pub fn share_container(&self, id: &str, first: &Self) -> bool {
        let mut shared = false;
        for theirs in &first.0 {
            let Some(group) = theirs.up_to(id) else { continue };
            let ours = self.0.iter().find(|line| line.hierarchy == theirs.hierarchy);
            if ours.and_then(|line| line.up_to(id)) != Some(group) {
                return false;
            }
            shared = true;
        }
        shared
    }

    /// The control group of the outermost container
    ///
    /// None where it lies in what a user of the host was given to manage, and may name as it likes.
    pub fn outermost(&self) -> Option<&str> {
        let line = self.0.iter().find(|line| line.path.split('/').any(|part| container_id(part).is_some()))?;
        let id = line.path.split('/').find_map(container_id)?;
        line.up_to(id).filter(|group| !group.split('/').any(is_users_manager))
    }

    /// The outermost systemd unit that is no slice
    pub fn unit(&self) -> Option<&str> {
        self.of_systemd().find_map(|line| line.path.split('/').find(|part| is_unit(part))).map(unescaped)
    }

    /// The innermost systemd slice above the unit
    pub fn slice(&self) -> Option<&str> {
        self.of_systemd().find_map(Line::slice).map(unescaped)
    }

    fn of_systemd(&self) -> impl Iterator<Item = &Line> {
        self.0.iter().filter(|line| matches!(line.hierarchy.as_str(), "" | "name=systemd"))
    }
}

impl Line {
    /// The path up to the first part that names the container
    fn up_to(&self, id: &str) -> Option<&str> {
        let mut end = 0;
        for part in self.path.split('/') {
            end += part.len();
            if container_id(part) == Some(id) {
                return self.path.get(..end);
            }
            end += 1;
        }
        None
    }

    fn slice(&self) -> Option<&str> {
        // Our own namespace of control groups may begin below: `/../..` leads up out of it.
        let parts = self.path.split('/').filter(|part| !matches!(*part, "" | ".."));
        parts.take_while(|part| part.ends_with(".slice")).last()
    }
}

/// The id in one part of a path, as the runtimes write it
///
/// Docker, containerd and the cgroupfs driver of Kubernetes have the bare id; systemd's scopes have the runtime before it;
/// containerd below systemd's name without systemd's driver has `SLICE:RUNTIME:ID`. `conmon` watches a container from outside.
fn container_id(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = match name.rsplit_once(['-', ':']) {
        None => name,
        Some((before, id)) => {
            let runtime = before.rsplit_once(':').map_or(before, |(_, runtime)| runtime);
            RUNTIMES.contains(&runtime).then_some(id)?
        }
    };
    is_id(id).then_some(id)
}

/// Whether it is a container's full id
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_unit(part: &str) -> bool {
    UNITS.iter().any(|kind| part.strip_suffix(kind).is_some_and(|name| !name.is_empty()))
}

fn is_users_manager(part: &str) -> bool {
    part.starts_with("user@") && part.ends_with(".service")
}

/// systemd puts `_` before names that the kernel could take for its own
fn unescaped(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// What stands before the id in the names of scopes
const RUNTIMES: &[&str] = &["docker", "libpod", "cri-containerd", "crio", "nerdctl", "containerd"];

/// Kinds of units that have processes
const UNITS: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];

#[cfg(test)]
mod tests;
