import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort, get, startRolecall, untilReady } from "#apps/demo/processes.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";

/** Nothing listens there. */
const NOWHERE = "http://127.0.0.1:9";

describe("a process that finds nobody", { timeout: 40_000 }, () => {
  let folder: string;
  let tls: string[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-outage-"));
    const authority = await createAuthority();
    const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
    const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
    tls = [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("an agent starts and stays up, is alive and not ready, and refuses retryably", async () => {
    const [port, telemetry, nobody] = [await freePort(), await freePort(), await freePort()];
    await using agent = startRolecall([
      "agent",
      ...tls,
      "--host=127.0.0.1",
      "--node-name=node-a",
      `--port=${port}`,
      `--server-address=localhost:${nobody}`,
      `--metadata-endpoint=${NOWHERE}`,
      `--prometheus-listen-addr=127.0.0.1:${telemetry}`,
    ]);
    await untilReady(`http://127.0.0.1:${telemetry}/livez`);
    await untilReady(`http://127.0.0.1:${port}/ping`);

    const started = performance.now();
    const list = await get(`http://127.0.0.1:${port}/latest/meta-data/iam/security-credentials/`);

    assert.equal(list.status, 500);
    assert.ok(performance.now() - started < 1_500);
    assert.equal((await get(`http://127.0.0.1:${telemetry}/readyz`)).status, 503);
    assert.equal((await get(`http://127.0.0.1:${port}/ping`)).body, "pong");
    assert.doesNotMatch(agent.lines.join("\n"), /fatal/);
  });

  test("a server starts and stays up without the API server and STS, and says why it is not ready", async () => {
    const [port, telemetry] = [await freePort(), await freePort()];
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: "a", cluster: { server: NOWHERE } }],
        users: [{ name: "a", user: {} }],
        contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
        "current-context": "a",
      }),
    );
    await using server = startRolecall([
      "server",
      ...tls,
      `--bind=127.0.0.1:${port}`,
      `--kubeconfig=${kubeconfig}`,
      `--sts-endpoint=${NOWHERE}`,
      "--region=eu-west-1",
      `--prometheus-listen-addr=127.0.0.1:${telemetry}`,
    ]);
    await untilReady(`http://127.0.0.1:${telemetry}/livez`);

    const ready = await get(`http://127.0.0.1:${telemetry}/readyz`);

    assert.equal(ready.status, 503);
    assert.match(ready.body, /pods have not been listed yet/);
    assert.match(ready.body, /base ARN/);
    assert.match(server.lines.join("\n"), /watch broke/);
    assert.doesNotMatch(server.lines.join("\n"), /fatal/);
  });
});
