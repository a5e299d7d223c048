import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { settle } from "#test/fake-clock.ts";
import { BASE_ARN, fedCredentials, fedPod, feed as feedTo, granted } from "#test/fed-pod.ts";
import { ADDRESS, HOUR, never, nodeTableWorld as setUp } from "#test/node-table.ts";
import type { FeedChange } from "./feed-messages.ts";

describe("NodeTable and what the node itself says", () => {
  test("gives a pod its role before Kubernetes knows its address", async () => {
    const { put, issue, key, world } = setUp();
    put({ addresses: [] });
    issue();
    world.podUid = "uid-1";
    assert.equal(await key(), "ASIA1");
  });

  test("gives nothing of the former pod to the one that the node gave its address to", async () => {
    const { put, issue, key, clock, world, outcome, asked, compared } = setUp();
    put();
    issue();
    world.podUid = "uid-2";
    const answer = outcome(key());
    await clock.advance(400);
    assert.equal(await answer, "pod_ambiguous");
    assert.deepEqual(asked, []);
    // The node's records are told of what the server says.
    assert.equal(compared[0], "uid-1");
  });

  test("gives the next pod its own as soon as the former one is known to leave", async () => {
    const { feed, put, issue, key, clock, world } = setUp();
    put();
    issue();
    world.podUid = "uid-2";
    const answer = key("writer");
    await clock.advance(100);
    put({ deleting: true });
    feed({ type: "pod", pod: fedPod({ uid: "uid-2", addresses: [], ...granted("writer", 2) }) });
    issue("ASIA2", 2);
    assert.equal(await answer, "ASIA2");
  });

  test("believes neither in a dispute, and waits for it to settle", async () => {
    const { put, issue, key, clock, world, outcome } = setUp();
    put();
    issue();
    world.disputed = new AppError("pod_ambiguous", "two records");
    const refused = outcome(key());
    await clock.advance(400);
    assert.equal(await refused, "pod_ambiguous");

    const settled = key();
    await clock.advance(100);
    world.disputed = undefined;
    issue();
    assert.equal(await settled, "ASIA1");
  });

  test("does not believe a feed whose pod is no longer where it was", async () => {
    const { put, issue, key, clock, world, outcome } = setUp();
    put();
    issue();
    world.moved = new AppError("pod_ambiguous", "moved");
    const answer = outcome(key());
    await clock.advance(400);
    assert.equal(await answer, "pod_ambiguous");
  });

  test("gives nobody's by the same number when another server is followed while it looks at the node", async () => {
    const { put, issue, key, pods, clock, world } = setUp();
    put();
    issue();
    const looked = Promise.withResolvers<void>();
    world.look = looked.promise;
    const answer = key();
    await settle();
    const changes: FeedChange[] = [
      { type: "snapshot" },
      { type: "pod", pod: fedPod(granted("reader", 2)) },
      { type: "pod", pod: fedPod({ uid: "uid-2", addresses: [], ...granted("writer", 1) }) },
    ];
    const own = fedCredentials("own", clock.now() + HOUR);
    const others = fedCredentials("another's", clock.now() + HOUR);
    feedTo(
      pods,
      [
        ...changes,
        { type: "session", id: 1, session: { outcome: "issued", credentials: others } },
        { type: "session", id: 2, session: { outcome: "issued", credentials: own } },
      ],
      { epoch: "epoch-2" },
    );
    looked.resolve();
    assert.equal(await answer, "own");
  });

  test("gives nothing that was taken away while it looks at the node", async () => {
    const { put, issue, key, world, outcome } = setUp();
    // It keeps the session alive.
    put({ uid: "uid-2", addresses: [] });
    put();
    issue();
    const looked = Promise.withResolvers<void>();
    world.look = looked.promise;
    const answer = outcome(key());
    await settle();
    put({ grant: { outcome: "refused", code: "namespace_forbids", reason: "why" } });
    looked.resolve();
    assert.equal(await answer, "namespace_forbids");
  });

  test("tells pods on the host network apart by no address", async () => {
    const { put, key, outcome } = setUp();
    put({ hostNetwork: true });
    assert.equal(await outcome(key()), "host_network");
  });

  test("knows a pod and what its namespace asks, as far as is known", async () => {
    const { put, table, world, pods } = setUp();
    const nobody = { uid: undefined, requireImdsv2: undefined, roleArn: undefined };
    assert.deepEqual(await table.known(ADDRESS), nobody);
    world.podUid = "uid-1";
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-1" });
    put({ requireImdsv2: true });
    assert.deepEqual(await table.known(ADDRESS), {
      uid: "uid-1",
      requireImdsv2: true,
      roleArn: `${BASE_ARN}reader`,
      fed: pods.byUid("uid-1"),
    });
    world.podUid = "uid-2";
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-2" });
    world.podUid = "uid-1";
    put({ grant: { outcome: "refused", code: "namespace_unknown", reason: "why" } });
    const fed = pods.byUid("uid-1");
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-1", fed });
    world.disputed = new AppError("pod_ambiguous", "two records");
    assert.deepEqual(await table.known(ADDRESS), nobody);
  });

  test("knows a static pod by one UID, whether the feed tells of it already or not", async () => {
    const { put, table, world, pods } = setUp();
    world.podUid = "uid-of-the-node";
    assert.equal((await table.known(ADDRESS)).uid, "uid-of-the-node");
    put({ isStatic: true });
    const { uid, fed } = await table.known(ADDRESS);
    assert.deepEqual([uid, fed], ["uid-of-the-node", pods.byUid("uid-1")]);
  });

  test("does not look again for who has just been told of an address, but after a wait", async () => {
    const { put, issue, table, world, clock, outcome } = setUp();
    put();
    const known = await table.known(ADDRESS);
    world.disputed = new AppError("pod_ambiguous", "two records");
    const waiting = outcome(table.credentials(ADDRESS, "reader", never, known));
    await settle();
    issue();
    await clock.advance(400);
    assert.equal(await waiting, "pod_ambiguous");
    const { accessKeyId } = await table.credentials(ADDRESS, "reader", never, known);
    assert.equal(accessKeyId, "ASIA1");
  });
});
