import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { createNamespace, startPod } from "../pods.ts";
import { CREDENTIAL_URLS, probe, ROLE_PATH, startProbe, type Probe } from "../probe.ts";
import { TOPOLOGIES, type Scenario, type World } from "../world.ts";

const NAMESPACE = "agents";

/** Agents end in every way; pods are then refused, and never get the node's role. */
export const agents: Scenario = (world) => {
  test("an agent that is killed, restarted or rolled out lets nothing through to the node's role", async (t) => {
    const { cluster, rolecall } = world();
    await createNamespace(cluster, NAMESPACE, ".*");
    await using asking = await askFrom(world(), "asking");
    const bytes = await rolecall.metric("agent", "process_resident_memory_bytes");
    t.diagnostic(`an agent's memory: ${Math.round(bytes / TOPOLOGIES.length / 1e6)} MB`);
    const killed = Date.now();
    await rolecall.kill("agent");
    for (const { topology, probe } of asking.probes) {
      await probe.first(({ status }) => status === 0, killed, 10_000);
      const back = await probe.first(({ body }) => body === "asking", killed + 500, 90_000);
      t.diagnostic(`agent killed (${topology}): answers again after ${back.at - killed} ms`);
    }
    await rolecall.rolledOut("agent");
    await rolecall.restart("agent");
    for (const { probe } of asking.probes) {
      await probe.first(({ body }) => body === "asking", Date.now(), 60_000);
      const answered = probe.answers.filter(({ status }) => status === 200);
      assert.deepEqual([...new Set(answered.map(({ body }) => body))], ["asking"]);
    }
    assert.deepEqual(world().metadata.fromPods(), []);
  });

  test("without any agent, requests fail and none reaches the node's role", async (t) => {
    const { rolecall, metadata } = world();
    await using asking = await askFrom(world(), "left");
    await rolecall.removeAgents();
    const since = Date.now();
    for (const { probe } of asking.probes)
      await probe.first(({ status }) => status === 0, since, 10_000);
    await sleep(2_000);
    const answers = asking.probes.flatMap(({ probe }) =>
      probe.answers.filter(({ at }) => at > since),
    );
    assert.ok(answers.length > 10);
    assert.deepEqual(
      answers.filter(({ status }) => status !== 0),
      [],
    );
    assert.deepEqual(metadata.fromPods(), []);
    const credentials = metadata.requests.filter(({ path }) =>
      path.includes("security-credentials"),
    );
    assert.deepEqual(credentials, []);
    const back = Date.now();
    await rolecall.upgrade({});
    for (const { topology, probe } of asking.probes) {
      const { at } = await probe.first(({ body }) => body === "left", back, 30_000);
      t.diagnostic(`agents installed again (${topology}): answers after ${at - back} ms`);
    }
    assert.deepEqual(metadata.fromPods(), []);
    t.diagnostic(
      `"node-role" was asked for ${credentials.length} times in ${metadata.requests.length} requests, all of agents`,
    );
  });
};

/** One pod of each topology that asks for its role, once it was answered, and at every other credential address. */
async function askFrom(
  { cluster }: World,
  role: string,
): Promise<
  AsyncDisposable & {
    readonly probes: readonly { readonly topology: string; readonly probe: Probe }[];
  }
> {
  const resources = new AsyncDisposableStack();
  const probes = await Promise.all(
    TOPOLOGIES.map(async ({ node, topology }) => {
      const options = { namespace: NAMESPACE, name: `${role}-${node}`, node, role };
      const pod = await startPod(cluster, options);
      const everywhere = { urls: CREDENTIAL_URLS, everyMs: 50, keepAlive: false };
      resources.use(startProbe(pod, everywhere, cluster.signal));
      const asking = probe(pod, ROLE_PATH, 20, cluster.signal);
      await resources.use(asking).first(({ body }) => body === role, 0, 10_000);
      return { topology, probe: asking };
    }),
  );
  return { probes, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
