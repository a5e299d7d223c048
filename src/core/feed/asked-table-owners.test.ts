import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { settle } from "#test/fake-clock.ts";
import { askedTableWorld as setUp, never } from "#test/asked-table.ts";

describe("AskedTable, when an address goes to another pod,", () => {
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

  test("gives nothing of a pod that the node named to one that it can't name", async () => {
    const { table, server, isHeld } = setUp();
    server.podUid = "cart";
    await table.credentials("10.0.0.1", "reader", never);
    assert.equal(await isHeld("10.0.0.1", "reader"), true);

    server.podUid = undefined;

    assert.equal(await isHeld("10.0.0.1", "reader"), false);
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
});
