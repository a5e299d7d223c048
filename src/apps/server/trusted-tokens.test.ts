import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TokenKeys } from "#core/feed/token-keys.ts";
import { HttpConnection } from "#edges/kubernetes/http-connection.ts";
import { Identities } from "#edges/kubernetes/identity.ts";
import { startApiServer } from "#test/api-server.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { ISSUER, published, signingKey } from "#test/token-issuer.ts";
import { trustedTokens } from "./trusted-tokens.ts";

const NOBODY = { token: undefined, authority: undefined, certificate: undefined, key: undefined };
const OLD = signingKey();
const NEW = signingKey();

async function setUp() {
  const api = await startApiServer();
  api.signingKeys = [OLD];
  const clock = new FakeClock();
  const connection = new HttpConnection({
    server: new URL(api.url),
    identities: new Identities(async () => NOBODY, clock),
  });
  const told: (TokenKeys | undefined)[] = [];
  const trusted = trustedTokens({
    connection,
    audiences: ["rolecall"],
    changed: () => told.push(trusted.keys),
    clock,
    random: () => 0.5,
  });
  const stopping = new AbortController();
  const running = trusted.run(stopping.signal);
  /** Answers travel over a real connection, so their time can't be counted in turns. */
  const untilAsleep = async (): Promise<void> => {
    while (clock.sleeping === 0) await settle();
  };
  return {
    api,
    told,
    trusted,
    untilAsleep,
    async askAgain() {
      await clock.advance(60_000);
      await untilAsleep();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error("stopping"));
      await assert.rejects(running, /stopping/);
      connection[Symbol.dispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

const trust = (...keys: (typeof OLD)[]): TokenKeys => ({
  issuer: ISSUER,
  audiences: ["rolecall"],
  keys: published(keys),
});

describe("trustedTokens", { timeout: 20_000 }, () => {
  test("follows the API server's keys through a rotation, and tells of each change", async () => {
    await using world = await setUp();
    assert.equal(world.trusted.keys, undefined);
    await world.untilAsleep();
    world.api.signingKeys = [OLD, NEW];
    await world.askAgain();
    await world.askAgain();
    world.api.signingKeys = [NEW];
    await world.askAgain();

    assert.deepEqual(world.told, [trust(OLD), trust(OLD, NEW), trust(NEW)]);
  });

  test("keeps the keys while the API server is away", async () => {
    await using world = await setUp();
    await world.untilAsleep();
    await world.api.stop();
    await world.askAgain();

    assert.deepEqual(world.trusted.keys, trust(OLD));
  });
});
