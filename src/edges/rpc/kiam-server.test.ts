import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import { swapTlsFolder, createAuthority } from "#test/certificates.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { protobuf, rawCall, rpcWorld, SERVER_NAME } from "#test/rpc.ts";

const ROLE = "/kiam.KiamService/GetPodRole";
const CREDENTIALS = "/kiam.KiamService/GetPodCredentials";
const HEALTH = "/kiam.KiamService/GetHealth";
const TIMEOUT = { timeout: 30_000 };

let world: Awaited<ReturnType<typeof rpcWorld>>;
before(async () => {
  world = await rpcWorld();
});
after(() => world[Symbol.asyncDispose]());

describe("serveKiam on the wire", TIMEOUT, () => {
  test("answers GetHealth, GetPodRole and GetPodCredentials byte by byte as Kiam does", async () => {
    const server = await world.serve({
      role: async (address) => `role-of-${address}`,
      credentials: async (address, role) => ({
        accessKeyId: `AKIA${address}`,
        secretAccessKey: new Secret(`secret-${role}`),
        sessionToken: new Secret("token"),
        issuedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 999),
        expiresAt: Date.UTC(2026, 0, 2, 4, 4, 5, 999),
      }),
    });
    const session = world.dial(server.port);

    const health = await rawCall(session, HEALTH, Buffer.alloc(0));
    const role = await rawCall(session, ROLE, protobuf({ 1: "10.0.0.1" }));
    const credentials = await rawCall(session, CREDENTIALS, protobuf({ 1: "10.0.0.1", 2: "r" }));

    assert.equal(health.message, protobuf({ 1: "ok" }).toString("hex"));
    assert.equal(role.message, protobuf({ 1: "role-of-10.0.0.1" }).toString("hex"));
    assert.equal(
      credentials.message,
      protobuf({
        1: "Success",
        2: "AWS-HMAC",
        3: "AKIA10.0.0.1",
        4: "secret-r",
        5: "token",
        6: "2026-01-02T04:04:05Z",
        7: "2026-01-02T03:04:05Z",
      }).toString("hex"),
    );
    assert.equal(role.headers["content-type"], "application/grpc+proto");
    assert.equal(role.trailers["grpc-status"], "0");
  });

  test("sends an empty role as no bytes at all", async () => {
    const server = await world.serve({ role: async () => "" });

    const { message, trailers } = await rawCall(
      world.dial(server.port),
      ROLE,
      protobuf({ 1: "a" }),
    );

    assert.equal(message, "");
    assert.equal(trailers["grpc-status"], "0");
  });

  for (const { code, path, text } of [
    { code: "pod_not_found", path: ROLE, text: "pod not found" },
    { code: "pod_not_found", path: CREDENTIALS, text: "no pod found" },
    { code: "pod_ambiguous", path: ROLE, text: "multiple running pods found" },
    { code: "pod_ambiguous", path: CREDENTIALS, text: "multiple running pods found" },
    { code: "namespace_forbids", path: CREDENTIALS, text: "forbidden by policy" },
    { code: "role_mismatch", path: CREDENTIALS, text: "forbidden by policy" },
    { code: "no_role", path: CREDENTIALS, text: "role can't be empty" },
    { code: "sts_denied", path: CREDENTIALS, text: "AccessDenied: ünd so weiter 100%" },
  ] as const) {
    test(`says "${text}" with status 2 for ${code} in ${path}`, async () => {
      const fail = (): Promise<never> =>
        Promise.reject(new AppError(code, "AccessDenied: ünd so weiter 100%"));
      const server = await world.serve({ role: fail, credentials: fail });

      const answer = await rawCall(world.dial(server.port), path, protobuf({ 1: "a", 2: "r" }));
      const { trailers } = answer;

      assert.equal(trailers["grpc-status"], "2");
      assert.equal(decodeURIComponent(String(trailers["grpc-message"])), text);
      assert.equal(trailers["rolecall-code"], code);
      assert.equal(
        decodeURIComponent(String(trailers["rolecall-reason"])),
        "AccessDenied: ünd so weiter 100%",
      );
      assert.equal(answer.message, undefined);
    });
  }

  test("answers what no handler expected as internal, without its text, and goes on", async () => {
    const server = await world.serve({
      role: () => Promise.reject(new Error("secret-text")),
    });
    const session = world.dial(server.port);

    const { trailers } = await rawCall(session, ROLE, protobuf({ 1: "a" }));
    const { message } = await rawCall(session, HEALTH, Buffer.alloc(0));

    assert.equal(trailers["grpc-status"], "2");
    assert.equal(trailers["rolecall-code"], "internal");
    assert.ok(!JSON.stringify(trailers).includes("secret-text"));
    assert.equal(message, protobuf({ 1: "ok" }).toString("hex"));
    assert.equal((await server.events.first("call_handled")).code, "Unknown");
  });

  test("answers an unknown method with Unimplemented, and bytes that are no message with an error", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);

    const unknown = await rawCall(session, "/kiam.KiamService/Nope", Buffer.alloc(0));
    const rubbish = await rawCall(session, ROLE, Buffer.from("ffffffff", "hex"));
    const huge = await rawCall(session, ROLE, Buffer.alloc(70_000));
    const health = await rawCall(session, HEALTH, Buffer.alloc(0));

    assert.equal(unknown.headers["grpc-status"], "12");
    assert.notEqual(rubbish.trailers["grpc-status"], "0");
    assert.notEqual(huge.trailers["grpc-status"], "0");
    assert.equal(health.trailers["grpc-status"], "0");
  });

  test("survives requests with an authority that is none", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);

    const bad = rawCall(session, HEALTH, Buffer.alloc(0), { ":authority": "a b:^" });

    await assert.rejects(bad);
    const { trailers } = await rawCall(session, HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
  });

  test("ends a call at the caller's deadline, and tells the handler", async () => {
    const aborted = Promise.withResolvers<void>();
    const server = await world.serve({
      role: (_address, signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => aborted.resolve());
        }),
    });

    const { trailers } = await rawCall(world.dial(server.port), ROLE, protobuf({ 1: "a" }), {
      "grpc-timeout": "50m",
    });
    await aborted.promise;

    assert.equal(trailers["grpc-status"], "4");
    assert.equal((await server.events.first("call_handled")).code, "DeadlineExceeded");
  });
});

