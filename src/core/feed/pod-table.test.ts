import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fedCredentials, fedPod, feed, granted } from "#test/fed-pod.ts";
import type { FedPod } from "./fed-pod.ts";
import { FeedBatch } from "./feed-batch.ts";
import type { FeedChange } from "./feed-messages.ts";
import { type PodAddresses, PodTable } from "./pod-table.ts";

const pod = (fields: Partial<FedPod>): FeedChange => ({ type: "pod", pod: fedPod(fields) });
const snapshot: FeedChange = { type: "snapshot" };
const issued = (id: number, accessKeyId: string): FeedChange => ({
  type: "session",
  id,
  session: { outcome: "issued", credentials: fedCredentials(accessKeyId, 1) },
});
const failed = (id: number, code: "sts_denied" | "sts_unavailable"): FeedChange => ({
  type: "session",
  id,
  session: { outcome: "failed", code, reason: "why" },
});

function setUp(changes: readonly FeedChange[]) {
  const table = new PodTable();
  feed(table, [snapshot, ...changes]);
  const keyOf = (id: number): string | undefined => table.session(id)?.credentials?.accessKeyId;
  const namesAt = (address: string): string[] => table.at(address).map(({ name }) => name);
  return { table, keyOf, namesAt };
}

describe("PodTable", () => {
  test("finds pods by address and by UID", () => {
    const { table, namesAt } = setUp([pod({ uid: "a", addresses: ["10.0.0.1", "fd00::1"] })]);
    assert.deepEqual([namesAt("10.0.0.1"), namesAt("fd00::1")], [["cart"], ["cart"]]);
    assert.equal(table.byUid("a")?.name, "cart");
    assert.deepEqual(namesAt("10.0.0.2"), []);
  });

  test("shows a batch only when it is whole", () => {
    const { table, namesAt } = setUp([pod({ uid: "a" })]);
    const batch = new FeedBatch();
    batch.add({ type: "pod-gone", uid: "a" });
    assert.deepEqual(namesAt("10.0.0.1"), ["cart"]);
    const position = { epoch: "epoch-1", revision: 2 };
    table.commit(batch, { type: "in-sync", position, baseArn: "" });
    assert.deepEqual(namesAt("10.0.0.1"), []);
    assert.deepEqual(table.position, position);
  });

  test("follows a pod from one address to another", () => {
    const { table, namesAt } = setUp([pod({ uid: "a", addresses: ["10.0.0.1"] })]);
    feed(table, [pod({ uid: "a", addresses: ["10.0.0.2"] })]);
    assert.deepEqual([namesAt("10.0.0.1"), namesAt("10.0.0.2")], [[], ["cart"]]);
  });

  test("shows every pod that claims an address", () => {
    const { table, namesAt } = setUp([pod({ uid: "a" }), pod({ uid: "b", name: "till" })]);
    assert.deepEqual(namesAt("10.0.0.1"), ["cart", "till"]);
    feed(table, [{ type: "pod-gone", uid: "a" }]);
    assert.deepEqual(namesAt("10.0.0.1"), ["till"]);
  });

  test("drops what a snapshot does not hold", () => {
    const { table, namesAt } = setUp([pod({ uid: "a" })]);
    feed(table, [snapshot, pod({ uid: "b", addresses: ["10.0.0.2"] })]);
    assert.deepEqual([namesAt("10.0.0.1"), namesAt("10.0.0.2")], [[], ["cart"]]);
    assert.equal(table.size, 1);
  });

  test("keeps a pod's credentials when a new server's snapshot grants the same role", () => {
    const { table, keyOf } = setUp([pod({ uid: "a", ...granted("r", 1) }), issued(1, "old")]);
    feed(table, [snapshot, pod({ uid: "a", ...granted("r", 7) })], { epoch: "epoch-2" });
    assert.deepEqual([keyOf(1), keyOf(7)], [undefined, "old"]);
    feed(table, [issued(7, "new")], { epoch: "epoch-2", revision: 2 });
    assert.equal(keyOf(7), "new");
  });

  test("keeps no credentials when the snapshot grants another role, or to another pod", () => {
    const { table, keyOf } = setUp([pod({ uid: "a", ...granted("r", 1) }), issued(1, "old")]);
    feed(table, [
      snapshot,
      pod({ uid: "a", ...granted("s", 1) }),
      pod({ uid: "b", addresses: [], ...granted("r", 2) }),
    ]);
    assert.deepEqual([keyOf(1), keyOf(2)], [undefined, undefined]);
  });

  test("keeps credentials while STS is away, and not when it refuses", () => {
    const { table, keyOf } = setUp([pod({ ...granted("r", 1) }), issued(1, "held")]);
    feed(table, [failed(1, "sts_unavailable")]);
    assert.equal(keyOf(1), "held");
    feed(table, [failed(1, "sts_denied")]);
    assert.equal(keyOf(1), undefined);
    assert.equal(table.session(1)?.failure?.code, "sts_denied");
  });

  test("forgets a session once no pod names it", () => {
    const { table, keyOf } = setUp([
      pod({ uid: "a", ...granted("r", 1) }),
      pod({ uid: "b", addresses: [], ...granted("r", 1) }),
      issued(1, "held"),
    ]);
    feed(table, [{ type: "pod-gone", uid: "a" }]);
    assert.equal(keyOf(1), "held");
    feed(table, [{ type: "pod-gone", uid: "b" }]);
    assert.equal(table.session(1), undefined);
  });

  test("keeps no session that no pod names, whether its pod comes first or last in the batch", () => {
    const { table, keyOf } = setUp([issued(1, "early"), pod({ uid: "a", ...granted("r", 1) })]);
    feed(table, [issued(2, "nobody's")]);
    assert.deepEqual([keyOf(1), table.session(2)], ["early", undefined]);
    feed(table, [issued(2, "early too"), pod({ uid: "b", addresses: [], ...granted("s", 2) })]);
    assert.deepEqual([keyOf(1), keyOf(2)], ["early", "early too"]);
  });

  test("takes no changes to what another server's process said", () => {
    const { table, keyOf } = setUp([pod({ uid: "a", ...granted("r", 1) }), issued(1, "own")]);
    const changes = [pod({ uid: "b", ...granted("s", 1) })];
    assert.throws(() => feed(table, changes, { epoch: "epoch-2" }), { code: "server_unavailable" });
    const position = { epoch: "epoch-1", revision: 2 };
    assert.throws(
      () => new PodTable().commit(new FeedBatch(), { type: "in-sync", position, baseArn: "" }),
      { code: "server_unavailable" },
    );
    assert.deepEqual([table.byUid("b"), keyOf(1)], [undefined, "own"]);
  });

  test("takes nothing back for what the same server said before", () => {
    const { table, keyOf } = setUp([pod({ uid: "a", ...granted("r", 1) }), issued(1, "held")]);
    feed(table, [{ type: "pod-gone", uid: "a" }], { revision: 3 });
    feed(table, [pod({ uid: "a", ...granted("r", 1) }), issued(1, "held")], { revision: 2 });
    assert.deepEqual([table.byUid("a"), keyOf(1)], [undefined, undefined]);
    assert.equal(table.position?.revision, 3);
    feed(table, [snapshot, pod({ uid: "b" })], { epoch: "epoch-2", revision: 1 });
    assert.equal(table.size, 1);
  });

  test("says which pods are elsewhere, before it tells of the batch, until its listeners leave", () => {
    const { table } = setUp([pod({ uid: "a" })]);
    const steps: readonly [readonly FeedChange[], Record<string, readonly string[]>][] = [
      [[pod({ uid: "a", deleting: true })], {}],
      [[pod({ uid: "a", addresses: ["10.0.0.2"] })], { a: ["10.0.0.2"] }],
      [[pod({ uid: "b", addresses: ["10.0.0.3"] })], { b: ["10.0.0.3"] }],
      [[issued(1, "key")], {}],
      [[{ type: "pod-gone", uid: "b" }], { b: [] }],
      [
        [snapshot, pod({ uid: "a", addresses: ["10.0.0.2"] }), pod({ uid: "c" })],
        { c: ["10.0.0.1"] },
      ],
      [[snapshot, pod({ uid: "c" })], { a: [] }],
    ];
    let moved: readonly PodAddresses[] = [];
    let told: Record<string, readonly string[]> = {};
    const listening = table.onMoved((pods) => (moved = pods));
    table.onCommit(() => {
      told = Object.fromEntries(moved.map(({ uid, addresses }) => [uid, addresses]));
      moved = [];
    });
    for (const [changes, expected] of steps) {
      feed(table, changes);
      assert.deepEqual(told, expected, JSON.stringify(changes));
    }
    table.clear();
    assert.deepEqual(told, { c: [] });
    listening[Symbol.dispose]();
    feed(table, [snapshot, pod({ uid: "a" })]);
    assert.deepEqual(told, {});
  });

  test("refuses more pods than a node can have", () => {
    const { table } = setUp([]);
    const pods = (from: number): FeedChange[] =>
      Array.from({ length: 10_000 }, (_, at) => pod({ uid: `${from + at}`, addresses: [] }));
    feed(table, pods(0));
    assert.throws(() => feed(table, pods(10_000)), { code: "overloaded" });
    assert.equal(table.size, 10_000);
  });

  test("refuses a batch without an end", () => {
    const batch = new FeedBatch();
    assert.throws(
      () => {
        for (let id = 0; id < 20_000; id += 1) batch.add(issued(id, "key"));
      },
      { code: "overloaded" },
    );
  });

  test("tells its listeners after each batch, until they leave", () => {
    const { table } = setUp([]);
    let told = 0;
    const listening = table.onCommit(() => (told += 1));
    feed(table, []);
    listening[Symbol.dispose]();
    feed(table, []);
    assert.equal(told, 1);
  });
});
