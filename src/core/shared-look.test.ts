import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { sharedLook } from "./shared-look.ts";

const never = new AbortController().signal;

function setUp() {
  const clock = new FakeClock();
  const looks: PromiseWithResolvers<number>[] = [];
  const look = sharedLook(
    () => {
      looks.push(Promise.withResolvers());
      return looks.at(-1)?.promise ?? 0;
    },
    { clock, pauseMs: 10, signal: never },
  );
  return { clock, looks, look };
}

describe("sharedLook", () => {
  test("answers all who ask before a look begins with one look", async () => {
    const { looks, look } = setUp();
    const answers = Promise.all([look(), look()]);
    await settle();
    looks[0]?.resolve(1);
    assert.deepEqual(await answers, [1, 1]);
    assert.equal(looks.length, 1);
  });

  test("answers nobody with a look that began before the question", async () => {
    const { clock, looks, look } = setUp();
    const first = look();
    await settle();
    const second = look();
    looks[0]?.resolve(1);
    assert.equal(await first, 1);
    await clock.advance(10);
    looks[1]?.resolve(2);
    assert.equal(await second, 2);
  });

  test("begins no look within the pause after the one before", async () => {
    const { clock, looks, look } = setUp();
    void look();
    await settle();
    looks[0]?.resolve(1);
    await clock.advance(3);
    void look();
    await clock.advance(6);
    assert.equal(looks.length, 1);
    await clock.advance(1);
    assert.equal(looks.length, 2);
  });

  test("looks again after a look that failed", async () => {
    const { clock, looks, look } = setUp();
    const first = look();
    await settle();
    looks[0]?.reject(new Error("no"));
    await assert.rejects(first);
    const second = look();
    await clock.advance(10);
    looks[1]?.resolve(2);
    assert.equal(await second, 2);
  });
});
