import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "../errors.ts";
import { resolveRole } from "./resolve-role.ts";

const BASE = "arn:aws:iam::123456789012:role/";
const OTHER = "arn:aws:iam::210987654321:role/";

describe("resolveRole", () => {
  const resolved = [
    { text: "a", arn: `${BASE}a`, name: "a" },
    { text: "/a", arn: `${BASE}a`, name: "a" },
    { text: "//a", arn: `${BASE}/a`, name: "/a" },
    { text: "a/b", arn: `${BASE}a/b`, name: "a/b" },
    { text: "/a/b", arn: `${BASE}a/b`, name: "a/b" },
    { text: `${OTHER}p/x`, arn: `${OTHER}p/x`, name: "p/x" },
    { text: `${OTHER}x`, arn: `${OTHER}x`, name: "x" },
    { text: "A.b_c+d=e,f@g-h", arn: `${BASE}A.b_c+d=e,f@g-h`, name: "A.b_c+d=e,f@g-h" },
  ];
  for (const { text, arn, name } of resolved) {
    test(`resolves ${text}`, () => assert.deepEqual(resolveRole(text, BASE), { arn, name }));
  }

  test("puts the path of the base ARN before a role, and not into its name", () => {
    const role = resolveRole("a", `${BASE}team/`);
    assert.deepEqual(role, { arn: `${BASE}team/a`, name: "a" });
  });

  const refused = [
    { name: "nothing", text: "", says: /role can't be empty/ },
    { name: "arn:x", text: "arn:x", says: /"arn:x" is not an IAM role/ },
    { name: "five parts", text: "arn:aws:iam::123456789012", says: /is not an IAM role/ },
    { name: "no role", text: "arn:aws:iam::123456789012:user/a", says: /is not an IAM role/ },
    { name: "a short account", text: "arn:aws:iam::1:role/a", says: /12-digit account/ },
    { name: "a space before it", text: " a", says: /which resolves to ".*role\/ a"/ },
    { name: "a slash at its end", text: "a/", says: /is not an IAM role/ },
    { name: "control characters", text: "a\u0000\nb", says: /"a\\u0000\\u000ab"/ },
    { name: "an unknown partition", text: "arn:azure:iam::123456789012:role/a", says: /partition/ },
    {
      name: "another partition",
      text: "arn:aws-cn:iam::123456789012:role/a",
      says: /is in the partition aws-cn, and roles can only be assumed in aws;/,
    },
    { name: "65 characters", text: "a".repeat(65), says: /is not an IAM role/ },
    { name: "ten kilobytes", text: "a/".repeat(5_120), says: /… \(10240 characters\)/ },
  ];
  for (const { name, text, says } of refused) {
    test(`refuses ${name}, in one short line that says what to do`, () => {
      assert.throws(
        () => resolveRole(text, BASE),
        (error) => {
          assert.ok(error instanceof AppError && error.code === "invalid_role");
          assert.match(error.message, says);
          assert.match(error.message, text === "" ? /./ : /iam\.amazonaws\.com\/role$/);
          assert.ok(error.message.length < 800);
          assert.doesNotMatch(error.message, /[\u0000-\u001f]/);
          return true;
        },
      );
    });
  }

  test("gives an ARN that IAM can have, or refuses, whatever the text", () => {
    const part = fc.constantFrom(
      "arn:",
      "aws",
      ":",
      "iam",
      "::",
      "123456789012",
      "role/",
      "/",
      "a",
    );
    const texts = fc.oneof(fc.string(), fc.string({ unit: part }));
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const { arn, name } = resolveRole(text, BASE);
          assert.match(arn, /^arn:aws:iam::\d{12}:role\/[!-~]+$/);
          assert.ok(arn.endsWith(`/${name}`));
        } catch (error) {
          assert.ok(error instanceof AppError && error.code === "invalid_role");
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
