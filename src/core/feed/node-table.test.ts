import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { NodeTable } from "./node-table.ts";

const MINUTE = 60_000;
const never = new AbortController().signal;

function setUp() {
  const clock = new FakeClock();
  const server = {
    roles: new Map<string, string>([["10.0.0.1", "reader"]]),
    error: undefined as AppError | undefined,
    hangs: false,
    asked: 0,
    /** What the node says of the address, and what the server was told of it. */
    podUid: undefined as string | undefined,
    told: undefined as string | undefined,
    life: 60 * MINUTE,
  };
  const answer = async <T>(value: () => T): Promise<T> => {
    server.asked += 1;
    if (server.hangs) await new Promise(() => {});
    if (server.error !== undefined) throw server.error;
    return value();
  };
  const roleAt = (address: string): string => {
    const role = server.roles.get(address);
    if (role === undefined) throw new AppError("pod_not_found", "nobody");
    return role;
  };
  const table = new NodeTable({
    clock,
    podAt: async () => server.podUid,
    ask: {
      role: (address) => answer(() => roleAt(address)),
      credentials: (address, role, _signal, podUid): Promise<Credentials> =>
        answer(() => {
          server.told = podUid;
          if (roleAt(address) !== role) throw new AppError("role_mismatch", "another");
          return {
            accessKeyId: `${address} ${role}`,
            secretAccessKey: new Secret("s"),
            sessionToken: new Secret("t"),
            issuedAt: clock.now(),
            expiresAt: clock.now() + server.life,
          };
        }),
    },
  });
  return { clock, server, table };
}

describe("NodeTable", () => {
  test("answers from memory while the answer is fresh", async () => {
    const { table, server } = setUp();

    await table.credentials("10.0.0.1", "reader", never);
    await table.credentials("10.0.0.1", "reader", never);

    assert.equal(server.asked, 1);
  });

  test("sees a changed role within a second", async () => {
    const { table, server, clock } = setUp();
    await table.role("10.0.0.1", never);
    await table.credentials("10.0.0.1", "reader", never);

    server.roles.set("10.0.0.1", "writer");
    await clock.advance(999);

    assert.equal(await table.role("10.0.0.1", never), "writer");
    await assert.rejects(table.credentials("10.0.0.1", "reader", never), { code: "role_mismatch" });
  });

  test("takes away what the server refuses, even when the server then goes", async () => {
    const { table, server, clock } = setUp();
    await table.credentials("10.0.0.1", "reader", never);
    server.error = new AppError("namespace_forbids", "no");
    await clock.advance(600);
    await assert.rejects(table.credentials("10.0.0.1", "reader", never), {
      code: "namespace_forbids",
    });

    server.error = new AppError("server_unavailable", "away");
    await clock.advance(600);

    await assert.rejects(table.credentials("10.0.0.1", "reader", never), {
      code: "server_unavailable",
    });
  });

  test("serves what it holds while no server answers, until it expires and not longer", async () => {
    const { table, server, clock } = setUp();
    await table.credentials("10.0.0.1", "reader", never);
    server.error = new AppError("server_unavailable", "away");

    await clock.advance(59 * MINUTE);
    const held = await table.credentials("10.0.0.1", "reader", never);
    assert.equal(held.accessKeyId, "10.0.0.1 reader");
    await clock.advance(2 * MINUTE);

    await assert.rejects(table.credentials("10.0.0.1", "reader", never), {
      code: "server_unavailable",
    });
  });

  test("does not keep a pod waiting for a server that says nothing, when it holds an answer", async () => {
    const { table, server, clock } = setUp();
    await table.credentials("10.0.0.1", "reader", never);
    await clock.advance(600);
    server.hangs = true;

    const asked = table.credentials("10.0.0.1", "reader", never);
    await clock.advance(250);
    const first = await Promise.race([asked, settle().then(() => "still waiting")]);

    assert.notEqual(first, "still waiting");
  });

  test("waits a while for a pod that nobody knows yet, then says so", async () => {
    const { table, server, clock } = setUp();
    const unknown = table.role("10.0.0.9", never);
    unknown.catch(() => {});
    await clock.advance(200);
    server.roles.set("10.0.0.9", "late");
    await clock.advance(200);
    assert.equal(await unknown, "late");

    const nobody = table.role("10.0.0.8", never);
    nobody.catch(() => {});
    await clock.advance(1_000);
    await assert.rejects(nobody, { code: "pod_not_found" });
  });

  test("tells the server which pod the node gave the address to", async () => {
    const { table, server } = setUp();
    server.podUid = "cart";

    await table.credentials("10.0.0.1", "reader", never);

    assert.equal(server.told, "cart");
  });

  test("gives nothing of a former pod to the next one at its address, even while no server answers", async () => {
    const { table, server } = setUp();
    server.podUid = "cart";
    await table.role("10.0.0.1", never);
    await table.credentials("10.0.0.1", "reader", never);
    server.error = new AppError("server_unavailable", "away");
    assert.ok(await table.credentials("10.0.0.1", "reader", never));

    server.podUid = "till";

    await assert.rejects(table.credentials("10.0.0.1", "reader", never), AppError);
    await assert.rejects(table.role("10.0.0.1", never), AppError);
  });

  test("never serves what has expired or is another address's", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            ms: fc.nat({ max: 40 * MINUTE }),
            away: fc.boolean(),
            address: fc.constantFrom("10.0.0.1", "10.0.0.2"),
          }),
          { maxLength: 20 },
        ),
        async (steps) => {
          const { table, server, clock } = setUp();
          server.roles.set("10.0.0.2", "reader");
          for (const { ms, away, address } of steps) {
            server.error = away ? new AppError("server_unavailable", "away") : undefined;
            await clock.advance(ms);
            const given = await table.credentials(address, "reader", never).catch(() => undefined);
            if (given === undefined) continue;
            assert.ok(given.expiresAt > clock.now());
            assert.equal(given.accessKeyId, `${address} reader`);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
