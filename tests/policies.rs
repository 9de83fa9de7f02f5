//! The shipped policies pass their own check, and `ci` means what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use sockwarden::policy::check::check;
use sockwarden::policy::shipped;

#[test]
fn every_shipped_policy_passes_its_own_tests() {
    for (name, text) in shipped::ALL {
        let checked = check(name, text);
        assert!(checked.report.is_empty(), "{}", checked.report);
        assert!(checked.tests > 2, "{name} has {} tests", checked.tests);
        let said = text.lines().take_while(|line| !line.starts_with("[[test]]")).count();
        assert!(said < 60, "{name} says {said} lines before its tests");
        assert!(text.lines().all(|line| line.len() <= 120), "{name} has a long line");
    }
}

/// What a job may and may not do with `ci`: command, verdict, reason
const CI: &[(&str, &str, &str)] = &[
    // What jobs do every day.
    ("docker version", "allow", ""),
    ("docker info", "allow", ""),
    ("docker login -u ci -p x", "allow", ""),
    ("docker pull alpine:3.20", "allow", ""),
    ("docker pull -a bitnami/redis", "allow", ""),
    ("docker pull localhost:5000/app:1", "allow", ""),
    ("docker push 127.0.0.1:5000/team/app:1", "allow", ""),
    ("docker tag app localhost:5000/app", "allow", ""),
    ("docker images --filter dangling=true", "allow", ""),
    ("docker rmi -f app", "allow", ""),
    ("docker save -o a.tar app alpine", "allow", ""),
    ("docker load -i a.tar", "allow", ""),
    ("docker history app", "allow", ""),
    (
        "docker build -t app --build-arg A=b --network none --cache-from app --memory 1g --add-host x:1.2.3.4 .",
        "allow",
        "",
    ),
    ("docker run alpine true", "allow", ""),
    ("docker run -d --name web -p 8080:80 -p 127.0.0.1::443 -p 9000-9010:9000-9010/udp -P nginx", "allow", ""),
    (
        "docker run -v data:/data -v /anonymous --tmpfs /tmp:size=64m,exec --mount type=volume,src=v,dst=/v alpine",
        "allow",
        "",
    ),
    ("docker run --network app --network-alias db --hostname db alpine", "allow", ""),
    ("docker run --network none alpine", "allow", ""),
    ("docker run --network container:web alpine", "allow", ""),
    ("docker run --security-opt no-new-privileges --cap-drop ALL --read-only --shm-size 1g alpine", "allow", ""),
    ("docker run --cpus 1.5 --memory 512m --memory-swap -1 --pids-limit 100 --cpu-shares 512 alpine", "allow", ""),
    ("docker run --ulimit nofile=1024:2048 --ulimit core=0 alpine", "allow", ""),
    (
        "docker run --add-host db:10.0.0.1 --add-host host.docker.internal:host-gateway --dns 1.1.1.1 alpine",
        "allow",
        "",
    ),
    ("docker run --health-cmd true --health-interval 5s --restart on-failure:3 alpine", "allow", ""),
    ("docker run --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 alpine", "allow", ""),
    ("docker run --sysctl net.core.somaxconn=1024 --sysctl net.ipv4.ip_unprivileged_port_start=0 alpine", "allow", ""),
    ("docker run -u 0:0 -w /src --group-add 1000 --ipc private --cgroupns private --link db alpine", "allow", ""),
    ("docker run --platform linux/amd64 --stop-timeout 5 --label a=b --env A=b alpine", "allow", ""),
    ("docker exec -it -u root -w /src -e A=b web sh -c 'echo hello'", "allow", ""),
    ("docker cp web:/src/. -", "allow", ""),
    ("docker cp a.tar web:/src", "allow", ""),
    ("docker logs -f web", "allow", ""),
    ("docker stats web", "allow", ""),
    ("docker kill -s TERM web", "allow", ""),
    ("docker rm -fv web", "allow", ""),
    ("docker commit web app:1", "allow", ""),
    ("docker network create app", "allow", ""),
    ("docker network create --internal --label a=b -o com.docker.network.driver.mtu=1400 app", "allow", ""),
    ("docker network connect --alias db app web", "allow", ""),
    ("docker network rm app", "allow", ""),
    ("docker volume create --label a=b data", "allow", ""),
    ("docker volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=64m data", "allow", ""),
    ("docker volume rm -f data", "allow", ""),
    ("docker run -d -v /cache testcontainers/ryuk:0.11.0", "allow", ""),
    ("docker run -d --privileged testcontainers/ryuk:0.11.0", "modify", "Privileged"),
    // What would give more than the job has.
    ("docker run --privileged evil.example.com/testcontainers/ryuk:0.11.0", "deny", "privileged"),
    ("docker run --privileged alpine", "deny", "privileged"),
    ("docker run --cap-add SYS_ADMIN alpine", "deny", "cap_add=SYS_ADMIN"),
    ("docker run --cap-add cap_net_admin alpine", "deny", "cap_add=NET_ADMIN"),
    ("docker run --cap-add ALL alpine", "deny", "cap_add=ALL"),
    ("docker run --network host alpine", "deny", "network=host"),
    ("docker run --network ns:/proc/1/ns/net alpine", "deny", "network"),
    ("docker run --pid host alpine", "deny", "pid"),
    ("docker run --pid container:web alpine", "deny", "pid"),
    ("docker run --ipc host alpine", "deny", "ipc"),
    ("docker run --uts host alpine", "deny", "uts"),
    ("docker run --userns host alpine", "deny", "userns"),
    ("docker run --cgroupns host alpine", "deny", "cgroupns"),
    ("docker run --device /dev/sda alpine", "deny", "device"),
    ("docker run --device-cgroup-rule 'b *:* rwm' alpine", "deny", "device_cgroup_rule"),
    ("docker run --gpus all alpine", "deny", "gpus"),
    ("docker run --device-read-bps /dev/sda:1m alpine", "deny", "blkio_device"),
    ("docker run --security-opt seccomp=unconfined alpine", "deny", "security_opt=seccomp=unconfined"),
    ("docker run --security-opt seccomp=profile.json alpine", "deny", "security_opt"),
    ("docker run --security-opt apparmor=unconfined alpine", "deny", "security_opt"),
    ("docker run --security-opt label=disable alpine", "deny", "security_opt"),
    ("docker run --security-opt no-new-privileges=false alpine", "deny", "security_opt"),
    ("docker run --security-opt systempaths=unconfined alpine", "deny", "systempaths"),
    ("docker run -v /:/host alpine", "deny", "mount"),
    ("docker run -v /srv/../etc:/etc:ro alpine", "deny", "host path /etc (ro)"),
    ("docker run --mount type=bind,source=/var/run,target=/run,ro alpine", "deny", "mount"),
    (
        "docker run --mount 'type=volume,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/' alpine",
        "deny",
        "volume_opt",
    ),
    ("docker run --mount type=volume,dst=/x,volume-driver=evil alpine", "deny", "volume_driver"),
    ("docker run --volumes-from runner alpine", "deny", "volumes_from"),
    ("docker run --volume-driver evil -v x:/x alpine", "deny", "volume_driver"),
    ("docker run --tmpfs /tmp:dev alpine", "deny", "tmpfs"),
    ("docker run --cgroup-parent / alpine", "deny", "cgroup_parent"),
    ("docker run --runtime /bin/sh alpine", "deny", "runtime"),
    ("docker run --annotation run.oci.keep_original_groups=1 alpine", "deny", "annotation"),
    ("docker run --sysctl kernel.core_pattern=x alpine", "deny", "sysctl"),
    ("docker run --ulimit rtprio=99 alpine", "deny", "ulimit"),
    ("docker run --oom-kill-disable alpine", "deny", "oom"),
    ("docker run --oom-score-adj -1000 alpine", "deny", "oom"),
    ("docker run --storage-opt size=10G alpine", "deny", "storage_opt"),
    ("docker run --log-driver syslog --log-opt syslog-address=udp://10.0.0.1 alpine", "deny", "log_driver"),
    ("docker run --restart always alpine", "deny", "restart"),
    ("docker run -p 80:80 alpine", "deny", "publish"),
    ("docker run -p 1000-2000:1000-2000 alpine", "deny", "publish"),
    ("docker run --network app --ip 10.0.0.5 alpine", "deny", "ip"),
    ("docker run --mac-address 02:42:ac:11:00:02 alpine", "deny", "mac_address"),
    ("docker run -w /proc/self/fd/8 alpine", "deny", "workdir"),
    ("docker run evil.example.com/x", "deny", "image"),
    ("docker pull registry.example.com/docker.io/library/alpine", "deny", "image"),
    ("docker push ghcr.io/team/app", "deny", "image"),
    ("docker tag app ghcr.io/team/app", "deny", "image"),
    ("docker login ghcr.io", "deny", "registry"),
    ("docker exec --privileged web sh", "deny", "exec_privileged"),
    ("docker exec -w /proc/self/fd/8 web sh", "deny", "workdir"),
    ("docker top web -eo rss=PID,args", "deny", "odd"),
    ("docker update --memory 64g web", "deny", "container.update"),
    ("docker import http://10.0.0.1/x.tar app", "deny", "image.import"),
    ("docker build --network host .", "deny", "network"),
    ("docker build --cgroup-parent / .", "deny", "cgroup_parent"),
    ("docker build -t evil.example.com/x .", "deny", "image"),
    ("docker build --build-arg BUILDKIT_SYNTAX=evil .", "deny", "arg"),
    ("docker buildx build -t app --push .", "modify", "FrontendOpt.cmdline"),
    ("docker buildx build --provenance=true -o type=oci,dest=x.tar .", "modify", "FrontendOpt.cmdline"),
    ("docker buildx build --network host .", "deny", "network"),
    ("docker buildx build --allow security.insecure .", "deny", "entitlement"),
    ("docker buildx build --build-arg BUILDKIT_SYNTAX=evil .", "deny", "frontend"),
    ("docker buildx build https://example.com/x.git", "deny", "remote"),
    ("docker network create -d macvlan x", "deny", "driver"),
    ("docker network create --subnet 10.0.0.0/8 x", "deny", "subnet"),
    ("docker network create -o com.docker.network.bridge.name=docker0 x", "deny", "opt"),
    ("docker network create --attachable x", "deny", "scope"),
    ("docker volume create -o type=none -o o=bind -o device=/ x", "deny", "volume_opt"),
    ("docker volume create -d evil x", "deny", "volume_driver"),
    ("docker container prune -f", "allow", ""),
    ("docker image prune -af", "allow", ""),
    ("docker volume prune -f", "allow", ""),
    ("docker network prune -f", "allow", ""),
    ("docker builder prune -f", "allow", ""),
    ("docker system prune -f --volumes", "allow", ""),
    ("docker plugin install vieux/sshfs", "deny", "closed"),
    ("docker swarm init", "deny", "swarm.init"),
    ("docker service create alpine", "deny", "service.create"),
];

