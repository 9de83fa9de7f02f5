//! A directory, something that listens in an engine's place, and mounts that go away again.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::mount::{UnmountFlags, mount_bind, mount_bind_recursive, unmount};
use sockwarden::api::bind::HostPath;
use sockwarden::mount::{Host, Protected, Resolved, Unresolved};

/// A directory of its own with a listening socket beside it
pub struct Stage {
    mounts: Vec<PathBuf>,
    directory: tempfile::TempDir,
    /// The engine's socket, in a directory of its own
    pub socket: PathBuf,
    _listener: UnixListener,
    _beside: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests mount: run them as root");
        let beside = tempfile::tempdir().unwrap();
        let socket = beside.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        Self {
            mounts: Vec::new(),
            directory: tempfile::tempdir().unwrap(),
            socket,
            _listener: listener,
            _beside: beside,
        }
    }

    /// Makes directories
    pub fn dirs<const N: usize>(&self, paths: [&str; N]) -> [PathBuf; N] {
        paths.map(|path| {
            let path = self.path(path);
            fs::create_dir_all(&path).unwrap();
            path
        })
    }

    /// Makes a file with its name in it
    pub fn file(&self, path: &str) -> PathBuf {
        fs::write(self.path(path), path).unwrap();
        self.path(path)
    }

    pub fn link(&self, target: impl AsRef<Path>, path: &str) -> PathBuf {
        symlink(target, self.path(path)).unwrap();
        self.path(path)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Shows one directory or file at the place of another
    pub fn bind(&mut self, source: &Path, at: &Path) {
        mount_bind(source, at)
            .unwrap_or_else(|error| panic!("binding {} at {}: {error}", source.display(), at.display()));
        self.mounts.push(at.to_owned());
    }

    pub fn bind_all(&mut self, source: &Path, at: &Path) {
        mount_bind_recursive(source, at).unwrap();
        self.mounts.push(at.to_owned());
    }

    pub fn host(&self, protect: &[Protected]) -> Host {
        Host::open(&self.socket, protect).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
}

pub fn host_path(path: &Path) -> HostPath {
    HostPath::parse(path.to_str().unwrap()).unwrap()
}

pub fn resolve(host: &Host, path: &Path) -> Result<Resolved, Unresolved> {
    host.resolve(&host_path(path))
}

/// Resolves, and looks that name and identity are those of `real`
#[track_caller]
pub fn leads_to(host: &Host, path: &Path, real: &Path) {
    let resolved = resolve(host, path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(resolved.path().as_str(), real.to_str().unwrap(), "the name of {}", path.display());
    let opened = fs::metadata(descriptor(&resolved)).unwrap();
    let named = fs::symlink_metadata(real).unwrap();
    assert_eq!((opened.dev(), opened.ino()), (named.dev(), named.ino()), "the identity of {}", path.display());
}

pub fn descriptor(resolved: &Resolved) -> PathBuf {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    format!("/proc/self/fd/{}", resolved.as_fd().as_raw_fd()).into()
}

/// Another process that listens: with another root, or in a mount namespace of its own
pub struct Listener {
    child: Child,
    pub socket: PathBuf,
}

impl Listener {
    /// In a mount namespace of its own where `mounts` was run by a shell, with `root` as its root
    pub fn start(stage: &Stage, mounts: Option<&str>, root: &Path) -> Self {
        let socket = stage.socket.with_file_name("other.sock");
        let perl = "$| = 1; my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 64) or die $!; \
            chdir $ARGV[1] and chroot '.' or die $!; print qq(ready\\n); while (my $c = $s->accept) { close $c }";
        let mut command = match mounts {
            None => Command::new("perl"),
            Some(mounts) => {
                let mut command = Command::new("unshare");
                let script = format!("{mounts}\nexec perl \"$@\"");
                command.args(["--mount", "--propagation", "slave", "sh", "-ec", &script, "sh"]);
                command
            }
        };
        command.args(["-MIO::Socket::UNIX", "-e", perl]).arg(&socket).arg(root).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the listener did not start");
        Self { child, socket }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}
