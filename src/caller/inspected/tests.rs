//! What is taken out of the engine's answers.

use serde_json::json;

use super::*;

const ID: &str = "5aa4ab75ff8b1684ac3c58db1af4ec19a46380dbbadea2f232b0670b820a2f7f";

fn answer() -> serde_json::Value {
    json!({
        "Id": ID,
        "Name": "/runner-7-build",
        "Image": "sha256:57dd",
        "State": {"Running": true, "Pid": 24483, "Status": "running"},
        "Config": {"Image": "busybox:test", "Labels": {"job": "7"}},
        "HostConfig": {
            "Memory": 1 << 30, "NanoCpus": 0, "CpuQuota": 150_000, "CpuPeriod": 0, "PidsLimit": null,
            "Mounts": [
                {"Type": "volume", "Source": "cache", "Target": "/part/", "VolumeOptions": {"Subpath": "/a/b/"}},
                {"Type": "bind", "Source": "/srv/ws", "Target": "/ws"}
            ]
        },
        "Mounts": [
            {"Type": "bind", "Source": "/srv/ws", "Destination": "/ws", "RW": false},
            {"Type": "volume", "Name": "cache", "Source": "/data/cache/_data", "Destination": "/part", "RW": true},
            {"Type": "volume", "Name": "all", "Source": "/data/all/_data", "Destination": "/all", "RW": true},
            {"Type": "tmpfs", "Source": "", "Destination": "/scratch", "RW": true}
        ],
        "NetworkSettings": {"Networks": {"ci": {"NetworkID": "47612d"}}}
    })
}

fn read(answer: &serde_json::Value) -> Found {
    Inspected::read(ID, answer.to_string().as_bytes()).unwrap()
}

fn limits(answer: &serde_json::Value) -> CallerLimits {
    let Found::Running(found) = read(answer) else { panic!("{answer}") };
    found.container.limits
}

#[test]
fn everything_of_a_running_container_is_read() {
    let path = |text: &str| HostPath::parse(text).unwrap();
    let mount = |destination: &str, source: Option<&str>, volume: Option<&str>, subpath: &str, writable| CallerMount {
        destination: path(destination),
        source: source.map(path),
        volume: volume.map(str::to_owned),
        subpath: subpath.to_owned(),
        writable,
    };
    let container = Container {
        id: ID.to_owned(),
        name: "runner-7-build".to_owned(),
        image: "busybox:test".to_owned(),
        labels: [("job".to_owned(), "7".to_owned())].into(),
        mounts: vec![
            mount("/ws", Some("/srv/ws"), None, "", false),
            mount("/part", Some("/data/cache/_data"), Some("cache"), "a/b", true),
            mount("/all", Some("/data/all/_data"), Some("all"), "", true),
            mount("/scratch", None, None, "", true),
        ],
        networks: vec![("ci".to_owned(), "47612d".to_owned())],
        limits: CallerLimits { memory: Some(1 << 30), nano_cpus: Some(1_500_000_000), pids: None },
    };
    let expected = Inspected { container, image: "sha256:57dd".to_owned(), first: 24483 };
    assert_eq!(read(&answer()), Found::Running(Box::new(expected)));
}

#[test]
fn a_container_that_does_not_run_calls_nobody() {
    for state in [json!({"Running": false, "Pid": 0}), json!({"Running": true, "Pid": 0})] {
        let mut answer = answer();
        answer["State"] = state;
        assert_eq!(read(&answer), Found::Ended, "{answer}");
    }
    let mut named = answer();
    named["Id"] = "017bcc97".into();
    assert_eq!(read(&named), Found::Another);
}

#[test]
fn what_is_no_limit_is_none() {
    let mut answer = answer();
    answer["HostConfig"] = json!({"Memory": 0, "NanoCpus": 0, "CpuQuota": -1, "PidsLimit": -1});
    assert_eq!(limits(&answer), CallerLimits::default());
    answer["HostConfig"] = json!({"NanoCpus": 500_000_000, "PidsLimit": 64});
    let half = CallerLimits { memory: None, nano_cpus: Some(500_000_000), pids: Some(64) };
    assert_eq!(limits(&answer), half);
}

#[test]
fn an_image_may_have_no_labels() {
    let labels = |json: &str| image_labels(json.as_bytes()).unwrap();
    assert_eq!(labels(r#"{"Config":{"Labels":{"a":"b"}}}"#)["a"], "b");
    for none in [r#"{"Config":{"Labels":null}}"#, r#"{"Config":{}}"#, r#"{"Config":null}"#, "{}"] {
        assert!(labels(none).is_empty(), "{none}");
    }
}
