//! Testcontainers for Rust: a container that is waited for, spoken to and copied to; a network; a build.

use std::time::Duration;

use testcontainers::core::{ExecCommand, IntoContainerPort as _, Mount, WaitFor};
use testcontainers::runners::{AsyncBuilder as _, AsyncRunner as _};
use testcontainers::{GenericBuildableImage, GenericImage, ImageExt as _};

use crate::say;

const SERVER: &str = "mkdir /www; echo ready; exec httpd -f -p 8080 -h /www";

/// Runs every step
pub async fn run() {
    let server = GenericImage::new("busybox", "test")
        .with_exposed_port(8080.tcp())
        .with_wait_for(WaitFor::message_on_stdout("ready"))
        .with_container_name("swr-tc-rust")
        .with_network("swr-tc-rust")
        .with_env_var("ONE", "1")
        .with_label("purpose", "test")
        .with_hostname("box")
        .with_mount(Mount::volume_mount("swr-tc-rust", "/data"))
        .with_mount(Mount::tmpfs_mount("/scratch"))
        .with_copy_to("/tmp/sent", b"sent in".to_vec())
        .with_shm_size(32 << 20)
        .with_ulimit("nofile", 100, Some(100))
        .with_working_dir("/tmp")
        .with_cmd(["sh", "-c", SERVER])
        .with_startup_timeout(Duration::from_secs(20));
    match server.start().await {
        Ok(container) => {
            println!("port: {:?}", container.get_host_port_ipv4(8080).await);
            println!("running: {:?}", container.is_running().await);
            println!("logs: {:?}", container.stdout_to_vec().await.map(|logs| logs.len()));
            let mut exec = container.exec(ExecCommand::new(["echo", "hello"])).await.unwrap();
            println!("exec: {:?}", exec.stdout_to_vec().await);
            println!("exit code: {:?}", exec.exit_code().await);
            say("pause", container.pause().await);
            say("unpause", container.unpause().await);
            say("stop", container.stop_with_timeout(Some(0)).await);
            say("remove", container.rm().await);
        }
        Err(error) => println!("start: {error}"),
    }
    let build = GenericBuildableImage::new("swr-tc-rust-built", "1").with_dockerfile_string("FROM busybox:test\nRUN true\n");
    say("build", build.build_image().await);
    let asked = GenericImage::new("busybox", "test").with_privileged(true).with_network("host").with_cap_add("NET_ADMIN");
    say("asks for much", asked.with_cmd(["true"]).start().await);
}
