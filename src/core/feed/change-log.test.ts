import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ChangeLog } from "./change-log.ts";

describe("ChangeLog", () => {
  test("says what came after a revision, or that it does not know", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: -1, max: 41 }), (count, revision) => {
        const log = new ChangeLog<number>(8);
        const all = Array.from({ length: count }, (_, entry) => entry);
        for (const entry of all) log.add(entry);

        assert.equal(log.revision, count);
        const since = log.since(revision);
        if (since !== undefined) assert.deepEqual(since, all.slice(revision));
        const isRemembered = revision >= 0 && revision >= count - 8 && revision <= count;
        if (isRemembered) assert.notEqual(since, undefined);
        if (revision < 0 || revision > count || revision <= count - 16) {
          assert.equal(since, undefined);
        }
      }),
    );
  });
});
