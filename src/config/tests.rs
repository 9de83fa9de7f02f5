//! The configuration as a whole: every key, every default, every message, for a user in a place of the test's making.

use super::*;

mod listeners;

/// An ordinary user with a home, and a directory with what a test puts there
struct Place {
    directory: tempfile::TempDir,
    around: Surroundings,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("group"), "root:x:0:\ndocker:x:998:ci\nbroken\nnobody:x:4294967295:\n")
        .unwrap();
    let around = Surroundings {
        uid: 1000,
        directory: "/site".into(),
        default_file: directory.path().join("default.toml"),
        groups: directory.path().join("group"),
        docker_host: None,
        runtime_directory: None,
        state_home: None,
        home: Some("/home/ci".into()),
        variable: |name| match name {
            "POD_UID" => Some("0a1b-pod".into()),
            "EMPTY" => Some("".into()),
            "SPOOFED" => Some("uid:0".into()),
            _ => None,
        },
    };
    Place { directory, around }
}

impl Place {
    fn load(&self, text: &str, flags: Flags) -> Result<Config, ConfigError> {
        let path = self.directory.path().join("sockwarden.toml");
        std::fs::write(&path, text).unwrap();
        Config::load_in(Some(&path), flags, &self.around)
    }
}

fn load(text: &str) -> Config {
    place().load(text, Flags::default()).unwrap()
}

fn error(text: &str) -> String {
    place().load(text, Flags::default()).unwrap_err().to_string()
}

fn flags(listen: Option<&str>, policy: Option<&str>) -> Flags {
    Flags { listen: listen.map(Into::into), policy: policy.map(Into::into), ..Flags::default() }
}

#[test]
fn without_a_file_everything_has_a_default() {
    let mut place = place();
    let limits = Limits {
        header_bytes: 65536,
        headers: 100,
        target_bytes: 16384,
        body_bytes: 4194304,
        bodies_bytes: 67108864,
        head_time: Duration::from_secs(30),
        body_time: Duration::from_secs(60),
        connections: 8192,
        connections_per_listener: 8192,
        requests_per_owner: 512,
        engine_connect: Duration::from_secs(5),
        engine_answer: Duration::from_secs(120),
        idle: None,
        grace: Duration::from_secs(10),
    };
    let rotation = Rotation { size: Some(104857600), age: Some(Duration::from_secs(86400)), keep: 10 };
    let expected = |socket: &str, audit: &str, state: &str| Config {
        pins: "/run/sockwarden/pins".into(),
        state: state.into(),
        engine: "/var/run/docker.sock".into(),
        listeners: vec![Listener {
            name: socket.into(),
            path: socket.into(),
            host_path: None,
            mode: 0o660,
            group: None,
            policy: PolicyRef::Shipped("ci".into()),
            owner: Rule::Container,
        }],
        job_labels: JobLabels::default(),
        audit: Audit { path: audit.into(), rotation, sync: false },
        limits: limits.clone(),
        log: Log { format: LogFormat::Text, level: LevelFilter::INFO, path: None },
    };
    let load = |place: &Place| Config::load_in(None, Flags::default(), &place.around).unwrap();

    let audit = "/home/ci/.local/state/sockwarden/audit.jsonl";
    assert_eq!(load(&place), expected("/tmp/sockwarden-1000/docker.sock", audit, "/home/ci/.local/state/sockwarden"));
    place.around.runtime_directory = Some("/run/user/1000".into());
    place.around.state_home = Some("/state".into());
    let user = expected("/run/user/1000/sockwarden/docker.sock", "/state/sockwarden/audit.jsonl", "/state/sockwarden");
    assert_eq!(load(&place), user);
    place.around.uid = 0;
    let root = expected("/run/sockwarden/docker.sock", "/var/log/sockwarden/audit.jsonl", "/var/lib/sockwarden");
    assert_eq!(load(&place), root);
}

