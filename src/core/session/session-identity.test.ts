import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { RoleArn } from "../role/role-arn.ts";
import { Secret } from "../secret.ts";
import { sessionKey } from "./session-identity.ts";

/** Few different values, with the characters that could make two keys run together. */
const text = fc.string({ unit: fc.constantFrom("a", "|", ",", '"', "\\", "n", "u", "l") });
const parts = fc.record({
  role: text,
  sessionName: text,
  externalId: fc.option(text, { nil: undefined }),
  durationSeconds: fc.nat({ max: 2 }),
});

interface Parts {
  readonly role: string;
  readonly sessionName: string;
  readonly externalId?: string | undefined;
  readonly durationSeconds: number;
}

function keyOf({ role, sessionName, externalId, durationSeconds }: Parts) {
  return sessionKey({
    role: role as RoleArn,
    sessionName,
    externalId: externalId === undefined ? undefined : new Secret(externalId),
    durationSeconds,
  });
}

describe("sessionKey", () => {
  test("is the same for the same session", () => {
    fc.assert(fc.property(parts, (one) => assert.equal(keyOf(one), keyOf({ ...one }))));
  });

  test("is another one for whatever differs", () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const isSame = JSON.stringify(Object.values(one)) === JSON.stringify(Object.values(other));
        fc.pre(!isSame);
        assert.notEqual(keyOf(one), keyOf(other));
      }),
    );
  });

  test("keeps apart an external ID that says null and none at all", () => {
    const one = { role: "r", sessionName: "s", durationSeconds: 1 };
    const keys = ["null", "", undefined].map((externalId) => keyOf({ ...one, externalId }));
    assert.equal(new Set(keys).size, 3);
  });

  test("is moved by every part of it", () => {
    fc.assert(
      fc.property(parts, fc.constantFrom("role", "sessionName", "externalId"), (one, part) => {
        assert.notEqual(keyOf(one), keyOf({ ...one, [part]: `${one[part] ?? ""}x` }));
      }),
    );
  });
});
