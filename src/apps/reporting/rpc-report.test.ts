import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLog } from "#runtime/log.ts";
import { createMetrics } from "#runtime/metrics.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { reportTls, warnOfExpiry } from "./rpc-report.ts";

const DAY = 86_400_000;

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): boolean =>
    lines.push(JSON.parse(line) as (typeof lines)[number]) > 0;
  const log = createLog({ json: true, level: "debug", write });
  const report = { side: "client", log, metrics: createMetrics() } as const;
  return { lines, report };
}

describe("certificates that end", () => {
  test("are told of 30, 14, 7 and 1 days ahead, once each, and anew after a replacement", async () => {
    const clock = new FakeClock();
    const { lines, report } = setUp();
    const stop = new AbortController();
    let ends = clock.now() + 40 * DAY;
    const days = (): unknown[] =>
      lines.filter(({ event }) => event === "tls_expiring").map((line) => line["days"]);
    const ended = warnOfExpiry(report, () => ends, clock, stop.signal).catch(() => {});

    await clock.advance(9 * DAY);
    assert.deepEqual(days(), []);
    await clock.advance(30.5 * DAY);
    assert.deepEqual(days(), [30, 14, 7, 1]);

    ends = clock.now() + 20 * DAY;
    await clock.advance(DAY / 12);
    assert.equal(days().length, 5);
    stop.abort(new Error("over"));
    await ended;
  });

  test("are in the metrics, as Kiam has them", async () => {
    const { lines, report } = setUp();
    reportTls(report, {
      type: "tls_loaded",
      isUpdate: false,
      expiresAt: 1_800_000_000_000,
      problem: "expired",
    });

    const { text } = report.metrics.expose();
    assert.match(text, /^grpc_client_tls_certificate_expiry_seconds 1800000000$/m);
    assert.match(text, /^grpc_client_tls_certificate_verify_error 1$/m);
    assert.match(text, /^grpc_client_tls_certificate_update_error 0$/m);
    assert.deepEqual(
      lines.map(({ event }) => event),
      ["tls_verify_failed"],
    );
  });
});
