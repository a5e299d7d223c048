import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { dial, ping, said } from "#test/raw-client.ts";
import { type HttpListener, type HttpServerOptions, serveHttp } from "./server.ts";

/** Answers `/ping` at once and everything else never. */
function serve(options: Partial<HttpServerOptions> = {}): Promise<HttpListener> {
  return serveHttp({
    port: 0,
    host: "127.0.0.1",
    clock: new FakeClock(),
    handler: ({ target }) => (target === "/ping" ? PONG : new Promise(() => undefined)),
    ...options,
  });
}

const PONG = { status: 200, headers: {}, body: "pong" };
const PING = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";

describe("serveHttp", { timeout: 60_000 }, () => {
  const rubbish = [
    { name: "what is no HTTP", bytes: "rubbish\r\n\r\n", says: /^HTTP\/1\.1 400 / },
    {
      name: "a TLS handshake",
      bytes: "\u0016\u0003\u0001\u0002\u0000\u0001",
      says: /^HTTP\/1\.1 400 /,
    },
    {
      name: "an unknown method",
      bytes: "EAT / HTTP/1.1\r\nHost: a\r\n\r\n",
      says: /^HTTP\/1\.1 400 /,
    },
    {
      name: "a wish for a tunnel",
      bytes: "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
      says: /^HTTP\/1\.1 400 /,
    },
    { name: "no host", bytes: "GET /ping HTTP/1.1\r\n\r\n", says: /^HTTP\/1\.1 400 / },
    {
      name: "two lengths of a body",
      bytes: "PUT /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      says: /^HTTP\/1\.1 400 /,
    },
    {
      name: "a length and chunks",
      bytes:
        "PUT /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      says: /^HTTP\/1\.1 400 /,
    },
    {
      name: "headers of 20 kB",
      bytes: `GET /ping HTTP/1.1\r\nHost: a\r\nX-Giant: ${"x".repeat(20_000)}\r\n\r\n`,
      says: /^HTTP\/1\.1 431 /,
    },
    {
      name: "a path of 20 kB",
      bytes: `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      says: /^HTTP\/1\.1 431 /,
    },
  ];
  for (const { name, bytes, says } of rubbish) {
    test(`closes the connection of a client that sends ${name}, and serves others`, async () => {
      await using listener = await serve();
      assert.match(await said(listener.port, bytes), says);
      assert.equal(await ping(listener.port), "pong");
    });
  }

  test("answers what came before rubbish on the same connection, then closes it", async () => {
    await using listener = await serve();
    const client = dial(listener.port, PING + PING);
    await client.until(({ text }) => text.match(/pong/g)?.length === 2);

    client.socket.write("\u0000\u0001rubbish\r\n\r\n");

    assert.match(await client.until(({ isOver }) => isOver), /HTTP\/1\.1 400 /);
    client.socket.destroy();
  });

  test("is not harmed by thousands of requests in one write with rubbish at their end", async () => {
    await using listener = await serve({ limits: { requestsSavedEach: 6_000 } });
    const flood = said(listener.port, `${PING.repeat(5_000)}rubbish\r\n\r\n`);
    assert.equal(await ping(listener.port), "pong");
    assert.match(await flood, /pong/);
    assert.equal(await ping(listener.port), "pong");
  });

  test("gives a client that sends its headers slowly, or nothing, so long and not longer", async () => {
    const clock = new FakeClock();
    await using listener = await serve({ clock });
    const slow = dial(listener.port, "GET /ping HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    const silent = dial(listener.port);
    // Those who came before are known to the server now.
    assert.equal(await ping(listener.port), "pong");

    await clock.advance(5_000);
    assert.deepEqual([slow.told.text, silent.told.text], ["", ""]);
    await clock.advance(1_000);

    for (const { until, socket } of [slow, silent]) {
      assert.match(await until(({ isOver }) => isOver), /^HTTP\/1\.1 408 /);
      socket.destroy();
    }
    assert.equal(await ping(listener.port), "pong");
  });

  test("that retires takes no connection, and gives one more answer on those that are open", async () => {
    const clock = new FakeClock();
    const retiring = await serve({ clock });
    const [idle, silent] = [dial(retiring.port, PING), dial(retiring.port, PING)];
    for (const client of [idle, silent]) await client.until(({ text }) => text.endsWith("pong"));

    const retired = retiring.retire(10_000);

    await assert.rejects(async () => {
      for (;;) await ping(retiring.port);
    }, /ECONN/);
    idle.socket.write(PING);
    const text = await idle.until(({ isOver }) => isOver);
    assert.match(text, /pong[^]*Connection: close[^]*pong$/);
    assert.equal(silent.told.isOver, false);
    await clock.advance(10_000);
    await retired;
    idle.socket.destroy();
    const disposed = retiring[Symbol.asyncDispose]();
    await clock.advance(10_000);
    await disposed;
    await silent.until(({ isOver }) => isOver);
    silent.socket.destroy();
  });

  test("leaves no connection of a client that was refused and never closes its own side", async () => {
    const clock = new FakeClock();
    const listener = await serve({ clock });
    const { socket, until } = dial(listener.port, "rubbish\r\n\r\n");
    await until(({ isOver }) => isOver);

    // Waits for every connection.
    const disposed = listener[Symbol.asyncDispose]();
    await clock.advance(250);
    await disposed;
    socket.destroy();
  });

  const limits = [
    { name: "takes no more connections than it may", limit: "connections", others: "" },
    {
      name: "takes no more of one address than its share",
      limit: "connectionsEach",
      others: "pong",
    },
  ] as const;
  for (const { name, limit, others } of limits) {
    test(`${name}, and another when one is gone`, async () => {
      await using listener = await serve({ limits: { [limit]: 3 } });
      const greedy = Array.from({ length: 3 }, () => dial(listener.port, PING));
      for (const { until } of greedy) await until(({ text }) => text.endsWith("pong"));

      assert.equal(await said(listener.port, PING), "");
      assert.equal(await ping(listener.port, "127.0.0.2").catch(() => ""), others);
      greedy[0]?.socket.destroy();
      // The close has to reach the server first.
      while ((await ping(listener.port).catch(() => "")) !== "pong");
      for (const { socket } of greedy) socket.destroy();
    });
  }

  test("answers beside 10,000 connections that are kept and idle", async (t) => {
    const count = Math.min(10_000, openFilesMax() - 500);
    t.diagnostic(`${count} connections`);
    await using listener = await serve({
      limits: { connectionsEach: count + 1, requestsSavedEach: count + 1 },
    });
    const program = new URL("../../../test/support/idle-connections.ts", import.meta.url).pathname;
    const idle = spawn(process.execPath, [program, String(listener.port), String(count)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(idle, "exit");
    const died = ended.then(() => ["died"]);
    const [word] = (await Promise.race([once(idle.stdout, "data"), died])) as [Buffer | string];

    assert.equal(String(word), `open ${count}\n`);
    assert.equal(await ping(listener.port), "pong");
    assert.equal(idle.exitCode, null);

    idle.stdin.end();
    assert.deepEqual(await ended, [0, null]);
  });
});

/** How many files a process may open here. */
function openFilesMax(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+(?<soft>\d+)/m.exec(limits)?.groups?.["soft"] ?? 1_024);
}
