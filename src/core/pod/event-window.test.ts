import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { EventWindow } from "./event-window.ts";

describe("EventWindow", () => {
  const setUp = (entriesMax = 100) => {
    const clock = new FakeClock();
    return { clock, window: new EventWindow({ clock, windowMs: 60_000, entriesMax }) };
  };

  test("admits one event for a pod and reason in a window", async () => {
    const { clock, window } = setUp();

    const admitted = [
      window.admits("uid-1", "Forbidden"),
      window.admits("uid-1", "Forbidden"),
      window.admits("uid-1", "Error"),
      window.admits("uid-2", "Forbidden"),
    ];
    await clock.advance(59_999);
    const still = window.admits("uid-1", "Forbidden");
    await clock.advance(1);

    assert.deepEqual(admitted, [true, false, true, true]);
    assert.equal(still, false);
    assert.equal(window.admits("uid-1", "Forbidden"), true);
  });

  test("remembers a bounded number, and admits again when their windows are over", async () => {
    const { clock, window } = setUp(2);

    const admitted = ["a", "b", "c"].map((uid) => window.admits(uid, "Forbidden"));
    await clock.advance(60_000);

    assert.deepEqual(admitted, [true, true, false]);
    assert.equal(window.admits("c", "Forbidden"), true);
  });
});
