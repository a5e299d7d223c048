import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileRe2 } from "./re2-engine.ts";

describe("compileRe2", () => {
  const found = [
    { source: "b", text: "abc", expected: true },
    { source: "^b", text: "abc", expected: false },
    { source: "(?i)ABC$", text: "abc", expected: true },
    { source: "^abc$", text: "abc\n", expected: false },
    { source: "\\pL+\\d\\z", text: "ü1", expected: true },
  ];
  for (const { source, text, expected } of found) {
    test(`${expected ? "finds" : "does not find"} ${source} in ${JSON.stringify(text)}, as Go`, () => {
      assert.equal(compileRe2(source)(text), expected);
    });
  }

  const refused = ["(", "[", "*", "a**", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(a)\\1", "a{1001}"];
  for (const source of refused) {
    test(`refuses ${source} in Go's words`, () => {
      assert.throws(() => compileRe2(source), { message: /^error parsing regexp: / });
    });
  }

  test("takes two hundred ARNs written out", () => {
    const roles = Array.from(
      { length: 200 },
      (_, index) => `${(index * 7_919) % 1_000}-role-${index}`,
    );
    const matches = compileRe2(`^(?:arn:aws:iam::\\d+:role/(?:${roles.join("|")}))$`);
    assert.equal(matches(`arn:aws:iam::123456789012:role/${roles[150]}`), true);
    assert.equal(matches("arn:aws:iam::123456789012:role/none"), false);
  });

  test("refuses what is too long or becomes too large", () => {
    assert.throws(() => compileRe2("a".repeat(10_241)), {
      message: /longer than 10240 characters/,
    });
    assert.throws(() => compileRe2(".{1000}".repeat(90)), { message: /expression too large/ });
  });

  const evil = ["(a+)+$", "^(a|a)*$", "^(a*)*$", "(.*a){20}$", "^(a?){50}a{50}$"];
  for (const source of evil) {
    test(`answers ${source} in a time that the text's length bounds`, { timeout: 5_000 }, () => {
      const matches = compileRe2(source);
      assert.equal(matches(`${"a".repeat(20_000)}!`), false);
    });
  }
});
