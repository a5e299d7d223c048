import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { Interception } from "./interception.ts";
import type { InterceptionEvent, InterceptionRules } from "./interception-rules.ts";

const never = new AbortController().signal;

/** Rules that are a text, in a kernel that may have another one, none, or answer nothing. */
function setUp() {
  const kernel: { rules: string | undefined; looked: number; fails: boolean } = {
    rules: undefined,
    looked: 0,
    fails: false,
  };
  const reach = (): void => {
    if (kernel.fails) throw new AppError("invalid_settings", "no");
  };
  const rules: InterceptionRules = {
    removal: /./,
    stand: async () => kernel.rules !== undefined,
    areIntact: async () => {
      kernel.looked += 1;
      reach();
      return kernel.rules === "ours";
    },
    apply: async () => void (kernel.rules = "ours"),
    remove: async () => {
      reach();
      kernel.rules = undefined;
    },
  };
  const clock = new FakeClock();
  const events: InterceptionEvent["type"][] = [];
  const interception = new Interception({ rules, clock, observe: ({ type }) => events.push(type) });
  const stop = new AbortController();
  return { kernel, clock, events, interception, stop };
}

describe("Interception", { timeout: 5_000 }, () => {
  test("adds rules where there are none", async () => {
    const { kernel, events, interception } = setUp();
    await interception.ensure(never);
    assert.deepEqual([kernel.rules, events], ["ours", ["added"]]);
  });

  test("leaves those of an earlier agent until it takes over", async () => {
    const { kernel, events, interception } = setUp();
    kernel.rules = "of an earlier agent";
    await interception.ensure(never);
    assert.deepEqual([kernel.rules, events], ["of an earlier agent", ["present"]]);
    await interception.takeOver(never);
    assert.equal(kernel.rules, "ours");
  });

  test("does not make its own rules a second time when it takes over", async () => {
    const { kernel, interception } = setUp();
    await interception.ensure(never);
    kernel.fails = true;
    await interception.takeOver(never);
    assert.deepEqual([kernel.rules, kernel.looked], ["ours", 0]);
  });

  test("leaves the rules of an agent that started later when it takes over", async () => {
    const { kernel, interception } = setUp();
    kernel.rules = "ours";
    await interception.ensure(never);
    await interception.takeOver(never);
    assert.deepEqual([kernel.rules, kernel.looked], ["ours", 1]);
  });

  test("restores rules that were removed or changed, and says so", async () => {
    const { kernel, clock, events, interception, stop } = setUp();
    await interception.ensure(never);
    const ended = interception.reconcile(stop.signal).catch(() => {});
    for (const left of [undefined, "something else"]) {
      kernel.rules = left;
      await clock.advance(5_000);
      assert.equal(kernel.rules, "ours");
      await clock.advance(100);
    }
    stop.abort();
    await ended;
    assert.deepEqual(events, ["added", "restored", "restored"]);
  });

  test("looks at once when it is called, also while it is looking, and not faster than it may", async () => {
    const { kernel, clock, interception, stop } = setUp();
    await interception.ensure(never);
    const ended = interception.reconcile(stop.signal).catch(() => {});
    kernel.rules = undefined;
    for (let calls = 0; calls < 10; calls += 1) interception.look();
    await clock.advance(0);
    assert.deepEqual([kernel.rules, kernel.looked], ["ours", 1]);
    for (let calls = 0; calls < 10; calls += 1) interception.look();
    await clock.advance(99);
    assert.equal(kernel.looked, 1);
    await clock.advance(1);
    assert.equal(kernel.looked, 2);
    stop.abort();
    await ended;
  });

  test("goes on when the kernel can't be asked", async () => {
    const { kernel, clock, events, interception, stop } = setUp();
    await interception.ensure(never);
    const ended = interception.reconcile(stop.signal).catch(() => {});
    kernel.fails = true;
    await clock.advance(5_000);
    kernel.fails = false;
    kernel.rules = undefined;
    await clock.advance(5_100);
    stop.abort();
    await ended;
    assert.deepEqual(events, ["added", "failed", "restored"]);
  });

  test("tries for a while to remove rules", async () => {
    const { kernel, clock, events, interception } = setUp();
    await interception.ensure(never);
    kernel.fails = true;
    const removed = interception.remove(never);
    await clock.advance(500);
    kernel.fails = false;
    await clock.advance(500);
    await removed;
    assert.deepEqual([kernel.rules, events], [undefined, ["added", "failed", "failed", "removed"]]);
  });
});
