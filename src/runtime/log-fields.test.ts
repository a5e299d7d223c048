import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { cleanFields } from "./log-fields.ts";

describe("cleanFields", () => {
  const secrets: Record<string, unknown> = {
    token: "hunter2",
    sessionToken: Buffer.from("hunter2"),
    SecretAccessKey: "hunter2",
    "external-id": "hunter2",
    authorization: ["Bearer hunter2"],
    headers: { Authorization: "Bearer hunter2" },
    passwords: { of: { somebody: "hunter2" } },
    privateKey: "hunter2",
  };
  for (const [name, value] of Object.entries(secrets)) {
    test(`says nothing of ${name}, should one ever arrive as a plain text`, () => {
      assert.doesNotMatch(JSON.stringify(cleanFields({ [name]: value })), /hunter2/);
    });
  }

  test("keeps what only counts secrets", () => {
    assert.deepEqual(cleanFields({ tokens: 3, hasToken: true }), { tokens: 3, hasToken: true });
  });

  test("keeps an error's code, message and causes, and a stack only for bugs", () => {
    const error = new AppError("sts_denied", "no", { cause: new Error("inner") });

    assert.deepEqual(cleanFields({ error }), {
      error: { code: "sts_denied", message: "no", cause: { message: "inner" } },
    });
    const bug = cleanFields({ error: new Error("bug") })["error"];
    assert.match(JSON.stringify(bug), /"stack":/);
  });

  test("bounds what is long, wide or deep", () => {
    const deep: Record<string, unknown> = {};
    deep["deep"] = deep;
    const fields = { long: "x".repeat(10_000), wide: Array.from({ length: 1_000 }), deep };

    assert.ok(JSON.stringify(cleanFields(fields)).length < 4_000);
  });
});
