import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { dial, ping, said } from "#test/raw-client.ts";
import { Connection } from "./connection.ts";
import type { HttpAnswer, HttpRequest } from "./http-message.ts";
import { Clients, LIMITS } from "./limits.ts";
import { RequestHeads } from "./request-heads.ts";
import { type HttpListener, serveHttp } from "./server.ts";

/** A request for a target, with these header lines. */
function ask(target: string, lines = "", method = "GET", version = "HTTP/1.1"): string {
  return `${method} ${target} ${version}\r\nHost: a\r\n${lines}\r\n`;
}

const text = (body: string): HttpAnswer => ({ status: 200, headers: {}, body });

describe("a connection", { timeout: 20_000 }, () => {
  /** Requests for `/later`, with what answers them. */
  let waiting: { readonly request: HttpRequest; readonly answer: (answer: HttpAnswer) => void }[];
  let clock: FakeClock;
  let listener: HttpListener;
  let port: number;
  let clients: ReturnType<typeof dial>[];

  /** `/later` is answered when the test says so, `/large` with 8 MB, and the rest at once. */
  const handler = (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> => {
    switch (request.target) {
      case "/later": {
        const { promise, resolve } = Promise.withResolvers<HttpAnswer>();
        waiting.push({ request, answer: resolve });
        return promise;
      }
      case "/large":
        return text("x".repeat(8_000_000));
      case "/throws":
        throw new Error("a bug");
      case "/rejects":
        return Promise.reject(new Error("a bug"));
      case "/split":
        return { status: 200, headers: { "X-A": "b\r\nX-C: d" }, body: "" };
      default:
        return text(request.target === "/ping" ? "pong" : `${request.method} ${request.target}`);
    }
  };

  beforeEach(async () => {
    waiting = [];
    clients = [];
    clock = new FakeClock();
    listener = await serveHttp({ port: 0, host: "127.0.0.1", clock, handler });
    ({ port } = listener);
  });
  afterEach(async () => {
    for (const { socket } of clients) socket.destroy();
    await listener[Symbol.asyncDispose]();
  });

  const call = (bytes: string): ReturnType<typeof dial> => {
    const client = dial(port, bytes);
    clients.push(client);
    return client;
  };
  /** Until so many requests for `/later` wait. */
  const untilWaiting = async (count: number): Promise<void> => {
    while (waiting.length < count) await settle();
  };
  const isOver = (told: { isOver: boolean }): boolean => told.isOver;

  test("gives each answer whole, with its length, its date and a plain connection", async () => {
    const client = call(ask("/caf%C3%A9"));
    await client.until(({ text }) => text.endsWith("9"));
    assert.deepEqual(client.told.text.split("\r\n"), [
      "HTTP/1.1 200 OK",
      "Date: Thu, 01 Jan 2026 00:00:00 GMT",
      "Content-Length: 14",
      "",
      "GET /caf%C3%A9",
    ]);
  });

  test("counts the bytes of a body, not its characters", async () => {
    const client = call(ask("/later", "Connection: close\r\n"));
    await untilWaiting(1);
    waiting[0]?.answer(text("caf\u00e9 \u2028"));
    const [head, body = ""] = (await client.until(isOver)).split("\r\n\r\n");
    assert.match(head ?? "", /Content-Length: 9(?:\r|$)/);
    assert.equal(Buffer.from(body, "latin1").toString(), "caf\u00e9 \u2028");
  });

  test("answers requests in their order, those that come at once behind those that wait", async () => {
    const client = call(ask("/later") + ask("/now") + ask("/later") + ask("/end"));
    await untilWaiting(1);
    await settle();
    assert.equal(client.told.text, "");

    waiting[0]?.answer(text("first"));
    await untilWaiting(2);
    waiting[1]?.answer(text("second"));

    const told = await client.until(({ text }) => text.endsWith("/end"));
    assert.deepEqual(told.match(/first|GET \/now|second|GET \/end/g), [
      "first",
      "GET /now",
      "second",
      "GET /end",
    ]);
  });

  test("stays for the next request, until one says close", async () => {
    const client = call(ask("/a"));
    await client.until(({ text }) => text.endsWith("/a"));
    client.socket.write(ask("/b"));
    await client.until(({ text }) => text.endsWith("/b"));
    assert.doesNotMatch(client.told.text, /Connection/);

    client.socket.write(ask("/c", "Connection: Close\r\n") + ask("/d"));
    const told = await client.until(isOver);
    assert.match(told, /Connection: close\r\n[^]*GET \/c$/);
  });

  const old = [
    { lines: "", says: /Connection: close\r\n/, stays: false },
    { lines: "Connection: keep-alive\r\n", says: /Connection: keep-alive\r\n/, stays: true },
  ];
  for (const { lines, says, stays } of old) {
    test(`${stays ? "stays" : "closes"} for HTTP/1.0 with "${lines.trim()}"`, async () => {
      const client = call(ask("/a", lines, "GET", "HTTP/1.0") + ask("/b"));
      const told = await client.until((now) => (stays ? now.text.endsWith("/b") : now.isOver));
      assert.match(told, says);
      assert.equal(told.includes("GET /b"), stays);
    });
  }

  test("answers HEAD with the length of a body, and without the body", async () => {
    const told = await said(port, ask("/a", "Connection: close\r\n", "HEAD"));
    assert.match(told, /Content-Length: 7\r\n\r\n$/);
  });

  const bodies = [
    { name: "of a told length", lines: "Content-Length: 5\r\n", body: "hello" },
    { name: "in chunks", lines: "Transfer-Encoding: chunked\r\n", body: "5\r\nhello\r\n0\r\n\r\n" },
  ];
  for (const { name, lines, body } of bodies) {
    test(`lets a body ${name} go by before it answers`, async () => {
      const client = call(ask("/put", lines, "PUT") + body.slice(0, -3));
      assert.equal(await ping(port), "pong");
      assert.equal(client.told.text, "");

      client.socket.write(body.slice(-3) + ask("/next"));
      assert.match(await client.until((now) => now.text.endsWith("/next")), /PUT \/put/);
    });
  }

  test("tells a client that asks first to send its body", async () => {
    const client = call(ask("/put", "Content-Length: 2\r\nExpect: 100-continue\r\n", "PUT"));
    await client.until(({ text }) => text === "HTTP/1.1 100 Continue\r\n\r\n");
    client.socket.write("hi");
    assert.match(await client.until((now) => now.text.endsWith("/put")), /HTTP\/1\.1 200 /);
  });

  test("does not wait for a body that a client is told of too late to send", async () => {
    const client = call(ask("/put", "Content-Length: 2\r\nExpect: 100-continue\r\n", "PUT") + "hi");
    assert.doesNotMatch(await client.until((now) => now.text.endsWith("/put")), / 100 /);
  });

  test("cuts a body that does not come", async () => {
    const client = call(ask("/put", "Content-Length: 5\r\n", "PUT"));
    assert.equal(await ping(port), "pong");
    await clock.advance(6_000);
    assert.match(await client.until(isOver), /^HTTP\/1\.1 408 /);
  });

  test("stays idle for 75 seconds after each answer, and goes without a word", async () => {
    const client = call(ask("/a"));
    await client.until(({ text }) => text.endsWith("/a"));
    await clock.advance(75_000);
    client.socket.write(ask("/b"));
    await client.until(({ text }) => text.endsWith("/b"));

    await clock.advance(76_000);
    assert.ok((await client.until(isOver)).endsWith("/b"));
  });

  test("gives up an answer that does not come, and tells whoever makes it", async () => {
    const client = call(ask("/later"));
    await untilWaiting(1);
    const { signal } = waiting[0]?.request ?? assert.fail();
    await clock.advance(31_000);
    assert.equal(await client.until(isOver), "");
    assert.equal(signal.aborted, true);
  });

  test("gives up a client that does not take what it asked for", async () => {
    const client = call(ask("/large"));
    client.socket.pause();
    assert.equal(await ping(port), "pong");
    await clock.advance(11_000);
    client.socket.resume();
    await client.until(isOver);
    assert.ok(client.told.text.length < 8_000_000);
  });

  test("takes little of a client that sends ahead without end", async () => {
    const client = call(ask("/later") + ask("/a").repeat(1_000_000));
    await untilWaiting(1);
    for (let turn = 0; turn < 100; turn++) assert.equal(await ping(port), "pong");
    // The kernel takes some megabytes, and this side has the rest.
    assert.ok(client.socket.writableLength > 10_000_000);

    client.socket.destroy();
    // A connection that is not read from learns of it by its next write.
    waiting[0]?.answer(text("too late"));
  });

  test("tells whoever makes an answer that the client has left", async () => {
    const client = call(ask("/later"));
    await untilWaiting(1);
    const { request, answer } = waiting[0] ?? assert.fail();
    const { promise, resolve } = Promise.withResolvers<void>();
    request.signal.addEventListener("abort", () => resolve());
    assert.equal(request.isGone, false);

    client.socket.destroy();

    await promise;
    assert.equal(request.isGone, true);
    answer(text("too late"));
    assert.equal(await ping(port), "pong");
  });

  for (const target of ["/throws", "/rejects", "/split"]) {
    test(`answers 500 to ${target}, and goes on`, async () => {
      const client = call(ask(target) + ask("/next"));
      const told = await client.until((now) => now.text.endsWith("/next"));
      assert.match(told, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
      assert.doesNotMatch(told, /X-C/);
    });
  }

  test("is told with its next answer that the server stops, and no new one is taken", async () => {
    const client = call(ask("/a"));
    await client.until(({ text }) => text.endsWith("/a"));
    const disposed = listener[Symbol.asyncDispose]();
    await assert.rejects(ping(port), { code: "ECONNREFUSED" });

    client.socket.write(ask("/b"));
    assert.match(await client.until(isOver), /Connection: close\r\n[^]*GET \/b$/);
    client.socket.end();
    await disposed;
  });

  test("is closed when the server stops and it stays idle", async () => {
    const idle = call(ask("/a"));
    await idle.until(({ text }) => text.endsWith("/a"));
    const disposed = listener[Symbol.asyncDispose]();
    await clock.advance(250);
    await idle.until(isOver);
    await disposed;
  });

  test("answers what is under way when the server stops, and is then closed", async () => {
    const busy = call(ask("/later"));
    await untilWaiting(1);
    const disposed = listener[Symbol.asyncDispose]();
    await clock.advance(4_000);
    waiting[0]?.answer(text("the last one"));

    assert.match(await busy.until(isOver), /Connection: close\r\n[^]*the last one$/);
    busy.socket.end();
    await disposed;
  });

  test("is cut when the server stops and its answer takes too long", async () => {
    const busy = call(ask("/later"));
    await untilWaiting(1);
    const disposed = listener[Symbol.asyncDispose]();
    await clock.advance(5_000);
    assert.equal(await busy.until(isOver), "");
    await disposed;
  });

  test("first hears all that was told in the turn of its first request, and then answers at once", async () => {
    const answered: string[] = [];
    const socket = new PassThrough() as unknown as Socket;
    const client = new Clients(LIMITS, () => {}).admit("10.0.0.1");
    assert.ok(client);
    const host = {
      handler: ({ target }: HttpRequest) => (answered.push(target), text("")),
      heads: new RequestHeads(),
      isStopping: false,
      date: "",
    };
    assert.ok(new Connection(socket, client, host));

    socket.emit("data", Buffer.from(ask("/first")));
    assert.deepEqual(answered, []);
    await new Promise((resolve) => void setImmediate(resolve));
    assert.deepEqual(answered, ["/first"]);
    socket.emit("data", Buffer.from(ask("/second")));
    assert.deepEqual(answered, ["/first", "/second"]);
  });
});
