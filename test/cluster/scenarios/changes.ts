import assert from "node:assert/strict";
import { test } from "node:test";

import { createNamespace, permit, startPod } from "../pods.ts";
import { probe, ROLE_PATH } from "../probe.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

/** How soon after the event a change must be seen (design invariant 1). */
const FOLLOWED_MS = 1_000;
const EVERY_MS = 20;

/** What a pod gets follows its annotation and its namespace while it runs. */
export const changes: Scenario = (world) => {
  for (const { node, topology } of TOPOLOGIES) {
    test(`a ${topology} pod's answer follows its role within a second`, async (t) => {
      const { cluster, sts } = world();
      const namespace = `changes-${node}`;
      await createNamespace(cluster, namespace, ".*role/(?:first|second)");
      const pod = await startPod(cluster, { namespace, name: "changing", node, role: "first" });
      await using list = probe(pod, ROLE_PATH, EVERY_MS, cluster.signal);
      await using second = probe(pod, `${ROLE_PATH}second`, EVERY_MS, cluster.signal);
      await list.first(({ body }) => body === "first", 0, 10_000);
      await second.first(({ status }) => status === 404, 0, 10_000);

      const follow = async (
        what: string,
        change: () => Promise<void>,
        seen: (since: number) => Promise<{ readonly at: number }>,
      ): Promise<void> => {
        const before = Date.now();
        await change();
        const event = Date.now();
        const ms = (await seen(before)).at - event;
        assert.ok(ms <= FOLLOWED_MS, `${what}: ${ms} ms`);
        t.diagnostic(`${what} (${topology}): followed ${Math.max(ms, 0)} ms after the event`);
      };
      await follow(
        "role changed",
        () => pod.setRole("second"),
        (since) => list.first(({ body }) => body === "second", since, 10_000),
      );
      const { body } = await second.first(({ status }) => status === 200, 0, 10_000);
      const { AccessKeyId } = JSON.parse(body) as { readonly AccessKeyId: string };
      assert.match(sts.roleOf(AccessKeyId) ?? "", /:role\/second$/);

      await follow(
        "permission tightened",
        () => permit(cluster, namespace, ".*role/first"),
        (since) => second.first(({ status }) => status === 404, since, 10_000),
      );
      await permit(cluster, namespace, ".*");
      await list.first(({ status }) => status === 200, Date.now(), 10_000);
      await follow(
        "role removed",
        () => pod.setRole(null),
        (since) => list.first(({ status }) => status === 404, since, 10_000),
      );
    });
  }
};
