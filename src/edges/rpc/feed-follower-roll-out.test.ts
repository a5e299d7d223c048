import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PodTable } from "#core/feed/pod-table.ts";
import { ranked } from "#core/feed/rendezvous.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { FeedSource } from "#test/feed-source.ts";
import { Events, rpcWorld } from "#test/rpc.ts";
import { FeedFollower } from "./feed-follower.ts";
import type { FollowerEvent } from "./rpc-event.ts";

const NODES = Array.from({ length: 24 }, (_, index) => `node-${index}`);
const OLD = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
const NEW = ["127.0.1.1", "127.0.1.2", "127.0.1.3"];

describe("the agents of a cluster", { timeout: 60_000 }, () => {
  test("are each with the server that they like best again after a roll-out, and never without one", async ({
    signal,
  }) => {
    const until = async (isSo: () => boolean): Promise<void> => {
      for (; !isSo(); await settle()) signal.throwIfAborted();
    };
    await using world = await rpcWorld();
    const clock = new FakeClock();
    const servers = new Map<string, { source: FeedSource; end: () => Promise<void> }>();
    let port = 0;
    const start = async (host: string): Promise<void> => {
      const source = new FeedSource(host);
      source.saySnapshot();
      const server = await world.serve({}, { follow: source.follow, host, port });
      ({ port } = server);
      servers.set(host, { source, end: async () => server[Symbol.asyncDispose]() });
    };
    for (const host of OLD) await start(host);
    const { lines, events } = world.dialServers(port, () => [...servers.keys()], {
      resolveMs: 300,
    });
    await events.first("server_reachable", OLD.length - 1);

    const agents = NODES.map((node, index) => {
      const seen = new Events<FollowerEvent>();
      const table = new PodTable();
      const heard = { batches: 0 };
      table.onCommit(() => (heard.batches += 1));
      const follower = new FeedFollower({
        node,
        version: "test",
        lines,
        table,
        clock,
        random: () => index / NODES.length,
        observe: seen.observe,
      });
      follower.run(world.signal).catch(() => {});
      return { node, seen, table, heard };
    });
    /** Which server each one follows. */
    const followed = () => agents.map(({ table }) => table.position?.epoch);
    const liked = () => agents.map(({ node }) => ranked(node, [...servers.keys()])[0]);
    await until(() => !followed().includes(undefined));
    assert.deepEqual(followed(), liked());

    for (const [index, host] of NEW.entries()) {
      await start(host);
      await events.first("server_reachable", OLD.length + index);
      const old = OLD[index] ?? "";
      servers.get(old)?.source.say({ type: "drain" });
      await until(() => !followed().includes(old));
      await servers.get(old)?.end();
      servers.delete(old);
    }
    assert.notDeepEqual(followed(), liked(), "the last new server came too late for most");

    for (let passed = 0; passed < 30_000; passed += 500) {
      for (const { heard } of agents) heard.batches = 0;
      for (const { source } of servers.values()) source.sayBatch();
      await until(() => agents.every(({ heard }) => heard.batches > 0));
      await clock.advance(500);
    }
    await until(() => followed().join() === liked().join());
    assert.deepEqual(
      agents.flatMap(({ seen }) => seen.seen.filter(({ type }) => type === "feed_lost")),
      [],
    );
  });
});
