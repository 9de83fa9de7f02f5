"""docker-py, widely: docker_py.py; engine in DOCKER_HOST. How a call ends does not matter."""

import io

import docker
from docker.types import DeviceRequest, Healthcheck, IPAMConfig, IPAMPool, LogConfig, Mount, Ulimit

client = docker.from_env(timeout=30)
api = client.api
NOWHERE = {"label": "swr-nothing-has-this"}
AUTH = {"username": "ci", "password": "a secret"}


def step(name, action):
    try:
        result = action()
        print(f"{name}: {str(result)[:60]}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")


def create(**options):
    made = client.containers.create("busybox:test", ["sleep", "100"], name="swr-py", **options)
    made.remove(force=True, v=True)


step("create: resources", lambda: create(
    blkio_weight=100, cpu_count=None, cpu_period=50000, cpu_quota=25000, cpu_shares=10, cpuset_cpus="0", cpuset_mems="0",
    mem_limit="64m", mem_reservation="32m", memswap_limit=-1, mem_swappiness=10, nano_cpus=None, oom_kill_disable=True,
    oom_score_adj=10, pids_limit=50, shm_size="32m", ulimits=[Ulimit(name="nofile", soft=1, hard=2)],
    device_read_bps=[{"Path": "/dev/null", "Rate": 1000}], blkio_weight_device=[{"Path": "/dev/null", "Weight": 100}]))
step("create: namespaces", lambda: create(
    pid_mode="host", ipc_mode="shareable", uts_mode="host", userns_mode="host", cgroupns="private", network_mode="host"))
step("create: rights", lambda: create(
    privileged=True, cap_add=["ALL"], cap_drop=["NET_RAW"], security_opt=["seccomp=unconfined"], devices=["/dev/null:/dev/n:r"],
    device_cgroup_rules=["c 1:3 r"], group_add=["27"], runtime="runc", sysctls={"net.ipv4.ip_forward": 1}, read_only=True,
    device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])], cgroup_parent="x"))
step("create: network", lambda: create(
    dns=["192.0.2.1"], dns_opt=["ndots:1"], dns_search=["example.com"], domainname="example.com", extra_hosts={"a": "192.0.2.2"},
    hostname="box", links={"swr-none": "alias"}, mac_address="02:42:00:00:00:01", publish_all_ports=True,
    ports={"80/tcp": 8081, "81/udp": ("127.0.0.1", None), "82/tcp": [8083, 8084]}))
step("create: mounts", lambda: create(
    volumes={"swr-py": {"bind": "/data", "mode": "ro"}, "/tmp": {"bind": "/host", "mode": "rw", "propagation": "rslave"}},
    mounts=[Mount("/a", "swr-py", driver_config=docker.types.DriverConfig("local", {"type": "tmpfs"}), labels={"a": "b"}, no_copy=True),
            Mount("/b", "/tmp", type="bind", propagation="rprivate"), Mount("/c", None, type="tmpfs", tmpfs_size="1m", tmpfs_mode=0o700)],
    tmpfs={"/d": ""}, volumes_from=["swr-none:ro"], volume_driver="local", storage_opt={"size": "1G"}))
step("create: the rest", lambda: create(
    auto_remove=True, detach=True, entrypoint=["sh"], environment=["A=1"], healthcheck=Healthcheck(test=["CMD", "true"], interval=10**9),
    init=True, labels=["one", "two"], log_config=LogConfig(type="json-file", config={"a": "b"}), platform="linux/amd64",
    restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, stdin_open=True, stop_signal="INT", tty=True,
    use_config_proxy=True, user="1000", working_dir="/tmp"))

main = client.containers.run("busybox:test", ["sleep", "100"], name="swr-py", detach=True, stdin_open=True)
step("list", lambda: client.containers.list(all=True, filters={"name": "swr-", "status": ["running"]}, limit=3, sparse=True))
step("logs", lambda: main.logs(since=1, until=2, tail=3, timestamps=True, stderr=False))
step("top", lambda: main.top(ps_args="-ef"))
step("stats", lambda: main.stats(stream=False, one_shot=True) if api._version >= "1.41" else main.stats(stream=False))
step("update", lambda: main.update(mem_limit="64m", memswap_limit=-1, cpu_shares=10, restart_policy={"Name": "no"}))
step("resize", lambda: main.resize(30, 90))
step("exec", lambda: main.exec_run("id", privileged=True, environment={"A": "1"}, workdir="/tmp", user="1000", tty=True, stdin=True))
step("exec detached", lambda: main.exec_run("true", detach=True))
step("commit", lambda: main.commit("swr-py-commit", "1", author="an author", message="m", changes="CMD true", conf={"Env": ["A=b"]}))
step("websocket", lambda: main.attach_socket(params={"stdin": 1, "stream": 1}, ws=True))
step("restart", lambda: main.restart(timeout=0))
step("wait", lambda: (main.kill("KILL"), main.wait(timeout=20, condition="not-running")))
step("remove", lambda: main.remove(v=True, force=True))
step("prune", lambda: client.containers.prune(NOWHERE))

