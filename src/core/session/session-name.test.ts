import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { sessionNameOf } from "./session-name.ts";

describe("sessionNameOf", () => {
  const cases = [
    { name: "the default", part: "kiam", expected: "kiam-kiam" },
    { name: "a plain word", part: "testing", expected: "kiam-testing" },
    { name: "what STS refuses", part: "testing@#&-test%", expected: "kiam-testing@---test-" },
    { name: "64 bytes", part: "x".repeat(59), expected: `kiam-${"x".repeat(59)}` },
    { name: "65 bytes", part: "x".repeat(60), expected: `kiam-${"x".repeat(58)}` },
    { name: "a letter of two bytes", part: "ü", expected: "kiam--" },
    { name: "a letter of four bytes", part: "😀", expected: "kiam--" },
    {
      name: "a letter that the cut would split, a byte a dash",
      part: `${"x".repeat(56)}😀`,
      expected: `kiam-${"x".repeat(56)}--`,
    },
    { name: "control characters", part: "a\u0000\nb", expected: "kiam-a--b" },
    { name: "ten kilobytes", part: "a".repeat(10_240), expected: `kiam-${"a".repeat(58)}` },
  ];
  for (const { name, part, expected } of cases) {
    test(`writes ${name} as Kiam does`, () => assert.equal(sessionNameOf(part), expected));
  }

  test("is a name that STS takes, whatever is annotated", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (part) => {
        assert.match(sessionNameOf(part), /^[\w+=,.@-]{5,64}$/);
      }),
    );
  });
});
