//! A whole CI job through the `ci` policy, with bollard as a client that knows nothing of sockwarden.

use std::collections::HashMap;
use std::path::Path;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ExecConfig, HostConfig, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters as q;
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncWriteExt as _;

use super::gate::Gate;
use super::http::PATIENCE;
use super::setting::Engine;
use super::stage::Stage;
use super::tar::tar;

/// Runs the job on one engine
pub fn run(engine: &Engine) -> Vec<String> {
    let gate = Gate::start(&engine.socket, "ci");
    let stage = Stage::new(&engine.socket, &format!("swt-{}-bollard-", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let job = Job::new(&gate.socket(), &stage.names["prefix"]).await;
        let work = async {
            job.build().await;
            job.containers().await;
            job.streams().await;
            job.files().await;
            job.networks_and_volumes().await;
            job.images().await;
            job.refusals().await;
        };
        tokio::time::timeout(5 * PATIENCE, work).await.unwrap();
    });
    Vec::new()
}

struct Job {
    docker: Docker,
    prefix: String,
    image: String,
}

impl Job {
    async fn new(socket: &Path, prefix: &str) -> Self {
        let docker =
            Docker::connect_with_socket(&socket.display().to_string(), PATIENCE.as_secs(), API_DEFAULT_VERSION)
                .unwrap();
        let docker = docker.negotiate_version().await.unwrap();
        Self { docker, prefix: prefix.to_owned(), image: format!("{prefix}app:1") }
    }

    /// Classic build; everything later uses its image
    async fn build(&self) {
        let dockerfile = b"FROM busybox:test\nARG GREETING\nCOPY app.txt /app.txt\nRUN echo $GREETING >/greeting\n";
        let context = tar(&[("Dockerfile", dockerfile), ("app.txt", b"an application\n")]);
        let arguments = HashMap::from([("GREETING", "good morning")]);
        let options = q::BuildImageOptionsBuilder::default().t(&self.image).rm(true).buildargs(&arguments).build();
        let steps: Vec<_> =
            self.docker.build_image(options, None, Some(body_full(context.into()))).try_collect().await.unwrap();
        let said: String = steps.iter().filter_map(|step| step.stream.clone()).collect();
        assert!(said.contains("Successfully built"), "{said}");
        assert_eq!(self.output(&["cat", "/greeting", "/app.txt"]).await, "good morning\nan application\n");
    }

    /// Create, start, wait, logs that follow, stats, kill, remove
    async fn containers(&self) {
        let short = self.create("short", &["sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 3"]).await;
        let follow = q::LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        self.start(&short).await;
        assert_eq!(text(self.docker.logs(&short, Some(follow))).await, "line 1\nline 2\nline 3\n");
        let ended = self.docker.wait_container(&short, None::<q::WaitContainerOptions>).next().await.unwrap();
        let code = match ended {
            Ok(ended) => ended.status_code,
            Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(code, 3);
        self.remove(&short).await;

        let long = self.create("long", &["sleep", "1000"]).await;
        self.start(&long).await;
        let once = q::StatsOptionsBuilder::default().stream(false).build();
        let stats = self.docker.stats(&long, Some(once)).next().await.unwrap().unwrap();
        assert!(stats.id.is_some_and(|id| long.starts_with(&id) || id.starts_with(&long)));
        let mut events = self.docker.events(Some(self.events()));
        self.docker
            .kill_container(&long, Some(q::KillContainerOptionsBuilder::default().signal("KILL").build()))
            .await
            .unwrap();
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event.action.as_deref() == Some("die") {
                break;
            }
        }
        self.remove(&long).await;
    }

