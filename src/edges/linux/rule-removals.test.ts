import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { followRemovals } from "./rule-removals.ts";

/** Follows a monitor that says `script`, a shell's, and tells what came of it until `enough`. */
async function follow(script: string, enough: (told: readonly string[]) => boolean) {
  const clock = new FakeClock();
  const told: string[] = [];
  const stop = new AbortController();
  const tell = (word: string): void => {
    told.push(word);
    if (enough(told)) stop.abort();
  };
  const ended = followRemovals(
    {
      removal: /^delete rule inet rolecall /,
      onRemoval: () => tell("look"),
      onSilence: tell,
      clock,
      random: () => 0,
      monitor: ["sh", "-c", script],
    },
    stop.signal,
  ).catch(() => {});
  // Only the pauses between monitors are a matter of the clock.
  while (!stop.signal.aborted) await clock.advance(clock.sleeping > 0 ? 60_000 : 0);
  await ended;
  return { told, pauses: clock.pauses };
}

describe("followRemovals", { timeout: 10_000 }, () => {
  test("tells of a removal that matters and of no other", async () => {
    const said = ["delete rule ip nat x 1", "delete rule inet rolecall refuse handle 2"].join("\n");
    const { told } = await follow(`echo '${said}'; exec sleep 5`, ({ length }) => length > 0);
    assert.deepEqual(told, ["look"]);
  });

  test("says why there is no word, looks since some may be missed, and asks ever later", async () => {
    const { told, pauses } = await follow("echo not permitted >&2", ({ length }) => length === 7);
    assert.deepEqual(told.slice(0, 4), ["not permitted", "look", "not permitted", "look"]);
    assert.deepEqual(pauses.slice(0, 3), [500, 1_000, 2_000]);
  });

  test("goes on without the program", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const reasons: string[] = [];
    const options = {
      removal: /./,
      onRemoval: () => {},
      onSilence: (reason: string) => {
        reasons.push(reason);
        stop.abort(new Error("over"));
      },
      clock,
      random: () => 0,
      monitor: ["/nowhere/nft"],
    } as const;
    await assert.rejects(followRemovals(options, stop.signal), /over/);
    assert.match(reasons.join(), /ENOENT/);
  });
});
