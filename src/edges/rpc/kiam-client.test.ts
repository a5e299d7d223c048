import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { Events, rpcWorld, SERVER_NAME } from "#test/rpc.ts";
import { type KiamServers, kiamServers } from "./kiam-client.ts";
import type { KiamClientEvent } from "./rpc-event.ts";

describe("kiamServers", { timeout: 30_000 }, () => {
  let world: Awaited<ReturnType<typeof rpcWorld>>;
  const never = new AbortController().signal;
  before(async () => {
    world = await rpcWorld();
  });
  after(() => world.resources[Symbol.asyncDispose]());

  /** Servers share one port on several loopback addresses, as behind a headless service. */
  function dial(
    port: number,
    addresses: () => string[],
    options: Partial<Parameters<typeof kiamServers>[0]> = {},
  ): KiamServers & { events: Events<KiamClientEvent> } {
    const events = new Events<KiamClientEvent>();
    const servers = kiamServers({
      address: `${SERVER_NAME}:${port}`,
      tls: world.clientTls,
      keepalive: { timeMs: 10_000, timeoutMs: 2_000 },
      clock: systemClock,
      random: () => 0.5,
      signal: world.signal,
      observe: events.observe,
      resolve: async () => addresses(),
      ...options,
    });
    world.resources.use(servers);
    return Object.assign(servers, { events });
  }

  test("brings back exactly the error that a server threw", async () => {
    const server = await world.serve({
      credentials: async () => {
        throw new AppError("namespace_forbids", "the expression '…' forbids it");
      },
    });
    await assert.rejects(dial(server.port, () => ["127.0.0.1"]).credentials("a", "b", never), {
      code: "namespace_forbids",
      message: "the expression '…' forbids it",
    });
  });

  test("says which pod the node gave an address to, where that is known", async () => {
    const server = await world.serve({
      role: async (_address, _signal, podUid) => podUid ?? "not said",
      credentials: async (_address, _role, _signal, podUid) => {
        throw new AppError("no_role", podUid ?? "not said");
      },
    });
    const servers = dial(server.port, () => ["127.0.0.1"]);

    assert.equal(await servers.role("a", never, "a-b-1"), "a-b-1");
    assert.equal(await servers.role("a", never), "not said");
    assert.equal(await servers.role("a", never, "no UID: \u{1}"), "not said");
    await assert.rejects(servers.credentials("a", "b", never, "a-b-1"), { code: "no_role" });
  });

  test("asks another server within the same request when one says nothing", async () => {
    const silent = await world.serve({ role: () => new Promise(() => {}) });
    const good = await world.serve(
      { role: async () => "reader" },
      { host: "127.0.0.2", port: silent.port },
    );
    const servers = dial(good.port, () => ["127.0.0.1", "127.0.0.2"]);
    await servers.events.first("server_reachable", 1);

    for (let calls = 0; calls < 4; calls += 1) {
      const started = performance.now();
      assert.equal(await servers.role("10.0.0.1", never), "reader");
      assert.ok(performance.now() - started < 900);
    }
  });

  test("goes on with the servers that are left when one is closed", async () => {
    const first = await world.serve({ role: async () => "reader" });
    await world.serve({ role: async () => "reader" }, { host: "127.0.0.2", port: first.port });
    const servers = dial(first.port, () => ["127.0.0.1", "127.0.0.2"]);
    await servers.events.first("server_reachable", 1);

    await first[Symbol.asyncDispose]();

    for (let calls = 0; calls < 10; calls += 1) {
      assert.equal(await servers.role("10.0.0.1", never), "reader");
    }
  });

  test("fails within a second while every server is away, and works when one is back", async () => {
    const server = await world.serve({ role: async () => "reader" });
    const servers = dial(server.port, () => ["127.0.0.1"]);
    assert.equal(await servers.role("10.0.0.1", never), "reader");
    await server[Symbol.asyncDispose]();

    const started = performance.now();
    await assert.rejects(servers.role("10.0.0.1", never), { code: "server_unavailable" });
    assert.ok(performance.now() - started < 1_000);
    assert.ok(servers.lastError !== undefined);

    await world.serve({ role: async () => "again" }, { port: server.port });
    await servers.events.first("server_reachable", 1);
    assert.equal(await servers.role("10.0.0.1", never), "again");
  });

  test("finds a server that the name gains later", async () => {
    const server = await world.serve({ role: async () => "reader" });
    const addresses: string[] = [];
    const servers = dial(server.port, () => addresses, { resolveMs: 50 });
    await assert.rejects(servers.role("10.0.0.1", never), { code: "server_unavailable" });

    addresses.push("127.0.0.1");
    await servers.events.first("server_reachable");

    assert.equal(await servers.role("10.0.0.1", never), "reader");
  });

  test("does not talk to a server whose certificate names another host", async () => {
    const tls = await world.tlsFor({ names: ["other"], addresses: ["127.0.0.1"] });
    const server = await world.serve({ role: async () => "reader" }, { tls });
    const servers = dial(server.port, () => ["127.0.0.1"]);

    await assert.rejects(servers.role("10.0.0.1", never), { code: "server_unavailable" });
    assert.match(servers.lastError ?? "", /other/);
  });
});
