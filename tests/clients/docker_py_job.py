"""What a CI job does with the Docker SDK for Python, as a transcript that is the same wherever it runs.

    docker_py_job.py SOCKET REGISTRY WORKDIR

An independent client: it speaks HTTP in its own way (keep-alive, chunks, hijacked sockets) and shows
errors as exceptions. See job.sh for the rules of transcripts.
"""

import hashlib
import io
import pathlib
import random
import socket
import sys
import tarfile
import tempfile
import threading
import time

import docker
from docker.utils.socket import frames_iter

from normalise import normalise

SOCKET, REGISTRY, WORK = sys.argv[1:4]
BASE = f"{REGISTRY}/swj/python"
CONTENT = random.Random(20).randbytes(20 << 20)

client = docker.DockerClient(base_url=f"unix://{SOCKET}", version="auto", timeout=300)
api = client.api
unexpected = 0
started = time.monotonic()
JOB_LIMIT_SECONDS = 1500


def say(line):
    sys.stdout.write(normalise(f"{line}\n", SOCKET, REGISTRY, WORK))
    sys.stdout.flush()


def step(name, action, fails=None):
    """Runs one step; `fails` is the exception it must end with."""
    global unexpected
    if time.monotonic() - started > JOB_LIMIT_SECONDS:
        say(f"OUT OF TIME: the next step would have been: {name}")
        sys.exit(1)
    say(f"\n$ {name}")
    error = None
    try:
        result = action()
        if result is not None:
            say(f"result: {result!r}")
    except Exception as raised:
        error = type(raised).__name__
        say(f"{error}: {raised}")
    if error != fails:
        unexpected += 1
        say(f"UNEXPECTED: should have ended with {fails}")


def digest(data):
    return f"{hashlib.sha256(data).hexdigest()}  {len(data)} bytes"


def container(name):
    return client.containers.get(name)


def run(*command, **options):
    return client.containers.run("busybox:test", list(command), **options)


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("not within 120 s")
        time.sleep(0.1)


