//! What is protected stays so under every other name.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use sockwarden::mount::{Host, Protected, Unresolved};

use crate::stage::{Stage, host_path, resolve};

#[track_caller]
fn is_protected(host: &Host, path: &Path, why: &str) {
    let resolved = resolve(host, path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let said = resolved.protected().unwrap_or("nothing");
    assert!(said.starts_with(why), "{}: expected `{why}`, found `{said}`", path.display());
}

#[track_caller]
fn is_free(host: &Host, path: &Path) {
    assert_eq!(resolve(host, path).unwrap().protected(), None, "{}", path.display());
}

#[test]
fn a_socket_is_known_by_every_name() {
    let mut stage = Stage::new();
    let [around, inner, bound, file_bound] = stage.dirs(["around", "around/inner", "bound", "files"]);
    let at = inner.join("api.sock");
    let _socket = UnixListener::bind(&at).unwrap();
    fs::hard_link(&at, stage.path("hard")).unwrap();
    stage.link(&at, "soft");
    stage.bind(&around, &bound);
    let file = stage.file("files/innocent");
    stage.bind(&at, &file);
    let host = stage.host(&[Protected::ours("a listener", &at).unwrap()]);
    for path in [at.clone(), stage.path("hard"), stage.path("soft"), bound.join("inner/api.sock"), file] {
        is_protected(&host, &path, "is a listener");
    }
    for path in
        [inner, around, bound.clone(), bound.join("inner"), stage.path(""), file_bound, "/tmp".into(), "/".into()]
    {
        is_protected(&host, &path, "holds");
    }
    is_protected(&host, &stage.socket, "is the engine's socket");
    let [beside] = stage.dirs(["around/beside"]);
    is_free(&host, &beside);
    is_free(&host, &bound.join("beside"));
}

#[test]
fn a_volume_is_free_as_far_as_only_the_engines_data_holds_it() {
    let mut stage = Stage::new();
    let [data, volume, inside, beside, bound] =
        stage.dirs(["lib/data", "lib/data/v/_data", "lib/data/v/_data/x", "lib/data/w/_data", "lib/data/b/_data"]);
    stage.link("../../w/_data", "lib/data/v/_data/out");
    stage.link("x", "lib/data/v/_data/in");
    let socket = inside.join("api.sock");
    let host = stage.host(&[Protected::engine("the data", &host_path(&data))]);
    let look = |root: &Path, path: &Path, names: &[&str]| {
        let found = host.resolve_in(&host_path(root), &host_path(path), names);
        found.map(|found| (found.path().to_string(), found.protected().map(str::to_owned)))
    };
    let free = |path: &Path| (path.display().to_string(), None);
    assert_eq!(look(&volume, &volume, &["the data"]).unwrap(), free(&volume));
    assert_eq!(look(&volume, &volume.join("in"), &["the data"]).unwrap(), free(&inside), "links inside are followed");
    let kept = look(&volume, &inside, &["other"]).unwrap().1.unwrap();
    assert!(kept.starts_with("lies in the data"), "{kept}");
    for path in [volume.join("out"), beside, data.clone(), "/etc".into()] {
        let error = look(&volume, &path, &["the data"]).unwrap_err();
        assert!(matches!(error, Unresolved::Outside), "{}: {error}", path.display());
    }
    assert!(matches!(look(&volume, &volume.join("out/new"), &["the data"]), Err(Unresolved::Outside)));
    let Err(Unresolved::Missing(missing)) = look(&volume, &volume.join("new/one"), &["the data"]) else { panic!() };
    assert_eq!((missing.rest.as_str(), missing.protected()), ("new/one", None));
    // The root itself is the data, or holds it: that is no place inside it.
    for root in [&data, &stage.path("lib")] {
        assert!(look(root, &inside, &["the data"]).unwrap().1.is_some(), "{}", root.display());
    }
    // Other protected things stay so.
    let _listening = UnixListener::bind(&socket).unwrap();
    let with_socket = stage
        .host(&[Protected::engine("the data", &host_path(&data)), Protected::ours("a listener", &socket).unwrap()]);
    for path in [&volume, &inside, &socket] {
        let found = with_socket.resolve_in(&host_path(&volume), &host_path(path), &["the data"]).unwrap();
        assert!(found.protected().is_some(), "{}", path.display());
    }
    // A volume that shows what is above the data.
    let lib = stage.path("lib");
    stage.bind(&lib, &bound);
    assert!(look(&bound, &bound, &["the data"]).unwrap().1.is_some());
    assert!(look(&bound, &bound.join("data/v/_data/x"), &["the data"]).unwrap().1.is_some());
}

#[test]
fn a_directory_is_protected_with_all_that_is_above_and_below() {
    let mut stage = Stage::new();
    let [data, volume, free, disk, disk_data, job, nested, cut] =
        stage.dirs(["lib/data", "lib/data/volumes/v", "lib/free", "disk", "disk/data", "job", "job/a/b", "cut"]);
    let host = stage.host(&[Protected::engine("the data", &host_path(&data))]);
    is_protected(&host, &data, "is the data");
    is_protected(&host, &volume, "lies in the data");
    is_protected(&host, &stage.path("lib"), "holds the data");
    is_free(&host, &free);
    is_free(&host, &job);
    // A bind mount of something below: no directory above it is the protected one.
    stage.bind(&volume, &cut);
    is_protected(&host, &cut, "lies in the data");
    // A mount somewhere below takes the data along.
    stage.bind(&stage.path("lib"), &nested);
    is_protected(&host, &job, "holds the data");
    is_protected(&host, &nested.join("data/volumes"), "lies in the data");
    is_free(&host, &nested.join("free"));
    // The data is a bind mount itself: where it really lies is protected with what is above.
    stage.bind(&disk_data, &data);
    is_protected(&host, &disk_data, "is the data");
    is_protected(&host, &disk, "holds the data");
}

#[test]
fn the_kernels_interfaces_are_protected_wherever_they_are() {
    let mut stage = Stage::new();
    let [elsewhere, devices, chroot, _] = stage.dirs(["elsewhere", "devices", "chroot", "chroot/proc"]);
    stage.bind(Path::new("/proc/sys"), &elsewhere);
    stage.bind_all(Path::new("/dev"), &devices);
    stage.bind(Path::new("/proc"), &chroot.join("proc"));
    let host = stage.host(&[]);
    for path in [
        "/proc",
        "/proc/sys/kernel",
        "/proc/self/status",
        "/sys",
        "/sys/fs/cgroup",
        "/sys/kernel",
        "/dev",
        "/dev/null",
        "/dev/shm",
        "/dev/pts",
    ] {
        assert!(resolve(&host, Path::new(path)).unwrap().protected().is_some(), "{path}");
    }
    is_protected(&host, &elsewhere, "lies on a `proc` file system");
    is_protected(&host, &devices.join("null"), "lies on a `devtmpfs` file system");
    is_protected(&host, &chroot, "holds");
    is_protected(&host, Path::new("/"), "holds");
}

#[test]
fn what_is_not_there_yet_is_protected_by_where_it_will_be() {
    let mut stage = Stage::new();
    let [run, other] = stage.dirs(["run", "other"]);
    let data = run.join("engine/data");
    stage.bind(&run, &other);
    let host = stage.host(&[Protected::engine("the data", &host_path(&data))]);
    is_protected(&host, &run, "holds the data");
    is_protected(&host, &other, "holds the data");
    for (path, expected) in
        [("run/engine", "holds the data"), ("other/engine/data", "is the data"), ("run/engine/data/x", "lies in")]
    {
        match resolve(&host, &stage.path(path)).unwrap_err() {
            Unresolved::Missing(missing) => {
                let said = missing.protected().unwrap_or("nothing");
                assert!(said.starts_with(expected), "{path}: {said}");
            }
            error => panic!("{path}: {error}"),
        }
    }
    fs::create_dir_all(&data).unwrap();
    is_protected(&host, &other.join("engine/data"), "is the data");
    let moved = stage.path("other-data");
    fs::rename(&data, &moved).unwrap();
    fs::create_dir(&data).unwrap();
    is_protected(&host, &other.join("engine/data"), "is the data");
    is_free(&host, &moved);
}

#[test]
fn the_usual_places_need_no_naming() {
    let host = Stage::new();
    let host = host.host(&[]);
    for path in ["/run", "/var/run", "/var", "/var/lib", "/"] {
        is_protected(&host, Path::new(path), "holds");
    }
    for path in ["/etc", "/usr", "/var/tmp", "/home"] {
        is_free(&host, Path::new(path));
    }
}

/// Whoever can turn a link that leads to it elsewhere has as good as the thing.
#[test]
fn links_on_the_way_are_protected() {
    let stage = Stage::new();
    let [_, links, real, other] = stage.dirs(["etc", "etc/links", "real", "etc/other"]);
    let file = stage.file("real/file");
    stage.link(&real, "etc/links/here");
    let host = stage.host(&[Protected::ours("the policy", &links.join("here/file")).unwrap()]);
    is_protected(&host, &file, "is the policy");
    for path in [real, links, stage.path("etc")] {
        is_protected(&host, &path, "holds the policy");
    }
    is_free(&host, &other);
}
