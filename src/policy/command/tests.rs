//! Tests of the command lines: every command, every option, and what the CLI would refuse.

use serde_json::Value;

use super::*;
use crate::policy::command::option::{Kind, Opt};

fn understood(line: &str) -> Result<usize, String> {
    asked(&Request::Command(line.to_owned())).map(|asked| asked.len()).map_err(|bad| format!("{line}: {bad:?}"))
}

/// A value that the option takes
fn sample(option: &Opt) -> &'static str {
    match (option.long, option.kind) {
        ("publish", _) => "8080:80",
        ("expose", _) => "80",
        ("mount", _) => "type=volume,dst=/x",
        ("volume" | "tmpfs" | "device", _) => "/x",
        ("gpus", _) => "all",
        ("ulimit", _) => "nofile=1",
        ("restart", _) => "no",
        ("add-host", _) => "a:1.2.3.4",
        ("filter", _) => "label=x",
        ("attest" | "cache-to", _) => "type=x",
        ("build-context", _) => "a=b",
        (_, Kind::Special(_)) if option.long.contains("device") => "/dev/x:1",
        (_, Kind::Switch | Kind::SwitchNote) => "true",
        (_, Kind::Int | Kind::Cpus) => "1",
        (_, Kind::Bytes) => "1m",
        (_, Kind::Duration) => "1m30s",
        (_, Kind::Map) => "a=b",
        (_, Kind::Note | Kind::Text | Kind::List | Kind::Special(_) | Kind::File) => "x",
    }
}

#[test]
fn every_command_and_option_makes_requests_that_are_understood() {
    for command in TABLES.iter().copied().flatten() {
        for name in command.names {
            let operands = ["", "a", "a b", "a:/x -"];
            let operands = operands.iter().find(|operands| understood(&format!("docker {name} {operands}")).is_ok());
            let operands = operands.unwrap_or_else(|| panic!("docker {name} is never understood"));
            for option in command.options.iter().copied().flatten() {
                let line = format!("docker {name} --{}={} {operands}", option.long, sample(option));
                assert_eq!(understood(&line).is_ok(), !matches!(option.kind, Kind::File), "{:?}", understood(&line));
                if !option.short.is_empty() && !matches!(option.kind, Kind::Switch | Kind::SwitchNote) {
                    understood(&format!("docker {name} -{} {} {operands}", option.short, sample(option))).unwrap();
                }
            }
        }
    }
}

#[test]
fn no_command_has_two_options_of_one_name() {
    for command in TABLES.iter().copied().flatten() {
        let options: Vec<&Opt> = command.options.iter().copied().flatten().collect();
        for (index, option) in options.iter().enumerate() {
            for other in options.iter().skip(index + 1) {
                let same = option.long == other.long || (!option.short.is_empty() && option.short == other.short);
                assert!(!same, "{:?}: --{} and --{}", command.names, option.long, other.long);
            }
        }
    }
}

