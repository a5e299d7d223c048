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
    ["::ffff:10.0.0.1%eth0", "10.0.0.1"],
    ["[::ffff:a00:1]", "10.0.0.1"],
    ["fd00:ec2::254%25eth0", "fd00:ec2::254"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["64:ff9b::10.0.0.1", "64:ff9b::a00:1"],
  ] as const;
  for (const [text, expected] of cases) {
    test(`writes ${text} as ${expected}`, () => assert.equal(normalizeAddress(text), expected));
  }

  test("writes an IPv6 address as a browser does, and each IPv4 address in it as IPv4", () => {
    const spelled = fc.oneof(
      fc.ipV6(),
      fc.ipV4().map((ipv4) => `::ffff:${ipv4}`),
      fc
        .array(fc.constantFrom("0", "ffff", "00a0", "1"), { minLength: 8, maxLength: 8 })
        .map((groups) => groups.join(":")),
    );
    fc.assert(
      fc.property(spelled, (text) => {
        const written = new URL(`http://[${text}]`).hostname.slice(1, -1);
        const mapped = /^::ffff:(?<high>[^:]+):(?<low>[^:]+)$/.exec(written)?.groups;
        const bytes = Buffer.alloc(4);
        bytes.writeUInt16BE(Number.parseInt(mapped?.["high"] ?? "0", 16), 0);
        bytes.writeUInt16BE(Number.parseInt(mapped?.["low"] ?? "0", 16), 2);
        const expected = mapped === undefined ? written : [...bytes].join(".");
        assert.equal(normalizeAddress(text), expected);
      }),
      { numRuns: 2_000 },
    );
  });

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
