import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { createAuthority, swapTlsFolder } from "#test/certificates.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { Events, rpcWorld, SERVER_NAME } from "#test/rpc.ts";
import type { KiamServers, KiamServersOptions } from "./kiam-client.ts";
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
    options: Partial<KiamServersOptions> = {},
  ): KiamServers & { events: Events<KiamClientEvent> } {
    // A busy machine must not make a call fail; where one has to, the test says after which time.
    return world.dialServers(port, addresses, { totalMs: 20_000, ...options });
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

  test("takes a mindful server's answer about a pod, and no other's, where the pod's UID must count", async () => {
    const server = await world.serve({ role: async (_address, _signal, podUid) => podUid ?? "" });
    const address = () => ["127.0.0.1"];

    const patient = dial(server.port, address);
    assert.equal(await patient.mindful.role("a", never, "a-b-1"), "a-b-1");
    const hasty = dial(server.port, address, { totalMs: 500 });
    await assert.rejects(hasty.mindful.role("a", never, "no UID: \u{1}"), {
      code: "server_unavailable",
    });
  });

  test("stays with the same sixteen of a name's many addresses, in whatever order they come", async () => {
    const all = Array.from({ length: 20 }, (_, index) => `127.0.0.${101 + index}`);
    let resolutions = 0;
    const resolved = Promise.withResolvers<void>();
    const addresses = (): string[] => {
      resolutions += 1;
      if (resolutions > 2) resolved.resolve();
      return resolutions % 2 === 0 ? all : all.toReversed();
    };
    const { events } = dial(9, addresses, { resolveMs: 250 });
    await resolved.promise;
    const seen = events.seen.flatMap((event) =>
      event.type === "resolved" ? [event.addresses] : [],
    );
    assert.deepEqual(seen, [all.slice(0, 16)]);
  });

  test("asks another server within the same request when one says nothing", async () => {
    let asked = Promise.withResolvers<"asked">();
    const silent = await world.serve({
      role: () => {
        asked.resolve("asked");
        return new Promise(() => {});
      },
    });
    const good = await world.serve(
      { role: async () => "reader" },
      { host: "127.0.0.2", port: silent.port },
    );
    const clock = new FakeClock();
    const both = () => ["127.0.0.1", "127.0.0.2"];
    // The transport counts its time by the real clock, and must not be what ends the silence.
    const servers = dial(good.port, both, { clock, attemptMs: 400, totalMs: 60_000 });
    await servers.events.first("server_reachable", 1);

    let helped = 0;
    for (let calls = 0; calls < 4; calls += 1) {
      asked = Promise.withResolvers();
      const role = servers.role("10.0.0.1", never);
      if ((await Promise.race([role, asked.promise])) === "asked") {
        helped += 1;
        await clock.advance(400);
      }
      assert.equal(await role, "reader");
    }
    assert.ok(helped > 0);
  });

  const failures = [
    { name: "can't answer yet", error: new AppError("not_ready", "not yet") },
    { name: "is full", error: new AppError("overloaded", "full") },
    { name: "has a bug", error: new Error("bug") },
  ];
  for (const { name, error } of failures) {
    test(`asks another server at once when one ${name}`, async () => {
      const failing = await world.serve({ role: () => Promise.reject(error) });
      await world.serve({ role: async () => "good" }, { host: "127.0.0.2", port: failing.port });
      // No answer is ever late here: only the failure itself can bring the call to the other server.
      const both = () => ["127.0.0.1", "127.0.0.2"];
      const servers = dial(failing.port, both, { attemptMs: 60_000 });
      await servers.events.first("server_reachable", 1);

      for (let calls = 0; calls < 4; calls += 1) {
        assert.equal(await servers.role("10.0.0.1", never), "good");
      }
    });
  }

  test("asks another server at once when one dies with the call open", async () => {
    const asked = Promise.withResolvers<void>();
    const hang = (): Promise<never> => {
      asked.resolve();
      return new Promise(() => {});
    };
    const dying = await world.serve({ role: hang }, { drainMs: 10 });
    await world.serve({ role: async () => "good" }, { host: "127.0.0.2", port: dying.port });
    const both = () => ["127.0.0.1", "127.0.0.2"];
    const servers = dial(dying.port, both, { attemptMs: 60_000 });
    await servers.events.first("server_reachable", 1);

    const calls = [servers.role("10.0.0.1", never), servers.role("10.0.0.1", never)];
    await asked.promise;
    await dying[Symbol.asyncDispose]();

    assert.deepEqual(await Promise.all(calls), ["good", "good"]);
  });

  test("goes on with the servers that are left when one is closed", async () => {
    const first = await world.serve({ role: async () => "reader" });
    await world.serve({ role: async () => "reader" }, { host: "127.0.0.2", port: first.port });
    const servers = dial(first.port, () => ["127.0.0.1", "127.0.0.2"]);
    await servers.events.first("server_reachable", 1);
    // Both have answered, so neither is in its handshake any more.
    for (let calls = 0; calls < 2; calls += 1) await servers.role("10.0.0.1", never);

    await first[Symbol.asyncDispose]();

    for (let calls = 0; calls < 10; calls += 1) {
      assert.equal(await servers.role("10.0.0.1", never), "reader");
    }
  });

  test("fails in its time while every server is away, not sooner and not later", async () => {
    const clock = new FakeClock();
    const servers = dial(9, () => [], { clock, totalMs: 900 });
    const outcome = { is: "waits" };
    const role = servers.role("10.0.0.1", never).finally(() => (outcome.is = "over"));
    role.catch(() => {});

    await clock.advance(899);
    assert.equal(outcome.is, "waits");
    await clock.advance(1);

    await assert.rejects(role, {
      code: "server_unavailable",
      message: 'No server answered within 900 ms: "kiam-server" has no address',
    });
  });

  test("says why no server could be reached, and works when one is back", async () => {
    const server = await world.serve({ role: async () => "reader" });
    const servers = dial(server.port, () => ["127.0.0.1"]);
    assert.equal(await servers.role("10.0.0.1", never), "reader");
    await server[Symbol.asyncDispose]();

    // First the end of the connection is told, then that there is no new one.
    await servers.events.first("server_unreachable", 1);
    assert.match(servers.lastError ?? "", /ECONNREFUSED/);
    const hasty = dial(server.port, () => ["127.0.0.1"], { totalMs: 100 });
    await hasty.events.first("server_unreachable");
    await assert.rejects(hasty.role("10.0.0.1", never), {
      code: "server_unavailable",
      message: /^No server answered within 100 ms: .*ECONNREFUSED/,
    });

    const ups = count(servers.events, "server_reachable");
    await world.serve({ role: async () => "again" }, { port: server.port });
    await servers.events.first("server_reachable", ups);
    assert.equal(await servers.role("10.0.0.1", never), "again");
  });

  test("finds a server that the name gains later, for requests that wait already too", async () => {
    const server = await world.serve({ role: async () => "reader" });
    const addresses: string[] = [];
    const servers = dial(server.port, () => addresses, { resolveMs: 50 });
    const waiting = servers.role("10.0.0.1", never);
    await servers.events.first("resolve_failed");

    addresses.push("127.0.0.1");

    assert.equal(await waiting, "reader");
  });

  test("does not talk to a server whose certificate names another host", async () => {
    const tls = await world.tlsFor({ names: ["other"], addresses: ["127.0.0.1"] });
    const server = await world.serve({ role: async () => "reader" }, { tls });
    const servers = dial(server.port, () => ["127.0.0.1"], { totalMs: 100 });

    await servers.events.first("server_unreachable");
    await assert.rejects(servers.role("10.0.0.1", never), {
      code: "server_unavailable",
      message: /not valid for "kiam-server" but for DNS:other/,
    });
  });

  test("does not talk to a server whose certificate has expired, and says so", async () => {
    const notAfter = Date.now() - 1_000;
    const tls = await world.tlsFor({ names: [SERVER_NAME], notAfter });
    const server = await world.serve({ role: async () => "reader" }, { tls });
    const servers = dial(server.port, () => ["127.0.0.1"], { totalMs: 100 });

    await servers.events.first("server_unreachable");
    await assert.rejects(servers.role("10.0.0.1", never), {
      code: "server_unavailable",
      message: /expired/,
    });
  });

  test("does not talk to a server of another authority, and says so", async () => {
    const tls = await world.tlsFor({ names: [SERVER_NAME] }, { signer: await createAuthority() });
    const server = await world.serve({ role: async () => "reader" }, { tls });
    const servers = dial(server.port, () => ["127.0.0.1"], { totalMs: 100 });

    await servers.events.first("server_unreachable");
    await assert.rejects(servers.role("10.0.0.1", never), {
      code: "server_unavailable",
      message: /unable to (?:verify|get)|certificate signature failure/i,
    });
  });

  test("follows an authority that is replaced, with the old and the new one side by side", async () => {
    const next = await createAuthority("next");
    const both = [world.authority.cert, next.cert];
    const serverTls = await world.tlsFor({ names: [SERVER_NAME] });
    const clientTls = await world.tlsFor({ names: ["agent"], server: false });
    const oldClient = await world.authority.issue({ names: ["agent"], server: false });
    const newClient = await next.issue({ names: ["agent"], server: false });
    const newServer = await next.issue({ names: [SERVER_NAME] });
    let server = await world.serve({ role: async () => "reader" }, { tls: serverTls });
    const { port } = server;
    const servers = dial(port, () => ["127.0.0.1"], {
      tls: clientTls,
      pause: { firstMs: 10, mostMs: 10 },
    });
    assert.equal(await servers.role("10.0.0.1", never), "reader");

    const steps = [
      { tls: clientTls, content: { ...oldClient, ca: both } },
      { tls: serverTls, content: { ...newServer, ca: both } },
      { tls: clientTls, content: { ...newClient, ca: both } },
      { tls: serverTls, content: { ...newServer, ca: [next.cert] } },
      { tls: clientTls, content: { ...newClient, ca: [next.cert] } },
    ];
    for (const { tls, content } of steps) {
      const loads = count(tls.events, "tls_loaded");
      await swapTlsFolder(tls.dir, content);
      await tls.events.first("tls_loaded", loads);
      // The connection that stands is kept, and the next one uses the new files.
      assert.equal(await servers.role("10.0.0.1", never), "reader");
      const ups = count(servers.events, "server_reachable");
      await server[Symbol.asyncDispose]();
      server = await world.serve({ role: async () => "reader" }, { tls: serverTls, port });
      await servers.events.first("server_reachable", ups);
      assert.equal(await servers.role("10.0.0.1", never), "reader");
    }
  });

  test("connects at once when swapped files make a server acceptable", async () => {
    const next = await createAuthority("next");
    const both = [world.authority, next];
    const serverTls = await world.tlsFor({ names: [SERVER_NAME] }, { signer: next, trusted: both });
    const clientTls = await world.tlsFor({ names: ["agent"] });
    const server = await world.serve({ role: async () => "reader" }, { tls: serverTls });
    const servers = dial(server.port, () => ["127.0.0.1"], {
      tls: clientTls,
      // Longer than the test may take: only the files can make it try again.
      pause: { firstMs: 600_000, mostMs: 600_000 },
    });
    await servers.events.first("server_unreachable");

    const agent = await world.authority.issue({ names: ["agent"] });
    await swapTlsFolder(clientTls.dir, { ...agent, ca: both.map(({ cert }) => cert) });
    await servers.events.first("server_reachable");

    assert.equal(await servers.role("10.0.0.1", never), "reader");
  });
});

function count<E extends { readonly type: string }>({ seen }: Events<E>, type: E["type"]): number {
  return seen.filter((event) => event.type === type).length;
}
