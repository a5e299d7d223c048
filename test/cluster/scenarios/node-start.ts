import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { runJobs } from "../jobs.ts";
import { inNode, NODES } from "../network.ts";
import { createNamespace, startPod, type Pod } from "../pods.ts";
import { CREDENTIAL_URLS, isAgents, startProbe, type Answer, type Probe } from "../probe.ts";
import { TOPOLOGIES, type Scenario, type World } from "../world.ts";

const NAMESPACE = "node-start";
const ROLE = "starting";
/** How often each pod asks at each of the four addresses. */
const EVERY_MS = 20;
/** How long pods are watched for requests that get through. */
const WATCHED_MS = 1_500;
const ROLLOUT_MS = 60_000;
const FRESH_PODS = 10;

/** Takes away everything that `--interception=nft` puts in place: the two tables, and three routing rules for each address. */
const UNRULED = `
nft delete table inet rolecall
nft delete table bridge rolecall
for family in -4 -6; do
  for pref in 11 12 13; do
    while ip $family rule del pref $pref 2>/dev/null; do :; done
  done
done`;

/** A node from its boot on: who puts the first rules in place, and what gets through before. */
export const nodeStart: Scenario = (world) => {
  describe("a node from its boot on", () => {
    const pods: Pod[] = [];
    let asking: readonly Probe[] = [];
    const ask = (): void => {
      const plan = { urls: CREDENTIAL_URLS, everyMs: EVERY_MS, keepAlive: false };
      asking = pods.map((pod) => startProbe(pod, plan, world().cluster.signal));
    };
    const askNoMore = async (): Promise<void> => {
      for (const probe of asking) await probe[Symbol.asyncDispose]();
    };
    /** Waits until each pod was answered by its agent at each address; how long that took, in milliseconds. */
    const served = async (since: number): Promise<number> => {
      const first = asking.flatMap((probe) =>
        CREDENTIAL_URLS.map(async (url) => {
          const isServed = (answer: Answer): boolean =>
            answer.url === url && isAgents(answer, ROLE);
          return (await probe.first(isServed, since, ROLLOUT_MS)).at - since;
        }),
      );
      return Math.max(...(await Promise.all(first)));
    };
    before(async () => {
      const { cluster } = world();
      await createNamespace(cluster, NAMESPACE, ".*");
      for (const { node } of TOPOLOGIES) {
        pods.push(
          await startPod(cluster, { namespace: NAMESPACE, name: `on-${node}`, node, role: ROLE }),
        );
      }
      ask();
      await served(0);
    });
    after(async () => {
      await askNoMore();
      await world().rolecall.upgrade({});
    });

    test("an agent that tests its interception is ready once that has passed, and serves", async (t) => {
      const { rolecall, metadata } = world();
      const before = metadata.requests.length;
      await rolecall.upgrade({ agent: { host: { interceptionSelfTest: true } } });
      await served(Date.now());
      const logs = await rolecall.logs("agent");
      assert.equal(logs.length, TOPOLOGIES.length);
      for (const log of logs) assert.match(log, /the self-test of interception has passed/);
      // Neither a pod's request got there, nor one of the tests'.
      assert.deepEqual(byStrangers(world(), before), []);
      t.diagnostic(`the self-test passed on ${logs.length} nodes; 0 requests got through`);
    });

    test("without rules pods get through, until an init container has put rules in place", async (t) => {
      const { cluster, rolecall, metadata } = world();
      await takeRulesAway(world());
      const since = Date.now();
      for (const probe of asking) {
        await probe.first(({ body }) => body === "node-role", since, 5_000);
      }
      await rolecall.upgrade({ agent: { host: { interceptByInitContainer: true } } });
      await served(Date.now());
      const fell = metadata.forget();
      const last = Math.max(
        ...asking.flatMap(({ answers }) =>
          answers.filter(({ body }) => body === "node-role").map(({ at }) => at - since),
        ),
      );

      await sleep(WATCHED_MS);
      assert.deepEqual(metadata.fromPods(), []);
      for (const { pid } of await rolecall.processes("agent")) {
        assert.match(await readFile(`/proc/${pid}/status`, "utf8"), /^CapEff:\t0+$/m);
      }
      await createNamespace(cluster, `${NAMESPACE}-fresh`, ".*");
      const jobs = [{ role: "fresh", pods: FRESH_PODS }];
      const slowestMs = await runJobs(cluster, `${NAMESPACE}-fresh`, jobs);
      assert.deepEqual(metadata.fromPods(), []);
      t.diagnostic(
        `no rules, no agent: ${fell.length} requests got through, the last ${last} ms after; 0 from the init ` +
          `container's rules on, with agents that have no capability. First calls of ${FRESH_PODS} fresh pods: ` +
          `0 failed, the slowest took ${slowestMs} ms`,
      );
    });

    test("rules that the machine's boot puts in place let nothing through before the first agent", async (t) => {
      const { cluster, rolecall, metadata } = world();
      await askNoMore();
      await takeRulesAway(world());
      for (const { network, boot } of cluster.nodes.values()) {
        const flags = ["--interception=nft", "--port=8181", `--host=${network.addresses[0]}`];
        await boot(["rolecall", "agent", "intercept", ...flags]);
      }
      // At a boot there are no pods yet; here, those of others may have asked meanwhile.
      metadata.forget();
      const started = Date.now();
      ask();
      await sleep(WATCHED_MS);
      const early = asking.flatMap(({ answers }) => answers);
      assert.ok(early.length > 0);
      assert.deepEqual(
        early.filter(({ status }) => status !== 0),
        [],
      );
      await rolecall.upgrade({});
      const servedMs = await served(started);
      assert.deepEqual(metadata.fromPods(), []);
      t.diagnostic(
        `rules from the boot on: served ${servedMs} ms after pods began to ask, 0 requests got through before`,
      );
    });
  });
};

/** As after a reboot: no agent runs, and nothing of the rules is left. */
async function takeRulesAway({ rolecall }: World): Promise<void> {
  await rolecall.removeAgents();
  for (const { node } of TOPOLOGIES) await inNode(node, "sh", ["-euc", UNRULED]);
}

/** What somebody else than a node asked of the stand-in. */
function byStrangers({ metadata }: World, since: number): readonly object[] {
  const nodes: readonly string[] = NODES.flatMap(({ addresses }) => addresses);
  return metadata.requests.slice(since).filter(({ from }) => !nodes.includes(from));
}
