// dockerode, widely: node dockerode.js; engine in DOCKER_HOST. How a call ends does not matter.
const Docker = require("dockerode");
const { Readable } = require("stream");

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace("unix://", "") });
const auth = { username: "ci", password: "a secret", serveraddress: "127.0.0.1:1" };
const nowhere = { filters: { label: ["swr-nothing-has-this"] } };
const archive = () => Readable.from([Buffer.alloc(1024)]);

async function step(name, action) {
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error("not within 20 s")), 20000).unref());
  try {
    await Promise.race([action(), late]);
    console.log(`${name}: done`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}

const read = async (stream) => { for await (const _ of stream); };

const everything = {
  name: "swr-js-all", platform: "linux/amd64", Image: "busybox:test", Cmd: ["sh", "-c", "sleep 100"], Tty: false, OpenStdin: true, StdinOnce: false,
  AttachStdin: false, AttachStdout: true, AttachStderr: true, Env: ["A=1"], Labels: { purpose: "test" }, User: "1000", WorkingDir: "/tmp",
  ExposedPorts: { "80/tcp": {} }, Volumes: { "/anonymous": {} }, Hostname: "box", Domainname: "", StopSignal: "INT", StopTimeout: 3,
  Healthcheck: { Test: ["CMD", "true"], Interval: 1e9 },
  HostConfig: {
    AutoRemove: false, Binds: ["swr-js:/data:ro"], Memory: 64 << 20, MemorySwap: -1, NanoCpus: 5e8, CpuShares: 10, PidsLimit: 50,
    CapAdd: ["NET_ADMIN"], CapDrop: ["ALL"], Privileged: false, PublishAllPorts: false, ReadonlyRootfs: true, Dns: ["192.0.2.1"],
    PortBindings: { "80/tcp": [{ HostPort: "0", HostIp: "127.0.0.1" }] }, RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 },
    NetworkMode: "bridge", ExtraHosts: ["a:192.0.2.2"], Tmpfs: { "/scratch": "size=1m" }, Ulimits: [{ Name: "nofile", Soft: 1, Hard: 2 }],
    LogConfig: { Type: "json-file", Config: { "max-size": "1m" } }, SecurityOpt: ["no-new-privileges"], ShmSize: 32 << 20,
    Mounts: [{ Type: "volume", Source: "swr-js", Target: "/volume", ReadOnly: true }, { Type: "tmpfs", Target: "/b", TmpfsOptions: { SizeBytes: 1024 } }],
    Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/n", CgroupPermissions: "r" }], Sysctls: { "net.ipv4.ip_forward": "1" }, Init: true,
  },
  NetworkingConfig: { EndpointsConfig: { bridge: { Aliases: ["one"] } } },
};

