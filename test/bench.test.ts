import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { cannotMakeNamespaces } from "#test/namespace.ts";
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

const skip = cannotMakeNamespaces();

test("the bench measures every figure that has a target", { skip, timeout: 90_000 }, async () => {
  const program = join(import.meta.dirname, "../bench/main.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [
    program,
    "agent",
    "--quick",
    "--json",
  ]);
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
  for (const { name, value, floor, ratio } of rows) {
    assert.ok(value > 0, `${name} is ${value}`);
    assert.equal(ratio === null, floor === null, name);
  }
  const judged = rows.filter(({ met }) => met !== null).map(({ name }) => name);
  assert.deepEqual(judged.toSorted(), Object.keys(TARGETS).toSorted());
});
