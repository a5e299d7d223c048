import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { BASE_ARN, fedCredentials, fedPod, feed as feedTo, granted } from "#test/fed-pod.ts";
import type { ErrorCode } from "../errors.ts";
import type { FeedChange } from "./feed-messages.ts";
import { type AnswerSource, NodeTable } from "./node-table.ts";
import { PodTable } from "./pod-table.ts";

const READER = granted("reader", 1);
const never = new AbortController();

function setUp() {
  const clock = new FakeClock();
  const table = new PodTable();
  const sources: AnswerSource[] = [];
  const unused = (): never => assert.fail("no address plays a part");
  const node = new NodeTable({
    pods: table,
    isInSync: () => true,
    places: { ownerOf: unused, compare: unused, confirm: unused },
    server: { role: unused, credentials: unused },
    asked: { role: unused, credentials: unused, leaveTo: unused },
    clock,
    observe: (source) => sources.push(source),
  });
  const feed = (...changes: FeedChange[]): void => feedTo(table, changes);
  const issued = (accessKeyId: string, id = 1): FeedChange => ({
    type: "session",
    id,
    session: {
      outcome: "issued",
      credentials: fedCredentials(accessKeyId, clock.now() + 3_600_000),
    },
  });
  const failed = (code: ErrorCode): FeedChange => ({
    type: "session",
    id: 1,
    session: { outcome: "failed", code, reason: "STS said so" },
  });
  const keyOf = async (uid: string): Promise<string> =>
    (await node.credentialsOf(uid, never)).credentials.accessKeyId;
  return { clock, node, sources, feed, issued, failed, keyOf };
}

describe("NodeTable, asked by a UID,", () => {
  test("gives each of two pods on one address its own", async () => {
    const { feed, issued, keyOf, node, sources } = setUp();
    const other = fedPod({ uid: "uid-2", ...granted("reader", 2) });
    const both = [fedPod(READER), other].map((pod) => ({ type: "pod", pod }) as const);
    feed(...both, issued("A"), issued("B", 2));

    assert.equal(await keyOf("uid-1"), "A");
    assert.equal(await keyOf("uid-2"), "B");
    assert.equal((await node.credentialsOf("uid-1", never)).roleArn, `${BASE_ARN}reader`);
    assert.deepEqual(sources, ["memory", "memory", "memory"]);
  });

  test("serves a pod that terminates, and refuses one that is gone", async () => {
    const { clock, feed, issued, keyOf } = setUp();
    feed({ type: "pod", pod: fedPod({ ...READER, deleting: true }) }, issued("A"));
    assert.equal(await keyOf("uid-1"), "A");

    feed({ type: "pod-gone", uid: "uid-1" });
    const gone = assert.rejects(keyOf("uid-1"), { code: "pod_not_found", retryable: true });
    await clock.advance(400);
    await gone;
  });

  test("waits 400 ms, and no longer, for a pod that the feed has not brought yet", async () => {
    const { clock, feed, issued, keyOf } = setUp();
    const waiting = keyOf("uid-1");
    await clock.advance(399);
    feed({ type: "pod", pod: fedPod(READER) }, issued("A"));
    assert.equal(await waiting, "A");

    const inVain = assert.rejects(keyOf("uid-2"), { code: "pod_not_found" });
    await clock.advance(399);
    assert.equal(clock.sleeping, 1);
    await clock.advance(1);
    await inVain;
  });

  test("waits for a session that is on its way, whatever else the feed brings", async () => {
    const { clock, feed, issued, keyOf } = setUp();
    feed({ type: "pod", pod: fedPod(READER) });
    const waiting = keyOf("uid-1");
    await clock.advance(100);
    feed({ type: "pod", pod: fedPod({ uid: "uid-2" }) });
    await settle();
    feed(issued("A"));
    assert.equal(await waiting, "A");

    feed({ type: "pod", pod: fedPod(granted("reader", 2)) });
    const inVain = assert.rejects(keyOf("uid-1"), { code: "not_ready" });
    await clock.advance(699);
    assert.equal(clock.sleeping, 1);
    await clock.advance(1);
    await inVain;
  });

  const refusals = [
    { what: "no role", grant: { outcome: "none" }, code: "no_role" },
    {
      what: "a role that its namespace forbids",
      grant: { outcome: "refused", code: "namespace_forbids", reason: "not permitted" },
      code: "namespace_forbids",
    },
  ] as const;
  for (const { what, grant, code } of refusals) {
    test(`refuses a pod with ${what} at once`, async () => {
      const { feed, keyOf } = setUp();
      feed({ type: "pod", pod: fedPod({ role: "reader", grant }) });
      await assert.rejects(keyOf("uid-1"), { code });
    });
  }

  test("says why STS gave nothing, and serves what it gave before while that lives", async () => {
    const { clock, feed, issued, failed, keyOf } = setUp();
    feed({ type: "pod", pod: fedPod(READER) }, failed("sts_denied"));
    await assert.rejects(keyOf("uid-1"), { code: "sts_denied", message: "STS said so" });

    feed(issued("A"));
    feed(failed("sts_throttled"));
    assert.equal(await keyOf("uid-1"), "A");
    await clock.advance(3_600_000);
    await assert.rejects(keyOf("uid-1"), { code: "sts_throttled" });
  });

  test("bounds how many of one pod's requests wait", async () => {
    const { clock, keyOf } = setUp();
    const waiting = Array.from({ length: 32 }, () => assert.rejects(keyOf("uid-1")));
    await settle();
    await assert.rejects(keyOf("uid-1"), { code: "overloaded" });
    await clock.advance(400);
    await Promise.all(waiting);
  });

  test("a client that leaves stops waiting, and takes nothing from those who stay", async () => {
    const { node, feed, issued, keyOf } = setUp();
    const left = new AbortController();
    const leaving = assert.rejects(node.credentialsOf("uid-1", left), /gone/);
    const staying = keyOf("uid-1");
    left.abort(new Error("gone"));
    await leaving;
    feed({ type: "pod", pod: fedPod(READER) }, issued("A"));
    assert.equal(await staying, "A");
  });
});
