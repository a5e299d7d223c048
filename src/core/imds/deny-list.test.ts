import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isNeverAllowed } from "./deny-list.ts";
import { parsePath } from "./path.ts";

describe("the deny-list", () => {
  test("lets no encoding of a path to credentials through", () => {
    const spelled = fc
      .constantFrom("/latest/user-data", "/latest/meta-data/iam/security-credentials/node-role")
      .chain((path) =>
        fc
          .array(fc.constantFrom("plain", "encoded", "twice", "upper"), {
            minLength: path.length,
            maxLength: path.length,
          })
          .map((ways) =>
            path
              .split("")
              .map((character, index) => {
                const hex = (character.codePointAt(0) ?? 0).toString(16);
                if (character === "/") return index % 3 === 0 ? "//" : "/./";
                if (ways[index] === "encoded") return `%${hex}`;
                if (ways[index] === "twice") return `%25${hex}`;
                return ways[index] === "upper" ? character.toUpperCase() : character;
              })
              .join(""),
          ),
      );
    fc.assert(
      fc.property(spelled, (target) => {
        const parsed = parsePath(target);
        assert.ok(!parsed.ok || isNeverAllowed(parsed.path));
      }),
      { numRuns: 5_000 },
    );
  });
});
