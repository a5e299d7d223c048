import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#runtime/system-clock.ts";
import { KernelPlaces } from "#edges/linux/kernel-places.ts";
import { cannotMakeNamespaces, Namespace } from "#test/namespace.ts";
import {
  GATEWAYS,
  makeNode,
  type PodSpace,
  startPodSpace,
  type Topology,
} from "#test/node-network.ts";

const skip = cannotMakeNamespaces();

describe("where the kernel says that pods are", { skip, timeout: 60_000 }, () => {
  const resources = new AsyncDisposableStack();
  const stop = new AbortController();
  let node: Namespace;
  let kernel: KernelPlaces;
  const spaces: Partial<Record<Topology, readonly [PodSpace, PodSpace]>> = {};

  before(async () => {
    node = resources.use(await Namespace.open());
    await makeNode(node);
    kernel = new KernelPlaces({
      clock: systemClock,
      signal: stop.signal,
      procNet: `/proc/${node.pid}/net`,
      classNet: `/proc/${node.pid}/root/sys/class/net`,
    });
    for (const topology of ["routed", "bridged"] as const) {
      const first = resources.use(await startPodSpace(node, topology));
      const second = resources.use(await startPodSpace(node, topology));
      spaces[topology] = [first, second];
    }
  });
  after(async () => {
    stop.abort(new Error("the tests are over"));
    await resources.disposeAsync();
  });
  const twoOf = (topology: Topology): readonly [PodSpace, PodSpace] => {
    const two = spaces[topology];
    assert.ok(two);
    return two;
  };
  /** Nothing listens there; what counts is that packets came and went. */
  const talk = (pod: PodSpace, topology: Topology) => pod.get(`http://${GATEWAYS[topology]}:9/`);

  for (const address of ["10.77.0.5", "fd00:77::5"]) {
    test(`a routed pod is at its own interface, another pod at its address at a newer one: ${address}`, async () => {
      const [first, second] = twoOf("routed");
      const { hostInterface } = await first.plug(address);
      const before = await kernel.placeOf(address);
      const highest = (await kernel.highestIndex()) ?? 0;
      assert.equal(before?.interface, hostInterface);
      assert.equal(before.hardwareAddress, undefined);
      assert.ok((before.index ?? Infinity) <= highest);

      await first.unplug();
      assert.equal(await kernel.placeOf(address), undefined);
      await second.plug(address);

      const now = await kernel.placeOf(address);
      assert.ok((now?.index ?? 0) > highest);
    });
  }

  test("a bridged pod is at its hardware address and its port, and another one at a newer port", async () => {
    const [first, second] = twoOf("bridged");
    const { hardwareAddress } = await first.plug("10.78.0.5");
    await talk(first, "bridged");
    const before = await kernel.placeOf("10.78.0.5");
    const highest = (await kernel.highestIndex()) ?? 0;
    assert.equal(before?.interface, "cni0");
    assert.equal(before.hardwareAddress, hardwareAddress);
    assert.ok((before.index ?? Infinity) <= highest);

    await first.unplug();
    const other = await second.plug("10.78.0.5");
    await talk(second, "bridged");

    const now = await kernel.placeOf("10.78.0.5");
    assert.equal(now?.hardwareAddress, other.hardwareAddress);
    assert.ok((now.index ?? 0) > highest);
  });
});
