import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError, type ErrorCode } from "#core/errors.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { WaitingRoom } from "./waiting-room.ts";

const never = new AbortController();

function setUp() {
  const clock = new FakeClock();
  const listeners = new Set<() => void>();
  const room = new WaitingRoom({
    clock,
    onNews: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    patienceMs: { pod_not_found: 400, not_ready: 700 },
    perOwnerMax: 2,
    allMax: 4,
  });
  const world = { code: "pod_not_found" as ErrorCode | undefined, reads: 0 };
  const read = (): string => {
    world.reads += 1;
    if (world.code !== undefined) throw new AppError(world.code, "why");
    return "answer";
  };
  const tell = async (): Promise<void> => {
    for (const listener of listeners) listener();
    await settle();
  };
  const wait = (owner = "a", waiter = never) => room.firstAnswer(owner, read, waiter);
  return { clock, world, wait, tell, listeners };
}

describe("WaitingRoom", () => {
  test("answers at once what can be answered", async () => {
    const { world, wait, clock } = setUp();
    world.code = undefined;
    assert.equal(await wait(), "answer");
    assert.deepEqual([world.reads, clock.pauses], [1, []]);
  });

  test("answers with the news that allows it", async () => {
    const { world, wait, tell, clock, listeners } = setUp();
    const waiting = wait();
    await settle();
    await tell();
    world.code = undefined;
    await tell();
    assert.equal(await waiting, "answer");
    assert.deepEqual([clock.sleeping, listeners.size], [0, 0]);
  });

  test("gives up when the patience with a failure is over, counted from the start", async () => {
    const { world, wait, tell, clock } = setUp();
    const failed: AppError[] = [];
    wait().catch((error: unknown) => failed.push(AppError.from(error)));
    await clock.advance(300);
    world.code = "not_ready";
    await tell();
    await clock.advance(399);
    assert.equal(failed.length, 0);
    await clock.advance(1);
    assert.equal(failed[0]?.code, "not_ready");
  });

  test("looks once more before it gives up, whether there were news or not", async () => {
    const { world, wait, clock } = setUp();
    const waiting = wait();
    await clock.advance(399);
    world.code = undefined;
    await clock.advance(1);
    assert.equal(await waiting, "answer");
  });

  test("does not wait for what does not pass", async () => {
    const { world, wait, clock } = setUp();
    world.code = "namespace_forbids";
    await assert.rejects(wait(), { code: "namespace_forbids" });
    assert.deepEqual(clock.pauses, []);
  });

  test("lets few wait for one owner, and not too many in all", async () => {
    const { world, wait, tell } = setUp();
    const waiting = [wait("a"), wait("a"), wait("b")];
    await settle();
    await assert.rejects(wait("a"), { code: "overloaded" });
    waiting.push(wait("c"));
    await settle();
    await assert.rejects(wait("d"), { code: "overloaded" });
    world.code = undefined;
    await tell();
    assert.deepEqual(await Promise.all(waiting), ["answer", "answer", "answer", "answer"]);
    world.code = "pod_not_found";
    const later = wait("a");
    await settle();
    world.code = undefined;
    await tell();
    assert.equal(await later, "answer", "whoever left made room");
  });

  test("is left when the caller goes", async () => {
    const { wait, clock, listeners } = setUp();
    const leave = new AbortController();
    const waiting = wait("a", leave);
    await settle();
    leave.abort(new Error("gone"));
    await assert.rejects(waiting, { message: "gone" });
    assert.deepEqual([clock.sleeping, listeners.size], [0, 0]);
  });
});
