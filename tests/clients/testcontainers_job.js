// A test suite with Testcontainers for Node that is killed before it can clean up; engine in DOCKER_HOST.
// Says `session ID`, then `ready`, then waits for its end.
const assert = require("assert");
const { GenericContainer, Network, Wait, getContainerRuntimeClient } = require("testcontainers");

const server = ["sh", "-c", "mkdir /www; echo hello >/www/index.html; echo listening; exec httpd -f -p 8080 -h /www"];

async function main() {
  const network = await new Network().start();
  const served = await new GenericContainer("busybox:test").withName("swt-tc-js").withCommand(server).withExposedPorts(8080)
    .withNetwork(network).withNetworkAliases("server").withWaitStrategy(Wait.forLogMessage("listening")).start();
  const answer = await fetch(`http://127.0.0.1:${served.getMappedPort(8080)}/`);
  assert.strictEqual(await answer.text(), "hello\n");
  const client = await new GenericContainer("busybox:test").withCommand(["sleep", "10000"]).withNetwork(network).start();
  const said = await client.exec(["wget", "-qO-", "http://server:8080/"]);
  assert.deepStrictEqual([said.exitCode, said.output.trim()], [0, "hello"]);
  const { container } = await getContainerRuntimeClient();
  const labels = (await container.inspect(container.getById(served.getId()))).Config.Labels;
  console.log("session", labels["org.testcontainers.session-id"]);
  console.log("ready");
  setTimeout(() => {}, 600000);
}

main().catch((error) => { console.error(error); process.exit(1); });
