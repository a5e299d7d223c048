import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isNeverAllowed } from "./deny-list.ts";
import { parsePath } from "./path.ts";

describe("isNeverAllowed", () => {
  const closed = [
    "/latest/user-data",
    "/LATEST/User-Data/",
    "/2016-09-02/meta-data/iam/info",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest/meta-data/managed-ssh-keys/signer-cert",
    "/latest/meta-data/public-keys/0/openssh-key",
    "/latest/api/token",
    // What another server may still decode, split or cut, and so read as one of those above.
    "/latest/%75ser-data",
    "/latest/user-data;x",
    "/latest/user-data\\x",
    "/latest/user-data x",
    "/latest/user-data\u0000",
    "/latest/ｕser-data",
    "/latest/x/../user-data",
  ];
  for (const path of closed) {
    test(`closes ${JSON.stringify(path)}`, () => assert.equal(isNeverAllowed(path), true));
  }

  test("leaves the rest to the allow-list", () => {
    for (const path of [
      "/latest/meta-data/placement/region",
      "/latest/dynamic/instance-identity",
    ]) {
      assert.equal(isNeverAllowed(path), false);
    }
  });
});

describe("the deny-list behind parsePath", () => {
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

describe("parsePath", () => {
  const refused = [
    "/latest/%2575ser-data",
    "/latest/user-data%00",
    "/latest/user-data%0a",
    "/latest/user-data%3bx",
    "/latest%5cuser-data",
    "/latest/%zz",
  ];
  for (const target of refused) {
    test(`refuses ${target}, which could be read in two ways`, () => {
      assert.equal(parsePath(target).ok, false);
    });
  }

  test("decodes once and normalises before anybody looks", () => {
    const parsed = parsePath("http://169.254.169.254//latest/./x/..//%75ser-data/?a=b");

    assert.deepEqual(parsed, { ok: true, path: "/latest/user-data/", query: "a=b" });
  });
});
