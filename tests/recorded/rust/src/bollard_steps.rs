//! bollard over the widest part of the API that does no harm to a shared engine.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions};
use bollard::models::*;
use bollard::query_parameters as q;
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::say;

const NAME: &str = "swr-bollard";
const IMAGE: &str = "busybox:test";

/// Runs every step
pub async fn run() {
    let socket = std::env::var("DOCKER_HOST").unwrap();
    let docker = Docker::connect_with_socket(socket.trim_start_matches("unix://"), 60, API_DEFAULT_VERSION).unwrap();
    let docker = docker.negotiate_version().await.unwrap();
    system(&docker).await;
    containers(&docker).await;
    images(&docker).await;
    networks_and_volumes(&docker).await;
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

async fn system(docker: &Docker) {
    say("ping", docker.ping().await);
    say("version", docker.version().await);
    say("info", docker.info().await);
    say("df", docker.df(None::<q::DataUsageOptions>).await);
    let filters = HashMap::from([("type", vec!["container"]), ("label", vec!["purpose=test"])]);
    let events = q::EventsOptionsBuilder::default().since("1").until("2").filters(&filters).build();
    say("events", docker.events(Some(events)).try_collect::<Vec<_>>().await);
}

fn everything() -> ContainerCreateBody {
    let mount = |kind, source: Option<&str>, target: &str| Mount {
        typ: Some(kind),
        source: source.map(str::to_owned),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Default::default()
    };
    let host = HostConfig {
        binds: Some(vec![format!("{NAME}:/data:ro")]),
        mounts: Some(vec![
            mount(MountType::VOLUME, Some(NAME), "/volume"),
            mount(MountType::TMPFS, None, "/scratch"),
        ]),
        port_bindings: Some(HashMap::from([(
            "8080/tcp".to_owned(),
            Some(vec![PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some("0".to_owned()) }]),
        )])),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::ON_FAILURE),
            maximum_retry_count: Some(2),
        }),
        memory: Some(64 << 20),
        nano_cpus: Some(500_000_000),
        pids_limit: Some(100),
        init: Some(true),
        auto_remove: Some(false),
        cap_add: Some(vec!["NET_ADMIN".to_owned()]),
        cap_drop: Some(vec!["ALL".to_owned()]),
        dns: Some(vec!["192.0.2.1".to_owned()]),
        extra_hosts: Some(vec!["one:192.0.2.2".to_owned()]),
        network_mode: Some("bridge".to_owned()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([("max-size".to_owned(), "1m".to_owned())])),
        }),
        tmpfs: Some(HashMap::from([("/tmp/quick".to_owned(), "size=1m".to_owned())])),
        ulimits: Some(vec![ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(100), hard: Some(100) }]),
        readonly_rootfs: Some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(words("sh -c while:;do:;done")),
        entrypoint: Some(words("sh -c")),
        env: Some(words("ONE=1 TWO=2")),
        labels: Some(HashMap::from([("purpose".to_owned(), "test".to_owned())])),
        hostname: Some("box".to_owned()),
        user: Some("1000:1000".to_owned()),
        working_dir: Some("/tmp".to_owned()),
        tty: Some(true),
        exposed_ports: Some(words("8080/tcp")),
        healthcheck: Some(HealthConfig {
            test: Some(words("CMD true")),
            interval: Some(1_000_000_000),
            ..Default::default()
        }),
        host_config: Some(host),
        stop_signal: Some("INT".to_owned()),
        stop_timeout: Some(3),
        ..Default::default()
    }
}

