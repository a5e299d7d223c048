import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

/** The demo is the whole of Rolecall as processes; each of its statements is a test. */
test("every statement of the demo holds", { timeout: 60_000 }, async (t) => {
  const demo = new URL("../../src/apps/demo/main.ts", import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [demo, "--json"], {
    timeout: 55_000,
    maxBuffer: 1_000_000,
  });
  const { statements } = JSON.parse(stdout) as {
    statements: { says: string; held: boolean; seen: string }[];
  };

  assert.ok(statements.length >= 10);
  for (const { says, held, seen } of statements) {
    await t.test(says, () => assert.ok(held, seen));
  }
});