step("images", lambda: client.images.list(all=True, filters={"dangling": False, "reference": "busybox"}))
step("tag", lambda: client.images.get("busybox:test").tag("127.0.0.1:1/swr/py", "1", force=True))
step("push", lambda: client.images.push("127.0.0.1:1/swr/py", "1", auth_config=AUTH))
step("pull", lambda: client.images.pull("127.0.0.1:1/swr/py", all_tags=True, auth_config=AUTH, platform="linux/amd64"))
step("distribution", lambda: client.images.get_registry_data("127.0.0.1:1/swr/py:1", auth_config=AUTH))
step("import", lambda: api.import_image_from_data(b"\0" * 1024, repository="swr-py-import", tag="1", changes=["CMD true"]))
step("import from a URL", lambda: api.import_image_from_url("http://127.0.0.1:1/x.tar", repository="swr-py-import"))
step("save", lambda: b"".join(client.images.get("127.0.0.1:1/swr/py:1").save(named=True)))
step("load", lambda: client.images.load(b"\0" * 1024))
step("search", lambda: client.images.search("127.0.0.1:1/busybox", limit=3))
step("build", lambda: client.images.build(
    fileobj=io.BytesIO(b"FROM busybox:test\nRUN true\n"), tag="swr-py-built:1", quiet=True, nocache=True, rm=True, pull=False,
    forcerm=True, buildargs={"A": "1"}, labels={"purpose": "test"}, cache_from=["busybox:test"], network_mode="none", squash=False,
    shmsize=32 << 20, extra_hosts={"a": "192.0.2.1"}, platform="linux/amd64", isolation=None, target="",
    container_limits={"memory": 64 << 20, "memswap": -1, "cpushares": 10, "cpusetcpus": "0"}))
step("build from a URL", lambda: client.images.build(path="http://127.0.0.1:1/context.tar"))
for image in ("127.0.0.1:1/swr/py:1", "swr-py-commit:1", "swr-py-import:1", "swr-py-built:1"):
    step("remove", lambda: client.images.remove(image, force=True, noprune=True))
step("prune", lambda: client.images.prune(NOWHERE))
step("prune builds", lambda: api.prune_builds(filters={"until": "200000h"}))

pool = IPAMConfig(pool_configs=[IPAMPool(subnet="198.18.1.0/24", iprange="198.18.1.0/25", gateway="198.18.1.1", aux_addresses={"a": "198.18.1.5"})])
step("network", lambda: client.networks.create(
    "swr-py", driver="bridge", options={"com.docker.network.driver.mtu": "1400"}, ipam=pool, check_duplicate=True, internal=True,
    labels={"purpose": "test"}, enable_ipv6=False, attachable=True, scope="local", ingress=False))
step("networks", lambda: client.networks.list(names=["swr-py"], ids=[], filters={"driver": "bridge"}, greedy=True))
step("connect", lambda: client.networks.get("swr-py", verbose=True, scope="local").connect(
    "swr-none", aliases=["a"], links=["b:c"], ipv4_address="198.18.1.9", link_local_ips=["169.254.1.1"], driver_opt={"a": "b"}))
step("create in it", lambda: create(network="swr-py", networking_config={"swr-py": api.create_endpoint_config(aliases=["a"], ipv4_address="198.18.1.9")}))
step("disconnect", lambda: client.networks.get("swr-py").disconnect("swr-none", force=True))
step("remove", lambda: client.networks.get("swr-py").remove())
step("volume", lambda: client.volumes.create("swr-py", driver="local", driver_opts={"type": "tmpfs"}, labels={"a": "b"}))
step("volumes", lambda: client.volumes.list(filters={"dangling": True}))
step("remove", lambda: client.volumes.get("swr-py").remove(force=True))
step("prune", lambda: (client.networks.prune(NOWHERE), client.volumes.prune(NOWHERE)))
step("df", client.df)
step("events", lambda: list(client.events(since=1, until=2, filters={"type": "container"}, decode=True)))
step("login", lambda: client.login("ci", "a secret", registry="http://127.0.0.1:1", reauth=True))
step("services", lambda: client.services.list())
step("plugins", lambda: client.plugins.list())
step("nodes", lambda: client.nodes.list())
