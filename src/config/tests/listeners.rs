//! Listeners: of the file, of the flags, and what no two may share.

use super::*;
use crate::api::bind::HostPath;

#[test]
fn every_key_of_a_listener_is_read() {
    let text = "
        [[listener]]
        path = 'run//ci.sock'
        host_path = '/srv/ci/docker.sock'
        mode = '0666'
        group = 'docker'
        policy = 'readonly'
        owner = 'ci-runners'
        name = 'ci'
        [[listener]]
        path = '/run/b.sock'
        group = 7
        policy = 'site.toml'
    ";
    let place = place();
    let config = place.load(text, Flags::default()).unwrap();
    let base = place.directory.path();
    let first = Listener {
        name: "ci".into(),
        path: base.join("run/ci.sock"),
        host_path: HostPath::parse("/srv/ci/docker.sock"),
        mode: 0o666,
        group: Some(Gid::from_raw(998)),
        policy: PolicyRef::Shipped("readonly".into()),
        owner: "ci-runners".into(),
    };
    let second = Listener {
        name: "/run/b.sock".into(),
        path: "/run/b.sock".into(),
        host_path: None,
        mode: 0o660,
        group: Some(Gid::from_raw(7)),
        policy: PolicyRef::File(base.join("site.toml")),
        owner: "/run/b.sock".into(),
    };
    assert_eq!(config.listeners, [first, second]);
}

#[test]
fn flags_make_one_listener_in_place_of_those_of_the_file() {
    let text = "[[listener]]\npath = '/a'\nowner = 'a'\n[[listener]]\npath = '/b'\n";
    let mut given = flags(Some("x.sock"), Some("./p"));
    (given.mode, given.group) = (Some("0600".into()), Some("docker".into()));
    let expected = Listener {
        name: "/site/x.sock".into(),
        path: "/site/x.sock".into(),
        host_path: None,
        mode: 0o600,
        group: Some(Gid::from_raw(998)),
        policy: PolicyRef::File("/site/p".into()),
        owner: "/site/x.sock".into(),
    };
    assert_eq!(place().load(text, given).unwrap().listeners, [expected]);
    let only_policy = place().load(text, flags(None, Some("readonly"))).unwrap().listeners;
    assert_eq!(only_policy.len(), 1);
    assert_eq!(only_policy[0].path, Path::new("/tmp/sockwarden-1000/docker.sock"));
    assert_eq!(only_policy[0].policy, PolicyRef::Shipped("readonly".into()));

    let stray = Flags { mode: Some("0600".into()), ..Flags::default() };
    assert!(matches!(place().load(text, stray.clone()), Err(ConfigError::StrayFlag)));
    assert_eq!(place().load("", stray).unwrap().listeners[0].mode, 0o600);
}

#[test]
fn listeners_share_neither_path_nor_name_and_none_is_the_engine() {
    assert_eq!(error("[[listener]]\npath='/a'\n[[listener]]\npath='//./a'"), "two listeners have the path `/a`");
    let names = "[[listener]]\npath='/a'\nname='n'\n[[listener]]\npath='/b'\nname='n'";
    assert_eq!(error(names), "two listeners have the name `n`");
    let looped = "engine = 'unix:///a'\n[[listener]]\npath='/a'";
    assert_eq!(error(looped), "the engine's socket `/a` is also a listener: sockwarden would call itself");
}

#[test]
fn bad_flags_are_named() {
    let of = |given: Flags| place().load("", given).unwrap_err().to_string();
    let mode = of(Flags { mode: Some("rw".into()), ..Flags::default() });
    assert_eq!(mode, "--mode: `rw` is not permission bits in octal and in quotes, as `\"0660\"`");
    let group = of(Flags { group: Some("gone".into()), ..Flags::default() });
    assert!(group.starts_with("--group: no group `gone` in `"), "{group}");
    assert!(of(Flags { group: Some("nobody".into()), ..Flags::default() }).contains("no group `nobody`"));
    assert_eq!(of(flags(Some(""), None)), "--listen: `` is not the path of a file");
    assert_eq!(of(flags(Some("a\nb"), None)), "--listen: `a\\nb` is not the path of a file");
    assert_eq!(of(flags(None, Some(""))), "--policy: `` is not a name in one line of at most 255 bytes");
    assert_eq!(of(Flags { audit: Some("/a/".into()), ..Flags::default() }), "--audit: `/a/` is not the path of a file");
    let mut place = place();
    place.around.groups = "/gone".into();
    let lookup = place.load("[[listener]]\ngroup = 'docker'", Flags::default()).unwrap_err().to_string();
    assert!(lookup.starts_with("listener.group: cannot look up the group `docker`: "), "{lookup}");
}