#[test]
fn a_command_line_is_read_as_the_cli_reads_it() {
    let requests = |line: &str| -> Vec<String> {
        let show = |http: &Http| {
            // The order of its members means nothing.
            let mut body: Value = serde_json::from_slice(&http.body).unwrap_or_default();
            body.sort_all_objects();
            let body = if body.is_null() { String::new() } else { body.to_string() };
            format!("{} {} {body}", http.method, http.target).trim().to_owned()
        };
        command(line).unwrap().0.iter().map(show).collect()
    };
    for (line, expected) in [
        (
            "docker ps -aq -n 3 --filter name=x --filter name=y",
            vec!["GET /containers/json?all=1&limit=3&filters=%7B%22name%22%3A%5B%22x%22%2C%22y%22%5D%7D"],
        ),
        ("docker rm -fv a b", vec!["DELETE /containers/a?force=1&v=1", "DELETE /containers/b?force=1&v=1"]),
        (
            "docker create -it -p80:80 --name=web nginx -p x",
            vec![
                r#"POST /containers/create?name=web {"Cmd":["-p","x"],"ExposedPorts":{"80/tcp":{}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"80"}]}},"Image":"nginx","OpenStdin":true,"Tty":true}"#,
            ],
        ),
        (
            "docker create -p 127.0.0.1:8000-8001:80-81/udp a",
            vec![
                r#"POST /containers/create {"ExposedPorts":{"80/udp":{},"81/udp":{}},"HostConfig":{"PortBindings":{"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8000"}],"81/udp":[{"HostIp":"127.0.0.1","HostPort":"8001"}]}},"Image":"a"}"#,
            ],
        ),
        (
            "docker create --security-opt systempaths=unconfined a",
            vec![r#"POST /containers/create {"HostConfig":{"MaskedPaths":[],"ReadonlyPaths":[]},"Image":"a"}"#],
        ),
        (
            "docker create --network app --network-alias db --ip 10.0.0.2 a",
            vec![
                r#"POST /containers/create {"HostConfig":{"NetworkMode":"app"},"Image":"a","NetworkingConfig":{"EndpointsConfig":{"app":{"Aliases":["db"],"IPAMConfig":{"IPv4Address":"10.0.0.2"}}}}}"#,
            ],
        ),
        (
            r#"docker create --mount 'type=volume,dst=/x,"volume-opt=o=bind,ro"' a"#,
            vec![
                r#"POST /containers/create {"HostConfig":{"Mounts":[{"Target":"/x","Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind,ro"}}}}]},"Image":"a"}"#,
            ],
        ),
        (
            "docker exec -u 0 web ls -l",
            vec![
                r#"POST /containers/web/exec {"Cmd":["ls","-l"],"User":"0"}"#,
                r#"POST /exec/new/start {"Detach":false,"Tty":false}"#,
            ],
        ),
        ("docker pull localhost:5000/a:1", vec!["POST /images/create?fromImage=localhost%3A5000%2Fa&tag=1"]),
        ("docker push -a localhost:5000/a", vec!["POST /images/localhost:5000/a/push"]),
        ("docker build -t a -t b --build-arg A=1 .", vec!["POST /build?t=a&t=b&buildargs=%7B%22A%22%3A%221%22%7D"]),
        ("docker update --memory 1m web", vec![r#"POST /containers/web/update {"Memory":1048576}"#]),
        ("docker top web -o pid", vec!["GET /containers/web/top?ps_args=-o%20pid"]),
        (
            "docker network create --subnet 10.0.0.0/8 --gateway 10.0.0.1 x",
            vec![
                r#"POST /networks/create {"IPAM":{"Config":[{"Gateway":"10.0.0.1","Subnet":"10.0.0.0/8"}]},"Name":"x"}"#,
            ],
        ),
    ] {
        assert_eq!(requests(line), expected, "{line}");
    }
}

#[test]
fn what_the_cli_would_not_take_is_refused() {
    for line in [
        "",
        "ls",
        "podman ps",
        "docker",
        "docker --debug ps",
        "docker nonsense",
        "docker compose up",
        "docker buildx bake",
        "docker buildx build",
        "docker buildx build --cache-to mode=max .",
        "docker buildx build --build-context files .",
        "DOCKER_BUILDKIT=0 docker build --allow network.host .",
        "docker run",
        "docker run --nonsense a",
        "docker run -Z a",
        "docker run --name",
        "docker run -p 80:80:80:80 a",
        "docker run -p 9-8 a",
        "docker run -v ./x:/x a",
        "docker run --memory lots a",
        "docker run --privileged=maybe a",
        "docker run --env-file x a",
        "docker run $IMAGE",
        "docker exec web",
        "docker cp a b",
        "docker ps extra",
        "docker rm",
        "FOO=1 docker ps",
    ] {
        assert!(asked(&Request::Command(line.to_owned())).is_err(), "{line}");
    }
}