async function main() {
  await step("ping", () => docker.ping());
  await step("version", () => docker.version());
  await step("info", () => docker.info());
  await step("df", () => docker.df());
  await step("auth", () => docker.checkAuth(auth));
  await step("events", async () => read(await docker.getEvents({ since: 1, until: 2, filters: { type: ["container"] } })));
  await step("create with everything", () => docker.createContainer(everything));
  await step("remove", () => docker.getContainer("swr-js-all").remove({ force: true, v: true }));
  await step("run", () => docker.run("busybox:test", ["echo", "hello"], process.stdout, { name: "swr-js-run", HostConfig: { AutoRemove: true } }));

  const made = await docker.createContainer({ name: "swr-js", Image: "busybox:test", Cmd: ["sleep", "100"], OpenStdin: true });
  await step("attach", () => made.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true }));
  await step("attach without stdin", () => made.attach({ stream: true, stdout: true, stderr: true, logs: true }));
  await step("start", () => made.start());
  await step("list", () => docker.listContainers({ all: true, limit: 3, size: true, filters: { name: ["swr-"], status: ["running"] } }));
  await step("list, filters as text", () => docker.listContainers({ filters: '{"name":["swr-"]}' }));
  await step("inspect", () => made.inspect({ size: true }));
  await step("top", () => made.top({ ps_args: "-ef" }));
  await step("stats", () => made.stats({ stream: false, "one-shot": true }));
  await step("logs", () => made.logs({ follow: false, stdout: true, stderr: true, tail: 3, since: 1, timestamps: true }));
  await step("resize", () => made.resize({ h: 30, w: 90 }));
  await step("update", () => made.update({ Memory: 64 << 20, MemorySwap: -1, RestartPolicy: { Name: "no" } }));
  await step("exec", async () => {
    const exec = await made.exec({ Cmd: ["id"], AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Env: ["A=1"], User: "1000", WorkingDir: "/tmp", Privileged: true });
    await exec.start({ hijack: true, stdin: true, Tty: true });
    await exec.resize({ h: 30, w: 90 });
    await exec.inspect();
  });
  await step("exec detached", async () => (await made.exec({ Cmd: ["true"] })).start({ Detach: true }));
  await step("put archive", () => made.putArchive(archive(), { path: "/tmp", noOverwriteDirNonDir: 1 }));
  await step("get archive", async () => read(await made.getArchive({ path: "/etc/passwd" })));
  await step("stat archive", () => made.infoArchive({ path: "/etc/passwd" }));
  await step("changes", () => made.changes());
  await step("commit", () => made.commit({ repo: "swr-js-commit", tag: "1", comment: "m", author: "a", pause: true, changes: "CMD true", Cmd: ["true"] }));
  await step("pause", () => made.pause());
  await step("unpause", () => made.unpause());
  await step("restart", () => made.restart({ t: 0 }));
  await step("rename", () => made.rename({ name: "swr-js-2" }));
  await step("kill", () => made.kill({ signal: "KILL" }));
  await step("wait", () => made.wait({ condition: "not-running" }));
  await step("stop", () => made.stop({ t: 0 }));
  await step("export", async () => read(await made.export()));
  await step("remove", () => made.remove({ force: true, v: true }));
  await step("prune", () => docker.pruneContainers(nowhere));

  const image = docker.getImage("busybox:test");
  await step("images", () => docker.listImages({ all: true, digests: true, filters: { reference: ["busybox"] } }));
  await step("inspect", () => image.inspect());
  await step("history", () => image.history());
  await step("tag", () => image.tag({ repo: "127.0.0.1:1/swr/js", tag: "1" }));
  await step("push", async () => read(await docker.getImage("127.0.0.1:1/swr/js").push({ tag: "1", authconfig: auth })));
  await step("pull", async () => read(await docker.pull("127.0.0.1:1/swr/js:1", { authconfig: auth, platform: "linux/amd64" })));
  await step("pull without credentials", async () => read(await docker.pull("127.0.0.1:1/swr/js")));
  await step("distribution", () => docker.getImage("127.0.0.1:1/swr/js:1").distribution({ authconfig: auth }));
  await step("import", async () => read(await docker.importImage(archive(), { repo: "swr-js-import", tag: "1" })));
  await step("load", async () => read(await docker.loadImage(archive(), { quiet: true })));
  await step("save", async () => read(await docker.getImage("127.0.0.1:1/swr/js:1").get()));
  await step("search", () => docker.searchImages({ term: "127.0.0.1:1/busybox", limit: 3 }));
  await step("build", async () => read(await docker.buildImage(archive(), {
    t: "swr-js-built:1", dockerfile: "Dockerfile", rm: true, forcerm: true, nocache: true, pull: false, q: false, memory: 64 << 20,
    buildargs: { A: "1" }, labels: { purpose: "test" }, networkmode: "none", extrahosts: "a:192.0.2.1", target: "", platform: "linux/amd64",
    registryconfig: { "127.0.0.1:1": auth }, cachefrom: ["busybox:test"],
  })));
  for (const name of ["127.0.0.1:1/swr/js:1", "swr-js-commit:1", "swr-js-import:1"]) {
    await step("remove", () => docker.getImage(name).remove({ force: true, noprune: true }));
  }
  await step("prune", () => docker.pruneImages(nowhere));

  await step("network", () => docker.createNetwork({
    Name: "swr-js", CheckDuplicate: true, Driver: "bridge", Internal: true, Attachable: true, EnableIPv6: false, Labels: { purpose: "test" },
    IPAM: { Driver: "default", Config: [{ Subnet: "198.18.2.0/24", Gateway: "198.18.2.1" }] }, Options: { "com.docker.network.driver.mtu": "1400" },
  }));
  const network = docker.getNetwork("swr-js");
  await step("networks", () => docker.listNetworks({ filters: { name: ["swr-js"] } }));
  await step("inspect", () => network.inspect({ verbose: true, scope: "local" }));
  await step("connect", () => network.connect({ Container: "swr-none", EndpointConfig: { Aliases: ["a"], IPAMConfig: { IPv4Address: "198.18.2.9" } } }));
  await step("disconnect", () => network.disconnect({ Container: "swr-none", Force: true }));
  await step("remove", () => network.remove());
  await step("volume", () => docker.createVolume({ Name: "swr-js", Driver: "local", DriverOpts: { type: "tmpfs" }, Labels: { a: "b" } }));
  await step("volumes", () => docker.listVolumes({ filters: { name: ["swr-js"] } }));
  await step("inspect", () => docker.getVolume("swr-js").inspect());
  await step("remove", () => docker.getVolume("swr-js").remove({ force: true }));
  await step("prune", () => docker.pruneNetworks(nowhere));
  await step("prune", () => docker.pruneVolumes(nowhere));
  await step("services", () => docker.listServices());
  await step("plugins", () => docker.listPlugins());
  await step("nodes", () => docker.listNodes());
}

main().finally(() => process.exit());
