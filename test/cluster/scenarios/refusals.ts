import assert from "node:assert/strict";
import { test } from "node:test";

import { createNamespace, startPod } from "../pods.ts";
import { until } from "../process.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const AT = "http://169.254.169.254";
const ROLES = "/latest/meta-data/iam/security-credentials/";

/** Spellings of paths that lead to credentials or user data, none of which an allow-list of `.*` opens. */
const CLOSED_PATHS = [
  `${ROLES}x%0a`,
  `${ROLES}node-role%0a`,
  "/latest/meta-data/iam%0a/security-credentials/",
  "/latest/meta-data/iam;a/security-credentials/",
  "/latest/meta-data/iam;/security-credentials/node-role",
  "/latest/meta-data/iam/security-credentials%20/",
  "/latest/meta-data/iam%2fsecurity-credentials%2fnode-role",
  "/latest/meta-data/%69am/security-credentials/node-role",
  "/latest/meta-data/%2569am/security-credentials/node-role",
  "//latest//meta-data//iam//security-credentials//node-role",
  "/latest/meta-data/placement/../iam/security-credentials/node-role",
  "/latest/meta-data/placement%2f..%2fiam/security-credentials/node-role",
  "/latest/META-DATA/IAM/security-credentials/node-role",
  "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
  "/latest/user-data",
  "/latest/user%2ddata",
];

/** Pods that get nothing, and are told why. */
export const refusals: Scenario = (world) => {
  for (const { node, topology } of TOPOLOGIES) {
    test(`a ${topology} pod whose namespace forbids its role gets 404, an event and a count`, async () => {
      const { cluster, rolecall } = world();
      const namespace = `refusals-${node}`;
      await createNamespace(cluster, namespace, ".*role/allowed");
      const refused = (): Promise<number> =>
        rolecall.metric("server", "rolecall_refusals_total", { code: "namespace_forbids" });
      // Counted when the pod's agent is told of it, which is before the pod asks.
      const before = await refused();
      const pod = await startPod(cluster, { namespace, name: "refused", node, role: "other" });
      assert.equal((await pod.get(AT + ROLES)).status, 404);
      assert.ok((await refused()) > before);

      const event = await until(
        async () => {
          const { items } = (await cluster.controlPlane.api.call(
            "GET",
            `/api/v1/namespaces/${namespace}/events?fieldSelector=reason=KiamRoleForbidden`,
          )) as { readonly items: readonly { readonly message: string }[] };
          return items[0];
        },
        { what: "the event of the refusal", withinMs: 10_000, signal: cluster.signal },
      );
      for (const named of ["other", ".*role/allowed"]) assert.ok(event.message.includes(named));
    });

    test(`no spelling of a path opens the node's credentials to a ${topology} pod`, async (t) => {
      const { cluster, metadata } = world();
      const namespace = `paths-${node}`;
      await createNamespace(cluster, namespace, ".*");
      const pod = await startPod(cluster, { namespace, name: "curious", node, role: "curious" });
      const before = metadata.requests.length;
      for (const path of CLOSED_PATHS) {
        assert.equal((await pod.get(AT + path)).status, 404, path);
      }
      // The one that the node has too is answered with the pod's own.
      const { body: info } = await pod.get(`${AT}/latest/meta-data/iam/info`);
      assert.match(info, /"InstanceProfileArn":"arn:aws:iam::\d+:instance-profile\/curious"/);
      assert.deepEqual(metadata.requests.slice(before), []);
      const region = "/latest/meta-data/placement/region";
      assert.equal((await pod.get(AT + region)).body, `of the node: ${region}`);
      t.diagnostic(`${CLOSED_PATHS.length} spellings from a ${topology} pod: none left the agent`);
    });

    test(`a pod on the host network of the ${topology} node gets no credentials from the agent`, async () => {
      const { cluster } = world();
      const namespace = `host-${node}`;
      await createNamespace(cluster, namespace, ".*");
      const options = { namespace, name: "host", node, role: "host", hostNetwork: true };
      const pod = await startPod(cluster, options);
      const agent = `http://${pod.address}:8181`;
      for (const path of [ROLES, `${ROLES}host`]) {
        assert.equal((await pod.get(agent + path)).status, 404, path);
      }
    });
  }
};
