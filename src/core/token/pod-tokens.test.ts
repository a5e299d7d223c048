import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { jwkVerifier } from "#edges/crypto/jwk-verifier.ts";
import { FakeClock } from "#test/fake-clock.ts";
import {
  encoded,
  ISSUER,
  jwks,
  podClaims,
  published,
  signingKey,
  type SigningKey,
  signToken,
} from "#test/token-issuer.ts";
import { PodTokens, type VerifySignature } from "./pod-tokens.ts";
import type { TokenKeys } from "../feed/token-keys.ts";
import { readTokenKey, type TokenAlgorithm } from "./token-key.ts";

const KEY = signingKey();
const ALGORITHMS: readonly TokenAlgorithm[] = [
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
];

function setUp({
  keys = [KEY],
  rememberedMax,
}: { keys?: SigningKey[]; rememberedMax?: number } = {}) {
  const clock = new FakeClock();
  const world = { verified: 0, keys: undefined as TokenKeys | undefined };
  const tokens = new PodTokens({
    clock,
    node: "node-a",
    keys: () => world.keys,
    importKey: (key) => {
      const verify = jwkVerifier(key);
      const counted: VerifySignature = (...signed) => {
        world.verified += 1;
        return verify?.(...signed) ?? false;
      };
      return verify === undefined ? undefined : counted;
    },
    digest: (text) => createHash("sha256").update(text).digest("base64"),
    ...(rememberedMax === undefined ? {} : { rememberedMax }),
  });
  const trust = (trusted: readonly SigningKey[], audiences = ["rolecall"]): void => {
    world.keys = { issuer: ISSUER, audiences, keys: published(trusted) };
  };
  trust(keys);
  const claims = (changes = {}) => podClaims(clock.now(), changes);
  return Object.assign(world, { tokens, clock, trust, claims });
}

