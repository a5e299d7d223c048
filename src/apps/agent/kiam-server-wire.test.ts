import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import type { FollowerEvent } from "#edges/rpc/rpc-event.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { Events, field, hex, rpcWorld } from "#test/rpc.ts";
import { wayOfData } from "./way-of-data.ts";

const ADDRESS = "10.0.0.1";
const ASKS_ROLE = "0a08" + hex(ADDRESS);
const ASKS_CREDENTIALS = "0a08" + hex(ADDRESS) + "1206" + hex("reader");
const CREDENTIALS =
  field("0a", "Success") +
  field("12", "AWS-HMAC") +
  field("1a", "ASIA1") +
  field("22", "secret") +
  field("2a", "token") +
  field("32", "2100-01-01T00:00:00Z") +
  field("3a", "2026-01-01T00:00:00Z");

/** What a Kiam server answers: a message, or an error of its handlers, which all have status Unknown. */
type Answer = { readonly message: string } | { readonly text: string };

describe("this agent at Kiam's servers, byte by byte", { timeout: 30_000 }, () => {
  let world: Awaited<ReturnType<typeof rpcWorld>>;
  let port: number;
  let way: ReturnType<typeof wayOfData>;
  const never = new AbortController();
  const feed = new Events<FollowerEvent>();
  /** By method: what the server says next. */
  const answers = new Map<string, Answer>();
  /** What was asked: the method and the message. */
  const asked: string[] = [];

  const answer = async (stream: ServerHttp2Stream, path: string): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const method = path.split("/").at(-1) ?? "";
    const headers = { ":status": 200, "content-type": "application/grpc" };
    if (!path.startsWith("/kiam.KiamService/")) {
      // As grpc-go does: headers only.
      const text = "unknown service rolecall.v1.NodeFeed";
      stream.respond(
        { ...headers, "grpc-status": "12", "grpc-message": text },
        { endStream: true },
      );
      return;
    }
    asked.push(`${method} ${Buffer.concat(chunks).toString("hex")}`);
    const said = answers.get(method) ?? { text: "not expected" };
    if ("text" in said) {
      stream.respond(
        { ...headers, "grpc-status": "2", "grpc-message": said.text },
        { endStream: true },
      );
      return;
    }
    stream.respond(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": "0", "grpc-message": "" }),
    );
    stream.end(Buffer.from(enveloped(said.message), "hex"));
  };

  before(async () => {
    world = await rpcWorld();
    const { cert, key, ca } = world.serverTls.current;
    const server = createSecureServer({
      cert,
      key,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
    });
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      answer(stream, String(headers[":path"])).catch(() => {});
    });
    const sessions = new Set<{ destroy(): void }>();
    server.on("session", (session) => sessions.add(session));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    world.resources.defer(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    ({ port } = server.address() as AddressInfo);
    const servers = world.dialServers(port, () => ["127.0.0.1"], { totalMs: 20_000 });
    answers.set("GetHealth", { message: "0a02" + hex("ok") });
    way = wayOfData({
      node: "node-a",
      version: "test",
      servers,
      places: {
        ownerOf: async (address) => ({ address, record: undefined, place: undefined }),
        compare: () => {},
        confirm: async () => {},
        learn: () => {},
        stands: () => false,
      },
      clock: systemClock,
      random: () => 0.5,
      signal: world.signal,
      report: { asked: () => {}, answer: () => {}, feed: feed.observe, dispute: () => {} },
    });
    const stop = new AbortController();
    const running = way.run(stop.signal).catch(() => {});
    world.resources.defer(async () => {
      stop.abort(new Error("the test is over"));
      await running;
    });
    await feed.first("feed_unoffered");
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    asked.length = 0;
  });

  test("finds that there is no feed, and is ready by the server's health", async () => {
    while (way.unreadiness() !== undefined) await systemClock.sleep(20, world.signal);
    assert.equal(way.isInSync(), false);
  });

  test("asks for a role and for credentials in Kiam's bytes, and reads its answers", async () => {
    answers.set("GetPodRole", { message: "0a06" + hex("reader") });
    answers.set("GetPodCredentials", { message: CREDENTIALS });
    assert.equal(await way.table.role(ADDRESS, never), "reader");
    const credentials = await way.table.credentials(ADDRESS, "reader", never);
    assert.deepEqual(
      asked.filter((call) => !call.startsWith("GetHealth")),
      [`GetPodRole ${enveloped(ASKS_ROLE)}`, `GetPodCredentials ${enveloped(ASKS_CREDENTIALS)}`],
    );
    assert.equal(credentials.accessKeyId, "ASIA1");
    assert.equal(credentials.secretAccessKey.reveal(), "secret");
    assert.equal(credentials.sessionToken.reveal(), "token");
    assert.equal(credentials.issuedAt, Date.UTC(2026, 0, 1));
    assert.equal(credentials.expiresAt, Date.UTC(2100, 0, 1));
  });

  test("takes no answer about an address for one about the pod that the node names", async () => {
    answers.set("GetPodRole", { message: "0a06" + hex("reader") });
    answers.set("GetPodCredentials", { message: CREDENTIALS });
    const { role, mindful } = world.dialServers(port, () => ["127.0.0.1"], { totalMs: 500 });
    assert.equal(await role(ADDRESS, never.signal, "uid-1"), "reader");
    const refused = { code: "server_unavailable" };
    await assert.rejects(mindful.role(ADDRESS, never.signal, "uid-1"), refused);
    await assert.rejects(mindful.credentials(ADDRESS, "reader", never.signal, "uid-1"), refused);
  });

  test("knows a pod without a role by the empty message", async () => {
    answers.set("GetPodRole", { message: "" });
    await assert.rejects(way.table.role("10.0.0.2", never), { code: "no_role" });
  });

  for (const [method, text, code] of [
    ["GetPodRole", "pod not found", "pod_not_found"],
    ["GetPodRole", "multiple running pods found", "pod_ambiguous"],
    ["GetPodCredentials", "no pod found", "pod_not_found"],
    ["GetPodCredentials", "multiple running pods found", "pod_ambiguous"],
    ["GetPodCredentials", "forbidden by policy", "namespace_forbids"],
    ["GetPodCredentials", "role can't be empty", "no_role"],
    ["GetPodCredentials", "AccessDenied: not for you", "sts_denied"],
    ["GetPodCredentials", "Throttling: slow down", "sts_throttled"],
    ["GetPodCredentials", "RequestError: send request failed", "sts_unavailable"],
  ] as const) {
    test(`understands "${text}" of ${method}`, async () => {
      answers.set(method, { text });
      const address = `10.1.0.${text.length}`;
      await assert.rejects(
        method === "GetPodRole"
          ? way.table.role(address, never)
          : way.table.credentials(address, "reader", never),
        { code },
      );
    });
  }
});

/** A message with gRPC's five bytes before it: not compressed, its length. */
function enveloped(message: string): string {
  return `00${(message.length / 2).toString(16).padStart(8, "0")}${message}`;
}
