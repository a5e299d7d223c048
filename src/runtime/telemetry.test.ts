import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { describe, test } from "node:test";
import { createMetrics } from "./metrics.ts";
import { METRICS } from "./metric-table.ts";
import { servePprof } from "./pprof.ts";
import { serveTelemetry } from "./telemetry.ts";

const ANY = { host: "127.0.0.1", port: 0 };

function get(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, path, host: "127.0.0.1", agent: false }, (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk)));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      })
      .on("error", reject);
  });
}

describe("serveTelemetry", { timeout: 10_000 }, () => {
  test("exposes every metric of the table, those without labels at 0", async () => {
    await using server = await serveTelemetry({
      address: ANY,
      metrics: createMetrics(),
      health: () => ({ live: true, ready: true, reasons: [] }),
    });
    const { status, body } = await get(server.address.port, "/metrics");

    assert.equal(status, 200);
    for (const [name, { type, labels }] of Object.entries(METRICS)) {
      assert.match(body, new RegExp(`^# TYPE ${name} ${type}$`, "m"));
      const isCounted = labels.length === 0 && type !== "histogram";
      if (isCounted) assert.match(body, new RegExp(`^${name} `, "m"));
    }
    assert.match(body, /kiam_sts_assumerole_timing_seconds_bucket\{le="4.096"\} 0/);
  });

  test("follows peers in readiness and not in liveness", async () => {
    const health = { live: true, ready: false, reasons: ["nobody is there"] };
    await using server = await serveTelemetry({
      address: ANY,
      metrics: createMetrics(),
      health: () => health,
    });
    const { port } = server.address;

    assert.equal((await get(port, "/livez")).status, 200);
    assert.deepEqual(await get(port, "/readyz"), { status: 503, body: "nobody is there\n" });
    health.ready = true;
    assert.equal((await get(port, "/readyz")).status, 200);
  });

  test("takes 64 connections and no more", async () => {
    await using server = await serveTelemetry({
      address: ANY,
      metrics: createMetrics(),
      health: () => ({ live: true, ready: true, reasons: [] }),
    });
    const { port } = server.address;
    const idle = Array.from({ length: 64 }, () => net.connect(port, "127.0.0.1"));
    await Promise.all(idle.map((socket) => once(socket, "connect")));

    await assert.rejects(get(port, "/livez"));
    const freed = once(idle[0] as net.Socket, "close");
    idle[0]?.destroy();
    await freed;

    // The server learns of it a moment later; the test's timeout bounds the tries.
    while ((await get(port, "/livez").catch(() => undefined))?.status !== 200);
    for (const socket of idle) socket.destroy();
  });

  test("says which flag names an address that is taken", async () => {
    const options = {
      metrics: createMetrics(),
      health: () => ({ live: true, ready: true, reasons: [] }),
    };
    await using server = await serveTelemetry({ ...options, address: ANY });

    await assert.rejects(serveTelemetry({ ...options, address: server.address }), {
      code: "invalid_settings",
      message: /--prometheus-listen-addr: .*EADDRINUSE/,
    });
  });
});

describe("servePprof", { timeout: 10_000 }, () => {
  test("takes a CPU profile of a bounded length", async () => {
    await using server = await servePprof({ address: ANY });
    const { status, body } = await get(server.address.port, "/debug/pprof/profile?seconds=0.1");

    assert.equal(status, 200);
    assert.ok((JSON.parse(body) as { nodes: unknown[] }).nodes.length > 0);
    assert.equal((await get(server.address.port, "/debug/pprof/profile?seconds=61")).status, 400);
  });
});
