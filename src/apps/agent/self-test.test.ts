import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import type { InterceptionEvent } from "#edges/linux/interception-rules.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { selfTest } from "./self-test.ts";

const OK = "HTTP/1.1 200 OK";
const ADDRESSES = ["169.254.169.254", "fd00:ec2::254"];

/** A self-test whose requests have an outcome each, by address; a request that is `heard` comes to this agent. */
function setUp({ sharers = 1 } = {}) {
  const clock = new FakeClock();
  const events: InterceptionEvent[] = [];
  const asked: string[][] = [];
  const outcomes = new Map<string, { readonly line: string; readonly heard: boolean }>();
  let failure: Error | undefined;
  let drawn = 0;
  const tested = selfTest({
    addresses: ADDRESSES,
    ask: async (wanted) => {
      if (failure !== undefined) throw failure;
      asked.push([...wanted]);
      return new Map(
        wanted.map((one) => {
          const address = one.split("/", 1)[0] ?? "";
          const { line, heard } = outcomes.get(address) ?? { line: OK, heard: true };
          if (heard) hear(one.slice(address.length));
          return [one, line];
        }),
      );
    },
    sharers: async () => sharers,
    clock,
    random: () => (drawn = (drawn + 0.377) % 1),
    observe: (event) => void events.push(event),
  });
  const handler = tested.hearing(() => ({ status: 200, headers: {}, body: "pong" }));
  const hear = (target: string): void => {
    void handler({
      method: "GET",
      target,
      headers: { get: () => undefined },
      remoteAddress: "198.51.100.1",
      localAddress: "10.0.0.1",
      isGone: false,
      signal: new AbortController().signal,
    });
  };
  return {
    ...tested,
    clock,
    events,
    asked,
    outcomes,
    fail: (error: Error) => void (failure = error),
  };
}

const never = new AbortController().signal;

describe("selfTest", () => {
  test("is passed once this agent has heard what was asked at each address", async () => {
    const { run, unreadiness, events, asked } = setUp();
    assert.match(unreadiness() ?? "", /not passed yet/);
    await run(never);
    assert.equal(unreadiness(), undefined);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["proved"],
    );
    assert.deepEqual(
      asked[0]?.map((one) => one.split("/ping?self-test=", 1)[0]),
      ADDRESSES,
    );
    assert.equal(new Set(asked[0]).size, 2);
  });

  for (const [what, outcome, said] of [
    ["nobody answers", { line: "no answer", heard: false }, "fd00:ec2::254: no answer"],
    [
      "somebody else answers",
      { line: OK, heard: false },
      "fd00:ec2::254: an answer, but not by this agent",
    ],
    ["no answer gets back", { line: "no answer", heard: true }, "fd00:ec2::254: no answer"],
  ] as const) {
    test(`is not passed while ${what} at one address, and is tried again with other targets`, async () => {
      const { run, unreadiness, events, asked, outcomes, clock } = setUp();
      outcomes.set("fd00:ec2::254", outcome);
      const running = run(never);
      await clock.advance(0);
      assert.equal(unreadiness(), `interception does not work: ${said}`);
      assert.deepEqual(events, [{ type: "unproved", found: [said] }]);

      outcomes.clear();
      await clock.advance(500);
      await running;
      assert.equal(unreadiness(), undefined);
      assert.equal(new Set(asked.flat()).size, 4);
    });
  }

  test("asks more often where another agent shares the port", async () => {
    const { run, asked } = setUp({ sharers: 2 });
    await run(never);
    assert.equal(asked[0]?.length, 16);
  });

  test("is skipped where nothing can be asked, and says why", async () => {
    const { run, unreadiness, events, fail } = setUp();
    fail(new AppError("invalid_settings", "not permitted"));
    await run(never);
    assert.equal(unreadiness(), undefined);
    assert.deepEqual(events, [{ type: "unprovable", reason: "not permitted" }]);
  });
});
