import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ChangeLog } from "./change-log.ts";

describe("ChangeLog", () => {
  test("says what came after a revision, or that it does not know", () => {
    fc.assert(
      fc.property(fc.nat(9), fc.nat(40), fc.integer({ min: -1, max: 41 }), (floor, count, from) => {
        const log = new ChangeLog<number>(8, floor);
        const all = Array.from({ length: count }, (_, entry) => entry);
        for (const entry of all) log.add(entry);

        assert.equal(log.revision, floor + count);
        const since = log.since(floor + from);
        if (since !== undefined) assert.deepEqual(since, all.slice(from));
        const isRemembered = from >= 0 && from >= count - 8 && from <= count;
        if (isRemembered) assert.notEqual(since, undefined);
        if (from < 0 || from > count || from <= count - 16) {
          assert.equal(since, undefined);
        }
      }),
    );
  });
});
