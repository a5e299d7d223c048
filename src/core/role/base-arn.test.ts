import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { baseArnOf } from "./base-arn.ts";

describe("baseArnOf", () => {
  const found = [
    { of: "arn:aws:iam::123456789012:instance-profile/nodes", partition: "aws" },
    { of: "arn:aws:iam::123456789012:instance-profile/path/nodes", partition: "aws" },
    { of: "arn:aws:sts::123456789012:assumed-role/rolecall-server/i-0", partition: "aws" },
    { of: "arn:aws-us-gov:iam::123456789012:user/a", partition: "aws-us-gov" },
    { of: "arn:aws-cn:iam::123456789012:root", partition: "aws-cn" },
  ];
  for (const { of, partition } of found) {
    test(`keeps partition and account of ${of}, and no path`, () => {
      assert.equal(baseArnOf(of), `arn:${partition}:iam::123456789012:role/`);
    });
  }

  for (const text of ["", "arn:x", "arn:azure:iam::123456789012:x", "arn:aws:iam::1:x", "a\nb"]) {
    test(`refuses ${JSON.stringify(text)} and says what helps`, () => {
      assert.throws(() => baseArnOf(text), { code: "invalid_role", message: /--role-base-arn/ });
    });
  }
});
