import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readAlikeTwice } from "./read-alike-twice.ts";

function reading(...texts: readonly string[]) {
  let readings = 0;
  const read = async (): Promise<string> => texts[readings++] ?? `text ${readings}`;
  return readAlikeTwice(read, (one, other) => one === other);
}

describe("readAlikeTwice", () => {
  test("takes what was read alike twice", async () => {
    assert.equal(await reading("new", "new"), "new");
  });

  test("does not take half of the old and half of the new", async () => {
    assert.equal(await reading("old certificate, new authority", "new", "new"), "new");
  });

  test("gives up on what never stays the same", async () => {
    assert.equal(await reading(), undefined);
  });
});