describe("PodTokens", () => {
  for (const algorithm of ALGORITHMS) {
    test(`names the pod of a token that an API server signed with ${algorithm}`, () => {
      const key = signingKey(algorithm);
      const { tokens, claims } = setUp({ keys: [key] });

      assert.equal(tokens.podUid(signToken(key, claims())), "uid-1");
    });
  }

  test("accepts a token that is meant for several, and one from before nodes were named", () => {
    const { tokens, claims } = setUp();
    const bound = { namespace: "shop", pod: { name: "cart", uid: "uid-2" } };

    assert.equal(tokens.podUid(signToken(KEY, claims({ aud: ["other", "rolecall"] }))), "uid-1");
    assert.equal(tokens.podUid(signToken(KEY, claims({ aud: "rolecall" }))), "uid-1");
    assert.equal(tokens.podUid(signToken(KEY, claims({ "kubernetes.io": bound }))), "uid-2");
  });

  const pod = { name: "cart", uid: "uid-1" };
  const wrongClaims = [
    { what: "another issuer", claims: { iss: "https://elsewhere" }, says: /another issuer/ },
    { what: "no issuer", claims: { iss: undefined }, says: /another issuer/ },
    { what: "another audience", claims: { aud: ["sts.amazonaws.com"] }, says: /another audience/ },
    { what: "no audience", claims: { aud: undefined }, says: /another audience/ },
    { what: "an audience that only begins so", claims: { aud: ["rolecall2"] }, says: /audience/ },
    { what: "no end", claims: { exp: undefined }, says: /no end/ },
    { what: "an end that is no number", claims: { exp: "9999999999" }, says: /no end/ },
    { what: "no pod", claims: { "kubernetes.io": { namespace: "shop" } }, says: /not bound/ },
    { what: "nothing of Kubernetes", claims: { "kubernetes.io": undefined }, says: /not bound/ },
    {
      what: "a pod whose UID is no text",
      claims: { "kubernetes.io": { pod: { uid: ["uid-1"] } } },
      says: /not bound/,
    },
    {
      what: "another node",
      claims: { "kubernetes.io": { pod, node: { name: "node-b" } } },
      says: /another node/,
    },
  ];
  for (const { what, claims: changes, says } of wrongClaims) {
    test(`refuses a genuine token with ${what}`, () => {
      const { tokens, claims } = setUp();

      assert.throws(() => tokens.podUid(signToken(KEY, claims(changes))), {
        code: "token_invalid",
        message: says,
      });
    });
  }

  test("takes a token from 30 s before its time to 30 s after it, as clocks differ", async () => {
    const { tokens, claims, clock } = setUp();
    const at = clock.now() / 1_000;
    const later = (seconds: number) => claims({ nbf: at + seconds, iat: at + seconds });
    const token = signToken(KEY, claims({ exp: at + 60 }));

    assert.equal(tokens.podUid(signToken(KEY, later(30))), "uid-1");
    assert.throws(() => tokens.podUid(signToken(KEY, later(31))), { message: /not valid yet/ });
    assert.throws(() => tokens.podUid(signToken(KEY, claims({ iat: at + 31 }))), {
      code: "token_invalid",
    });
    await clock.advance(89_999);
    assert.equal(tokens.podUid(token), "uid-1");
    await clock.advance(1);
    assert.throws(() => tokens.podUid(token), { code: "token_expired" });
    assert.throws(() => tokens.podUid(token), { code: "token_expired" });
  });

  test("refuses a token that nobody signed, or that somebody else did", () => {
    const { tokens, claims, trust } = setUp();
    const other = signingKey();
    const elliptic = signingKey("ES256");
    trust([KEY, elliptic]);
    const unsigned = `${encoded({ alg: "none", kid: KEY.kid })}.${encoded(claims())}.`;
    // The public key as the secret of a MAC: the classic confusion of algorithms.
    const head = `${encoded({ alg: "HS256", kid: KEY.kid })}.${encoded(claims())}`;
    const pem = KEY.publicKey.export({ type: "spki", format: "pem" });
    const keyed = `${head}.${createHmac("sha256", pem).update(head).digest("base64url")}`;
    const [, body, signature] = signToken(KEY, claims()).split(".");
    const forged = [
      unsigned,
      `${unsigned}AA`,
      keyed,
      signToken({ ...other, kid: KEY.kid }, claims()),
      signToken({ ...elliptic, kid: KEY.kid }, claims()),
      signToken({ ...KEY, kid: elliptic.kid }, claims()),
      // Genuine but for the algorithm, which is not one of the key's kind, or not of its curve.
      signToken(elliptic, claims(), { alg: "RS256" }),
      signToken(KEY, claims(), { alg: "ES256" }),
      signToken({ ...elliptic, algorithm: "ES512" }, claims()),
      signToken(KEY, claims(), { crit: ["b64"], b64: false }),
      signToken(KEY, claims(), { kid: undefined }),
      signToken(KEY, claims(), { alg: "RS384" }),
      signToken(KEY, claims(), { alg: "PS256" }),
      `${encoded({ alg: "RS256", kid: KEY.kid, jwk: jwks([other]).keys[0] })}.${body}.${signature}`,
    ];

    for (const token of forged) {
      assert.throws(() => tokens.podUid(token), { code: "token_invalid" }, token);
    }
  });

  test("refuses the claims of one token under the signature of another", () => {
    const { tokens, claims } = setUp();
    const theirs = { "kubernetes.io": { pod: { uid: "uid-2" } } };
    const [head, , signature] = signToken(KEY, claims()).split(".");

    assert.throws(() => tokens.podUid(`${head}.${encoded(claims(theirs))}.${signature}`), {
      code: "token_invalid",
      message: /no genuine signature/,
    });
  });

  test("believes the old key and the new one while both are published, then only the new one", () => {
    const { tokens, claims, trust } = setUp();
    const next = signingKey();
    const old = signToken(KEY, claims());
    assert.equal(tokens.podUid(old), "uid-1");
    assert.throws(() => tokens.podUid(signToken(next, claims())), { code: "token_key_unknown" });

    trust([KEY, next]);
    assert.equal(tokens.podUid(old), "uid-1");
    assert.equal(tokens.podUid(signToken(next, claims())), "uid-1");

    trust([next]);
    assert.throws(() => tokens.podUid(old), { code: "token_key_unknown" });
    assert.equal(tokens.podUid(signToken(next, claims())), "uid-1");
  });

  test("forgets what it verified when the audiences change, and not when nothing does", () => {
    const world = setUp();
    const { tokens, claims, trust } = world;
    const token = signToken(KEY, claims());
    tokens.podUid(token);
    trust([KEY]);
    tokens.podUid(token);
    assert.equal(world.verified, 1);

    trust([KEY], ["another"]);
    assert.throws(() => tokens.podUid(token), { message: /another audience/ });
  });

  test("verifies a token once, and remembers no more tokens than it may", () => {
    const world = setUp({ rememberedMax: 2 });
    const { tokens, claims } = world;
    const [first, ...others] = ["a", "b", "c"].map((jti) => signToken(KEY, claims({ jti })));
    assert.ok(first !== undefined);
    for (let count = 0; count < 3; count += 1) tokens.podUid(first);
    assert.equal(world.verified, 1);

    for (const token of others) tokens.podUid(token);
    assert.equal(tokens.remembered, 2);
    tokens.podUid(first);
    assert.equal(world.verified, 4);
  });

  test("remembers nothing of a token that it refused", () => {
    const { tokens, claims } = setUp();
    const forged = signToken({ ...signingKey(), kid: KEY.kid }, claims());
    assert.throws(() => tokens.podUid(forged));
    assert.equal(tokens.remembered, 0);
  });

  test("says that it can't know before any keys came", () => {
    const world = setUp();
    const token = signToken(KEY, world.claims());
    world.tokens.podUid(token);
    world.keys = undefined;
    assert.throws(() => world.tokens.podUid(token), { code: "not_ready" });
  });

  test("refuses whatever is no token, however long, in no time", () => {
    const { tokens } = setUp();
    const malformed = [
      "",
      ".",
      "..",
      "a.b",
      "a.b.c",
      "a.b.c.d",
      `${encoded(null)}.${encoded([])}.AA`,
      `${encoded({ alg: "RS256", kid: KEY.kid })}.${"A".repeat(100)}.AA`,
      `${encoded({ alg: "__proto__", kid: KEY.kid })}.${encoded({})}.AA`,
      `${encoded({ alg: "RS256", kid: "__proto__" })}.${encoded({})}.`,
      " ".repeat(8_192),
      "A".repeat(8_193),
      ".".repeat(1_000_000),
      `${"A".repeat(500_000)}.${"A".repeat(500_000)}.A`,
    ];
    for (const text of malformed) {
      assert.throws(() => tokens.podUid(text), { code: "token_invalid" }, text.slice(0, 40));
    }
    assert.throws(
      () => tokens.podUid(`${encoded({ alg: "RS256", kid: "constructor" })}.${encoded({})}.AAAA`),
      { code: "token_key_unknown" },
    );
  });

  test("says nothing of the token in its refusals", () => {
    const { tokens, claims } = setUp();
    const secret = "a-text-of-the-token";
    const bound = { "kubernetes.io": { pod: { uid: secret }, node: { name: secret } } };
    for (const changes of [{ aud: secret }, { iss: secret }, { exp: secret }, bound]) {
      assert.throws(
        () => tokens.podUid(signToken(KEY, claims(changes))),
        (error: Error) => !`${error.message}${error.stack}`.includes(secret) && !error.cause,
      );
    }
  });

  test("no change of a genuine token verifies", () => {
    const { tokens, claims } = setUp();
    const token = signToken(KEY, claims());
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n";
    const at = fc.nat({ max: token.length - 1 });
    const character = fc.constantFrom(...Array.from(alphabet));
    const change = fc.oneof(
      fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i + 1)),
      fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i)),
      at.map((i) => token.slice(0, i) + token.slice(i + 1)),
      at.map((i) => token.slice(0, i)),
      // Where a second spelling of the same signature would hide.
      character.map((c) => token.slice(0, -1) + c),
      character.map((c) => token + c),
    );
    fc.assert(
      fc.property(change, (changed) => {
        fc.pre(changed !== token);
        assert.throws(() => tokens.podUid(changed));
      }),
      { numRuns: 3_000 },
    );
  });

  test("no text at all crashes it", () => {
    const { tokens } = setUp();
    const part = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json().map((text) => Buffer.from(text).toString("base64url")),
      fc
        .record({ alg: fc.constantFrom(...ALGORITHMS), kid: fc.constant(KEY.kid) })
        .map((header) => encoded(header)),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
        assert.throws(() => tokens.podUid(parts.join(".")), { name: "AppError" });
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("readTokenKey", () => {
  const [rsa, elliptic] = jwks([KEY, signingKey("ES256")]).keys;

  const unusable = [
    { what: "what is no JSON", text: "{" },
    { what: "what is no key", text: "null" },
    { what: "a key without an ID", key: { ...rsa, kid: undefined } },
    { what: "a key for encryption", key: { ...rsa, use: "enc" } },
    { what: "a secret", key: { kid: "a", kty: "oct", k: "c2VjcmV0" } },
    { what: "an RSA key of 1,024 bits", key: { ...rsa, n: "A".repeat(171) } },
    { what: "an RSA key of 16,384 bits", key: { ...rsa, n: "A".repeat(2_731) } },
    { what: "an unknown curve", key: { ...elliptic, crv: "secp256k1" } },
    { what: "half a point", key: { ...elliptic, y: undefined } },
  ];
  for (const { what, text, key } of unusable) {
    test(`passes over ${what}`, () => {
      assert.equal(readTokenKey(text ?? JSON.stringify(key)), undefined);
    });
  }

  test("takes no private part along", () => {
    const key = readTokenKey(JSON.stringify({ ...rsa, d: "private" }));
    assert.deepEqual(Object.keys(key ?? {}), ["kid", "kty", "n", "e"]);
  });
});
