import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { inspect } from "node:util";
import { parseKubeconfig } from "./kubeconfig.ts";

describe("parseKubeconfig", () => {
  const unusable = [
    "token: hunter2\n\t: [",
    "hunter2",
    "current-context: a\nusers: [{name: a, user: {token: hunter2}}]",
    JSON.stringify({
      "current-context": "a",
      contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
      clusters: [{ name: "a", cluster: { server: "ftp://a:hunter2@b" } }],
      users: [{ name: "a", user: { token: "hunter2" } }],
    }),
  ];
  for (const text of unusable) {
    test(`names the file and quotes nothing of ${JSON.stringify(text.slice(0, 20))}…`, () => {
      assert.throws(
        () => parseKubeconfig(text, "/etc/kubeconfig"),
        (error) => {
          assert.ok(error instanceof AppError);
          assert.equal(error.code, "invalid_settings");
          assert.match(error.message, /\/etc\/kubeconfig/);
          assert.doesNotMatch(inspect(error), /hunter2/);
          return true;
        },
      );
    });
  }
});
