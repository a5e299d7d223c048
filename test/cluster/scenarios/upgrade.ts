import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { METADATA_ADDRESS } from "../network.ts";
import { createNamespace, startPod } from "../pods.ts";
import { medianMs, ROLE_PATH, startProbe, type Answer } from "../probe.ts";
import { TOPOLOGIES, type Scenario, type World } from "../world.ts";

const ROLE = "loaded";
/** Of two pods on each node, one with a connection for each request and one that keeps them: 500 a second in all. */
const EVERY_MS = 8;
const BEFORE_MS = 3_000;

/** Agents are replaced while pods ask 500 times a second. */
export const upgrade: Scenario = (world) => {
  test("an upgrade without surge refuses for a moment, and lets nothing through", async (t) => {
    const answers = await underLoad(world(), "no-surge", { maxUnavailable: 1 });
    t.diagnostic(`without surge: ${summary(answers)}`);
    const refused = answers.flat().filter(({ status }) => status !== 200);
    assert.deepEqual(
      refused.filter(({ status }) => status !== 0 && status !== 500),
      [],
    );
    assert.deepEqual(world().metadata.fromPods(), []);
  });

  test("an upgrade with surge fails no request", async (t) => {
    const answers = await underLoad(world(), "surge", { maxSurge: 1 });
    t.diagnostic(`with surge: ${summary(answers)}`);
    assert.deepEqual(
      answers.flat().filter(({ status }) => status !== 200),
      [],
    );
    assert.deepEqual(world().metadata.fromPods(), []);
  });
};

/** What each pod was answered while `helm upgrade` replaced the agents. */
async function underLoad(
  { cluster, rolecall }: World,
  namespace: string,
  strategy: object,
): Promise<readonly (readonly Answer[])[]> {
  await createNamespace(cluster, namespace, ".*");
  await using resources = new AsyncDisposableStack();
  // The strategy first: an upgrade that only changes it replaces no agent.
  await rolecall.upgrade({ agent: strategy });
  const probes = [];
  for (const { node } of TOPOLOGIES) {
    for (const keepAlive of [false, true]) {
      const name = `loading-${node}-${keepAlive ? "kept" : "new"}`;
      const pod = await startPod(cluster, { namespace, name, node, role: ROLE });
      const plan = { urls: [`http://${METADATA_ADDRESS}${ROLE_PATH}${ROLE}`], everyMs: EVERY_MS };
      const asking = resources.use(startProbe(pod, { ...plan, keepAlive }, cluster.signal));
      await asking.first(({ status }) => status === 200, 0, 10_000);
      probes.push(asking);
    }
  }
  const since = Date.now();
  await sleep(BEFORE_MS);
  await rolecall.upgrade({ agent: { ...strategy, podAnnotations: { upgraded: namespace } } });
  await sleep(BEFORE_MS);
  return probes.map(({ answers }) => answers.filter(({ at }) => at >= since));
}

function summary(byPod: readonly (readonly Answer[])[]): string {
  const answers = byPod.flat();
  const times = answers.map(({ at }) => at);
  const seconds = (Math.max(...times) - Math.min(...times)) / 1_000;
  const failed = answers.filter(({ status }) => status !== 200);
  const rate = Math.round(answers.length / seconds);
  const longest = Math.max(0, ...byPod.map(longestFailureMs));
  return (
    `${answers.length} requests at ${rate} a second, ${failed.length} failed, of a pod for at most ` +
    `${longest} ms; half answered within ${medianMs(answers).toFixed(2)} ms`
  );
}

/** The longest time for which a pod, asking all the time, was not served. */
function longestFailureMs(answers: readonly Answer[]): number {
  let longest = 0;
  let since: number | undefined;
  for (const { at, status } of answers.toSorted((one, other) => one.at - other.at)) {
    if (status === 200) since = undefined;
    else longest = Math.max(longest, at - (since ??= at));
  }
  return longest;
}
