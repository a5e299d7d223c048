import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressDispute } from "./address-dispute.ts";
import type { Place, SandboxRecord } from "./local-truth.ts";
import { Places } from "./places.ts";

const ADDRESS = "10.0.0.1";
const DISPUTED = { code: "pod_ambiguous" };

function record(podUid: string, fields: Partial<SandboxRecord> = {}): SandboxRecord {
  return {
    podUid,
    namespace: "shop",
    name: podUid,
    hostInterfaces: [],
    hardwareAddresses: [],
    ...fields,
  };
}

function routed(index: number): Place {
  return { interface: `veth${index}`, hardwareAddress: undefined, index };
}

function bridged(hardwareAddress: string, index: number | undefined): Place {
  return { interface: "cni0", hardwareAddress, index };
}

/** A node whose records and kernel a test changes as it likes. */
function setUp() {
  const node = {
    records: [] as SandboxRecord[],
    place: undefined as Place | undefined,
    lastPlace: undefined as Place | undefined,
    highest: 7 as number | undefined,
    events: [] as AddressDispute[],
  };
  const places = new Places({
    records: async () => node.records,
    kernel: {
      placeOf: async () => node.place,
      lastPlaceOf: () => node.lastPlace,
      highestIndex: async () => node.highest,
    },
    observe: (event) => node.events.push(event),
  });
  const ask = async (uid: string): Promise<void> =>
    places.confirm(await places.ownerOf(ADDRESS), { uid, namespace: "shop", name: uid });
  const told = (uid: string): void => places.learn([{ uid, addresses: [ADDRESS] }]);
  const gone = (uid: string): void => places.learn([{ uid, addresses: [] }]);
  return { node, places, ask, told, gone };
}

describe("the node's own records", () => {
  test("name the pod, whatever the kernel can't tell", async () => {
    const { node, places } = setUp();
    node.records = [
      record("cart", { hostInterfaces: ["veth7"], hardwareAddresses: ["02:00:00:00:00:07"] }),
    ];
    assert.equal((await places.ownerOf(ADDRESS)).record?.podUid, "cart");
  });

  test("name one pod that has two sandboxes", async () => {
    const { node, places } = setUp();
    node.records = [record("cart"), record("cart")];
    assert.equal((await places.ownerOf(ADDRESS)).record?.podUid, "cart");
  });

  test("name none of two pods while the kernel can't tell", async () => {
    const { node, places } = setUp();
    node.records = [record("cart"), record("till")];
    await assert.rejects(places.ownerOf(ADDRESS), DISPUTED);
    assert.deepEqual(node.events, [
      { address: ADDRESS, between: "records", podUids: ["cart", "till"] },
    ]);
  });

  test("name the one of two pods that is where the kernel says", async () => {
    for (const [before, now] of [
      [routed(8), routed(9)],
      [bridged("02:00:00:00:00:08", 8), bridged("02:00:00:00:00:09", 9)],
    ] as const) {
      const { node, places } = setUp();
      const fields = (id: number): Partial<SandboxRecord> => ({
        hostInterfaces: ["cni0", `veth${id}`],
        hardwareAddresses: [`02:00:00:00:00:0${id}`],
      });
      node.records = [record("cart", fields(8)), record("till", fields(9))];
      node.lastPlace = before;
      node.place = now;
      assert.equal((await places.ownerOf(ADDRESS)).record?.podUid, "till");
    }
  });

  test("name no pod that is elsewhere: on another interface, or with another hardware address", async () => {
    for (const [fields, place] of [
      [{ hostInterfaces: ["veth8"] }, routed(9)],
      [{ hardwareAddresses: ["02:00:00:00:00:08"] }, bridged("02:00:00:00:00:09", 9)],
    ] as const) {
      const { node, places } = setUp();
      node.records = [record("cart", fields)];
      node.place = node.lastPlace = place;
      await assert.rejects(places.ownerOf(ADDRESS), DISPUTED);
      assert.deepEqual(
        node.events.map(({ between }) => between),
        ["record-and-kernel"],
      );
    }
  });

  test("are not disputed by what the kernel said a second ago", async () => {
    const { node, places } = setUp();
    node.records = [record("till", { hostInterfaces: ["veth9"] })];
    node.lastPlace = routed(8);
    node.place = routed(9);
    assert.equal((await places.ownerOf(ADDRESS)).record?.podUid, "till");
  });
});

