"""A test suite with Testcontainers for Python that is killed before it can clean up; engine in DOCKER_HOST.

Says `session ID`, then `ready`, then waits for its end.
"""

import time
import urllib.request

from testcontainers.core.container import DockerContainer
from testcontainers.core.labels import SESSION_ID
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

network = Network().create()
server = DockerContainer("busybox:test", network=network, network_aliases=["server"]).with_exposed_ports(8080)
server.with_command(["sh", "-c", "mkdir /www; echo hello >/www/index.html; echo listening; exec httpd -f -p 8080 -h /www"])
server.with_volume_mapping("swt-tc-py", "/data", "rw").with_name("swt-tc-py").start()
wait_for_logs(server, "listening", timeout=240)
for _ in range(600):
    # It says so just before it listens.
    try:
        said = urllib.request.urlopen(f"http://127.0.0.1:{server.get_exposed_port(8080)}/", timeout=10).read()
        break
    except OSError:
        time.sleep(0.2)
assert said == b"hello\n", said
client = DockerContainer("busybox:test", network=network).with_command(["sleep", "10000"]).start()
code, said = client.exec(["wget", "-qO-", "http://server:8080/"])
assert (code, said) == (0, b"hello\n"), (code, said)
print("session", SESSION_ID, flush=True)
print("ready", flush=True)
time.sleep(600)
