import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { dial, ping } from "#test/raw-client.ts";
import type { HttpAnswer } from "./http-message.ts";
import type { Limits, RefusalEvent } from "./limits.ts";
import { serveHttp } from "./server.ts";

const PONG = { status: 200, headers: {}, body: "pong" };
const PING = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";

/** Serves `/ping` at once, and everything else when the test says so. */
async function serve(limits: Partial<Limits>) {
  const clock = new FakeClock();
  const refused: RefusalEvent[] = [];
  const waiting: ((answer: HttpAnswer) => void)[] = [];
  const clients: ReturnType<typeof dial>[] = [];
  const listener = await serveHttp({
    port: 0,
    host: "127.0.0.1",
    clock,
    limits,
    observe: (event) => refused.push(event),
    handler: ({ target }) =>
      target === "/ping" ? PONG : new Promise((resolve) => void waiting.push(resolve)),
  });
  return {
    ...listener,
    clock,
    refused,
    waiting,
    call(bytes: string, from = "127.0.0.1") {
      const client = dial(listener.port, bytes, from);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.destroy();
      for (const answer of waiting) answer(PONG);
      await listener[Symbol.asyncDispose]();
    },
  };
}

const isOver = ({ isOver }: { isOver: boolean }): boolean => isOver;

describe("the limits of a server", { timeout: 20_000 }, () => {
  test("let an address ask so often and not more, tell it when to come back, and keep nothing from others", async () => {
    await using server = await serve({ requestsSavedEach: 3, requestsASecondEach: 2 });
    const client = server.call(PING.repeat(5));
    await client.until(({ text }) => text.match(/pong/g)?.length === 3);
    assert.equal(await ping(server.port, "127.0.0.2"), "pong");
    assert.doesNotMatch(client.told.text, /429/);

    await server.clock.advance(1_000);
    const told = await client.until(isOver);
    assert.deepEqual(told.match(/HTTP\/1\.1 \d+/g), [
      ...Array.from({ length: 3 }, () => "HTTP/1.1 200"),
      "HTTP/1.1 429",
    ]);
    assert.match(told, /429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\n/);
    assert.deepEqual(server.refused, [{ address: "127.0.0.1", limit: "requests" }]);

    const again = server.call(PING.repeat(3));
    await again.until(({ text }) => text.match(/pong/g)?.length === 2);
    await server.clock.advance(1_000);
    assert.match(await again.until(isOver), / 429 /);
  });

  const waits = [
    { limit: "waitingEach", from: "127.0.0.2", says: /^HTTP\/1\.1 200 / },
    { limit: "waiting", from: "127.0.0.2", says: /^HTTP\/1\.1 503 / },
  ] as const;
  for (const { limit, from, says } of waits) {
    test(`let so many requests wait and not more (${limit}), and another when one is answered`, async () => {
      await using server = await serve({ [limit]: 2 });
      const first = server.call(LATER);
      server.call(LATER);
      while (server.waiting.length < 2) await settle();

      const third = await server.call(LATER).until(isOver);
      assert.match(third, /^HTTP\/1\.1 503 Service Unavailable\r\nRetry-After: 1\r\n/);
      const other = server.call(PING, from);
      assert.match(await other.until(({ text }) => text.includes("\r\n\r\n")), says);

      server.waiting.shift()?.(PONG);
      await first.until(({ text }) => text.endsWith("pong"));
      assert.equal(await ping(server.port), "pong");
    });
  }

  const long = `GET /ping HTTP/1.1\r\nHost: a\r\nX-A: ${"b".repeat(14_000)}`;

  test("hold so many unread bytes of one address and not more, and keep nothing from others", async () => {
    await using server = await serve({ unreadBytesEach: 30_000 });
    for (let calls = 0; calls < 2; calls += 1) server.call(long);
    assert.equal(await ping(server.port, "127.0.0.2"), "pong");

    assert.match(await server.call(long).until(isOver), /^HTTP\/1\.1 503 /);
    assert.deepEqual(server.refused, [{ address: "127.0.0.1", limit: "bytes" }]);
    const other = server.call(`${long}\r\n\r\n`, "127.0.0.2");
    assert.match(await other.until(({ text }) => text.includes("\r\n\r\n")), /^HTTP\/1\.1 200 /);
  });

  test("count no bytes of a request that was answered, on connections that stay", async () => {
    await using server = await serve({ unreadBytes: 30_000 });
    for (let calls = 0; calls < 4; calls += 1) {
      const kept = server.call(`${long}\r\n\r\n`);
      assert.match(await kept.until(({ text }) => text.includes("\r\n\r\n")), /^HTTP\/1\.1 200 /);
    }
    assert.deepEqual(server.refused, []);
  });

  test("hold so many unread bytes of all clients and not more, and forget those of who leaves", async () => {
    await using server = await serve({ unreadBytes: 30_000 });
    const held = [server.call(long), server.call(long, "127.0.0.2")];
    // Those who came before are known to the server now.
    assert.equal(await ping(server.port), "pong");

    assert.match(await server.call(long, "127.0.0.3").until(isOver), /^HTTP\/1\.1 503 /);
    assert.deepEqual(server.refused, [{ address: "127.0.0.3", limit: "bytes" }]);
    for (const { socket } of held) socket.destroy();
    const last = server.call(long, "127.0.0.3");
    assert.equal(await ping(server.port), "pong");
    last.socket.write("\r\n\r\n");
    assert.match(await last.until(({ text }) => text.endsWith("pong")), /^HTTP\/1\.1 200 /);
  });

  test("forget an address that has gone and may ask as often as ever", async () => {
    await using server = await serve({ requestsSavedEach: 2, requestsASecondEach: 1 });
    assert.equal(await ping(server.port), "pong");
    assert.equal(await ping(server.port), "pong");
    await server.clock.advance(1_000);
    assert.equal(await ping(server.port), "pong");
    const refused = server.call(PING);
    assert.equal(await ping(server.port, "127.0.0.2"), "pong");
    assert.equal(refused.told.text, "");
    await server.clock.advance(5_000);
    assert.equal(await ping(server.port), "pong");
  });
});
