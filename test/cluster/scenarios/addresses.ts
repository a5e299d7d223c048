import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { METADATA_ADDRESS } from "../network.ts";
import {
  createNamespace,
  createPod,
  deletePods,
  podLog,
  runningPod,
  startPod,
  type Pod,
} from "../pods.ts";
import { answersIn, probe, probing, ROLE_PATH, type Answer } from "../probe.ts";
import { until } from "../process.ts";
import { roleIn, TOPOLOGIES, type Scenario, type World } from "../world.ts";

/** Pods of each node whose addresses others get while the servers are frozen. */
const MOVED = 25;
/** How often each of them asks for its role, and for its credentials. */
const EVERY_MS = 500;

/** An address goes from one pod to another, which must never get what the first one had. */
export const addresses: Scenario = (world) => {
  for (const { node, topology } of TOPOLOGIES) {
    test(`a ${topology} pod that reuses an address gets its own role from its first call`, async (t) => {
      const { cluster } = world();
      const namespace = `reuse-${node}`;
      await createNamespace(cluster, namespace, ".*");
      const giveAgain = await cluster.nodes.get(node)?.markAddresses();
      const first = await startPod(cluster, { namespace, name: "first", node, role: "former" });
      {
        await using asking = probe(first, `${ROLE_PATH}former`, 20, cluster.signal);
        await asking.first(({ status }) => status === 200, 0, 10_000);
      }
      await first.delete();
      await giveAgain?.(first.addresses);

      const second = await startPod(cluster, { namespace, name: "second", node, role: "latter" });
      assert.deepEqual(second.addresses, first.addresses);
      await using old = probe(second, `${ROLE_PATH}former`, 10, cluster.signal);
      await using own = probe(second, `${ROLE_PATH}latter`, 10, cluster.signal);
      const { body } = await own.first(({ status }) => status === 200, 0, 10_000);
      assert.match(roleIn(world(), body), /:role\/latter$/);
      await old.first(({ status }) => status === 404, 0, 10_000);
      assert.deepEqual(
        old.answers.filter(({ status }) => status === 200),
        [],
      );
      t.diagnostic(
        `${topology}: ${first.addresses.join(" and ")} reused, first own answer after ${Math.round(own.answers[0]?.ms ?? 0)} ms`,
      );
    });
  }

  test(`${MOVED * 2} addresses get other pods while the servers are frozen`, async (t) => {
    const { cluster, rolecall } = world();
    const namespace = "frozen";
    await createNamespace(cluster, namespace, ".*");
    const marked = await Promise.all([...cluster.nodes.values()].map((it) => it.markAddresses()));
    const former = await startMany(world(), namespace, "former");
    await Promise.all(former.map((pod) => answered(world(), pod)));

    const servers = await rolecall.processes("server");
    for (const { pid } of servers) process.kill(pid, "SIGSTOP");
    let latter: readonly Pod[];
    let thawed: number;
    try {
      await deletePods(cluster, namespace);
      for (const giveAgain of marked) await giveAgain(former.flatMap((pod) => pod.addresses));
      latter = await startMany(world(), namespace, "latter");
      await sleep(5_000);
    } finally {
      thawed = Date.now();
      for (const { pid } of servers) process.kill(pid, "SIGCONT");
    }
    const own = await Promise.all(latter.map((pod) => answered(world(), pod)));
    const before = new Set(former.map(({ address }) => address));
    const reused = latter.filter(({ address }) => before.has(address));
    assert.ok(reused.length > MOVED, `${reused.length} addresses were reused`);

    const all = await Promise.all(latter.map((pod) => answersOf(world(), pod)));
    const wrong = all.flatMap((answers, index) =>
      answers.filter((answer) => isWrong(world(), latter[index]?.name ?? "", answer)),
    );
    assert.deepEqual(wrong, []);
    const refused = all.flat().filter(({ status, at }) => status !== 200 && at < thawed);
    const slowest = Math.max(...own.map(({ at }) => at - thawed));
    t.diagnostic(
      `servers frozen, ${reused.length} of ${latter.length} new pods at addresses of former ones: 0 of ` +
        `${all.flat().length} answers wrong; ${refused.length} refusals until the servers went on, each within ` +
        `${Math.round(Math.max(0, ...refused.map(({ ms }) => ms)))} ms; all had their own ${slowest} ms after that`,
    );
  });
};

/** Pods on both nodes, each with a role of its own name, that ask from their first moment on. */
async function startMany(
  { cluster }: World,
  namespace: string,
  kind: string,
): Promise<readonly Pod[]> {
  const names = TOPOLOGIES.flatMap(({ node }) =>
    Array.from({ length: MOVED }, (_, index) => ({ node, name: `${kind}-${node}-${index}` })),
  );
  const asking = await Promise.all(
    names.map(async ({ name }) => {
      const list = `http://${METADATA_ADDRESS}${ROLE_PATH}`;
      return probing({ urls: [list, list + name], everyMs: EVERY_MS, keepAlive: false });
    }),
  );
  await Promise.all(
    names.map(({ node, name }, index) =>
      createPod(cluster, { namespace, name, node, role: name, ...asking[index] }),
    ),
  );
  return Promise.all(names.map(({ name }) => runningPod(cluster, { namespace, name })));
}

async function answersOf({ cluster }: World, pod: Pod): Promise<readonly Answer[]> {
  return answersIn(await podLog(cluster, pod.namespace, pod.name));
}

/** The first credentials that a pod got. */
async function answered(world: World, pod: Pod): Promise<Answer> {
  return until(
    async () =>
      (await answersOf(world, pod)).find(({ url, status }) => status === 200 && !url.endsWith("/")),
    {
      what: `credentials of ${pod.name}`,
      withinMs: 60_000,
      everyMs: 1_000,
      signal: world.cluster.signal,
    },
  );
}

/** Whether an answer tells a pod about another role than that of its own name. */
function isWrong(world: World, name: string, { url, status, body }: Answer): boolean {
  if (status !== 200) return false;
  return url.endsWith("/") ? body !== name : !roleIn(world, body).endsWith(`:role/${name}`);
}
