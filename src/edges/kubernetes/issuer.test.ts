import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startApiServer } from "#test/api-server.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { ISSUER, published, signingKey } from "#test/token-issuer.ts";
import { HttpConnection } from "./http-connection.ts";
import { Identities } from "./identity.ts";
import { readIssuer } from "./issuer.ts";

const NOBODY = { token: undefined, authority: undefined, certificate: undefined, key: undefined };
const KEYS = [signingKey(), signingKey("ES256")];

async function setUp() {
  const api = await startApiServer();
  api.signingKeys = KEYS;
  const connection = new HttpConnection({
    server: new URL(api.url),
    identities: new Identities(async () => NOBODY, new FakeClock()),
  });
  return {
    api,
    read: () => readIssuer(connection, new AbortController().signal),
    async [Symbol.asyncDispose]() {
      connection[Symbol.dispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

describe("readIssuer", { timeout: 20_000 }, () => {
  test("reads the issuer and its keys as the API server publishes them", async () => {
    await using world = await setUp();
    assert.deepEqual(await world.read(), { issuer: ISSUER, keys: published(KEYS) });
    assert.deepEqual(world.api.asked, ["/.well-known/openid-configuration", "/openid/v1/jwks"]);
  });

  test("hands on no more keys than agents believe, since they travel in one message", async () => {
    await using world = await setUp();
    world.api.signingKeys = Array.from({ length: 40 }, () => signingKey("ES256"));
    assert.equal((await world.read()).keys.length, 32);
  });

  test("says which role is missing when RBAC forbids it", async () => {
    await using world = await setUp();
    world.api.failNext({ status: 403 });
    await assert.rejects(world.read(), {
      code: "kubernetes_refused",
      message: /system:service-account-issuer-discovery/,
    });
  });

  test("takes an answer without a usable key for none", async () => {
    await using world = await setUp();
    world.api.signingKeys = [];
    await assert.rejects(world.read(), { code: "kubernetes_unavailable" });
  });
});