async fn containers(docker: &Docker) {
    let create = |name: &str| Some(q::CreateContainerOptionsBuilder::default().name(name).build());
    say("create with everything", docker.create_container(create("swr-bollard-all"), everything()).await);
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(words("sleep 100")),
        open_stdin: Some(true),
        ..Default::default()
    };
    let removed = q::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    say("remove it", docker.remove_container("swr-bollard-all", Some(removed.clone())).await);
    say("create", docker.create_container(create(NAME), body).await);
    let filters = HashMap::from([("name", vec![NAME]), ("status", vec!["created", "running"])]);
    let list = q::ListContainersOptionsBuilder::default().all(true).size(true).limit(3).filters(&filters).build();
    say("list", docker.list_containers(Some(list)).await);
    say("start", docker.start_container(NAME, None::<q::StartContainerOptions>).await);
    let inspect = q::InspectContainerOptionsBuilder::default().size(true).build();
    say("inspect", docker.inspect_container(NAME, Some(inspect)).await);
    say("top", docker.top_processes(NAME, Some(q::TopOptionsBuilder::default().ps_args("-ef").build())).await);
    let stats = q::StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    say("stats", docker.stats(NAME, Some(stats)).next().await.unwrap());
    let logs = q::LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail("3").build();
    say("logs", docker.logs(NAME, Some(logs)).try_collect::<Vec<_>>().await);
    let resize = q::ResizeContainerTTYOptionsBuilder::default().h(30).w(90).build();
    say("resize", docker.resize_container_tty(NAME, resize).await);
    exec(docker).await;
    let attach = q::AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stream(true).logs(true).build();
    say("attach", docker.attach_container(NAME, Some(attach)).await);
    say("pause", docker.pause_container(NAME).await);
    say("unpause", docker.unpause_container(NAME).await);
    let update = ContainerUpdateBody { memory: Some(64 << 20), memory_swap: Some(-1), ..Default::default() };
    say("update", docker.update_container(NAME, update).await);
    let restart = q::RestartContainerOptionsBuilder::default().t(0).build();
    say("restart", docker.restart_container(NAME, Some(restart)).await);
    let rename = |name: &str| q::RenameContainerOptionsBuilder::default().name(name).build();
    say("rename", docker.rename_container(NAME, rename("swr-bollard-2")).await);
    say("rename back", docker.rename_container("swr-bollard-2", rename(NAME)).await);
    say("changes", docker.container_changes(NAME).await);
    let into = q::UploadToContainerOptionsBuilder::default().path("/tmp").no_overwrite_dir_non_dir("1").build();
    say("put archive", docker.upload_to_container(NAME, Some(into), body_full(vec![0; 1024].into())).await);
    let from = q::DownloadFromContainerOptionsBuilder::default().path("/etc/passwd").build();
    say("get archive", docker.download_from_container(NAME, Some(from)).try_collect::<Vec<_>>().await);
    let commit = q::CommitContainerOptionsBuilder::default().container(NAME).repo("swr-bollard-commit").tag("1").build();
    let config = ContainerConfig { cmd: Some(words("true")), ..Default::default() };
    say("commit", docker.commit_container(commit, config).await);
    let stop = q::StopContainerOptionsBuilder::default().t(0).build();
    say("stop", docker.stop_container(NAME, Some(stop)).await);
    let kill = q::KillContainerOptionsBuilder::default().signal("KILL").build();
    say("kill", docker.kill_container(NAME, Some(kill)).await);
    let wait = q::WaitContainerOptionsBuilder::default().condition("not-running").build();
    say("wait", docker.wait_container(NAME, Some(wait)).next().await.unwrap());
    say("export", docker.export_container(NAME).try_collect::<Vec<_>>().await);
    say("remove", docker.remove_container(NAME, Some(removed)).await);
    let none = HashMap::from([("label", vec!["swr-nothing-has-this"])]);
    say("prune", docker.prune_containers(Some(q::PruneContainersOptionsBuilder::default().filters(&none).build())).await);
}

async fn exec(docker: &Docker) {
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(true),
        env: Some(vec!["THREE=3"]),
        cmd: Some(vec!["sh", "-c", "id"]),
        user: Some("1000"),
        working_dir: Some("/tmp"),
        privileged: Some(true),
        detach_keys: Some("ctrl-x"),
    };
    let exec = docker.create_exec(NAME, options).await.unwrap().id;
    let start = StartExecOptions { detach: false, tty: true, output_capacity: None };
    say("exec", docker.start_exec(&exec, Some(start)).await);
    say("exec resize", docker.resize_exec(&exec, ResizeExecOptions { height: 30, width: 90 }).await);
    say("exec inspect", docker.inspect_exec(&exec).await);
    let options = CreateExecOptions { cmd: Some(vec!["true"]), ..Default::default() };
    let exec = docker.create_exec(NAME, options).await.unwrap().id;
    let start = StartExecOptions { detach: true, ..Default::default() };
    say("exec detached", docker.start_exec(&exec, Some(start)).await);
}