    /// Attach with standard input, and an exec that gets 5 MB and gives them back
    async fn streams(&self) {
        let body = ContainerCreateBody {
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            ..self.body(&["cat"])
        };
        let name = format!("{}attach", self.prefix);
        let options = q::CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(options), body).await.unwrap();
        let options =
            q::AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).build();
        let AttachContainerResults { output, mut input } =
            self.docker.attach_container(&name, Some(options)).await.unwrap();
        self.start(&name).await;
        input.write_all(b"in and out\n").await.unwrap();
        input.shutdown().await.unwrap();
        assert_eq!(text(output).await, "in and out\n");
        self.remove(&name).await;

        let name = self.create("exec", &["sleep", "1000"]).await;
        self.start(&name).await;
        let sent: Vec<u8> = (0..5 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            cmd: Some(vec!["cat".to_owned()]),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(&name, config).await.unwrap().id;
        let StartExecResults::Attached { output, mut input } =
            self.docker.start_exec(&exec, None::<StartExecOptions>).await.unwrap()
        else {
            panic!("an exec that was not to be detached is")
        };
        // Both ways at once: a pipe holds only so much.
        let write = async {
            input.write_all(&sent).await.unwrap();
            input.shutdown().await.unwrap();
        };
        let ((), received) = tokio::join!(write, bytes(output));
        assert_eq!(received.len(), sent.len());
        assert!(received == sent, "what came back differs");
        assert_eq!(self.docker.inspect_exec(&exec).await.unwrap().exit_code, Some(0));
        self.remove(&name).await;
    }

    /// `docker cp` both ways
    async fn files(&self) {
        let name = self.create("files", &["cat", "/tmp/up.txt"]).await;
        let options = q::UploadToContainerOptionsBuilder::default().path("/tmp").build();
        let up = tar(&[("up.txt", b"carried up\n")]);
        self.docker.upload_to_container(&name, Some(options), body_full(up.into())).await.unwrap();
        let options = q::DownloadFromContainerOptionsBuilder::default().path("/tmp/up.txt").build();
        let down: Vec<_> = self.docker.download_from_container(&name, Some(options)).try_collect().await.unwrap();
        let down = down.concat();
        assert!(down.windows(11).any(|window| window == b"carried up\n"), "{} bytes", down.len());
        self.remove(&name).await;
    }

    /// Two containers that meet on a network, and a volume that outlives one
    async fn networks_and_volumes(&self) {
        let (network, volume) = (format!("{}net", self.prefix), format!("{}vol", self.prefix));
        self.docker.create_network(NetworkCreateRequest { name: network.clone(), ..Default::default() }).await.unwrap();
        self.docker
            .create_volume(VolumeCreateRequest { name: Some(volume.clone()), ..Default::default() })
            .await
            .unwrap();
        let host = HostConfig {
            network_mode: Some(network.clone()),
            binds: Some(vec![format!("{volume}:/data")]),
            ..Default::default()
        };
        let write = ContainerCreateBody {
            host_config: Some(host.clone()),
            ..self.body(&["sh", "-c", "echo kept >/data/file"])
        };
        self.output_of("writer", write).await;
        let read = ContainerCreateBody { host_config: Some(host), ..self.body(&["cat", "/data/file"]) };
        assert_eq!(self.output_of("reader", read).await, "kept\n");
        let name = self.create("joins", &["true"]).await;
        let connect = NetworkConnectRequest { container: name.clone(), ..Default::default() };
        self.docker.connect_network(&network, connect).await.unwrap();
        self.remove(&name).await;
        self.docker.remove_volume(&volume, None::<q::RemoveVolumeOptions>).await.unwrap();
        self.docker.remove_network(&network).await.unwrap();
    }

    /// Save, remove, load, tag
    async fn images(&self) {
        let saved: Vec<_> = self.docker.export_image(&self.image).try_collect().await.unwrap();
        self.docker.remove_image(&self.image, None::<q::RemoveImageOptions>, None).await.unwrap();
        assert!(self.docker.inspect_image(&self.image).await.is_err());
        let options = q::ImportImageOptionsBuilder::default().build();
        self.docker
            .import_image(options, body_full(saved.concat().into()), None)
            .try_collect::<Vec<_>>()
            .await
            .unwrap();
        assert!(self.docker.inspect_image(&self.image).await.is_ok());
    }

    /// What is refused reads well in this client's own errors
    async fn refusals(&self) {
        let host = HostConfig { privileged: Some(true), ..Default::default() };
        let body = ContainerCreateBody { host_config: Some(host), ..self.body(&["sh"]) };
        let options = q::CreateContainerOptionsBuilder::default().name(&format!("{}bad", self.prefix)).build();
        match self.docker.create_container(Some(options), body).await {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 403, message }) => {
                assert!(message.contains("privileged (HostConfig.Privileged) is refused"), "{message}");
                assert!(message.contains("run without --privileged"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        let listed = q::ListContainersOptionsBuilder::default().all(true).build();
        let all = self.docker.list_containers(Some(listed)).await.unwrap();
        let bad = format!("/{}bad", self.prefix);
        assert!(all.iter().all(|container| container.names.iter().flatten().all(|name| *name != bad)));
    }

    fn events(&self) -> q::EventsOptions {
        let filters = HashMap::from([("image", vec![self.image.clone()]), ("type", vec!["container".to_owned()])]);
        q::EventsOptionsBuilder::default().since("1").filters(&filters).build()
    }

    fn body(&self, command: &[&str]) -> ContainerCreateBody {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        ContainerCreateBody { image: Some(self.image.clone()), cmd: Some(command), ..Default::default() }
    }

    async fn create(&self, name: &str, command: &[&str]) -> String {
        let name = format!("{}{name}", self.prefix);
        let options = q::CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(options), self.body(command)).await.unwrap().id
    }

    async fn start(&self, name: &str) {
        self.docker.start_container(name, None::<q::StartContainerOptions>).await.unwrap();
    }

    async fn remove(&self, name: &str) {
        let options = q::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.docker.remove_container(name, Some(options)).await.unwrap();
    }

    async fn output(&self, command: &[&str]) -> String {
        self.output_of("output", self.body(command)).await
    }

    async fn output_of(&self, name: &str, body: ContainerCreateBody) -> String {
        let name = format!("{}{name}", self.prefix);
        let options = q::CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(options), body).await.unwrap();
        self.start(&name).await;
        let follow = q::LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        let said = text(self.docker.logs(&name, Some(follow))).await;
        self.remove(&name).await;
        said
    }
}

async fn text(output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>>) -> String {
    String::from_utf8(bytes(output).await).unwrap()
}

async fn bytes(output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>>) -> Vec<u8> {
    let pieces: Vec<LogOutput> = output.try_collect().await.unwrap();
    pieces.into_iter().flat_map(LogOutput::into_bytes).collect()
}