#[test]
fn ci_lets_jobs_work_and_gives_them_no_more_than_they_have() {
    let mut text = "extends = \"ci\"\n".to_owned();
    for (request, expect, because) in CI {
        text.push_str(&format!("[[test]]\nrequest = {request:?}\nexpect = {expect:?}\n"));
        if !because.is_empty() {
            text.push_str(&format!("because = {because:?}\n"));
        }
    }
    let checked = check("ci-tests.toml", &text);
    assert!(checked.report.is_empty(), "{}", checked.report);
    assert_eq!(checked.tests, CI.len());
}

#[test]
fn a_whole_policy_of_one_screen_is_read() {
    let checked = check(
        "site.toml",
        r#"
name    = "site"
mode    = "enforce"
allow   = ["system.read", "image.pull", "image.read", "build", "container", "exec", "network", "volume"]
forbid  = ["container.update", "image.import"]

[images]
allow   = ["docker.io/library/**", "registry.example.com/ci/**"]

[mounts]
caller  = true
allow   = [{ source = "/srv/cache/**", access = "ro", reason = "shared download cache" }]

[owner]
isolate = true
clean_up = "when-caller-ends"

[limits]
memory  = "4GiB"
pids    = 1024

[force]
labels  = { team = "site" }
no_new_privileges = true

[[rule]]
id      = "pinned-images"
forbid  = "container.create"
when    = { image = ':latest$' }
reason  = "pin a tag or a digest"

[[test]]
request = "docker run --privileged alpine:3"
expect  = "deny"
because = "privileged"

[[test]]
request = "docker run alpine"
expect  = "deny"
because = "pinned-images"

[[test]]
request = "docker run -v /srv/cache/npm:/cache:ro -m 8g alpine:3"
expect  = "modify"
because = "Memory"

[[test]]
request = "docker run -v /srv/cache:/cache alpine:3"
expect  = "deny"
because = "mount"

[[test]]
request = { method = "POST", path = "/containers/create?name=x", body = { Image = "alpine:3", HostConfig = { PidsLimit = -1 } } }
expect  = "modify"
because = "HostConfig.PidsLimit"
"#,
    );
    assert_eq!((checked.report.errors(), checked.report.warnings(), checked.tests), (0, 0, 5), "{}", checked.report);
}