describe("a server's word on an address without a record", () => {
  test("holds for the place that was there when it came", async () => {
    for (const place of [routed(7), bridged("02:00:00:00:00:07", 7), undefined]) {
      const { node, ask, told } = setUp();
      node.place = place;
      told("cart");
      await ask("cart");
      await ask("cart");
      assert.deepEqual(node.events, []);
    }
  });

  test("does not hold for a place that was made later", async () => {
    for (const place of [routed(8), bridged("02:00:00:00:00:08", 8)]) {
      const { node, ask, told } = setUp();
      told("cart");
      node.place = place;
      node.highest = 8;
      await assert.rejects(ask("cart"), DISPUTED);
      assert.deepEqual(
        node.events.map(({ between }) => between),
        ["server-and-kernel"],
      );
    }
  });

  test("does not come true by being said again", async () => {
    const { node, ask, told } = setUp();
    told("cart");
    node.place = routed(8);
    node.highest = 8;
    told("cart");
    await assert.rejects(ask("cart"), DISPUTED);
  });

  test("holds again once it is about the pod that is there", async () => {
    const { node, ask, told, gone } = setUp();
    told("cart");
    node.place = routed(8);
    node.highest = 8;
    gone("cart");
    told("till");
    await ask("till");
    told("cart");
    await ask("cart");
    await assert.rejects(async () => {
      node.place = routed(9);
      await ask("cart");
    }, DISPUTED);
  });

  test("does not hold where the pod was answered at another place before", async () => {
    for (const [before, now] of [
      [routed(5), routed(6)],
      [bridged("02:00:00:00:00:05", undefined), bridged("02:00:00:00:00:06", undefined)],
      [bridged("0a:58:0a:00:00:01", 5), bridged("0a:58:0a:00:00:01", 6)],
      [routed(5), undefined],
    ] as const) {
      const { node, ask, told } = setUp();
      told("cart");
      node.place = before;
      await ask("cart");
      node.place = now;
      await assert.rejects(ask("cart"), DISPUTED);
    }
  });

  test("holds while a bridge has forgotten the pod's port, and not for another port after it", async () => {
    const { node, ask, told } = setUp();
    told("cart");
    node.place = bridged("02:00:00:00:00:05", 5);
    await ask("cart");
    node.place = bridged("02:00:00:00:00:05", undefined);
    await ask("cart");
    node.place = bridged("02:00:00:00:00:05", 6);
    await assert.rejects(ask("cart"), DISPUTED);
  });

  test("on a static pod holds where the record has its name, whatever UID the node knows it by", async () => {
    const { node, places, ask } = setUp();
    node.records = [record("hash-of-its-file", { name: "cart" })];
    await ask("cart");
    const namesake = { uid: "cart", namespace: "other", name: "cart" };
    await assert.rejects(places.confirm(await places.ownerOf(ADDRESS), namesake), DISPUTED);
    node.records = [record("till")];
    await assert.rejects(ask("cart"), DISPUTED);
    assert.equal(node.events[0]?.between, "server-and-record");
  });

  test("that names other pods than the record is told of once, until they agree again", async () => {
    const { node, places, ask } = setUp();
    node.records = [record("till")];
    const hear = async (...names: readonly string[]): Promise<void> =>
      places.compare(
        await places.ownerOf(ADDRESS),
        names.map((name) => ({ uid: name, namespace: "shop", name })),
      );
    await hear();
    await hear("cart", "till");
    assert.deepEqual(node.events, []);
    await hear("cart");
    await hear("cart");
    assert.deepEqual(
      node.events.map(({ between }) => between),
      ["server-and-record"],
    );
    await ask("till");
    await hear("cart");
    assert.equal(node.events.length, 2);
  });

  test("stands while it is disputed, with the names of those that are named", async () => {
    const { node, places, ask } = setUp();
    node.records = [record("till")];
    await assert.rejects(ask("cart"), DISPUTED);
    const [dispute] = node.events;
    assert.ok(dispute);
    assert.deepEqual(dispute, {
      address: ADDRESS,
      between: "server-and-record",
      podUids: ["till", "cart"],
    });
    assert.equal(places.stands(dispute), true);
    await ask("till");
    assert.equal(places.stands(dispute), false);
  });

  test("is told of when a dispute begins, not for each request", async () => {
    const { node, ask, told } = setUp();
    told("cart");
    node.place = routed(8);
    await assert.rejects(ask("cart"), DISPUTED);
    await assert.rejects(ask("cart"), DISPUTED);
    assert.equal(node.events.length, 1);

    node.place = routed(7);
    await ask("cart");
    node.place = routed(8);
    await assert.rejects(ask("cart"), DISPUTED);
    assert.equal(node.events.length, 2);
  });

  test("is left alone where the records name the pod", async () => {
    const { node, ask, told } = setUp();
    told("cart");
    node.records = [record("cart")];
    node.lastPlace = routed(99);
    await ask("cart");
  });
});