def tar_of(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def talk(stream, data):
    """Sends and receives at the same time, closes the sending side, reads to the end."""
    raw = stream._sock if hasattr(stream, "_sock") else stream
    sender = threading.Thread(target=lambda: (raw.sendall(data), raw.shutdown(socket.SHUT_WR)))
    sender.start()
    received = {1: b"", 2: b""}
    for number, chunk in frames_iter(raw, tty=False):
        received[number] += chunk
    sender.join()
    stream.close()
    return received


def images():
    step("version", lambda: [client.version()[key] for key in ("Version", "ApiVersion", "Os")])
    step("negotiated version", lambda: api._version)
    step("ping", client.ping)
    step("info", lambda: [client.info()[key] for key in ("OSType", "Driver", "ServerVersion")])
    step("tag", lambda: client.images.get("busybox:test").tag(BASE, "1"))
    step("push", lambda: [line for line in client.images.push(BASE, "1", stream=True, decode=True) if "aux" in line])
    step("untag", lambda: client.images.remove(f"{BASE}:1"))
    step("gone", lambda: client.images.get(f"{BASE}:1"), fails="ImageNotFound")
    auth = {"username": "ci", "password": "a secret"}
    step("pull", lambda: client.images.pull(BASE, "1", auth_config=auth).tags.count(f"{BASE}:1"))
    step("pull as a stream", lambda: list(api.pull(BASE, "1", stream=True, decode=True))[-1])
    step("pull what is not there", lambda: client.images.pull(BASE, "none"), fails="NotFound")
    step("list", lambda: len(client.images.list(BASE)))
    step("history", lambda: [layer["Size"] for layer in client.images.get(f"{BASE}:1").history()])
    saved = b""

    def save():
        nonlocal saved
        saved = b"".join(client.images.get(f"{BASE}:1").save(named=f"{BASE}:1"))
        packed = tarfile.open(fileobj=io.BytesIO(saved))
        layer = max(packed.getmembers(), key=lambda member: member.size)
        return digest(packed.extractfile(layer).read())

    # The engine says so in a stream that began well, sockwarden before there is one.
    def load_nonsense():
        try:
            client.images.load(b"no tar at all" * 100)
        except (docker.errors.ImageLoadError, docker.errors.APIError):
            return "refused"

    step("save", save)
    step("remove", lambda: client.images.remove(f"{BASE}:1"))
    step("load", lambda: [f"{BASE}:1" in image.tags for image in client.images.load(saved)])
    step("load nonsense", load_nonsense)
    step("remove again", lambda: client.images.remove(f"{BASE}:1"))


def containers():
    step("run", lambda: run("echo", "hello", name="swj-py", remove=True))
    step("run with stderr", lambda: run("sh", "-c", "echo out; echo err >&2", name="swj-py", remove=True, stdout=False, stderr=True))
    step("run fails", lambda: run("sh", "-c", "echo why >&2; exit 3", name="swj-py", remove=True), fails="ContainerError")
    step("run nothing", lambda: run("no-such-command", name="swj-py"), fails="APIError")
    step("remove what did not start", lambda: container("swj-py").remove())
    step("run with options", lambda: run(
        "sh", "-c", "echo $ONE; pwd; id -u; hostname; ulimit -n", name="swj-py", remove=True, environment={"ONE": "1"},
        working_dir="/tmp", user="1000:1000", hostname="box", labels={"purpose": "test"}, mem_limit="64m", nano_cpus=10**9,
        cap_drop=["ALL"], security_opt=["no-new-privileges"], tmpfs={"/scratch": "size=1m"}, read_only=True, init=True,
        ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=100)],
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m"})))
    loop = 'trap "exit 0" TERM; echo started; while :; do sleep 0.1; done'
    step("run in the background", lambda: run(
        "sh", "-c", loop, name="swj-py", detach=True, ports={"8080/tcp": ("127.0.0.1", None)},
        healthcheck={"test": ["CMD", "true"], "interval": 10**9}).name)
    step("name taken", lambda: run("true", name="swj-py", detach=True), fails="APIError")
    step("logs appear", lambda: wait_until(lambda: b"started" in container("swj-py").logs()))
    step("healthy", lambda: wait_until(lambda: container("swj-py").attrs["State"]["Health"]["Status"] == "healthy"))
    step("list", lambda: [[c.name, c.status] for c in client.containers.list(filters={"name": "swj-py"})])
    step("inspect", lambda: [container("swj-py").attrs[key] for key in ("Name", "Path", "Args", "RestartCount")])
    step("top", lambda: "sh" in [p[1] for p in container("swj-py").top(ps_args="-eo pid,comm")["Processes"]])
    step("stats", lambda: sorted(container("swj-py").stats(stream=False))[:3])

    def two_stats():
        stream = container("swj-py").stats(decode=True)
        return [next(stream)["name"], next(stream)["name"]]

    step("stats as a stream", two_stats)
    step("pause", lambda: container("swj-py").pause())
    step("unpause", lambda: container("swj-py").unpause())
    step("restart", lambda: container("swj-py").restart(timeout=2))
    step("rename", lambda: container("swj-py").rename("swj-py-renamed"))
    step("gone by the old name", lambda: container("swj-py"), fails="NotFound")
    step("stop", lambda: container("swj-py-renamed").stop(timeout=5))
    step("start", lambda: container("swj-py-renamed").start())
    step("kill", lambda: container("swj-py-renamed").kill("KILL"))
    step("wait", lambda: container("swj-py-renamed").wait()["StatusCode"])
    step("kill what is dead", lambda: container("swj-py-renamed").kill(), fails="APIError")
    step("put archive", lambda: container("swj-py-renamed").put_archive("/tmp", tar_of(content=CONTENT, small=b"small")))
    step("get archive", lambda: digest(tarfile.open(fileobj=io.BytesIO(
        b"".join(container("swj-py-renamed").get_archive("/tmp/content")[0]))).extractfile("content").read()))
    step("stat in get archive", lambda: container("swj-py-renamed").get_archive("/tmp/small")[1]["size"])
    step("get what is not there", lambda: container("swj-py-renamed").get_archive("/none"), fails="NotFound")
    step("diff", lambda: sorted(change["Path"] for change in container("swj-py-renamed").diff()))
    step("export", lambda: "tmp/small" in tarfile.open(fileobj=io.BytesIO(
        b"".join(container("swj-py-renamed").export()))).getnames())
    step("remove", lambda: container("swj-py-renamed").remove(force=True, v=True))
    step("wait for the end", lambda: run("sh", "-c", "sleep 2; exit 9", name="swj-py", detach=True).wait()["StatusCode"])
    step("remove", lambda: container("swj-py").remove())


def streams():
    step("run in the background", lambda: run("sleep", "600", name="swj-py", detach=True).name)
    step("exec", lambda: tuple(container("swj-py").exec_run(["sh", "-c", "echo out; echo err >&2; exit 5"], demux=True)))
    step("exec with options", lambda: container("swj-py").exec_run(
        ["sh", "-c", "echo $THREE; pwd; id -u"], environment={"THREE": "3"}, workdir="/tmp", user="1000").output)
    step("exec as a stream", lambda: digest(b"".join(container("swj-py").exec_run(["seq", "500000"], stream=True).output)))
    step("exec detached", lambda: container("swj-py").exec_run(["true"], detach=True).output)
    step("exec in what is not there", lambda: api.exec_create("swj-py-none", ["true"]), fails="NotFound")

    def exec_socket():
        created = api.exec_create("swj-py", ["sh", "-c", "cat; echo done >&2; exit 4"], stdin=True)
        received = talk(api.exec_start(created["Id"], socket=True), CONTENT)
        return digest(received[1]), received[2], api.exec_inspect(created["Id"])["ExitCode"]

    step("exec with stdin, half closed", exec_socket)

    def exec_terminal():
        created = api.exec_create("swj-py", ["sh", "-c", "until stty size | grep -x '33 101'; do sleep 0.1; done"], tty=True)
        stream = api.exec_start(created["Id"], tty=True, stream=True)
        api.exec_resize(created["Id"], height=33, width=101)
        return b"".join(stream)[-8:]

    step("exec on a terminal", exec_terminal)
    step("remove", lambda: container("swj-py").remove(force=True))

    def attach_socket():
        made = client.containers.create("busybox:test", ["sh", "-c", "sort; echo sorted >&2"], name="swj-py", stdin_open=True)
        stream = made.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        made.start()
        return talk(stream, b"b\na\nc\n"), made.wait()["StatusCode"]

    step("attach with stdin, half closed", attach_socket)
    step("remove", lambda: container("swj-py").remove())

    def attach_stream():
        lines = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.2; done"
        made = client.containers.create("busybox:test", ["sh", "-c", lines], name="swj-py")
        stream = made.attach(stream=True)
        made.start()
        return b"".join(stream)

    step("attach as a stream", attach_stream)
    step("logs followed", lambda: b"".join(container("swj-py").logs(stream=True, follow=True)))
    step("logs, the last of them", lambda: container("swj-py").logs(tail=1, timestamps=True))
    step("remove", lambda: container("swj-py").remove(force=True))

    def abandoned():
        made = run("sh", "-c", "while :; do echo again; sleep 0.1; done", name="swj-py", detach=True)
        stream = made.logs(stream=True, follow=True)
        first = next(stream)
        stream.close()
        return first[:5]

    step("logs abandoned", abandoned)
    step("remove", lambda: container("swj-py").remove(force=True))


def builds():
    dockerfile = b"""FROM busybox:test AS first
ARG WHO=nobody
COPY content /content
RUN sha256sum /content && echo "$WHO"
FROM first
CMD ["true"]
"""
    context = tar_of(Dockerfile=dockerfile, content=CONTENT)

    def build(text=None, **options):
        packed = tar_of(Dockerfile=text) if text else context
        _, log = client.images.build(
            fileobj=io.BytesIO(packed), custom_context=True, nocache=True, rm=True, forcerm=True, tag="swj-py:1", **options)
        return "".join(line.get("stream", "") for line in log)

    def from_elsewhere():
        with tempfile.TemporaryDirectory() as directory:
            context, dockerfile = pathlib.Path(directory, "context"), pathlib.Path(directory, "Elsewhere")
            context.mkdir()
            pathlib.Path(context, "content").write_text("of the context")
            dockerfile.write_text("FROM busybox:test\nCOPY content /content\nRUN cat /content\n")
            _, log = client.images.build(
                path=str(context), dockerfile=str(dockerfile), gzip=True, nocache=True, rm=True, tag="swj-py:2")
            return "".join(line.get("stream", "") for line in log)

    step("build", lambda: build(buildargs={"WHO": "somebody"}, labels={"purpose": "test"}))
    step("build a target", lambda: build(target="first", container_limits={"memory": 256 << 20}))
    step("built", lambda: client.images.get("swj-py:1").attrs["Architecture"])
    step("build that fails", lambda: build(b"FROM busybox:test\nRUN exit 7\n"), fails="BuildError")
    step("build of nonsense", lambda: build(b"FROM busybox:test\nWHATEVER\n"), fails="APIError")
    step("build with a Dockerfile from elsewhere, compressed", from_elsewhere)
    step("remove", lambda: client.images.remove("swj-py:1"))
    step("remove", lambda: client.images.remove("swj-py:2"))


def networks_and_volumes():
    step("create network", lambda: client.networks.create("swj-py", driver="bridge", labels={"purpose": "test"}, internal=True).name)
    step("list networks", lambda: [[n.name, n.attrs["Internal"]] for n in client.networks.list(names=["swj-py"])])
    step("run in it", lambda: run("sleep", "600", name="swj-py", network="swj-py", detach=True).name)
    # Engines that change their networks at the same time hold packets up.
    answered = "for i in $(seq 30); do ping -c 1 -W 3 swj-py && exit; done; exit 1"
    step("resolve", lambda: run("sh", "-c", answered, name="swj-py-2", network="swj-py", remove=True)[:11])
    step("disconnect", lambda: client.networks.get("swj-py").disconnect("swj-py"))
    step("connect", lambda: client.networks.get("swj-py").connect("swj-py", aliases=["other"]))
    step("connect twice", lambda: client.networks.get("swj-py").connect("swj-py"), fails="APIError")
    step("networks of it", lambda: list(container("swj-py").attrs["NetworkSettings"]["Networks"]))
    step("remove while used", lambda: client.networks.get("swj-py").remove(), fails="APIError")
    step("create volume", lambda: client.volumes.create("swj-py", labels={"purpose": "test"}).attrs["Driver"])
    step("list volumes", lambda: [v.name for v in client.volumes.list(filters={"name": "swj-py"})])
    step("write", lambda: run("sh", "-c", "echo kept >/d/f", name="swj-py-2", volumes=["swj-py:/d"], remove=True))
    step("read", lambda: run("cat", "/d/f", name="swj-py-2", remove=True, mounts=[
        docker.types.Mount("/d", "swj-py", type="volume", read_only=True)]))
    step("remove container", lambda: container("swj-py").remove(force=True))
    step("remove volume", lambda: client.volumes.get("swj-py").remove())
    step("remove network", lambda: client.networks.get("swj-py").remove())
    step("volume is gone", lambda: client.volumes.get("swj-py"), fails="NotFound")


def events():
    names = lambda stream: sorted(event["Action"] for event in stream)
    filters = {"container": "swj-py", "type": "container"}
    began = time.time()
    step("run", lambda: run("true", name="swj-py", remove=True))
    step("events of the past", lambda: names(client.events(decode=True, since=began, until=time.time(), filters=filters)))

    def live():
        seen = []
        stream = client.events(decode=True, since=time.time(), filters=filters)
        runner = threading.Thread(target=lambda: run("true", name="swj-py", remove=True))
        runner.start()
        for event in stream:
            seen.append(event)
            if event["Action"] == "destroy":
                break
        stream.close()
        runner.join()
        return names(seen)

    step("events as they come", live)


for part in (images, containers, streams, builds, networks_and_volumes, events):
    say(f"\n== {part.__name__} ==")
    part()
say(f"\nsteps that ended unexpectedly: {unexpected}")
sys.exit(unexpected != 0)
