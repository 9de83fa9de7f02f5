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
        owner: Rule::Fixed("ci-runners".into()),
    };
    let second = Listener {
        name: "/run/b.sock".into(),
        path: "/run/b.sock".into(),
        host_path: None,
        mode: 0o660,
        group: Some(Gid::from_raw(7)),
        policy: PolicyRef::File(base.join("site.toml")),
        owner: Rule::Container,
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
        owner: Rule::Container,
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

#[test]
fn every_way_to_name_an_owner_is_read() {
    let owner = |text: &str| load(&format!("[[listener]]\nowner = '{text}'")).listeners.remove(0).owner;
    for (text, rule) in [
        ("container", Rule::Container),
        ("label:com.example.job", Rule::Label("com.example.job".into())),
        ("uid", Rule::Uid),
        ("unit", Rule::Unit),
        ("team-a", Rule::Fixed("team-a".into())),
        ("env:POD_UID", Rule::Fixed("0a1b-pod".into())),
    ] {
        assert_eq!(owner(text), rule, "{text}");
    }
    for text in ["uid:7", "unit:a.service", "listener:x", "label:", "a=b", "", &"0".repeat(64)] {
        let said = error(&format!("[[listener]]\nowner = '{text}'"));
        assert!(said.contains("expected `container`, `label:KEY`, `uid`"), "{said}");
    }
    assert_eq!(
        error("[[listener]]\nowner = 'env:GONE'"),
        "listener.owner: the environment variable `GONE` is not set, or empty"
    );
    assert_eq!(error("[[listener]]\nowner = 'env:EMPTY'").rsplit_once("`EMPTY`").unwrap().1, " is not set, or empty");
    assert!(error("[[listener]]\nowner = 'env:SPOOFED'").contains("`SPOOFED` holds cannot be a fixed name"));
}

#[test]
fn a_site_names_the_labels_of_its_jobs() {
    assert_eq!(load("").job_labels, JobLabels::default());
    let ours = JobLabels::of_keys(["org.example.job".into(), "org.example.step.*".into()]);
    assert_eq!(load("[caller]\njob_labels = ['org.example.job', 'org.example.step.*']").job_labels, ours);
    assert!(error("[caller]\njob_labels = ['a*b']").contains("a label's key, or the beginning of one and a `*`"));
}
