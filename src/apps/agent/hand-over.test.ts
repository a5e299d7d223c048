import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { awaitTurn, handOver } from "./hand-over.ts";

describe("an agent that starts", () => {
  /** Whether it has opened its port, while another listens or not, and it is ready or not. */
  function setUp(state: { others: number; ready: boolean }) {
    const clock = new FakeClock();
    const stop = new AbortController();
    const opened = { is: false };
    const turn = awaitTurn(
      { port: 8181, listeners: async () => state.others, isReady: async () => state.ready, clock },
      stop.signal,
    ).then(() => (opened.is = true));
    return { clock, stop, opened, turn };
  }

  test("opens its port at once where no other listens", async () => {
    const { turn, opened } = setUp({ others: 0, ready: false });
    await turn;
    assert.equal(opened.is, true);
  });

  for (const [what, change] of Object.entries({
    "until it could answer": { ready: true },
    "or until the other is gone": { others: 0 },
  })) {
    test(`waits where another listens, ${what}`, async () => {
      const state = { others: 1, ready: false };
      const { clock, turn, opened } = setUp(state);
      await clock.advance(60_000);
      assert.equal(opened.is, false);
      Object.assign(state, change);
      await clock.advance(100);
      await turn;
      assert.equal(opened.is, true);
    });
  }

  test("waits no longer than it lives", async () => {
    const { stop, turn } = setUp({ others: 1, ready: false });
    stop.abort(new Error("over"));
    await assert.rejects(turn, /over/);
  });
});

describe("an agent that stops", () => {
  async function retired(count: number): Promise<boolean> {
    let is = false;
    const retire = async (): Promise<void> => void (is = true);
    await handOver({ endpoint: { port: 8181, retire }, listeners: async () => count });
    return is;
  }

  test("lets its connections end one by one where another listens", async () => {
    assert.equal(await retired(2), true);
  });

  test("ends at once where none does", async () => {
    assert.equal(await retired(1), false);
  });
});
