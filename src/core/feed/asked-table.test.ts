import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { AskedTable, type AskedTableEvent } from "./asked-table.ts";

const MINUTE = 60_000;
const never = new AbortController().signal;

function setUp({ addressesMax = 100, waitingPerAddressMax = 8 } = {}) {
  const clock = new FakeClock();
  const events: AskedTableEvent[] = [];
  const server = {
    roles: new Map<string, string>([["10.0.0.1", "reader"]]),
    error: undefined as AppError | undefined,
    hangs: false,
    /** Answers travel until it settles, once they are decided. */
    travel: undefined as Promise<void> | undefined,
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
    const decided = value();
    await server.travel;
    return decided;
  };
  const roleAt = (address: string): string => {
    const role = server.roles.get(address);
    if (role === undefined) throw new AppError("pod_not_found", "nobody");
    return role;
  };
  const asked = new AskedTable({
    clock,
    addressesMax,
    waitingPerAddressMax,
    observe: (event) => events.push(event),
    ask: {
      role: (address) => answer(() => roleAt(address)),
      credentials: (address, role, _signal, podUid): Promise<Credentials> =>
        answer(() => {
          server.told = podUid;
          if (![roleAt(address), `arn:${roleAt(address)}`].includes(role)) {
            throw new AppError("role_mismatch", "another");
          }
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
  const table = {
    role: (address: string, signal: AbortSignal) => asked.role(address, signal, server.podUid),
    credentials: (address: string, role: string, signal: AbortSignal) =>
      asked.credentials(address, role, signal, server.podUid),
    /** What the node says of the address where no record names its pod. */
    isAt: (address: string, index: number) =>
      asked.leaveTo({
        address,
        record: undefined,
        place: { interface: `veth${index}`, hardwareAddress: undefined, index },
      }),
    sweep: () => asked.sweep(),
    size: () => asked.size,
  };
  /** Whether credentials are still served when the server goes away now. */
  const isHeld = async (address: string, role: string): Promise<boolean> => {
    const before = server.error;
    server.error = new AppError("server_unavailable", "away");
    await clock.advance(600);
    const held = await table.credentials(address, role, never).catch(() => undefined);
    server.error = before;
    return held !== undefined;
  };
  return { clock, server, table, events, isHeld };
}

describe("AskedTable", () => {
  test("answers from memory while the answer is fresh", async () => {
    const { table, server } = setUp();

    await table.credentials("10.0.0.1", "reader", never);
    await table.credentials("10.0.0.1", "reader", never);

    assert.equal(server.asked, 1);
  });

  test("asks the server once for all who ask at once", async () => {
    const { table, server } = setUp();
    const ask = (): Promise<Credentials> => table.credentials("10.0.0.1", "reader", never);

    await Promise.all([ask(), ask(), ask()]);

    assert.equal(server.asked, 1);
  });

  test("keeps both answers that a new pod asks for at once", async () => {
    const { table, isHeld } = setUp();

    await Promise.all([
      table.role("10.0.0.1", never),
      table.credentials("10.0.0.1", "reader", never),
    ]);

    assert.equal(await isHeld("10.0.0.1", "reader"), true);
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

  test("passes on nothing that has expired on its way", async () => {
    const { table, server } = setUp();
    server.life = 0;

    await assert.rejects(table.credentials("10.0.0.1", "reader", never), {
      code: "sts_unavailable",
    });
  });

  test("does not serve what expired while the server was asked", async () => {
    const { table, server, clock } = setUp();
    await table.credentials("10.0.0.1", "reader", never);
    await clock.advance(60 * MINUTE - 100);
    server.hangs = true;

    const asked = table.credentials("10.0.0.1", "reader", never);
    asked.catch(() => {});
    await clock.advance(10_000);

    await assert.rejects(asked, { code: "server_unavailable" });
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

  test("gives nothing of before to an address that is elsewhere now, though no record says whose it is", async () => {
    const { table, server } = setUp();
    table.isAt("10.0.0.1", 7);
    await table.credentials("10.0.0.1", "reader", never);
    server.error = new AppError("server_unavailable", "away");
    table.isAt("10.0.0.1", 7);
    assert.ok(await table.credentials("10.0.0.1", "reader", never));

    table.isAt("10.0.0.1", 8);

    await assert.rejects(table.credentials("10.0.0.1", "reader", never), AppError);
    await assert.rejects(table.role("10.0.0.1", never), AppError);
  });

  test("shares no question with who was at the address before, though no record says whose it is", async () => {
    const { table, server } = setUp();
    const travel = Promise.withResolvers<void>();
    server.travel = travel.promise;
    table.isAt("10.0.0.1", 7);
    const former = table.role("10.0.0.1", never);
    await settle();

    server.roles.set("10.0.0.1", "writer");
    table.isAt("10.0.0.1", 8);
    const next = [table.role("10.0.0.1", never), table.role("10.0.0.1", never)];
    await settle();
    travel.resolve();

    assert.deepEqual([await former, ...(await Promise.all(next))], ["reader", "writer", "writer"]);
    assert.equal(server.asked, 2);
    assert.equal(await table.role("10.0.0.1", never), "writer");
  });

  test("keeps nothing that was on its way to a former pod when the node gave its address to the next", async () => {
    for (const isSwept of [false, true]) {
      const { table, server, clock } = setUp();
      const travel = Promise.withResolvers<void>();
      server.podUid = "cart";
      server.travel = travel.promise;
      const late = table.credentials("10.0.0.1", "reader", never);
      await settle();

      if (isSwept) table.sweep();
      server.podUid = "till";
      server.hangs = true;
      const asked = table.credentials("10.0.0.1", "reader", never);
      asked.catch(() => {});
      await settle();
      travel.resolve();
      await late;
      await clock.advance(10_000);

      await assert.rejects(asked, { code: "server_unavailable" });
    }
  });

  test("gives nothing of a former role to the address, once another role is seen there", async () => {
    const { table, server, clock, isHeld } = setUp();
    await table.credentials("10.0.0.1", "reader", never);
    assert.equal(await isHeld("10.0.0.1", "reader"), true);

    server.roles.set("10.0.0.1", "writer");
    await clock.advance(600);
    await table.role("10.0.0.1", never);

    assert.equal(await isHeld("10.0.0.1", "reader"), false);
  });

  const disputes = ["pod_not_found", "pod_ambiguous", "host_network", "no_role"] as const;
  for (const code of disputes) {
    test(`gives nothing to an address of which the server says ${code}, whatever was asked for`, async () => {
      for (const asksFor of ["role", "credentials"] as const) {
        const { table, server, clock, isHeld } = setUp();
        await table.credentials("10.0.0.1", "reader", never);
        await table.credentials("10.0.0.1", "arn:reader", never);

        await clock.advance(600);
        server.error = new AppError(code, "nobody's, or everybody's");
        const asked =
          asksFor === "role"
            ? table.role("10.0.0.1", never)
            : table.credentials("10.0.0.1", "reader", never);
        asked.catch(() => {});
        await clock.advance(1_000);
        await assert.rejects(asked, { code });

        assert.equal(await isHeld("10.0.0.1", "reader"), false);
        assert.equal(await isHeld("10.0.0.1", "arn:reader"), false);
      }
    });
  }

  test("keeps no credentials that were on their way while the pod was taken away", async () => {
    for (const isSwept of [false, true]) {
      const { table, server, clock, isHeld } = setUp();
      const travel = Promise.withResolvers<void>();
      server.travel = travel.promise;
      const late = table.credentials("10.0.0.1", "reader", never);
      await settle();

      server.roles.delete("10.0.0.1");
      const gone = table.role("10.0.0.1", never);
      gone.catch(() => {});
      await clock.advance(1_000);
      await assert.rejects(gone, { code: "pod_not_found" });
      if (isSwept) table.sweep();
      travel.resolve();
      await late;

      assert.equal(await isHeld("10.0.0.1", "reader"), false);
    }
  });

  test("keeps no role that was on its way while the pod was taken away", async () => {
    const { table, server, clock } = setUp();
    const travel = Promise.withResolvers<void>();
    server.travel = travel.promise;
    const late = table.role("10.0.0.1", never);
    await settle();

    server.roles.delete("10.0.0.1");
    const gone = table.credentials("10.0.0.1", "reader", never);
    gone.catch(() => {});
    await clock.advance(1_000);
    await assert.rejects(gone, { code: "pod_not_found" });
    travel.resolve();
    await late;
    server.error = new AppError("server_unavailable", "away");

    await assert.rejects(table.role("10.0.0.1", never), { code: "server_unavailable" });
  });

  test("bounds what one address may wait for, and what it asked for before it left", async () => {
    const { table, server } = setUp({ waitingPerAddressMax: 8 });
    server.roles.set("10.0.0.2", "reader");
    server.hangs = true;
    const left = new AbortController();
    for (let count = 0; count < 8; count += 1) {
      table.credentials("10.0.0.1", `role-${count}`, left.signal).catch(() => {});
    }
    left.abort(new Error("left"));
    await settle();

    await assert.rejects(table.role("10.0.0.1", never), { code: "overloaded" });
    assert.equal(server.asked, 8);
    server.hangs = false;
    assert.equal(await table.role("10.0.0.2", never), "reader");
  });

  test("holds no more addresses than it may, and lets the oldest go", async () => {
    const { table, server, events, isHeld } = setUp({ addressesMax: 2 });
    for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) {
      server.roles.set(address, "reader");
      await table.credentials(address, "reader", never);
    }

    assert.equal(table.size(), 2);
    assert.deepEqual(events, [{ type: "evicted", address: "10.0.0.1" }]);
    assert.equal(await isHeld("10.0.0.1", "reader"), false);
    assert.equal(await isHeld("10.0.0.3", "reader"), true);
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
