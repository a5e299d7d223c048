import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "#test/fake-clock.ts";
import { type Mac, Tokens, parseTtl } from "./token.ts";

const macOf =
  (key: string): Mac =>
  (text) =>
    createHmac("sha256", key).update(text).digest("base64url");
const CART = { address: "10.0.0.1", podUid: "3e9a8a52-8d3c-4b0e-9a3f-000000000001" };
const SHOP = { ...CART, podUid: "3e9a8a52-8d3c-4b0e-9a3f-000000000002" };
const UNKNOWN = { ...CART, podUid: undefined };

function setUp(...keys: string[]) {
  const clock = new FakeClock();
  const macs = (keys.length === 0 ? ["key"] : keys).map(macOf) as [Mac, ...Mac[]];
  return { clock, tokens: new Tokens({ macs: () => macs, clock }) };
}

describe("Tokens", () => {
  for (const seconds of [1, 60, 21_600]) {
    test(`lets a token of ${seconds} s live so long, and not longer`, async () => {
      const { clock, tokens } = setUp();
      const token = tokens.issue(CART, seconds);
      await clock.advance(seconds * 1_000 - 1);
      assert.equal(tokens.isValid(token, CART), true);
      await clock.advance(1);
      assert.equal(tokens.isValid(token, CART), false);
    });
  }

  test("refuses it to the next pod at the address", () => {
    const { tokens } = setUp();
    assert.equal(tokens.isValid(tokens.issue(CART, 60), SHOP), false);
  });

  for (const address of ["10.0.0.2", "fd00::1", "10.0.0.1\n", ""]) {
    test(`refuses it at ${JSON.stringify(address)}, to whichever pod`, () => {
      const { tokens } = setUp();
      const token = tokens.issue(CART, 60);
      for (const podUid of [CART.podUid, undefined]) {
        assert.equal(tokens.isValid(token, { address, podUid }), false);
      }
      // Not even once it was seen where it belongs.
      assert.equal(tokens.isValid(token, CART), true);
      assert.equal(tokens.isValid(token, { ...CART, address }), false);
    });
  }

  test("takes a pod's token while it is not known whose the address is", () => {
    const { tokens } = setUp();
    assert.equal(tokens.isValid(tokens.issue(CART, 60), UNKNOWN), true);
  });

  test("binds to the address alone while the pod is not known", async () => {
    const { clock, tokens } = setUp();
    const token = tokens.issue(UNKNOWN, 21_600);
    await clock.advance(21_599_999);
    assert.equal(tokens.isValid(token, UNKNOWN), true);
    assert.equal(tokens.isValid(token, { ...UNKNOWN, address: "10.0.0.2" }), false);
  });

  test("lets the pod that becomes known use such a token for five minutes", async () => {
    const { clock, tokens } = setUp();
    const token = tokens.issue(UNKNOWN, 21_600);
    await clock.advance(299_999);
    assert.equal(tokens.isValid(token, CART), true);
    await clock.advance(1);
    assert.equal(tokens.isValid(token, CART), false);
  });

  test("outlives the process, where the next one has the key", () => {
    const token = setUp("key").tokens.issue(CART, 60);
    assert.equal(setUp("key").tokens.isValid(token, CART), true);
    assert.equal(setUp("new", "key").tokens.isValid(token, CART), true);
    assert.equal(setUp("new").tokens.isValid(token, CART), false);
  });

  test("signs with the first key", () => {
    const token = setUp("new", "old").tokens.issue(CART, 60);
    assert.equal(setUp("new").tokens.isValid(token, CART), true);
    assert.equal(setUp("old").tokens.isValid(token, CART), false);
  });

  test("takes a token as it was written and in no other way", () => {
    const { tokens } = setUp();
    const token = tokens.issue(CART, 60);
    const changed = fc.record({
      at: fc.nat(token.length),
      cut: fc.constantFrom(0, 1, 2),
      put: fc.string({
        unit: fc.constantFrom(..."0 a z 9 _ - . A Z = é".split(" "), " ", "\n"),
        maxLength: 2,
      }),
    });
    fc.assert(
      fc.property(changed, ({ at, cut, put }) => {
        const forged = token.slice(0, at) + put + token.slice(at + cut);
        assert.equal(tokens.isValid(forged, CART), forged === token);
      }),
      { numRuns: 5_000 },
    );
  });

  test("can be spelled in a header", () => {
    const { tokens } = setUp();
    for (const podUid of ["a b", "é", "x".repeat(200), "\r\n", "a.b"]) {
      assert.match(tokens.issue({ ...CART, podUid }, 60), /^[\w.-]{1,190}$/);
    }
  });

  test("computes what it has seen once, and forgets no more than it must", () => {
    let computed = 0;
    const mac: Mac = (text) => {
      computed += 1;
      return macOf("key")(text);
    };
    const tokens = new Tokens({ macs: () => [mac], clock: new FakeClock() });
    const first = tokens.issue(CART, 60);
    const holders = Array.from({ length: 1_024 }, (_, index) => ({
      ...CART,
      address: `10.1.${index >> 8}.${index & 255}`,
    }));
    computed = 0;

    for (let round = 0; round < 3; round += 1) tokens.isValid(first, CART);
    assert.equal(computed, 1);
    for (const holder of holders) tokens.isValid(tokens.issue(holder, 60), holder);
    computed = 0;

    tokens.isValid(first, CART);
    assert.equal(computed, 1);
  });
});

describe("parseTtl", () => {
  test("takes whole seconds between one and six hours", () => {
    for (const text of ["1", "60", "21600", "00060"]) assert.equal(parseTtl(text), Number(text));
    for (const text of [undefined, "", "0", "21601", "-1", "+1", "1.5", " 1", "1 ", "1e3", "١"]) {
      assert.equal(parseTtl(text), undefined);
    }
  });
});
