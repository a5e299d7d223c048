import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { settle } from "#test/fake-clock.ts";
import { askedTableWorld as setUp, MINUTE, never } from "#test/asked-table.ts";

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
