import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { createNamespace, createPod, deletePod, runningPod, startPod, type Pod } from "../pods.ts";
import { probe, ROLE_PATH, type Probe } from "../probe.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const NAMESPACE = "steady";
const OUTAGE_MS = 60_000;
/** What the AWS SDK for Go v2, the least patient client, waits for an answer (specs: aws-clients.md §2a). */
const PATIENCE_MS = 500;

/** Pods that were served go on being served, whatever goes away. */
export const outages: Scenario = (world) => {
  describe("pods that were served", () => {
    const pods: Pod[] = [];
    before(async () => {
      const { cluster } = world();
      await createNamespace(cluster, NAMESPACE, ".*");
      for (const { node } of TOPOLOGIES) {
        const options = { namespace: NAMESPACE, name: `steady-${node}`, node, role: "steady" };
        pods.push(await startPod(cluster, options));
      }
    });
    let probes: readonly Probe[];
    before(async () => {
      const { signal } = world().cluster;
      probes = pods.map((pod) => probe(pod, `${ROLE_PATH}steady`, 50, signal));
      for (const asking of probes) await asking.first(({ status }) => status === 200, 0, 10_000);
    });
    after(async () => {
      for (const asking of probes) await asking[Symbol.asyncDispose]();
    });

    /**
     * Lets something happen and, whatever comes of it, be mended; holds every answer of that time against
     * what pods need.
     */
    const goOn = async (
      happening: () => Promise<void>,
      mend: () => Promise<void> = async () => {},
    ): Promise<string> => {
      const from = probes.map(({ answers }) => answers.length);
      try {
        await happening();
      } finally {
        await mend();
      }
      const answers = probes.flatMap((asking, index) => asking.answers.slice(from[index]));
      assert.ok(answers.length > 20, "the pods asked all the time");
      const failed = answers.filter(({ status }) => status !== 200);
      const slowest = Math.round(Math.max(...answers.map(({ ms }) => ms)));
      assert.deepEqual(failed.slice(0, 3), []);
      assert.ok(slowest <= PATIENCE_MS, `an answer took ${slowest} ms`);
      return `${answers.length} answers, 0 failed, the slowest took ${slowest} ms`;
    };

    /** A change that is made now arrives: the servers follow the cluster, and the agents ask them. */
    const followed = async (t: TestContext): Promise<void> => {
      for (const pod of pods) {
        const since = Date.now();
        await pod.setRole("other");
        await using asking = probe(pod, ROLE_PATH, 50, world().cluster.signal);
        const { at } = await asking.first(({ body }) => body === "other", since, 60_000);
        t.diagnostic(`afterwards a changed role was followed in ${at - since} ms`);
        await pod.setRole("steady");
        await asking.first(({ body }) => body === "steady", Date.now(), 10_000);
      }
    };

    test("while the servers are rolled out", async (t) => {
      t.diagnostic(`servers rolled out: ${await goOn(() => world().rolecall.restart("server"))}`);
    });

    test("while one server is killed", async (t) => {
      const { rolecall } = world();
      const seen = await goOn(async () => {
        await rolecall.kill("server", 1);
        await sleep(3_000);
        await rolecall.rolledOut("server");
      });
      t.diagnostic(`one server killed: ${seen}`);
    });

    test("while both servers are gone for a minute", async (t) => {
      const { rolecall } = world();
      const seen = await goOn(async () => {
        await rolecall.killServers();
        await sleep(OUTAGE_MS);
        assert.deepEqual(await rolecall.pods("server"), []);
      }, rolecall.startServers);
      t.diagnostic(`both servers gone for 60 s: ${seen}`);
      await followed(t);
    });

    test("while STS fails and throttles; a new role comes when STS does", async (t) => {
      const { cluster, sts } = world();
      const options = { namespace: NAMESPACE, name: "late", node: "a", role: "late" };
      const callsOf = (): number =>
        sts.calls.filter(({ roleArn }) => roleArn.endsWith(":role/late")).length;
      const seen = await goOn(
        async () => {
          sts.become("throttles");
          await createPod(cluster, options);
          const pod = await runningPod(cluster, options);
          await using asking = probe(pod, `${ROLE_PATH}late`, 100, cluster.signal);
          await asking.first(({ status }) => status === 500, 0, 10_000);
          sts.become("fails");
          await sleep(10_000);
          const spent = callsOf();
          assert.ok(spent > 0 && spent <= 60, `${spent} calls while STS was away`);
          t.diagnostic(
            `STS away while a pod asked ten times a second: ${spent} calls by 2 servers`,
          );
          sts.become("works");
          const back = Date.now();
          const first = await asking.first(({ status }) => status === 200, back, 60_000);
          t.diagnostic(`STS back: the waiting pod got its role after ${first.at - back} ms`);
        },
        async () => sts.become("works"),
      );
      t.diagnostic(`STS failing and throttling: ${seen}`);
      await deletePod(cluster, NAMESPACE, "late");
    });

    test("while the API server is stopped for a minute; then changes are seen again", async (t) => {
      const { cluster } = world();
      const seen = await goOn(async () => {
        await cluster.controlPlane.stop();
        await sleep(OUTAGE_MS);
      }, cluster.controlPlane.start);
      t.diagnostic(`API server stopped for 60 s: ${seen}`);
      await followed(t);
    });
  });
};
