// Testcontainers for Node: node testcontainers.js WORKDIR; engine in DOCKER_HOST. How a step ends does not matter.
const { writeFileSync } = require("fs");
const { GenericContainer, Network, Wait, DockerComposeEnvironment } = require("testcontainers");

const work = process.argv[2];
const server = ["sh", "-c", "mkdir /www; echo ready; exec httpd -f -p 8080 -h /www"];

async function step(name, action) {
  try {
    console.log(`${name}: ${String(await action()).slice(0, 60)}`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}

async function main() {
  let network, made;
  await step("network", async () => { network = await new Network().start(); });
  await step("start", async () => {
    let container = new GenericContainer("busybox:test").withName("swr-tc-js").withCommand(server).withExposedPorts(8080)
      .withEnvironment({ ONE: "1" }).withLabels({ purpose: "test" }).withHostname("box").withUser("0").withWorkingDir("/tmp")
      .withTmpFs({ "/scratch": "rw,size=1m" }).withUlimits({ nofile: { soft: 100, hard: 100 } }).withSharedMemorySize(32 << 20)
      .withResourcesQuota({ memory: 0.1, cpu: 0.5 }).withAddedCapabilities("NET_ADMIN").withDroppedCapabilities("NET_RAW")
      .withExtraHosts([{ host: "one", ipAddress: "192.0.2.1" }]).withSecurityOpt("no-new-privileges")
      .withCopyContentToContainer([{ content: "sent in", target: "/tmp/sent" }]).withHealthCheck({ test: ["CMD", "true"], interval: 1000 })
      .withWaitStrategy(Wait.forLogMessage("ready")).withStartupTimeout(20000).withDefaultLogDriver();
    if (network) container = container.withNetwork(network).withNetworkAliases("server");
    made = await container.start();
    return made.getMappedPort(8080);
  });
  if (made) {
    await step("exec", async () => (await made.exec(["id"], { workingDir: "/tmp", user: "1000", env: { A: "1" } })).output);
    await step("logs", async () => { (await made.logs({ tail: 3 })).destroy(); });
    await step("copy in", () => made.copyContentToContainer([{ content: "more", target: "/tmp/more" }]));
    await step("copy out", async () => { for await (const _ of await made.copyArchiveFromContainer("/tmp/sent")); });
    await step("commit", () => made.commit({ repo: "swr-tc-js", tag: "1", deleteOnExit: false }));
    await step("restart", () => made.restart({ timeout: 0 }));
    await step("stop", () => made.stop({ timeout: 0, remove: true, removeVolumes: true }));
  }
  if (network) await step("network stop", () => network.stop());
  writeFileSync(`${work}/Dockerfile`, "FROM busybox:test\nARG A\nRUN true\n");
  await step("build", async () => {
    const built = await GenericContainer.fromDockerfile(work).withBuildArgs({ A: "1" }).withCache(false).build("swr-tc-js-built:1", { deleteOnExit: false });
    return built;
  });
  await step("asks for much", async () => {
    const much = await new GenericContainer("busybox:test").withName("swr-tc-js-much").withPrivilegedMode().withNetworkMode("host")
      .withCommand(["sleep", "100"]).withBindMounts([{ source: work, target: "/work", mode: "ro" }]).withReuse().start();
    await much.stop();
  });
  await step("pull", () => new GenericContainer("127.0.0.1:1/swr/none:1").start());
}

main().finally(() => process.exit());
