import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import type { AddressDispute } from "./address-dispute.ts";
import { disputeReports } from "./dispute-reports.ts";

const MINUTE = 60_000;

function disputeOf(address: string): AddressDispute {
  return { address, between: "server-and-record", podUids: ["cart", "till"] };
}

/** An agent whose disputes stand until a test says that they are over. */
function setUp(send: () => Promise<void> = async () => undefined) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const over = new Set<string>();
  const sent: string[] = [];
  const tell = disputeReports({
    stands: ({ address }) => !over.has(address),
    send: async ({ address }) => {
      sent.push(address);
      await send();
    },
    clock,
    signal: stop.signal,
  });
  return { clock, stop, over, sent, tell: (address: string) => tell(disputeOf(address)) };
}

describe("disputeReports", () => {
  test("tells of a dispute that has outlasted the requests that met it", async () => {
    const { clock, sent, tell } = setUp();
    tell("10.0.0.1");
    await clock.advance(999);
    assert.deepEqual(sent, []);
    await clock.advance(1);
    assert.deepEqual(sent, ["10.0.0.1"]);
  });

  test("says nothing of one that passed by itself, and all the same of the next there", async () => {
    const { clock, over, sent, tell } = setUp();
    tell("10.0.0.1");
    over.add("10.0.0.1");
    await clock.advance(1_000);
    assert.deepEqual(sent, []);
    over.clear();
    tell("10.0.0.1");
    await clock.advance(1_000);
    assert.deepEqual(sent, ["10.0.0.1"]);
  });

  test("tells of an address once in a window, whoever disputes it", async () => {
    const { clock, sent, tell } = setUp();
    for (let minute = 0; minute < 5; minute += 1) {
      tell("10.0.0.1");
      tell("10.0.0.2");
      await clock.advance(MINUTE);
    }
    assert.deepEqual(sent, ["10.0.0.1", "10.0.0.2"]);
    tell("10.0.0.1");
    await clock.advance(1_000);
    assert.deepEqual(sent, ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
  });

  test("lets 32 wait, and drops what comes beyond", async () => {
    const { clock, sent, tell } = setUp();
    for (let count = 0; count < 40; count += 1) tell(`10.0.0.${count}`);
    await clock.advance(1_000);
    assert.equal(sent.length, 32);
    tell("10.0.1.1");
    await clock.advance(1_000);
    assert.equal(sent.length, 33);
  });

  test("counts a report that no server answers as waiting, and outlives one that fails", async () => {
    const answer = Promise.withResolvers<void>();
    const { clock, sent, tell } = setUp(() => answer.promise);
    for (let count = 0; count < 32; count += 1) tell(`10.0.0.${count}`);
    await clock.advance(1_000);
    tell("10.0.1.1");
    await clock.advance(1_000);
    assert.equal(sent.length, 32);

    answer.reject(new Error("no server"));
    await settle();
    tell("10.0.1.2");
    await clock.advance(1_000);
    assert.equal(sent.at(-1), "10.0.1.2");
  });

  test("ends with the agent", async () => {
    const { clock, stop, sent, tell } = setUp();
    tell("10.0.0.1");
    stop.abort(new Error("stop"));
    await clock.advance(1_000);
    assert.deepEqual([sent, clock.sleeping], [[], 0]);
  });
});
