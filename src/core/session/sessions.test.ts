import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import type { RoleArn } from "#core/role/role-arn.ts";
import { Secret } from "#core/secret.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import type { Credentials } from "./credentials.ts";
import type { SessionIdentity } from "./session-identity.ts";
import { type SessionEvent, Sessions } from "./sessions.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

function identity(name: string): SessionIdentity {
  return {
    role: `arn:aws:iam::123456789012:role/${name}` as RoleArn,
    sessionName: "kiam-kiam",
    externalId: undefined,
    durationSeconds: 3_600,
  };
}

function setUp({ concurrencyMax = 8, queueMax = 1_000, random = 0.5 } = {}) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const calls: string[] = [];
  const events: SessionEvent[] = [];
  const sts = {
    life: HOUR,
    error: undefined as AppError | undefined,
    gate: undefined as Promise<void> | undefined,
  };
  const sessions = new Sessions({
    issue: async ({ role }): Promise<Credentials> => {
      calls.push(role);
      await sts.gate;
      if (sts.error !== undefined) throw sts.error;
      return {
        accessKeyId: `ASIA${calls.length}`,
        secretAccessKey: new Secret("secret"),
        sessionToken: new Secret("token"),
        issuedAt: clock.now(),
        expiresAt: clock.now() + sts.life,
      };
    },
    clock,
    random: () => random,
    signal: stop.signal,
    observe: (event) => events.push(event),
    concurrencyMax,
    queueMax,
  });
  sessions.run(stop.signal).catch(() => {});
  const get = (name: string, signal = new AbortController().signal): Promise<Credentials> =>
    sessions.get(identity(name), signal);
  return { clock, calls, events, sts, sessions, get, stop };
}

