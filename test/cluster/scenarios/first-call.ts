import assert from "node:assert/strict";
import { test } from "node:test";

import { runJobs } from "../jobs.ts";
import { createNamespace } from "../pods.ts";
import type { Scenario } from "../world.ts";

/** Pods that ask for the first time, with no second try. */
export const firstCall: Scenario = (world) => {
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
