import assert from "node:assert/strict";
import { test } from "node:test";

import { createNamespace, startPod } from "../pods.ts";
import { probe, ROLE_PATH } from "../probe.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

/** An address goes from one pod to another, which must never get what the first one had. */
export const addresses: Scenario = (world) => {
  for (const { node, topology } of TOPOLOGIES) {
    test(`a ${topology} pod that reuses an address gets its own role from its first call`, async (t) => {
      const { cluster, sts } = world();
      const namespace = `reuse-${node}`;
      await createNamespace(cluster, namespace, ".*");
      const first = await startPod(cluster, { namespace, name: "first", node, role: "former" });
      {
        await using asking = probe(first, `${ROLE_PATH}former`, 20, cluster.signal);
        await asking.first(({ status }) => status === 200, 0, 10_000);
      }
      await first.delete();
      await first.node.nextAddress(first.address);

      const second = await startPod(cluster, { namespace, name: "second", node, role: "latter" });
      assert.equal(second.address, first.address);
      await using old = probe(second, `${ROLE_PATH}former`, 10, cluster.signal);
      await using own = probe(second, `${ROLE_PATH}latter`, 10, cluster.signal);
      const { body } = await own.first(({ status }) => status === 200, 0, 10_000);
      const { AccessKeyId } = JSON.parse(body) as { readonly AccessKeyId: string };
      assert.match(sts.roleOf(AccessKeyId) ?? "", /:role\/latter$/);
      await old.first(({ status }) => status === 404, 0, 10_000);
      assert.deepEqual(
        old.answers.filter(({ status }) => status === 200),
        [],
      );
      t.diagnostic(
        `${topology}: ${first.address} reused, first own answer after ${Math.round(own.answers[0]?.ms ?? 0)} ms`,
      );
    });
  }
};