describe("serveKiam and certificates", TIMEOUT, () => {
  const refused = async (
    port: number,
    options: Parameters<typeof world.dial>[1],
  ): Promise<void> => {
    const session = world.dial(port, options);
    await assert.rejects(rawCall(session, HEALTH, Buffer.alloc(0)));
  };

  test("refuses a client without a certificate, with the reason, and serves others", async () => {
    const server = await world.serve({});

    await refused(server.port, { cert: "", key: "" });

    const { reason } = await server.events.first("handshake_refused");
    assert.match(reason, /PEER_DID_NOT_RETURN_A_CERTIFICATE|peer did not return a certificate/);
    const { trailers } = await rawCall(world.dial(server.port), HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
  });

  test("refuses certificates of another authority, expired ones, and those that aren't a client's", async () => {
    const stranger = await createAuthority("stranger");
    const wrong = await stranger.issue({ names: ["agent"] });
    const expired = await world.authority.issue({ names: ["agent"], notAfter: Date.now() - 1_000 });
    const notClient = await world.authority.issue({ names: ["agent"], client: false });
    const server = await world.serve({});

    await refused(server.port, wrong);
    await refused(server.port, expired);
    await refused(server.port, notClient);

    const reasons: string[] = [];
    for (const skip of [0, 1, 2]) {
      reasons.push((await server.events.first("handshake_refused", skip)).reason);
    }
    assert.match(reasons[0] ?? "", /UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/);
    assert.match(reasons[1] ?? "", /CERT_HAS_EXPIRED/);
    assert.match(reasons[2] ?? "", /INVALID_PURPOSE/);
    assert.ok(!server.events.seen.some(({ type }) => type === "connection_opened"));
  });

  test("is not harmed by plain text, TLS without HTTP/2, and garbage after TLS", async () => {
    const server = await world.serve({});
    const { cert, key, ca } = world.clientTls.current;

    const plain = connectTcp(server.port, "127.0.0.1");
    plain.on("error", () => undefined).end("GET / HTTP/1.1\r\n\r\n");
    await once(plain.resume(), "close");
    const tls = { port: server.port, host: "127.0.0.1", cert, key, ca };
    const noAlpn = connectTls(tls);
    noAlpn.on("error", () => undefined);
    await once(noAlpn.resume(), "close");
    const garbage = connectTls({ ...tls, ALPNProtocols: ["h2"] });
    garbage.on("error", () => undefined);
    await once(garbage, "secureConnect");
    garbage.write(Buffer.alloc(4_096, 0xff));
    await once(garbage.resume(), "close");

    await server.events.first("handshake_refused", 1);
    await server.events.first("connection_broken");
    const { trailers } = await rawCall(world.dial(server.port), HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
  });

  test("takes swapped files for new connections and keeps the open ones", async () => {
    const next = await createAuthority("next");
    const tls = await world.tlsFor({ names: [SERVER_NAME], addresses: ["127.0.0.1"] });
    const server = await world.serve({}, { tls });
    const kept = world.dial(server.port);
    await rawCall(kept, HEALTH, Buffer.alloc(0));
    const newClient = await next.issue({ names: ["agent"] });
    const ca = [world.authority.cert, next.cert];

    const issued = await next.issue({ names: [SERVER_NAME], addresses: ["127.0.0.1"] });
    await swapTlsFolder(tls.dir, { ...issued, ca });
    await tls.events.first("tls_loaded", 1);

    const { trailers } = await rawCall(kept, HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
    for (const client of [newClient, {}]) {
      const session = world.dial(server.port, { ...client, ca });
      assert.equal((await rawCall(session, HEALTH, Buffer.alloc(0))).trailers["grpc-status"], "0");
    }
    await assert.rejects(rawCall(world.dial(server.port), HEALTH, Buffer.alloc(0)));
  });
});

/** A round trip, after which the server has seen what happened before it. */
function pingOnce(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
}

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
