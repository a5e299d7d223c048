import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle } from "#test/fake-clock.ts";
import { serverWorld as setUp } from "#test/server-world.ts";

describe("what an agent reports of an address", () => {
  const dispute = (address: string, ...podUids: readonly string[]) =>
    ({ address, between: "server-and-record", podUids }) as const;
  const MINUTE = 60_000;

  /** A server that an agent of `node-a` follows, and the pods that it told of as disputed. */
  async function followed() {
    const world = setUp();
    world.agent();
    await settle();
    const disputed = (): string[] =>
      world.events.flatMap((event) => (event.type === "address_disputed" ? [event.pod.uid] : []));
    return { ...world, disputed };
  }

  test("is told of the node's own pods that are named, and of no others", async () => {
    const { feeds, put, disputed } = await followed();
    put({ uid: "a" });
    put({ uid: "b", addresses: ["10.0.0.2"] });
    put({ uid: "ended", phase: "Succeeded" });
    put({ uid: "other", node: "node-b", addresses: ["10.0.0.3"] });
    feeds.disputed("node-a", dispute("10.0.0.1", "b", "ended", "other", "nobody", "a", "b"));
    assert.deepEqual(disputed(), ["b", "a"]);
  });

  test("is not heard where nobody follows the node", async () => {
    const { feeds, put, disputed } = await followed();
    put({ uid: "b", node: "node-b" });
    feeds.disputed("node-b", dispute("10.0.0.1", "b"));
    assert.deepEqual(disputed(), []);
  });

  test("is told of once a minute for an address, and for 64 in all", async () => {
    const { clock, feeds, put, disputed } = await followed();
    put({ uid: "a" });
    for (let count = 0; count < 2; count += 1) feeds.disputed("node-a", dispute("10.0.0.1", "a"));
    assert.equal(disputed().length, 1);
    for (let count = 0; count < 100; count += 1) {
      feeds.disputed("node-a", dispute(`10.0.1.${count}`, "a"));
    }
    assert.equal(disputed().length, 64);
    await clock.advance(MINUTE);
    feeds.disputed("node-a", dispute("10.0.0.1", "a"));
    assert.equal(disputed().length, 65);
  });
});