#[test]
fn the_state_is_beside_a_record_that_has_a_place_of_its_own() {
    let place = place();
    let flags = || Flags { audit: Some("log/a.jsonl".into()), ..Flags::default() };
    let state = |config: Config| config.state;
    assert_eq!(state(Config::load_in(None, flags(), &place.around).unwrap()), Path::new("/site/log/state"));
    std::fs::write(&place.around.default_file, "state = 'remembered'\n[audit]\npath = '/a/b.jsonl'").unwrap();
    let base = place.around.default_file.parent().unwrap();
    assert_eq!(state(Config::load_in(None, flags(), &place.around).unwrap()), base.join("remembered"));
    std::fs::write(&place.around.default_file, "[audit]\npath = '/a/b.jsonl'").unwrap();
    assert_eq!(state(Config::load_in(None, Flags::default(), &place.around).unwrap()), Path::new("/a/state"));
}

#[test]
fn a_place_is_never_taken_from_a_relative_or_missing_variable() {
    let mut place = place();
    place.around.home = None;
    place.around.state_home = Some("state".into());
    place.around.runtime_directory = Some("run".into());
    let error = Config::load_in(None, Flags::default(), &place.around).unwrap_err().to_string();
    assert_eq!(
        error,
        "no place for the audit file: neither `XDG_STATE_HOME` nor `HOME` is set to an absolute path; help: give `--audit`"
    );
    let flags = Flags { audit: Some("a.jsonl".into()), ..Flags::default() };
    let config = Config::load_in(None, flags, &place.around).unwrap();
    assert_eq!(config.audit.path, Path::new("/site/a.jsonl"));
    assert_eq!(config.listeners[0].path, Path::new("/tmp/sockwarden-1000/docker.sock"));
}

#[test]
fn the_default_file_may_be_missing_and_a_named_one_may_not() {
    let place = place();
    assert!(Config::load_in(None, Flags::default(), &place.around).is_ok());
    let named = Config::load_in(Some(&place.around.default_file), Flags::default(), &place.around);
    assert!(matches!(named, Err(ConfigError::Read(..))), "{named:?}");
    std::fs::write(&place.around.default_file, "engine = 'unix:///e.sock'").unwrap();
    let config = Config::load_in(None, Flags::default(), &place.around).unwrap();
    assert_eq!(config.engine, Path::new("/e.sock"));
}

#[test]
fn a_file_has_a_largest_size() {
    let fits = " ".repeat(MAX_FILE as usize);
    load(&fits);
    let error = place().load(&format!("{fits} "), Flags::default()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge(_)), "{error}");
}

#[test]
fn the_engine_is_of_flag_then_file_then_docker_host_and_always_a_unix_socket() {
    let mut place = place();
    place.around.docker_host = Some("unix:///host.sock".into());
    let flag = |text: &str| Flags { engine: Some(text.into()), ..Flags::default() };
    assert_eq!(place.load("", Flags::default()).unwrap().engine, Path::new("/host.sock"));
    assert_eq!(place.load("engine = 'unix:///file.sock'", Flags::default()).unwrap().engine, Path::new("/file.sock"));
    let config = place.load("engine = 'unix:///file.sock'", flag("unix:///flag.sock")).unwrap();
    assert_eq!(config.engine, Path::new("/flag.sock"));
    place.around.docker_host = Some("".into());
    assert_eq!(place.load("", Flags::default()).unwrap().engine, Path::new("/var/run/docker.sock"));

    let expected = "is not a Unix socket by its absolute path, as `unix:///var/run/docker.sock`";
    place.around.docker_host = Some("tcp://127.0.0.1:2375".into());
    let error = place.load("", Flags::default()).unwrap_err().to_string();
    assert_eq!(error, format!("DOCKER_HOST: `tcp://127.0.0.1:2375` {expected}"));
    let error = place.load("", flag("/e.sock")).unwrap_err().to_string();
    assert_eq!(error, format!("--engine: `/e.sock` {expected}"));
}

#[test]
fn every_key_of_audit_and_log_is_read() {
    let text = "
        [audit]
        path = 'a.jsonl'
        rotate_size = '1MiB'
        rotate_age = '7d'
        keep = 3
        sync = true
        [log]
        format = 'json'
        level = 'debug'
        path = '/l'
    ";
    let place = place();
    let config = place.load(text, Flags::default()).unwrap();
    let rotation = Rotation { size: Some(1 << 20), age: Some(Duration::from_secs(7 * 86400)), keep: 3 };
    assert_eq!(config.audit, Audit { path: place.directory.path().join("a.jsonl"), rotation, sync: true });
    let log = Log { format: LogFormat::Json, level: LevelFilter::DEBUG, path: Some("/l".into()) };
    assert_eq!(config.log, log);
    let off = load("[audit]\nrotate_size = ''\nrotate_age = 0\nkeep = 0\n[log]\nlevel = 'off'\npath = ''");
    assert_eq!(off.audit.rotation, Rotation { size: None, age: None, keep: 0 });
    assert_eq!((off.log.level, off.log.path), (LevelFilter::OFF, None));
    for (name, level) in [("error", LevelFilter::ERROR), ("warn", LevelFilter::WARN), ("trace", LevelFilter::TRACE)] {
        assert_eq!(load(&format!("[log]\nlevel = '{name}'")).log.level, level);
    }
}

