import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { swapTlsFolder, createAuthority } from "#test/certificates.ts";
import { rawCall, rpcWorld, SERVER_NAME } from "#test/rpc.ts";

const HEALTH = "/kiam.KiamService/GetHealth";
const TIMEOUT = { timeout: 30_000 };

let world: Awaited<ReturnType<typeof rpcWorld>>;
before(async () => {
  world = await rpcWorld();
});
after(() => world[Symbol.asyncDispose]());

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
