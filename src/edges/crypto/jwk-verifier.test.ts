import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { describe, test } from "node:test";
import { readTokenKey, type TokenKey } from "#core/token/token-key.ts";
import { published, signingKey } from "#test/token-issuer.ts";
import { jwkVerifier } from "./jwk-verifier.ts";

const PAIR = signingKey("ES256");
const KEY = readTokenKey(published([PAIR]).join(""));

function verifier(key: TokenKey | undefined) {
  assert.ok(key !== undefined);
  return jwkVerifier(key);
}

describe("jwkVerifier", () => {
  test("tells a signature of the key from everything else, without throwing", () => {
    const verify = verifier(KEY);
    const signature = sign("sha256", Buffer.from("text"), {
      key: PAIR.privateKey,
      dsaEncoding: "ieee-p1363",
    });

    assert.equal(verify?.("ES256", "text", signature), true);
    assert.equal(verify?.("ES256", "texT", signature), false);
    for (const length of [0, 1, 63, 64, 65, 1_000]) {
      assert.equal(verify?.("ES256", "text", new Uint8Array(length)), false);
    }
  });

  test("takes no key that is none", () => {
    assert.ok(KEY?.kty === "EC");
    // A point that is not on its curve.
    assert.equal(verifier({ ...KEY, y: KEY.x }), undefined);
    assert.equal(verifier({ ...KEY, x: "!" }), undefined);
  });
});
