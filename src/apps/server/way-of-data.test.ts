import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import type { FeedMessage } from "#core/feed/feed-messages.ts";
import { HOUR, serverWorld as setUp } from "#test/server-world.ts";

describe("a node feed", () => {
  test("says nothing before the server has seen the cluster", () => {
    const { agent } = setUp({ isReady: false });
    assert.throws(() => agent(), { code: "not_ready" });
  });

  test("tells of the node's own pods and of nobody else's", async () => {
    const { agent, put, settle } = setUp();
    put({ uid: "a" });
    put({ uid: "b", node: "node-b", addresses: ["10.0.0.2"] });
    put({ uid: "c", node: "", addresses: [], phase: "Pending" });
    const { table } = agent();
    await settle();
    assert.equal(table.size, 1);
    put({ uid: "d", node: "node-b", addresses: ["10.0.0.3"] });
    await settle();
    assert.deepEqual([table.size, table.byUid("a")?.name], [1, "cart"]);
  });

  test("brings credentials with the pod, when they are there", async () => {
    const { agent, put, settle } = setUp();
    put({ uid: "a" });
    await settle();
    const { keyOf, types } = agent();
    await settle();
    assert.equal(keyOf("a"), "ASIA1");
    assert.deepEqual(types(), ["snapshot", "session", "pod", "in-sync"]);
  });

  test("pushes credentials as soon as they exist, and at each renewal", async () => {
    const { agent, put, sts, clock, settle } = setUp();
    const gate = Promise.withResolvers<void>();
    sts.gate = gate.promise;
    const { keyOf, table } = agent();
    put({ uid: "a" });
    await settle();
    assert.deepEqual([table.byUid("a")?.grant.outcome, keyOf("a")], ["granted", undefined]);
    gate.resolve();
    await settle();
    assert.equal(keyOf("a"), "ASIA1");
    await clock.advance(HOUR / 2 + 1_000);
    assert.equal(keyOf("a"), "ASIA2");
  });

  test("pushes a session's failure, and tells the pod's owner why", async () => {
    const { agent, put, sts, events, settle } = setUp();
    sts.error = new AppError("sts_denied", "AccessDenied: no");
    const { table } = agent();
    put({ uid: "a" });
    await settle();
    const grant = table.byUid("a")?.grant;
    assert.ok(grant?.outcome === "granted");
    assert.equal(table.session(grant.session)?.failure?.code, "sts_denied");
    const told = events.filter(({ type }) => type === "session_failed");
    assert.deepEqual(
      told.map((event) => event.type === "session_failed" && event.pod.uid),
      ["a"],
    );
  });

  test("tells why a pod is refused, in the words that Kiam's agents would get", async () => {
    const { agent, put, grants, events, settle } = setUp();
    put({ uid: "a" });
    const { table } = agent();
    const asked = () => grants.request("10.0.0.1", "reader").grant;
    await settle();
    grants.applyNamespaces({
      type: "put",
      item: { name: "shop", resourceVersion: "x", permitted: "", requireImdsv2: false },
    });
    await settle();
    assert.deepEqual(table.byUid("a")?.grant, asked());
    assert.equal(table.byUid("a")?.grant.outcome, "refused");
    assert.equal(events.filter(({ type }) => type === "refused").length, 1);
  });

  test("follows what a namespace asks of its pods' requests", async () => {
    const { agent, put, putNamespace, settle } = setUp();
    put({ uid: "a" });
    const { table } = agent();
    await settle();
    assert.equal(table.byUid("a")?.requireImdsv2, false);
    putNamespace({ requireImdsv2: true });
    await settle();
    assert.equal(table.byUid("a")?.requireImdsv2, true);
  });

  test("takes a pod away when it is gone, and when it has ended", async () => {
    const { agent, put, remove, settle } = setUp();
    put({ uid: "a" });
    put({ uid: "b", addresses: ["10.0.0.2"] });
    const { table } = agent();
    await settle();
    remove("a");
    put({ uid: "b", addresses: ["10.0.0.2"], phase: "Succeeded" });
    await settle();
    assert.equal(table.size, 0);
  });

  test("sends a known session with the first pod of a node that comes to need it", async () => {
    const { agent, put, remove, sts, settle } = setUp();
    put({ uid: "elsewhere", node: "node-b", addresses: ["10.0.1.1"] });
    put({ uid: "a" });
    const { keyOf } = agent();
    await settle();
    remove("a");
    await settle();
    put({ uid: "b" });
    await settle();
    assert.equal(keyOf("b"), "ASIA1");
    assert.equal(sts.issued, 1);
  });

  test("counts what happens at once as one batch", async () => {
    const { agent, put, putNamespace, settle } = setUp();
    put({ uid: "a" });
    put({ uid: "b", addresses: ["10.0.0.2"] });
    const { types } = agent();
    await settle();
    types();
    putNamespace({ permitted: "" });
    await settle();
    assert.deepEqual(types(), ["pod", "pod", "in-sync"]);
  });

  test("tells of a change at once, and of those that follow within 10 ms together", async () => {
    const { agent, put, clock, settle } = setUp();
    const { types } = agent();
    await settle();
    types();
    put({ uid: "a" });
    await clock.advance(0);
    assert.deepEqual(types(), ["pod", "in-sync"]);
    put({ uid: "b", addresses: ["10.0.0.2"] });
    await clock.advance(9);
    put({ uid: "c", addresses: ["10.0.0.3"] });
    assert.deepEqual(types(), []);
    await clock.advance(1);
    assert.deepEqual(types(), ["session", "pod", "pod", "in-sync"]);
  });

  test("tells an agent that comes back only what has changed", async () => {
    const { agent, put, remove, events, settle } = setUp();
    put({ uid: "a" });
    put({ uid: "b", addresses: ["10.0.0.2"] });
    const first = agent();
    await settle();
    first.leave();
    remove("b");
    put({ uid: "c", addresses: ["10.0.0.3"] });
    put({ uid: "c", addresses: ["10.0.0.4"] });
    await settle();

    const again = agent({ table: first.table, held: first.table.position });
    await settle();
    assert.deepEqual(again.types(), ["session", "pod-gone", "pod", "in-sync"]);
    assert.deepEqual([again.table.size, again.keyOf("a"), again.keyOf("c")], [2, "ASIA1", "ASIA1"]);
    assert.deepEqual(
      events.flatMap((event) => (event.type === "followed" ? [event.from] : [])),
      ["snapshot", "resumed"],
    );
  });

  test("tells an agent of another server, or of long ago, everything", async () => {
    const { agent, put, clock, settle } = setUp();
    put({ uid: "a" });
    const first = agent();
    await settle();
    const { position } = first.table;
    assert.ok(position !== undefined);
    const fromElsewhere = agent({ held: { epoch: "epoch-0", revision: position.revision } });
    const fromTheFuture = agent({ held: { epoch: "epoch-1", revision: position.revision + 9 } });
    await settle();
    assert.equal(fromElsewhere.types()[0], "snapshot");
    assert.equal(fromTheFuture.types()[0], "snapshot");

    for (const { leave } of [first, fromElsewhere, fromTheFuture]) leave();
    await clock.advance(6 * 60_000);
    put({ uid: "a" });
    const later = agent({ held: position });
    await settle();
    assert.equal(later.types()[0], "snapshot");
  });

  test("tells an agent everything that was away for longer than changes are remembered, however quiet its node", async () => {
    const { agent, put, remove, clock, settle } = setUp();
    put({ uid: "a" });
    await settle();
    const { table, leave } = agent();
    await settle();
    leave();
    await clock.advance(6 * 60_000);
    remove("a");
    put({ uid: "b" });

    const again = agent({ table, held: table.position });
    await settle();
    assert.deepEqual([table.byUid("a"), table.byUid("b")?.uid], [undefined, "b"]);
    assert.equal(again.types()[0], "snapshot");
  });

  test("has no queue for an agent that does not read, which then starts over", async () => {
    const { feeds, put, events, settle } = setUp();
    put({ uid: "a" });
    await settle();
    const leave = new AbortController();
    const stream = feeds.follow("node-a", undefined, leave.signal)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const [{ value }] = await Promise.all([stream.next(), settle()]);
      return (value as FeedMessage).type;
    };
    for (const type of ["snapshot", "session", "pod", "in-sync"]) assert.equal(await next(), type);
    for (let count = 0; count < 100; count += 1) put({ uid: "a" });
    assert.deepEqual([await next(), await next()], ["pod", "in-sync"]);
    for (let count = 0; count < 1_000; count += 1) put({ uid: "a" });
    assert.equal(await next(), "snapshot");
    assert.equal(events.filter(({ type }) => type === "resynced").length, 1);
    leave.abort();
  });

  test("says that it lives while nothing changes, well within what agents wait for", async () => {
    const { agent, clock, settle } = setUp();
    const { types } = agent();
    await settle();
    types();
    await clock.advance(799);
    assert.deepEqual(types(), ["heartbeat", "heartbeat"]);
  });

  test("sends its agents elsewhere when the server stops", async () => {
    const { agent, stop, settle } = setUp();
    const { messages, leave, reading } = agent();
    await settle();
    stop.abort(new Error("stop"));
    await settle();
    assert.ok(messages.some(({ type }) => type === "drain"));
    leave();
    await reading;
  });

  test("brings the keys that pods' tokens are verified with, and each change of them", async () => {
    const { agent, world, feeds, settle } = setUp();
    const { table } = agent();
    await settle();
    assert.equal(table.tokenKeys, undefined);
    world.tokenKeys = { issuer: "https://issuer", audiences: ["sts"], keys: ["{}"] };
    feeds.tokenKeysChanged();
    await settle();
    assert.deepEqual(table.tokenKeys, world.tokenKeys);
    const second = agent();
    await settle();
    assert.deepEqual(second.table.tokenKeys, world.tokenKeys);
  });

  test("is left without a trace, also by an agent that reads nothing more", async () => {
    const { feeds, events } = setUp();
    const leave = new AbortController();
    const stream = feeds.follow("node-a", undefined, leave.signal)[Symbol.asyncIterator]();
    await stream.next();
    assert.equal(feeds.followers, 1);
    leave.abort();
    assert.equal(feeds.followers, 0);
    assert.equal(events.filter(({ type }) => type === "left").length, 1);
  });

  test("refuses a ninth stream for one node", async () => {
    const { feeds } = setUp();
    const { signal } = new AbortController();
    const open = () => feeds.follow("node-a", undefined, signal)[Symbol.asyncIterator]().next();
    for (let count = 0; count < 8; count += 1) await open();
    await assert.rejects(open(), { code: "overloaded" });
  });

  test("refuses what is no name of a node", () => {
    const { agent } = setUp();
    for (const node of ["", "n".repeat(254)]) assert.throws(() => agent({ node }));
  });
});
