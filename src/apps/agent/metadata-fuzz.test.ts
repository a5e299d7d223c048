import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "#test/fake-clock.ts";
import { fuzzRuns } from "#test/fuzz-runs.ts";
import { mayReachSecret } from "#test/gullible-upstream.ts";
import { hostileTarget } from "#test/hostile-targets.ts";
import { AppError } from "#core/errors.ts";
import { answerAsAws } from "./aws-answers.ts";
import { answerAsKiam } from "./kiam-compatible.ts";
import type { EndpointParts } from "./metadata-request.ts";

const RUNS = fuzzRuns(3_000);
const HARMLESS = /^\/[^/]+\/(?:meta-data\/(?:placement\/.*|instance-id)|dynamic\/.*)$/;
const never = new AbortController().signal;

/** The paths that the node's own service is asked for on behalf of one request, as on the wire. */
async function askedFor(
  answer: typeof answerAsAws,
  target: string,
  allow: (path: string) => boolean,
): Promise<readonly string[]> {
  const asked: string[] = [];
  const refuse = async (): Promise<never> => {
    throw new AppError("overloaded", "Asked for something else.");
  };
  const parts: EndpointParts = {
    table: { role: refuse, listedRole: refuse, credentials: refuse },
    podAt: async () => ({ uid: undefined, requireImdsv2: undefined, roleArn: undefined }),
    tokens: { issue: () => "", isValid: () => true },
    upstream: async (path) => {
      asked.push(encodeURI(path));
      return { status: 200, contentType: "text/plain", body: "" };
    },
    allow,
    allowSource: "",
    requireImdsv2: false,
    serverHealth: async () => "ok",
    clock: new FakeClock(),
  };
  const headers = { get: (): undefined => undefined };
  const request = { method: "GET", target, address: "10.0.0.1", headers, signal: never };
  await answer(request, parts);
  return asked;
}

describe("what a pod may ask of the node's metadata service", () => {
  for (const { like, answer } of [
    { like: "AWS", answer: answerAsAws },
    { like: "Kiam", answer: answerAsKiam },
  ]) {
    test(`is never a secret, however it is written, when answers are like ${like}'s`, async () => {
      let reached = 0;
      await fc.assert(
        fc.asyncProperty(hostileTarget, async (target) => {
          for (const path of await askedFor(answer, target, () => true)) {
            reached += 1;
            assert.equal(mayReachSecret(path), false, path);
          }
        }),
        { numRuns: RUNS },
      );
      // A test that lets nothing through would prove nothing.
      assert.ok(reached > RUNS / 50, `${reached} of ${RUNS}`);
    });

    test(`is what the allow-list allows and nothing beside it, when answers are like ${like}'s`, async () => {
      let reached = 0;
      await fc.assert(
        fc.asyncProperty(hostileTarget, async (target) => {
          for (const path of await askedFor(answer, target, (asked) => HARMLESS.test(asked))) {
            reached += 1;
            const segments = path.split("/").slice(2);
            const [area, what = ""] = segments;
            const isHarmless =
              area === "dynamic" ||
              (area === "meta-data" && ["placement", "instance-id"].includes(what));
            assert.ok(isHarmless && !segments.includes(".."), path);
          }
        }),
        { numRuns: RUNS },
      );
      assert.ok(reached > RUNS / 100, `${reached} of ${RUNS}`);
    });
  }
});
