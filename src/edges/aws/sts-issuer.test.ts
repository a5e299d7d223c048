import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RoleArn } from "#core/role/role-arn.ts";
import { Secret } from "#core/secret.ts";
import { type StsFault, type StsSimulator, startSts } from "#test/sts.ts";
import { findServerIdentity } from "./server-identity.ts";
import { createStsClient } from "./sts-client.ts";
import { stsIssuer } from "./sts-issuer.ts";

const ROLE = "arn:aws:iam::123456789012:role/path/reader" as RoleArn;
const IDENTITY = {
  role: ROLE,
  sessionName: "kiam-kiam",
  externalId: new Secret("external-1"),
  durationSeconds: 3_600,
};
const CLOCK = { now: () => Date.now(), sleep: () => Promise.resolve() };

function client(sts: StsSimulator, secretAccessKey = "test-secret", assumeRoleArn = "") {
  return createStsClient(
    {
      region: "eu-west-1",
      endpoint: sts.url,
      assumeRoleArn,
      caller: { accessKeyId: "AKIATEST", secretAccessKey },
    },
    {},
  );
}

describe("stsIssuer", { timeout: 20_000 }, () => {
  let sts: StsSimulator;
  before(async () => {
    sts = await startSts();
  });
  after(() => sts[Symbol.asyncDispose]());
  const signal = new AbortController().signal;
  const issue = (with_ = client(sts)) => stsIssuer(with_, CLOCK)(IDENTITY, signal);

  test("asks for what the identity says, signed as STS verifies it", async () => {
    const { accessKeyId, expiresAt } = await issue();

    assert.match(accessKeyId, /^ASIA/);
    assert.ok(Math.abs(expiresAt - Date.now() - 3_600_000) < 10_000);
    const { callerArn: _caller, ...call } = sts.assumeRoleCalls.at(-1) ?? {};
    assert.deepEqual(call, {
      roleArn: ROLE,
      sessionName: "kiam-kiam",
      externalId: "external-1",
      durationSeconds: 3_600,
    });
  });

  test("assumes the server's own role first when it has one", async () => {
    await issue(client(sts, "test-secret", "arn:aws:iam::123456789012:role/rolecall"));

    assert.match(
      sts.assumeRoleCalls.at(-1)?.callerArn ?? "",
      /assumed-role\/rolecall\/rolecall-server$/,
    );
  });

  test("finds the server's own identity", async () => {
    assert.match(await findServerIdentity(client(sts), signal), /assumed-role\/rolecall-server\//);
  });

  test("says that a signature is not accepted", async () => {
    await assert.rejects(issue(client(sts, "wrong")), {
      code: "sts_unavailable",
      message: /SignatureDoesNotMatch/,
    });
  });

  test("tells a refusal from a wish for fewer calls", async () => {
    sts.deny(ROLE);
    await assert.rejects(issue(), {
      code: "sts_denied",
      message: /^AccessDenied: .* is not authorized/,
    });
    sts.deny(ROLE, false);
    sts.throttle(true);
    await assert.rejects(issue(), { code: "sts_throttled" });
    sts.throttle(false);
  });

  const faults: StsFault[] = ["html", "truncated", "reset", 302, 400, 403, 407, 500, 503];
  for (const fault of faults) {
    test(`takes ${fault} as an outage, in a sentence without the body`, async () => {
      sts.fail(fault);
      await assert.rejects(issue(), (error: Error & { code?: string }) => {
        assert.equal(error.code, "sts_unavailable");
        assert.doesNotMatch(error.message, /html|proxy|</);
        return true;
      });
      sts.fail(undefined);
    });
  }

  test("refuses credentials that have already expired, naming the clocks", async () => {
    sts.lifeSeconds(-300);
    await assert.rejects(issue(), { code: "sts_unavailable", message: /clocks/ });
    sts.lifeSeconds(undefined);
  });

  for (const seconds of [400, -400]) {
    test(`says that the clock is off by ${seconds} s, and goes by STS's own from then on`, async () => {
      sts.clockAhead(seconds);
      const one = client(sts);

      await assert.rejects(issue(one), {
        code: "sts_unavailable",
        message: "STS cannot be used: the server's clock is off",
      });
      const { expiresAt } = await issue(one);

      assert.ok(Math.abs(expiresAt - Date.now() - (3_600 + seconds) * 1_000) < 10_000);
      sts.clockAhead(0);
    });

    test(`takes a clock that is off by less than five minutes (${seconds / 2} s)`, async () => {
      sts.clockAhead(seconds / 2);
      const { expiresAt } = await issue();
      assert.ok(Math.abs(expiresAt - Date.now() - (3_600 + seconds / 2) * 1_000) < 10_000);
      sts.clockAhead(0);
    });
  }

  test("ends with the signal while STS hangs", async () => {
    sts.fail("hang");
    const stop = new AbortController();
    const asked = stsIssuer(client(sts), CLOCK)(IDENTITY, stop.signal);
    stop.abort(new Error("stopped"));
    await assert.rejects(asked, /stopped/);
    sts.fail(undefined);
  });
});
