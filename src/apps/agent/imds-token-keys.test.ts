import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Tokens } from "#core/imds/token.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { imdsTokenKeys } from "./imds-token-keys.ts";

const CART = { address: "10.0.0.1", podUid: "uid-1" };

/** A process with a TLS key that a test may replace. */
function started(key: string, clock = new FakeClock()) {
  const listeners = new Set<() => void>();
  const tls = {
    current: { key: Buffer.from(key) },
    subscribe: (listener: () => void): Disposable => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const keys = imdsTokenKeys({ tls, clock });
  const replace = (next: string): void => {
    tls.current = { key: Buffer.from(next) };
    for (const listener of listeners) listener();
  };
  const tokens = new Tokens({ macs: () => keys.macs(), clock });
  return { clock, tokens, keys, replace, listeners };
}

describe("imdsTokenKeys", () => {
  test("are the same for every process that has the TLS key, and differ with it", () => {
    const token = started("a").tokens.issue(CART, 60);
    assert.equal(started("a").tokens.isValid(token, CART), true);
    assert.equal(started("b").tokens.isValid(token, CART), false);
  });

  test("verify what a former TLS key signed for as long as that may live", async () => {
    const { clock, tokens, keys, replace } = started("a");
    const token = tokens.issue(CART, 21_600);
    replace("b");
    assert.equal(keys.macs().length, 2);
    await clock.advance(21_599_999);
    assert.equal(tokens.isValid(token, CART), true);
    await clock.advance(1);
    assert.equal(tokens.isValid(token, CART), false);
    assert.equal(keys.macs().length, 1);
  });

  test("sign with the new TLS key at once, so that the next process accepts it", () => {
    const { tokens, replace } = started("a");
    replace("b");
    assert.equal(started("b").tokens.isValid(tokens.issue(CART, 60), CART), true);
  });

  test("stay as they are when only the certificate is new", () => {
    const { keys, replace } = started("a");
    replace("a");
    assert.equal(keys.macs().length, 1);
  });

  test("are a bounded number however often the TLS key is replaced", () => {
    const { keys, replace } = started("a");
    for (let round = 0; round < 100; round += 1) replace(`key ${round}`);
    assert.equal(keys.macs().length, 5);
  });

  test("listen no longer once they are disposed", () => {
    const { keys, listeners } = started("a");
    keys[Symbol.dispose]();
    assert.equal(listeners.size, 0);
  });
});
