import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
