import assert from "node:assert/strict";
import { test } from "node:test";
import { readTarget } from "./target.ts";

test("a target is read as itself, whatever was read before and however often", () => {
  const roleOf = (text: string): string | undefined => {
    const target = readTarget(text);
    return target.ok && target.route.to === "credentials" ? target.route.role : undefined;
  };
  for (let round = 0; round < 2; round += 1) {
    for (let pod = 0; pod < 2_000; pod += 1) {
      const path = `/latest/meta-data/iam/security-credentials/role-${pod}`;
      assert.equal(roleOf(path), `role-${pod}`);
    }
  }
});

test("what can't be read is refused the second time too", () => {
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(readTarget("/latest/%2569am"), { ok: false });
  }
});
