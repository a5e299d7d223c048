import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { inNode } from "../network.ts";
import { createNamespace, startPod } from "../pods.ts";
import { probe, ROLE_PATH } from "../probe.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const NAMESPACE = "agents";

/** Agents end in every way; pods are then refused, and never get the node's role. */
export const agents: Scenario = (world) => {
  const askedByPods = (): readonly string[] =>
    world()
      .metadata.requests.filter(({ from }) => from.startsWith("10.244."))
      .map(({ from, path }) => `${from} ${path}`);

  test("an agent that is killed, restarted or rolled out lets nothing through to the node's role", async (t) => {
    const { cluster, rolecall } = world();
    await createNamespace(cluster, NAMESPACE, ".*");
    for (const { node, topology } of TOPOLOGIES) {
      const options = { namespace: NAMESPACE, name: `asking-${node}`, node, role: "asking" };
      const pod = await startPod(cluster, options);
      await using asking = probe(pod, ROLE_PATH, 20, cluster.signal);
      await asking.first(({ body }) => body === "asking", 0, 10_000);

      const killed = Date.now();
      await rolecall.kill("agent");
      await asking.first(({ status }) => status === 0, killed, 10_000);
      const back = await asking.first(({ body }) => body === "asking", killed + 500, 90_000);
      t.diagnostic(`agent killed (${topology}): answers again after ${back.at - killed} ms`);
      await rolecall.rolledOut("agent");

      if (topology === "bridged") await rolecall.restart("agent");
      await asking.first(({ body }) => body === "asking", Date.now(), 60_000);
      const bodies = new Set(
        asking.answers.filter(({ status }) => status === 200).map(({ body }) => body),
      );
      assert.deepEqual([...bodies], ["asking"]);
    }
    assert.deepEqual(askedByPods(), []);
  });

  test("a rule that somebody deletes is put back", async (t) => {
    const { cluster, rolecall } = world();
    const rule = (await inNode("a", "iptables", ["-t", "nat", "-S", "PREROUTING"]))
      .split("\n")
      .find((line) => line.includes("169.254.169.254"));
    assert.ok(rule, "the agent's rule is there");
    const repaired = await rolecall.metric("agent", "rolecall_iptables_repairs_total");
    await inNode("a", "iptables", ["-t", "nat", ...rule.replace(/^-A/, "-D").split(" ")]);
    const gone = Date.now();
    while (!(await inNode("a", "iptables", ["-t", "nat", "-S", "PREROUTING"])).includes(rule)) {
      assert.ok(Date.now() - gone < 60_000, "the rule stays away");
      await sleep(100, undefined, { signal: cluster.signal });
    }
    t.diagnostic(`rule deleted by hand: back after ${Date.now() - gone} ms`);
    assert.equal(await rolecall.metric("agent", "rolecall_iptables_repairs_total"), repaired + 1);
  });

  test("without any agent, requests fail and none reaches the node's role", async (t) => {
    const { cluster, rolecall, metadata } = world();
    const pods = await Promise.all(
      TOPOLOGIES.map(({ node }) =>
        startPod(cluster, { namespace: NAMESPACE, name: `left-${node}`, node, role: "left" }),
      ),
    );
    const probes = pods.map((pod) => probe(pod, ROLE_PATH, 50, cluster.signal));
    await Promise.all(
      probes.map((asking) => asking.first(({ body }) => body === "left", 0, 10_000)),
    );
    await rolecall.removeAgents();
    const since = Date.now();
    await Promise.all(
      probes.map((asking) => asking.first(({ status }) => status === 0, since, 10_000)),
    );
    await sleep(2_000);
    for (const asking of probes) await asking[Symbol.asyncDispose]();
    const answers = probes.flatMap(({ answers }) => answers.filter(({ at }) => at > since));
    assert.ok(answers.length > 10);
    assert.deepEqual(
      answers.filter(({ status }) => status !== 0),
      [],
    );
    assert.deepEqual(askedByPods(), []);
    const credentials = metadata.requests.filter(({ path }) =>
      path.includes("security-credentials"),
    );
    assert.deepEqual(credentials, []);
    t.diagnostic(
      `"node-role" was asked for 0 times in ${metadata.requests.length} requests of agents`,
    );
  });
};
