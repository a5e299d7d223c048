import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isNeverAllowed } from "./deny-list.ts";

describe("isNeverAllowed", () => {
  const closed = [
    "/latest/user-data",
    "/LATEST/User-Data/",
    "/2016-09-02/meta-data/iam/info",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest/meta-data/managed-ssh-keys/signer-cert",
    "/latest/meta-data/public-keys/0/openssh-key",
    "/latest/api/token",
    "/latest/meta-data/security-credentials-of-next-year/",
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
