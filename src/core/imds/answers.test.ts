import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Secret } from "../secret.ts";
import type { Credentials } from "../session/credentials.ts";
import type { RoleArn } from "../role/role-arn.ts";
import { credentialsJson } from "./answers.ts";

const credentials = (token: string): Credentials => ({
  accessKeyId: "ASIA1",
  secretAccessKey: new Secret("secret"),
  sessionToken: new Secret(token),
  issuedAt: Date.UTC(2026, 0, 1),
  expiresAt: Date.UTC(2026, 0, 1, 1),
});

describe("credentialsJson", () => {
  test("writes renewed credentials anew, and says the same of the same ones", () => {
    const first = credentials("first");
    const before = credentialsJson(first);
    assert.match(credentialsJson(credentials("second")), /"Token":"second"/);
    assert.equal(credentialsJson(first), before);
  });

  test("tells the account only to those who asked for it", () => {
    const one = credentials("token");
    const arn = "arn:aws:iam::123456789012:role/cart" as RoleArn;
    assert.doesNotMatch(credentialsJson(one), /AccountId/);
    assert.match(credentialsJson(one, arn), /"AccountId":"123456789012"/);
    assert.doesNotMatch(credentialsJson(one), /AccountId/);
  });
});