async fn images(docker: &Docker) {
    let credentials = || {
        Some(DockerCredentials {
            username: Some("ci".to_owned()),
            password: Some("a secret".to_owned()),
            serveraddress: Some("127.0.0.1:1".to_owned()),
            ..Default::default()
        })
    };
    let filters = HashMap::from([("reference", vec![IMAGE]), ("dangling", vec!["false"])]);
    let list = q::ListImagesOptionsBuilder::default().all(true).digests(true).filters(&filters).build();
    say("images", docker.list_images(Some(list)).await);
    say("inspect", docker.inspect_image(IMAGE).await);
    say("history", docker.image_history(IMAGE).await);
    let tag = q::TagImageOptionsBuilder::default().repo("127.0.0.1:1/swr/bollard").tag("1").build();
    say("tag", docker.tag_image(IMAGE, Some(tag)).await);
    let push = q::PushImageOptionsBuilder::default().tag("1").build();
    say("push", docker.push_image("127.0.0.1:1/swr/bollard", Some(push), credentials()).try_collect::<Vec<_>>().await);
    let pull =
        q::CreateImageOptionsBuilder::default().from_image("127.0.0.1:1/swr/bollard").tag("1").platform("linux/amd64");
    say("pull", docker.create_image(Some(pull.build()), None, credentials()).try_collect::<Vec<_>>().await);
    let import = q::CreateImageOptionsBuilder::default().from_src("-").repo("swr-bollard-import").build();
    let nothing = Some(body_full(vec![0; 1024].into()));
    say("import", docker.create_image(Some(import), nothing, None).try_collect::<Vec<_>>().await);
    say("distribution", docker.inspect_registry_image("127.0.0.1:1/swr/bollard:1", credentials()).await);
    let search = q::SearchImagesOptionsBuilder::default().term("127.0.0.1:1/busybox").limit(3).build();
    say("search", docker.search_images(search).await);
    let build = q::BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t("swr-bollard-built:1")
        .rm(true)
        .forcerm(true)
        .nocache(true)
        .pull("false")
        .memory(64 << 20)
        .networkmode("none")
        .labels(&HashMap::from([("purpose", "test")]))
        .buildargs(&HashMap::from([("WHO", "somebody")]))
        .build();
    let auths = HashMap::from([("127.0.0.1:1".to_owned(), credentials().unwrap())]);
    let context = Some(body_full(vec![0; 1024].into()));
    say("build", docker.build_image(build, Some(auths), context).try_collect::<Vec<_>>().await);
    say("save", docker.export_image("127.0.0.1:1/swr/bollard:1").try_collect::<Vec<_>>().await);
    let nothing = body_full(vec![0; 1024].into());
    let load = q::ImportImageOptionsBuilder::default().quiet(true).build();
    say("load", docker.import_image(load, nothing, None).try_collect::<Vec<_>>().await);
    let remove = || Some(q::RemoveImageOptionsBuilder::default().force(true).noprune(true).build());
    for image in ["127.0.0.1:1/swr/bollard:1", "swr-bollard-commit:1", "swr-bollard-import"] {
        say("remove", docker.remove_image(image, remove(), None).await);
    }
    let none = HashMap::from([("label", vec!["swr-nothing-has-this"])]);
    say("prune", docker.prune_images(Some(q::PruneImagesOptionsBuilder::default().filters(&none).build())).await);
}

async fn networks_and_volumes(docker: &Docker) {
    let pool = IpamConfig { subnet: Some("198.18.7.0/24".to_owned()), ..Default::default() };
    let create = NetworkCreateRequest {
        name: NAME.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(true),
        attachable: Some(true),
        ipam: Some(Ipam { config: Some(vec![pool]), ..Default::default() }),
        labels: Some(HashMap::from([("purpose".to_owned(), "test".to_owned())])),
        options: Some(HashMap::from([("com.docker.network.driver.mtu".to_owned(), "1400".to_owned())])),
        ..Default::default()
    };
    say("create network", docker.create_network(create).await);
    let filters = HashMap::from([("name", vec![NAME])]);
    let list = q::ListNetworksOptionsBuilder::default().filters(&filters).build();
    say("networks", docker.list_networks(Some(list)).await);
    let inspect = q::InspectNetworkOptionsBuilder::default().verbose(true).scope("local").build();
    say("inspect", docker.inspect_network(NAME, Some(inspect)).await);
    let endpoint = EndpointSettings { aliases: Some(words("one two")), ..Default::default() };
    let connect = NetworkConnectRequest { container: "swr-none".to_owned(), endpoint_config: Some(endpoint) };
    say("connect", docker.connect_network(NAME, connect).await);
    let disconnect = NetworkDisconnectRequest { container: "swr-none".to_owned(), force: Some(true) };
    say("disconnect", docker.disconnect_network(NAME, disconnect).await);
    say("remove", docker.remove_network(NAME).await);
    let create = VolumeCreateRequest {
        name: Some(NAME.to_owned()),
        driver: Some("local".to_owned()),
        driver_opts: Some(HashMap::from([("type".to_owned(), "tmpfs".to_owned())])),
        labels: Some(HashMap::from([("purpose".to_owned(), "test".to_owned())])),
        ..Default::default()
    };
    say("create volume", docker.create_volume(create).await);
    let list = q::ListVolumesOptionsBuilder::default().filters(&filters).build();
    say("volumes", docker.list_volumes(Some(list)).await);
    say("inspect", docker.inspect_volume(NAME).await);
    let remove = q::RemoveVolumeOptionsBuilder::default().force(true).build();
    say("remove", docker.remove_volume(NAME, Some(remove)).await);
    let none = HashMap::from([("label", vec!["swr-nothing-has-this"])]);
    say("prune", docker.prune_networks(Some(q::PruneNetworksOptionsBuilder::default().filters(&none).build())).await);
    say("prune", docker.prune_volumes(Some(q::PruneVolumesOptionsBuilder::default().filters(&none).build())).await);
}
