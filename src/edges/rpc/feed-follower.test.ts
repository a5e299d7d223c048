import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { PodTable } from "#core/feed/pod-table.ts";
import { ranked } from "#core/feed/rendezvous.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { fedCredentials, fedPod, granted } from "#test/fed-pod.ts";
import { FeedSource } from "#test/feed-source.ts";
import { Events, rpcWorld } from "#test/rpc.ts";
import { FeedFollower } from "./feed-follower.ts";
import type { FollowerEvent } from "./rpc-event.ts";

const NODE = "node-a";
/** Loopback addresses in the order in which the node likes them. */
const [BEST = "", SECOND = ""] = ranked(NODE, ["127.0.0.1", "127.0.0.2"]);
const READER = fedPod(granted("reader", 1));
const ISSUED = {
  type: "session",
  id: 1,
  session: { outcome: "issued", credentials: fedCredentials("ASIA1", Number.MAX_SAFE_INTEGER) },
} as const;

describe("FeedFollower", { timeout: 60_000 }, () => {
  let world: Awaited<ReturnType<typeof rpcWorld>>;
  before(async () => {
    world = await rpcWorld();
  });
  after(() => world.resources[Symbol.asyncDispose]());

  const serveFeed = async (epoch: string, host: string, port = 0) => {
    const source = new FeedSource(epoch);
    return { source, server: await world.serve({}, { follow: source.follow, host, port }) };
  };

  /** An agent's end. Its own clock moves only when the test moves it. */
  function followFrom(port: number, addresses: () => readonly string[]) {
    const clock = new FakeClock();
    const events = new Events<FollowerEvent>();
    const servers = world.dialServers(port, addresses, { resolveMs: 300 });
    const table = new PodTable();
    const committed = new Events<{ readonly type: "committed" }>();
    table.onCommit(() => committed.observe({ type: "committed" }));
    const follower = new FeedFollower({
      node: NODE,
      version: "test",
      lines: servers.lines,
      table,
      clock,
      random: () => 0.5,
      observe: events.observe,
    });
    const stop = new AbortController();
    const running = follower.run(stop.signal).catch(() => {});
    const end = async (): Promise<void> => {
      stop.abort(new Error("the test is over"));
      await running;
    };
    world.resources.defer(end);
    return { follower, table, clock, events, connections: servers.events, committed, end };
  }

  test("follows its node, and every change that comes", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.saySnapshot(READER);
    const { table, events, committed, follower } = followFrom(server.port, () => ["127.0.0.1"]);
    await events.first("feed_in_sync");
    assert.equal((await source.streams.first("followed")).node, NODE);
    await committed.first("committed");
    assert.deepEqual([table.byUid("uid-1")?.role, follower.state], ["reader", "in-sync"]);

    source.sayBatch({ type: "pod-gone", uid: "uid-1" });
    await committed.first("committed", 1);
    assert.equal(table.size, 0);
  });

  test("comes back to a server with what it holds, to be told only what has changed", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.saySnapshot(READER);
    const { events, table, committed } = followFrom(server.port, () => ["127.0.0.1"]);
    await committed.first("committed");
    assert.equal((await source.streams.first("followed")).held, undefined);
    source.say({ type: "session", id: 1, session: ISSUED.session }, { type: "heartbeat" });
    await settle();
    assert.equal(table.session(1), undefined, "a batch without an end counts for nothing");

    await server[Symbol.asyncDispose]();
    const again = new FeedSource("one");
    await world.serve({}, { follow: again.follow, host: "127.0.0.1", port: server.port });
    const { held } = await again.streams.first("followed");
    assert.deepEqual(held, { epoch: "one", revision: 1 });
    assert.equal(table.byUid("uid-1")?.role, "reader", "nothing is dropped meanwhile");
    again.sayBatch(ISSUED);
    await events.first("feed_in_sync", 1);
    await committed.first("committed", 1);
    assert.equal(table.session(1)?.credentials?.accessKeyId, "ASIA1");
  });

  test("keeps what it holds when a new server has none of it yet", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.sayBatch({ type: "snapshot" }, ISSUED, { type: "pod", pod: READER });
    const { table, committed, clock, events } = followFrom(server.port, () => ["127.0.0.1"]);
    await committed.first("committed");

    await server[Symbol.asyncDispose]();
    const next = new FeedSource("two");
    next.refusal = new AppError("not_ready", "pods have not been listed yet");
    await world.serve({}, { follow: next.follow, host: "127.0.0.1", port: server.port });
    assert.match((await events.first("feed_failed")).reason, /not been listed/);
    assert.equal(table.session(1)?.credentials?.accessKeyId, "ASIA1");

    next.refusal = undefined;
    next.saySnapshot(fedPod(granted("reader", 9)));
    await clock.advance(100);
    await committed.first("committed", 1);
    assert.equal(table.session(9)?.credentials?.accessKeyId, "ASIA1");
  });

  test("leaves a server that falls silent after 800 ms, for one that speaks", async () => {
    const first = await serveFeed("one", BEST);
    const second = await serveFeed("two", SECOND, first.server.port);
    for (const { source } of [first, second]) source.saySnapshot(READER);
    const { clock, events, follower } = followFrom(first.server.port, () => [BEST]);
    assert.equal((await events.first("feed_in_sync")).server, BEST);

    await clock.advance(799);
    assert.equal(follower.state, "in-sync");
    await clock.advance(1);
    assert.match((await events.first("feed_lost")).reason, /silent for 800 ms/);
    assert.equal(follower.state, "lost");
    assert.equal(second.source.open, 0);
  });

  test("goes to another server as soon as one is silent", async () => {
    const first = await serveFeed("one", BEST);
    const second = await serveFeed("two", SECOND, first.server.port);
    first.source.saySnapshot(READER);
    second.source.saySnapshot(READER);
    let addresses: readonly string[] = [BEST];
    const { clock, events, connections } = followFrom(first.server.port, () => addresses);
    assert.equal((await events.first("feed_in_sync")).server, BEST);
    addresses = [BEST, SECOND];
    await connections.first("server_reachable", 1);
    await clock.advance(800);
    assert.equal((await events.first("feed_in_sync", 1)).server, SECOND);
  });

  test("leaves a server that speaks and is never in sync", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.say({ type: "snapshot" });
    const { clock, events, table } = followFrom(server.port, () => ["127.0.0.1"]);
    await source.streams.first("followed");
    for (let passed = 0; passed < 5_000; passed += 500) {
      source.say({ type: "heartbeat" });
      await systemClock.sleep(30, world.signal);
      await clock.advance(500);
    }
    // On a machine that is busy for 800 ms on end, silence comes first.
    assert.match((await events.first("feed_failed")).reason, /never in sync|silent/);
    assert.equal(table.position, undefined);
  });

  test("stays with a draining server until it is in sync at another one", async () => {
    const first = await serveFeed("one", BEST);
    const second = await serveFeed("two", SECOND, first.server.port);
    first.source.saySnapshot(READER);
    let addresses: readonly string[] = [BEST];
    const { events, connections, follower, table } = followFrom(first.server.port, () => addresses);
    await events.first("feed_in_sync");
    first.source.say({ type: "drain" });
    await events.first("feed_draining");
    addresses = [BEST, SECOND];
    await connections.first("server_reachable", 1);
    await second.source.streams.first("followed");
    assert.deepEqual([follower.state, first.source.open], ["in-sync", 1]);

    second.source.saySnapshot(READER);
    assert.equal((await events.first("feed_in_sync", 1)).server, SECOND);
    await first.source.streams.first("left");
    assert.equal(table.position?.epoch, "two");
    assert.equal(events.seen.filter(({ type }) => type === "feed_lost").length, 0);
  });

  test("returns to the server that it likes best, a while after that is back", async () => {
    const second = await serveFeed("two", SECOND);
    second.source.saySnapshot(READER);
    const { clock, events, connections, committed } = followFrom(second.server.port, () => [
      BEST,
      SECOND,
    ]);
    assert.equal((await events.first("feed_in_sync")).server, SECOND);
    const first = await serveFeed("one", BEST, second.server.port);
    first.source.saySnapshot(READER);
    await connections.first("server_reachable", 1);
    const beat = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        const heard = committed.seen.length;
        second.source.sayBatch();
        await committed.first("committed", heard);
        await clock.advance(500);
      }
    };
    await beat(14_500);
    assert.equal(first.source.streams.seen.length, 0, "not all agents at once");
    await beat(500);
    assert.equal((await events.first("feed_in_sync", 1)).server, BEST);
    await second.source.streams.first("left");
  });

  test("stays where it is while what the server that it likes best says can't be applied", async () => {
    const second = await serveFeed("two", SECOND);
    second.source.saySnapshot(READER);
    let addresses: readonly string[] = [SECOND];
    const port = second.server.port;
    const { events, follower, table } = followFrom(port, () => addresses);
    await events.first("feed_in_sync");
    const first = await serveFeed("one", BEST, port);
    // Changes to what nobody said before.
    first.source.sayBatch({ type: "pod-gone", uid: "uid-1" });
    second.source.say({ type: "drain" });
    addresses = [BEST, SECOND];
    assert.match((await events.first("feed_failed")).reason, /does not go on from what is held/);
    assert.deepEqual([follower.state, second.source.open], ["in-sync", 1]);
    assert.deepEqual([table.position?.epoch, table.size], ["two", 1]);
  });

  test("knows servers without a feed, and forgets what no feed keeps true any more", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.saySnapshot(READER);
    const { table, events, follower } = followFrom(server.port, () => ["127.0.0.1"]);
    await events.first("feed_in_sync");
    await server[Symbol.asyncDispose]();

    await world.serve({}, { host: "127.0.0.1", port: server.port });
    await events.first("feed_unoffered");
    assert.deepEqual([follower.state, table.size, table.position], ["unoffered", 0, undefined]);
  });

  test("ends its stream when it is told to stop", async () => {
    const { source, server } = await serveFeed("one", "127.0.0.1");
    source.saySnapshot(READER);
    const { events, end } = followFrom(server.port, () => ["127.0.0.1"]);
    await events.first("feed_in_sync");
    await end();
    await source.streams.first("left");
    assert.equal(source.open, 0);
  });
});
