import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { normalizeAddress } from "./address.ts";

describe("normalizeAddress", () => {
  const cases = [
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::FFFF:0a00:0001", "10.0.0.1"],
    ["[fd00::1]", "fd00::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["FD00:0:0:0:0:0:0:1", "fd00::1"],
    ["fd00:0:1:0:0:0:0:1", "fd00:0:1::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
  ] as const;
  for (const [text, expected] of cases) {
    test(`writes ${text} as ${expected}`, () => assert.equal(normalizeAddress(text), expected));
  }

  test("has one spelling for every spelling of an address", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const once = normalizeAddress(text);
        assert.notEqual(isIP(once), 0);
        assert.equal(normalizeAddress(once), once);
        assert.equal(normalizeAddress(text.toUpperCase()), once);
        assert.equal(normalizeAddress(`[${text}]`), once);
      }),
    );
  });

  test("takes any text without harm, and makes no address of what is none", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string({ unit: fc.constantFrom("0", "f", ":", ".", "%", "[") }),
        (a, b) => {
          for (const text of [a, b]) {
            if (isIP(text.replaceAll(/[[\]]|%.*$/g, "")) === 0)
              assert.equal(isIP(normalizeAddress(text)), 0);
          }
        },
      ),
    );
  });
});
