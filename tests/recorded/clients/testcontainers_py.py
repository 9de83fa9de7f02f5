"""Testcontainers for Python; engine in DOCKER_HOST. How a step ends does not matter."""

import pathlib
import sys

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

WORK = pathlib.Path(sys.argv[1])


def step(name, action):
    try:
        print(f"{name}: {str(action())[:60]}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")


def server():
    with Network() as network:
        container = DockerContainer("busybox:test", network=network, network_aliases=["server"])
        container.with_command(["sh", "-c", "mkdir /www; echo ready; exec httpd -f -p 8080 -h /www"]).with_exposed_ports(8080)
        container.with_env("ONE", "1").with_name("swr-tc-py").with_kwargs(labels={"purpose": "test"}, mem_limit="64m")
        container.with_volume_mapping("swr-tc-py", "/data", "rw").with_tmpfs_mount("/scratch", "1m")
        with container as made:
            wait_for_logs(made, "ready", timeout=20)
            made.exec(["id"])
            made.get_logs()
            return made.get_exposed_port(8080)


def build():
    (WORK / "Dockerfile").write_text("FROM busybox:test\nRUN true\n")
    with DockerImage(path=str(WORK), tag="swr-tc-py-built:1") as image:
        return image


def much():
    container = DockerContainer("busybox:test").with_command("sleep 100").with_name("swr-tc-py-much")
    container.with_kwargs(privileged=True, network_mode="host").with_volume_mapping(str(WORK), "/work", "ro")
    with container as made:
        return made.get_container_host_ip()


print("ryuk:", testcontainers_config.ryuk_image, testcontainers_config.ryuk_disabled)
step("server", server)
step("build", build)
step("asks for much", much)
step("pull", lambda: DockerContainer("127.0.0.1:1/swr/none:1").start())