#[test]
fn every_limit_is_read() {
    let text = "
        [limits]
        header_bytes = '8KiB'
        headers = 10
        target_bytes = '1KiB'
        body_bytes = '64KiB'
        bodies_bytes = '1MiB'
        head_time = '1s'
        body_time = '2s'
        connections = 1
        connections_per_listener = 2
        requests_per_owner = 3
        engine_connect = '100ms'
        engine_answer = '3s'
        idle = '4s'
        grace = '0s'
    ";
    let expected = Limits {
        header_bytes: 8192,
        headers: 10,
        target_bytes: 1024,
        body_bytes: 65536,
        bodies_bytes: 1048576,
        head_time: Duration::from_secs(1),
        body_time: Duration::from_secs(2),
        connections: 1,
        connections_per_listener: 2,
        requests_per_owner: 3,
        engine_connect: Duration::from_millis(100),
        engine_answer: Duration::from_secs(3),
        idle: Some(Duration::from_secs(4)),
        grace: Duration::ZERO,
    };
    assert_eq!(load(text).limits, expected);
    assert_eq!(load("[limits]\nidle = '0s'").limits.idle, None);
}

#[test]
fn a_mistake_is_shown_with_its_line_and_what_was_expected() {
    for (text, expected) in [
        ("[limits]\nheader_bytes = '4KiB'", "a size in B, KiB, MiB or GiB, from 8KiB to 1MiB"),
        ("[limits]\nbody_bytes = 65536", "invalid value: integer `65536`, expected a size in"),
        ("[limits]\nhead_time = '30'", "string \"30\", expected a time in ms, s, m, h or d, from 1s to 1h"),
        ("[limits]\nheaders = 0", "a number from 10 to 1000, without quotes"),
        ("[limits]\nconnections = '5'", "a number from 1 to 1000000, without quotes"),
        ("[limits]\nidle = '10ms'", "from 1s to 366d, or `\"\"` for off"),
        ("[audit]\nrotate_age = true", "invalid type: boolean `true`, expected a time"),
        ("[[listener]]\nmode = 432", "permission bits in octal and in quotes, as `\"0660\"`"),
        ("[[listener]]\ngroup = -1", "a group by name or number"),
        ("[[listener]]\nname = ''", "a name in one line of at most 255 bytes"),
        ("[[listener]]\nowner = 'uid:0'", "expected `container`, `label:KEY`, `uid`, `unit`, `env:NAME`, or a name"),
        ("\nengine = 'tcp://h:1'", "a Unix socket by its absolute path"),
        ("[log]\nformat = 'xml'", "unknown variant `xml`, expected `text` or `json`"),
        ("[log]\nlevel = 'loud'", "unknown variant `loud`, expected one of `off`, `error`"),
        ("[audit]\nrotate = 1", "unknown field `rotate`, expected one of `path`, `rotate_size`"),
        ("[listener]\npath = '/a'", "expected a sequence"),
        ("\nengines = 1", "unknown field `engines`"),
        ("engine = 'unix:///a'\nengine = 'unix:///b'", "duplicate key"),
    ] {
        let place = place();
        let error = place.load(text, Flags::default()).unwrap_err().to_string();
        let file = place.directory.path().join("sockwarden.toml");
        assert!(error.starts_with(&format!("{}: ", file.display())), "{error}");
        let line = if text.starts_with("[listener]") { "at line 1, " } else { "at line 2, " };
        assert!(error.contains(line) && error.contains(expected), "{text}\n{error}");
    }
    assert_eq!(error("[log]\npath = '/a/'"), "log.path: `/a/` is not the path of a file");
    assert_eq!(error("[[listener]]\npath = ''"), "listener.path: `` is not the path of a file");
}
