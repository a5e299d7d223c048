import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { settle } from "#test/fake-clock.ts";
import { BASE_ARN, granted } from "#test/fed-pod.ts";
import { ADDRESS, HOUR, never, nodeTableWorld as setUp } from "#test/node-table.ts";

describe("NodeTable with a feed", () => {
  test("answers from memory, without waiting and without asking", async () => {
    const { put, issue, key, table, asked, clock, sources } = setUp();
    put();
    issue();
    assert.equal(await table.role(ADDRESS, never), "reader");
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
    assert.equal(await key(), "ASIA1");
    assert.deepEqual([asked, clock.pauses], [[], []]);
    assert.deepEqual(sources, ["memory", "memory", "memory"]);
  });

  for (const [what, requested] of [
    ["its name", "reader"],
    ["its ARN", `${BASE_ARN}reader`],
    ["a leading slash", "/reader"],
  ] as const) {
    test(`gives the annotated role's credentials for ${what}`, async () => {
      const { put, issue, key } = setUp();
      put();
      issue();
      assert.equal(await key(requested), "ASIA1");
    });
  }

  test("gives no other role's, whatever is asked for", async () => {
    const { put, issue, key, outcome } = setUp();
    put();
    issue();
    for (const requested of ["writer", "", "reader/", "arn:aws:iam::210987654321:role/reader"]) {
      assert.equal(await outcome(key(requested)), "role_mismatch");
    }
  });

  test("refuses as the server decided, in its words", async () => {
    const { put, table, key, outcome } = setUp();
    const refused = { outcome: "refused", code: "namespace_forbids", reason: "its words" } as const;
    put({ grant: refused });
    await assert.rejects(key(), { code: "namespace_forbids", message: "its words" });
    assert.equal(await table.role(ADDRESS, never), "reader");
    assert.equal(await outcome(table.listedRole(ADDRESS, never)), "namespace_forbids");
  });

  test("knows who names no role", async () => {
    const { put, table, key, outcome } = setUp();
    put({ role: undefined, grant: { outcome: "none" } });
    assert.equal(await outcome(table.role(ADDRESS, never)), "no_role");
    assert.equal(await outcome(key()), "no_role");
  });

  test("follows a change of the pod's role at once", async () => {
    const { put, issue, key, table, outcome } = setUp();
    put();
    issue();
    put(granted("writer", 2));
    issue("ASIA2", 2);
    assert.equal(await table.role(ADDRESS, never), "writer");
    assert.equal(await outcome(key("reader")), "role_mismatch");
    assert.equal(await key("writer"), "ASIA2");
  });

  test("holds a request for a pod that the feed is about to bring", async () => {
    const { put, issue, key, clock, asked } = setUp();
    const answer = key();
    await clock.advance(399);
    put();
    issue();
    assert.equal(await answer, "ASIA1");
    assert.deepEqual(asked, []);
  });

  test("asks a server once for all who ask about an address that the feed does not know", async () => {
    const { table, clock, asked, sources, world, server } = setUp();
    const travel = Promise.withResolvers<void>();
    server.travel = travel.promise;
    world.podUid = "uid-9";
    const answers = [table.role(ADDRESS, never), table.role(ADDRESS, never)];
    await clock.advance(399);
    assert.deepEqual(asked, []);
    await clock.advance(1);
    travel.resolve();
    assert.deepEqual(await Promise.all(answers), ["server", "server"]);
    assert.deepEqual(asked, ["server: role 10.0.0.1 uid-9"]);
    assert.deepEqual(sources, ["server", "server"]);
  });

  test("refuses retryably when no server knows more", async () => {
    const { table, clock, server, world, outcome } = setUp();
    world.podUid = "uid-9";
    server.error = new AppError("server_unavailable", "away");
    const answer = outcome(table.role(ADDRESS, never));
    await clock.advance(400);
    assert.equal(await answer, "server_unavailable");
  });

  test("asks no server about an address alone: the node could not contradict what it says", async () => {
    const { table, clock, asked, outcome } = setUp();
    const answer = outcome(table.role(ADDRESS, never));
    await clock.advance(400);
    assert.equal(await answer, "pod_not_found");
    assert.deepEqual(asked, []);
  });

  test("waits for credentials that are on their way, and a role list does not", async () => {
    const { put, issue, key, table, clock, outcome } = setUp();
    put();
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
    const first = key();
    await clock.advance(699);
    issue();
    assert.equal(await first, "ASIA1");

    put(granted("reader", 3));
    const second = outcome(key());
    await clock.advance(700);
    assert.equal(await second, "not_ready");
  });

  test("tells what STS said", async () => {
    const { put, feed, key, table } = setUp();
    put();
    const failure = { outcome: "failed", code: "sts_denied", reason: "AccessDenied: no" } as const;
    feed({ type: "session", id: 1, session: failure });
    await assert.rejects(key(), { code: "sts_denied", message: "AccessDenied: no" });
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
  });

  test("serves what it holds while the feed is lost, until it expires and not longer", async () => {
    const { put, issue, key, clock, world, sources, outcome } = setUp();
    put();
    issue();
    world.isInSync = false;
    await clock.advance(HOUR - 1);
    assert.equal(await key(), "ASIA1");
    assert.deepEqual(sources, ["held"]);
    await clock.advance(1);
    assert.equal(await outcome(key()), "sts_unavailable");
  });

  test("lets 32 requests of an address wait, and no more", async () => {
    const { table, clock, world, outcome } = setUp();
    world.podUid = "uid-9";
    const all = Array.from({ length: 33 }, () => outcome(table.role(ADDRESS, never)));
    await clock.advance(400);
    const outcomes = await Promise.all(all);
    assert.equal(outcomes.filter((each) => each === "overloaded").length, 1);
    assert.equal(outcomes.filter((each) => each === "server").length, 32);
  });
});

describe("NodeTable without a feed", () => {
  test("asks about each pod, and says whom the node gave the address to", async () => {
    const { table, asked, world, clock } = setUp({ isFed: false });
    world.podUid = "uid-1";
    assert.equal(await table.role(ADDRESS, never), "asked");
    assert.equal((await table.credentials(ADDRESS, "reader", never)).accessKeyId, "asked");
    assert.deepEqual(asked, [
      "asked: role 10.0.0.1 uid-1",
      "asked: credentials 10.0.0.1 reader uid-1",
    ]);
    assert.deepEqual(clock.pauses, []);
  });

  test("says where the address is before it asks, so that nothing is served elsewhere", async () => {
    const { table, asked, world } = setUp({ isFed: false });
    world.place = { interface: "veth1", hardwareAddress: undefined, index: 7 };
    await table.role(ADDRESS, never);
    assert.deepEqual(asked, ["asked: leave 10.0.0.1 to veth1 7", "asked: role 10.0.0.1"]);
  });

  test("asks nobody in a dispute", async () => {
    const { table, asked, world, outcome } = setUp({ isFed: false });
    world.disputed = new AppError("pod_ambiguous", "two records");
    assert.equal(await outcome(table.role(ADDRESS, never)), "pod_ambiguous");
    assert.deepEqual(asked, []);
  });

  test("asks anew once there is a feed no more", async () => {
    const { table, put, pods, asked } = setUp();
    put();
    pods.clear();
    await settle();
    assert.equal(await table.role(ADDRESS, never), "asked");
    assert.equal(asked.length, 1);
  });
});
