import assert from "node:assert/strict";
import { inspect } from "node:util";
import { test } from "node:test";
import { createLog } from "#runtime/log.ts";
import { Secret } from "./secret.ts";

const SECRET = new Secret("hunter2");

test("a secret says nothing, however it is printed", () => {
  const ways = [String(SECRET), JSON.stringify({ SECRET }), inspect({ SECRET }), SECRET.toString()];
  for (const text of ways) assert.doesNotMatch(text, /hunter2/);
});

for (const json of [true, false]) {
  test(`a secret says nothing in ${json ? "JSON" : "text"} logs`, () => {
    const lines: string[] = [];
    const log = createLog({ json, level: "debug", write: (line) => lines.push(line) > 0 });

    log.say("listening", { nested: SECRET });

    assert.equal(lines.length, 1);
    assert.doesNotMatch(lines.join(""), /hunter2/);
  });
}
