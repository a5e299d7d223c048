import assert from "node:assert/strict";
import { test } from "node:test";

import { runJobs } from "../jobs.ts";
import { createNamespace, startPod } from "../pods.ts";
import { STS_URL } from "../sts.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const ACCOUNT = "123456789012";

/** The AWS clients, each by the command with which a pod says who it is. */
const CLIENTS = {
  boto3: ["python3", "/opt/client.py"],
  "AWS CLI v2":
    `aws sts get-caller-identity --query Arn --output text --endpoint-url ${STS_URL}`.split(" "),
  "JavaScript v3": ["node", "/opt/client.mjs"],
  "Go v2": ["go-client"],
} as const;

/** Pods that ask for the first time: through every client, and with no second try. */
export const firstCall: Scenario = (world) => {
  for (const { node, topology } of TOPOLOGIES) {
    test(`every AWS client in a ${topology} pod is the role that its pod names`, async () => {
      const { cluster } = world();
      const namespace = `clients-${node}`;
      await createNamespace(cluster, namespace, `arn:aws:iam::${ACCOUNT}:role/team/.*`);
      const pod = await startPod(cluster, {
        namespace,
        name: "clients",
        node,
        role: "team/reader",
      });
      for (const [client, command] of Object.entries(CLIENTS)) {
        const arn = (await pod.execute(...command)).trim();
        assert.equal(arn, `arn:aws:sts::${ACCOUNT}:assumed-role/reader/kiam-kiam`, client);
      }
    });
  }

  test("50 pods that call as soon as they run, once, all get their role", async (t) => {
    const { cluster } = world();
    await createNamespace(cluster, "jobs", ".*");
    const slowestMs = await runJobs(cluster, "jobs", [{ role: "nightly", pods: 50 }]);
    t.diagnostic(`first calls of 50 fresh pods: 0 failed, the slowest took ${slowestMs} ms`);
  });

  test("200 pods with 20 roles cost each server 20 calls to STS", async (t) => {
    const { cluster, sts } = world();
    await createNamespace(cluster, "many", ".*");
    const roles = Array.from({ length: 20 }, (_, index) => `many-${index}`);
    const slowestMs = await runJobs(
      cluster,
      "many",
      roles.map((role) => ({ role, pods: 10 })),
    );
    const calls = sts.calls.filter(({ roleArn }) => roleArn.includes(":role/many-"));
    const servers = Object.groupBy(calls, ({ from }) => from);
    assert.equal(Object.keys(servers).length, 2);
    for (const made of Object.values(servers)) {
      assert.equal(made?.length, roles.length);
      assert.equal(new Set(made.map(({ roleArn }) => roleArn)).size, roles.length);
    }
    t.diagnostic(
      `200 pods, 20 roles: ${calls.length} AssumeRole calls by 2 servers, slowest first call ${slowestMs} ms`,
    );
  });
};
