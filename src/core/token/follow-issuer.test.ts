import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { AppError } from "../errors.ts";
import { followIssuer, type IssuerEvent, type TokenIssuer } from "./follow-issuer.ts";

const FIRST: TokenIssuer = { issuer: "https://i", keys: ["old"] };
const BOTH: TokenIssuer = { issuer: "https://i", keys: ["old", "new"] };

async function setUp() {
  const clock = new FakeClock();
  const stopping = new AbortController();
  const world = { says: FIRST as TokenIssuer | AppError, asked: 0 };
  const used: TokenIssuer[] = [];
  const events: IssuerEvent[] = [];
  const following = followIssuer({
    read: async () => {
      world.asked += 1;
      if (world.says instanceof AppError) throw world.says;
      return { ...world.says };
    },
    use: (issuer) => used.push(issuer),
    clock,
    random: () => 0.5,
    signal: stopping.signal,
    observe: (event) => events.push(event),
  });
  const stop = async (): Promise<void> => {
    stopping.abort(new Error("stopping"));
    await assert.rejects(following, /stopping/);
  };
  await settle();
  return Object.assign(world, { clock, used, events, [Symbol.asyncDispose]: stop });
}

describe("followIssuer", () => {
  test("hands the keys on when they change, within some minute, and only then", async () => {
    await using world = await setUp();
    assert.deepEqual(world.used, [FIRST]);
    await world.clock.advance(600_000);
    assert.equal(world.asked, 11);
    assert.deepEqual(world.used, [FIRST]);

    world.says = BOTH;
    await world.clock.advance(75_000);
    assert.deepEqual(world.used, [FIRST, BOTH]);
  });

  test("keeps the keys while nobody can say, asks ever less often, and says so once", async () => {
    await using world = await setUp();
    const error = new AppError("kubernetes_unavailable", "away");
    world.says = error;
    await world.clock.advance(600_000);

    assert.deepEqual(world.used, [FIRST]);
    assert.deepEqual(world.events.slice(1), [{ type: "failed", error }]);
    assert.ok(world.clock.pauses.every((ms) => ms <= 60_000));
    assert.ok(world.asked > 12 && world.asked < 25, String(world.asked));

    world.says = BOTH;
    await world.clock.advance(60_000);
    assert.deepEqual(world.used, [FIRST, BOTH]);
  });
});
