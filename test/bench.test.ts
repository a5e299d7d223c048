import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { benchAgent, GROUP_NAMES } from "../bench/agent/bench.ts";
import { TARGETS } from "../bench/agent/targets.ts";
import { verdictOf } from "../bench/report.ts";
import { type Row, rowOf } from "../bench/row.ts";

describe("a figure of the bench", () => {
  const samples = { values: [30, 10, 20], floors: [10, 10, 5] };

  test("is the median of its rounds, and its ratio the median of each round's own", () => {
    const { value, floor, ratio } = rowOf("a", "µs", samples, undefined);
    assert.deepEqual([value, floor, ratio], [20, 10, 3]);
  });

  test("says what is aimed at, and whether it is met", () => {
    const of = (bound: "at most" | "at least", limit: number): Row =>
      rowOf("a", "µs", samples, { of: "ratio", bound, limit });
    assert.deepEqual([of("at most", 3).target, of("at most", 3).met], ["≤ 3×", true]);
    assert.deepEqual([of("at most", 2.9).met, of("at least", 3.1).met], [false, false]);
    assert.match(
      verdictOf([of("at most", 3), of("at most", 2)]),
      /^1 of 2 targets are NOT met: a$/,
    );
  });

  test("is not met when nothing was measured", () => {
    const target = { of: "value", bound: "at most", limit: 3 } as const;
    assert.equal(rowOf("a", "µs", { values: [] }, target).met, false);
  });
});

test("the bench measures every figure that has a target", { timeout: 60_000 }, async () => {
  const rows: Row[] = [];
  await benchAgent({
    plan: {
      rounds: 1,
      seconds: 0.05,
      loadRequests: 100,
      longRequests: 100,
      longChanges: 10,
      settleMs: 0,
    },
    groups: GROUP_NAMES,
    onRows: (group, measured) => {
      if (measured instanceof Error) throw measured;
      assert.ok(measured.length > 0, group);
      rows.push(...measured);
    },
  });
  for (const { name, value, floor, ratio } of rows) {
    assert.ok(value > 0, `${name} is ${value}`);
    assert.equal(ratio === null, floor === null, name);
  }
  const measured = new Set(rows.map(({ name }) => name.replace("-without-rules", "")));
  assert.deepEqual(
    Object.keys(TARGETS).filter((name) => !measured.has(name)),
    [],
  );
  assert.ok(rows.filter(({ name }) => name in TARGETS).every(({ met }) => met !== null));
});