describe("Sessions", () => {
  test("makes one call for all who ask at once", async () => {
    const { get, calls } = setUp();

    const all = await Promise.all([get("a"), get("a"), get("a")]);

    assert.equal(calls.length, 1);
    assert.equal(new Set(all).size, 1);
  });

  test("a caller that leaves ends its own wait, and the result is kept", async () => {
    const { get, calls, sts } = setUp();
    const gate = Promise.withResolvers<void>();
    sts.gate = gate.promise;
    const impatient = new AbortController();
    const left = get("a", impatient.signal);
    const stays = get("a");

    impatient.abort(new Error("gone"));
    await assert.rejects(left, /gone/);
    gate.resolve();

    assert.equal((await stays).accessKeyId, "ASIA1");
    assert.equal((await get("a")).accessKeyId, "ASIA1");
    assert.equal(calls.length, 1);
  });

  test("fetches what a pod wants before it asks", async () => {
    const { sessions, calls } = setUp();

    sessions.want("uid-1", identity("a"));
    await settle();

    assert.equal(calls.length, 1);
  });

  test("renews at half of its life, while a pod wants it", async () => {
    const { sessions, clock, calls, get } = setUp();
    sessions.want("uid-1", identity("a"));
    await settle();

    await clock.advance(29 * MINUTE);
    assert.equal(calls.length, 1);
    await clock.advance(2 * MINUTE);

    assert.equal(calls.length, 2);
    assert.equal((await get("a")).accessKeyId, "ASIA2");
  });

  for (const random of [0, 0.5, 0.999_999]) {
    test(`leaves 25 minutes of an hour at least while STS answers, with chance at ${random}`, async () => {
      const { sessions, clock, get } = setUp({ random });
      sessions.want("uid-1", identity("a"));
      await settle();

      for (let minutes = 0; minutes < 120; minutes += 1) {
        const { expiresAt } = await get("a");
        assert.ok(expiresAt - clock.now() >= 25 * MINUTE, `${minutes} minutes in`);
        await clock.advance(MINUTE);
      }
    });
  }

  test("keeps no more than a thousand sessions that no pod wants, and none fewer that one does", async () => {
    const { sessions, get, calls } = setUp();
    sessions.want("uid-1", identity("wanted"));
    for (let count = 0; count < 1_010; count += 1) await get(`role-${count}`);

    assert.equal(sessions.size, 1_001);
    await get("role-1009");
    await get("wanted");
    assert.equal(calls.length, 1_011);
    await get("role-0");
    assert.equal(calls.length, 1_012);
  });

  test("drops what no pod wants any more", async () => {
    const { sessions, clock, calls } = setUp();
    sessions.want("uid-1", identity("a"));
    sessions.want("uid-2", identity("a"));
    await settle();

    sessions.want("uid-1", undefined);
    assert.equal(sessions.size, 1);
    sessions.want("uid-2", identity("b"));
    await settle();
    await clock.advance(3 * HOUR);

    assert.equal(sessions.size, 1);
    assert.equal(calls.filter((role) => role.endsWith("/a")).length, 1);
  });

  test("holds what it has until it really expires while STS is away, and not longer", async () => {
    const { sessions, clock, sts, get } = setUp();
    sessions.want("uid-1", identity("a"));
    await settle();
    sts.error = new AppError("sts_unavailable", "away");

    await clock.advance(59 * MINUTE);
    assert.equal((await get("a")).accessKeyId, "ASIA1");
    await clock.advance(2 * MINUTE);

    await assert.rejects(get("a"), { code: "sts_unavailable" });
  });

  test("remembers a refusal for minutes, then asks again", async () => {
    const { clock, calls, sts, get } = setUp();
    sts.error = new AppError("sts_denied", "no");

    for (let tries = 0; tries < 10; tries += 1) {
      await assert.rejects(get("a"), { code: "sts_denied" });
    }
    await clock.advance(5 * MINUTE - 1);
    await assert.rejects(get("a"), { code: "sts_denied" });
    assert.equal(calls.length, 1);
    await clock.advance(1);
    await assert.rejects(get("a"), { code: "sts_denied" });

    assert.equal(calls.length, 2);
  });

  test("asks again for a refused role when a pod newly needs it, but every five seconds at most", async () => {
    const { sessions, clock, calls, sts } = setUp();
    sts.error = new AppError("sts_denied", "no");
    sessions.want("uid-0", identity("a"));
    await settle();

    for (let pod = 1; pod <= 10; pod += 1) sessions.want(`uid-${pod}`, identity("a"));
    await clock.advance(4_999);
    sessions.want("uid-11", identity("a"));
    await settle();
    assert.equal(calls.length, 1);
    await clock.advance(1);
    sessions.want("uid-12", identity("a"));
    await settle();

    assert.equal(calls.length, 2);
  });

  test("leaves STS alone for a while when it asks for fewer calls, for other roles too", async () => {
    const { clock, calls, sts, get } = setUp();
    sts.error = new AppError("sts_throttled", "Rate exceeded");
    await assert.rejects(get("a"), { code: "sts_throttled" });
    sts.error = undefined;

    const other = get("b");
    await clock.advance(1_999);
    assert.equal(calls.length, 1);
    await clock.advance(1);

    assert.equal((await other).accessKeyId, "ASIA2");
    await assert.rejects(get("a"), { code: "sts_throttled" });
    await clock.advance(5_000);
    assert.equal((await get("a")).accessKeyId, "ASIA3");
  });

  test("asks STS a bounded number of times while it fails and pods insist", async () => {
    const { sessions, clock, calls, sts, get } = setUp();
    sts.error = new AppError("sts_unavailable", "away");
    for (let pod = 0; pod < 50; pod += 1) sessions.want(`uid-${pod}`, identity("a"));

    for (let second = 0; second < 60; second += 1) {
      await Promise.allSettled(Array.from({ length: 20 }, () => get("a")));
      await clock.advance(1_000);
    }

    // 0.5 s, doubled up to half a minute: a handful a minute, whoever asks however often.
    assert.ok(calls.length <= 10, `${calls.length} calls`);
  });

  test("refuses credentials that are already over, naming the clocks", async () => {
    const { sts, get } = setUp();
    sts.life = -1;

    await assert.rejects(get("a"), { code: "sts_unavailable", message: /clocks/ });
  });

  test("bounds what runs and what waits", async () => {
    const { sts, get, calls } = setUp({ concurrencyMax: 2, queueMax: 3 });
    const gate = Promise.withResolvers<void>();
    sts.gate = gate.promise;
    const waiting = ["a", "b", "c", "d", "e"].map((name) => get(name));

    await assert.rejects(get("f"), { code: "overloaded" });
    await settle();
    assert.equal(calls.length, 2);
    gate.resolve();

    await Promise.all(waiting);
    assert.equal(calls.length, 5);
  });

  test("serves who waits before it fetches ahead", async () => {
    const { sessions, sts, get, calls } = setUp({ concurrencyMax: 1 });
    const gate = Promise.withResolvers<void>();
    sts.gate = gate.promise;
    for (const name of ["a", "b", "c"]) sessions.want(`uid-${name}`, identity(name));
    const waiting = get("d");

    gate.resolve();
    await waiting;

    assert.deepEqual(
      calls.slice(0, 2).map((role) => role.at(-1)),
      ["a", "d"],
    );
  });

  test("never hands out what has expired, whatever happens when", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ ms: fc.nat({ max: 2 * HOUR }), fails: fc.boolean() }), {
          maxLength: 20,
        }),
        async (steps) => {
          const { sessions, clock, sts, get, stop } = setUp();
          sessions.want("uid-1", identity("a"));
          for (const { ms, fails } of steps) {
            sts.error = fails ? new AppError("sts_unavailable", "away") : undefined;
            await clock.advance(ms);
            const credentials = await get("a").catch(() => undefined);
            if (credentials !== undefined) assert.ok(credentials.expiresAt > clock.now());
          }
          stop.abort(new Error("over"));
        },
      ),
      { numRuns: 50 },
    );
  });
});
