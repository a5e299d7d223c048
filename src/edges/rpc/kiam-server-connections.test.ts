import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { FakeClock } from "#test/fake-clock.ts";
import { protobuf, rawCall, rpcWorld } from "#test/rpc.ts";

const ROLE = "/kiam.KiamService/GetPodRole";
const HEALTH = "/kiam.KiamService/GetHealth";
const TIMEOUT = { timeout: 30_000 };

let world: Awaited<ReturnType<typeof rpcWorld>>;
before(async () => {
  world = await rpcWorld();
});
after(() => world[Symbol.asyncDispose]());

describe("serveKiam and connections", TIMEOUT, () => {
  test("tolerates a client that pings all the time", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);
    await once(session, "connect");

    for (let count = 0; count < 50; count += 1) {
      await pingOnce(session);
    }

    const { trailers } = await rawCall(session, HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
  });

  test("asks a connection of age to go elsewhere, answers what is open, then closes", async () => {
    const clock = new FakeClock();
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<string>();
    const server = await world.serve(
      {
        role: () => {
          asked.resolve();
          return release.promise;
        },
      },
      { clock, keepalive: { ageMs: 60_000, timeMs: 10_000_000 } },
    );
    const session = world.dial(server.port);
    const goaway = once(session, "goaway");
    const answer = rawCall(session, ROLE, protobuf({ 1: "a" }));
    await asked.promise;

    await clock.advance(59_999);
    assert.ok(!session.closed);
    await clock.advance(1);
    const [code] = (await goaway) as [number];
    release.resolve("late");

    assert.equal(code, constants.NGHTTP2_NO_ERROR);
    assert.equal((await answer).trailers["grpc-status"], "0");
    await server.events.first("connection_closed");
  });

  test("closes a connection without calls once it is idle for long", async () => {
    const clock = new FakeClock();
    const server = await world.serve({}, { clock, keepalive: { idleMs: 5_000 } });
    const session = world.dial(server.port);
    const goaway = once(session, "goaway");
    await rawCall(session, HEALTH, Buffer.alloc(0));
    await pingOnce(session);

    await clock.advance(5_000);

    await goaway;
    // Node's client answers no ping once it was sent away; Go's does.
    await clock.advance(2_000);
    await server.events.first("connection_closed");
  });

  test("drops a peer that answers no ping", async () => {
    const clock = new FakeClock();
    const server = await world.serve({}, { clock });
    const { cert, key, ca } = world.clientTls.current;
    // Speaks TLS and the connection preface, and nothing after that.
    const mute = connectTls({
      port: server.port,
      host: "127.0.0.1",
      cert,
      key,
      ca,
      ALPNProtocols: ["h2"],
    });
    mute.on("error", () => undefined);
    mute.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    await server.events.first("connection_opened");

    await clock.advance(10_000);
    await clock.advance(2_000);

    assert.match((await server.events.first("connection_broken")).reason, /no answer to a ping/);
    await server.events.first("connection_closed");
    mute.destroy();
  });

  test("takes no more connections than it may, and others once one is gone", async () => {
    const server = await world.serve({}, { connectionsMax: 2 });
    const health = (session: ClientHttp2Session) => rawCall(session, HEALTH, Buffer.alloc(0));
    const [first, second] = [world.dial(server.port), world.dial(server.port)];
    await Promise.all([health(first), health(second)]);

    await assert.rejects(health(world.dial(server.port)));
    first.close();
    await server.events.first("connection_closed");

    await Promise.all([health(world.dial(server.port)), health(second)]);
  });

  test("tells its peers how many calls they may have open", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);
    await rawCall(session, HEALTH, Buffer.alloc(0));

    assert.equal(session.remoteSettings.maxConcurrentStreams, 256);
  });

  test("finishes open calls when it is stopped, and takes no new connection", async () => {
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<string>();
    const server = await world.serve({
      role: () => {
        asked.resolve();
        return release.promise;
      },
    });
    const session = world.dial(server.port);
    const answer = rawCall(session, ROLE, protobuf({ 1: "a" }));
    await asked.promise;

    const stopped = server[Symbol.asyncDispose]();
    await once(session, "goaway");
    release.resolve("late");

    assert.equal((await answer).message, protobuf({ 1: "late" }).toString("hex"));
    await stopped;
    await assert.rejects(once(connectTcp(server.port, "127.0.0.1"), "connect"));
  });

  test("closes a connection too that was in its handshake when it was stopped", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);
    const closed = once(session, "close");
    // To the client the handshake is over before the server has seen its last message.
    await once(session, "connect");

    const started = performance.now();
    await server[Symbol.asyncDispose]();
    await closed;
    assert.ok(performance.now() - started < 4_000);
  });

  test("leaves no timer behind when it is stopped, which would keep the process", async () => {
    const clock = new FakeClock();
    const server = await world.serve({}, { clock });

    await server[Symbol.asyncDispose]();

    assert.equal(clock.sleeping, 0);
  });

  test("cuts calls that don't end within the time for draining", async () => {
    const asked = Promise.withResolvers<void>();
    const server = await world.serve(
      {
        role: () => {
          asked.resolve();
          return new Promise(() => undefined);
        },
      },
      { drainMs: 100 },
    );
    const answer = rawCall(world.dial(server.port), ROLE, protobuf({ 1: "a" }));
    const cut = assert.rejects(answer);
    await asked.promise;

    await server[Symbol.asyncDispose]();

    await cut;
  });

  test("says what is wrong when it can't listen", async () => {
    const server = await world.serve({});

    await assert.rejects(world.serve({}, { port: server.port }), {
      code: "invalid_settings",
      message: /Cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
    });
  });
});

/** A round trip, after which the server has seen what happened before it. */
function pingOnce(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
}
