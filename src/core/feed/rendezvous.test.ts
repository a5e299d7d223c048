import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ranked } from "./rendezvous.ts";

const NODES = Array.from({ length: 3_000 }, (_, index) => `ip-10-0-${index >> 8}-${index & 255}`);
const SERVERS = ["10.1.0.4:443", "10.1.0.5:443", "10.1.0.6:443"];
const first = (node: string, servers: readonly string[]): string => ranked(node, servers)[0] ?? "";

describe("the order in which nodes like servers", () => {
  test("spreads the nodes evenly", () => {
    for (const server of SERVERS) {
      const share = NODES.filter((node) => first(node, SERVERS) === server).length;
      assert.ok(share > 900 && share < 1_100, `${server} has ${share} of 3000`);
    }
  });

  test("spreads a cluster's nodes over three servers as chance would, whatever both are called", () => {
    const byte = fc.nat(255);
    const servers = fc.uniqueArray(
      fc.tuple(byte, byte, byte).map((bytes) => `10.${bytes.join(".")}`),
      { minLength: 3, maxLength: 3 },
    );
    const names = fc.tuple(fc.stringMatching(/^[a-z][a-z0-9.-]{0,30}$/), fc.nat(60_000));
    const isEven = fc.property(servers, names, (three, [prefix, from]) => {
      const nodes = Array.from({ length: 300 }, (_, index) => `${prefix}-${from + index}`);
      for (const server of three) {
        const share = nodes.filter((node) => first(node, three) === server).length / 300;
        // Five times the standard deviation of 300 throws at one in three.
        assert.ok(Math.abs(share - 1 / 3) < 0.136, `${server} has ${share}`);
      }
    });
    fc.assert(isEven, { seed: 1, numRuns: 1_000 });
  });

  test("does not depend on the order in which servers are listed", () => {
    for (const node of NODES.slice(0, 50)) {
      assert.deepEqual(ranked(node, SERVERS), ranked(node, SERVERS.toReversed()));
    }
  });

  test("moves only the nodes of the server that goes, and these evenly", () => {
    const [gone = "", ...left] = SERVERS;
    const moved = NODES.filter((node) => first(node, SERVERS) !== first(node, left));
    assert.ok(moved.every((node) => first(node, SERVERS) === gone));
    const share = moved.filter((node) => first(node, left) === left[0]).length / moved.length;
    assert.ok(share > 0.4 && share < 0.6, `${share}`);
  });
});
