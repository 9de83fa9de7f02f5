//! The file as it looks below each runtime and each version of control groups.

use super::*;

const ID: &str = "5aa4ab75ff8b1684ac3c58db1af4ec19a46380dbbadea2f232b0670b820a2f7f";
const OTHER: &str = "017bcc97759a6e84f6d710eb4ac1df1331e68d3785b39cad11e11d5977ebe072";

fn of(text: &str) -> Cgroups {
    Cgroups::parse(&text.replace("ID", ID).replace("OTHER", OTHER))
}

#[test]
fn a_container_is_known_in_every_layout() {
    for (layout, text) in [
        ("Docker, v1, cgroupfs", "12:pids:/docker/ID\n4:memory:/docker/ID\n1:name=systemd:/docker/ID\n0::/docker/ID\n"),
        (
            "Docker, v1, systemd",
            "9:cpuset:/system.slice/docker-ID.scope\n1:name=systemd:/system.slice/docker-ID.scope\n",
        ),
        ("Docker, v2, cgroupfs", "0::/docker/ID\n"),
        ("Docker, v2, systemd", "0::/system.slice/docker-ID.scope\n"),
        ("Docker, hybrid", "4:memory:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/containerd.service\n"),
        ("Docker, a parent of its own", "0::/sockwarden/0123456789ab/ID\n"),
        ("Docker, rootless", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope\n"),
        ("Docker, seen from another container", "0::/../ID\n"),
        ("Docker, seen from a namespace deeper below", "0::/../../docker/ID\n"),
        ("Docker, an init below", "0::/docker/ID/init.scope\n"),
        ("containerd", "0::/default/ID\n"),
        ("nerdctl, systemd", "0::/system.slice/nerdctl-ID.scope\n"),
        ("Podman, systemd", "0::/machine.slice/libpod-ID.scope/container\n"),
        ("Podman, cgroupfs", "0::/libpod_parent/libpod-ID\n"),
        ("Podman, rootless", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container\n"),
        ("Kubernetes, cgroupfs", "11:memory:/kubepods/burstable/pod2c48913c-b29f-11e7-9350-020968147796/ID\n"),
        (
            "Kubernetes, containerd, systemd",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2c48913c_b29f.slice/cri-containerd-ID.scope\n",
        ),
        (
            "Kubernetes, CRI-O",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2c48913c_b29f.slice/crio-ID.scope\n",
        ),
        (
            "Kubernetes, containerd below its own service",
            "1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod2c4.slice:cri-containerd:ID\n",
        ),
    ] {
        assert_eq!(of(text).containers(), [ID], "{layout}");
        assert!(of(text).share_container(ID, &of(text)), "{layout}");
    }
}

#[test]
fn what_only_looks_like_an_id_is_none() {
    let short = &ID[1..];
    let upper = ID.to_uppercase();
    for path in [
        format!("/docker/{short}"),
        format!("/docker/{ID}0"),
        format!("/docker/{upper}"),
        format!("/machine.slice/libpod-conmon-{ID}.scope"),
        format!("/system.slice/run-{ID}.scope"),
        format!("/docker/{ID} (deleted)"),
        "/system.slice/docker.service".to_owned(),
        "/".to_owned(),
    ] {
        let cgroups = Cgroups::parse(&format!("0::{path}\n"));
        assert_eq!(cgroups.containers(), Vec::<&str>::new(), "{path}");
        assert_eq!(cgroups.outermost(), None, "{path}");
    }
    assert_eq!(Cgroups::parse("nonsense\n1:x\n0::relative\n\n"), Cgroups::default());
}

#[test]
fn the_outermost_container_comes_first() {
    let nested = of("0::/docker/ID/docker/OTHER\n");
    assert_eq!(nested.containers(), [ID, OTHER]);
    assert_eq!(nested.outermost(), Some(format!("/docker/{ID}").as_str()));
}

#[test]
fn a_group_with_a_containers_name_is_not_the_containers() {
    let victim = of("4:memory:/docker/OTHER\n0::/docker/OTHER\n");
    for forged in [
        "4:memory:/docker/ID/docker/OTHER\n0::/docker/ID/docker/OTHER\n",
        "4:memory:/\n0::/user.slice/user-1000.slice/user@1000.service/docker-OTHER.scope\n",
        // In one hierarchy only.
        "4:memory:/docker/ID\n0::/docker/OTHER\n",
        "0::/docker/OTHER\n",
        "4:memory:/\n0::/\n",
        "",
    ] {
        assert!(!of(forged).share_container(OTHER, &victim), "{forged}");
    }
    assert!(of("4:memory:/docker/OTHER/x\n0::/docker/OTHER/y\n").share_container(OTHER, &victim));
    // A first process that is in none of its container's groups proves nothing.
    assert!(!of("0::/docker/ID\n").share_container(ID, &of("0::/\n")));
}

#[test]
fn what_a_user_may_name_is_no_foreign_container() {
    let users = of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope\n");
    assert_eq!((users.containers(), users.outermost()), (vec![ID], None));
    let pod = of("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope\n");
    let group = format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope");
    assert_eq!(pod.outermost(), Some(group.as_str()));
}

#[test]
fn a_process_of_the_host_has_its_unit_and_slice() {
    for (text, unit, slice) in [
        ("0::/system.slice/gitlab-runner.service\n", Some("gitlab-runner.service"), Some("system.slice")),
        (
            "0::/system.slice/gitlab-runner.service/jobs/7.service\n",
            Some("gitlab-runner.service"),
            Some("system.slice"),
        ),
        (
            "4:memory:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/\n",
            Some("session-3.scope"),
            Some("user-1000.slice"),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope\n",
            Some("user@1000.service"),
            Some("user-1000.slice"),
        ),
        ("0::/ci.slice/ci-jobs.slice/_cpu.service\n", Some("cpu.service"), Some("ci-jobs.slice")),
        ("0::/../../system.slice/cron.service\n", Some("cron.service"), Some("system.slice")),
        ("0::/init.scope\n", Some("init.scope"), None),
        ("4:memory:/process_api/23c666ba5143c03c53d881e5252deb38\n1:name=systemd:/\n0::/\n", None, None),
    ] {
        assert_eq!((of(text).unit(), of(text).slice()), (unit, slice), "{text}");
    }
}
