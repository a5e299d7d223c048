import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync, watch, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FakeClock } from "#test/fake-clock.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { CniResults } from "./cni-results.ts";

/** What libcni writes for one sandbox, with what else is in it. */
function result(podUid: string, ...addresses: readonly string[]): string {
  return JSON.stringify({
    kind: "cniCacheV1",
    containerId: `sandbox-of-${podUid}`,
    ifName: "eth0",
    networkName: "pods",
    cniArgs: [
      ["K8S_POD_NAMESPACE", "shop"],
      ["K8S_POD_UID", podUid],
      ["IgnoreUnknown", "1"],
    ],
    result: { cniVersion: "0.4.0", ips: addresses.map((address) => ({ address, version: "4" })) },
  });
}

describe("CniResults", { timeout: 10_000 }, () => {
  let folder: string;
  let stop: AbortController;
  let results: CniResults;
  const open = (path: string): CniResults =>
    new CniResults({ folder: path, clock: systemClock, signal: stop.signal });
  beforeEach(async () => {
    stop = new AbortController();
    folder = await mkdtemp(join(tmpdir(), "rolecall-cni-"));
    results = open(folder);
  });
  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    results[Symbol.dispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const podsAt = async (address: string, asked = results): Promise<readonly string[]> =>
    (await asked.at(address)).map(({ podUid }) => podUid);
  const put = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  /** The watch tells of changes in its own time. */
  const becomes = async (address: string, ...expected: readonly string[]): Promise<void> => {
    while ((await podsAt(address)).join() !== expected.join()) await sleep(1);
  };

  test("names the pod that has an address, of either family", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24", "FD00:0::1/64"));
    await put("pods-2-eth0", result("till", "10.0.0.2/24"));

    assert.deepEqual(await podsAt("10.0.0.1"), ["cart"]);
    assert.deepEqual(await podsAt("fd00::1"), ["cart"]);
    assert.deepEqual(await podsAt("10.0.0.2"), ["till"]);
    assert.deepEqual(await podsAt("10.0.0.3"), []);
  });

  test("knows a pod that came since it was last asked", async () => {
    assert.deepEqual(await podsAt("10.0.0.1"), []);

    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));

    await becomes("10.0.0.1", "cart");
  });

  test("follows an address from one pod to another", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    assert.deepEqual(await podsAt("10.0.0.1"), ["cart"]);

    await rm(join(folder, "pods-1-eth0"));
    await put("pods-2-eth0", result("till", "10.0.0.1/24"));

    await becomes("10.0.0.1", "till");
  });

  test("names every pod that has an address by the records", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    await put("pods-2-eth0", result("till", "10.0.0.1/24"));

    assert.deepEqual((await podsAt("10.0.0.1")).toSorted(), ["cart", "till"]);
  });

  test("reads results of CNI before 0.3", async () => {
    const old = { cniArgs: [["K8S_POD_UID", "cart"]], result: { ip4: { ip: "10.0.0.1/24" } } };
    await put("pods-1-eth0", JSON.stringify(old));

    assert.deepEqual(await podsAt("10.0.0.1"), ["cart"]);
  });

  test("passes over what is no result, and reads it once it is whole", async () => {
    const whole = result("cart", "10.0.0.1/24");
    await put("pods-1-eth0", whole.slice(0, 40));
    await put("pods-2-eth0", "[]");
    await put("pods-3-eth0", '{"cniArgs":[["K8S_POD_UID",7]],"result":{"ips":[{"address":3}]}}');
    await put("pods-4-eth0", '{"cniArgs":3,"result":null}');
    await mkdir(join(folder, "pods-5-eth0"));
    assert.deepEqual(await podsAt("10.0.0.1"), []);

    await put("pods-1-eth0", whole);

    await becomes("10.0.0.1", "cart");
  });

  test("knows, a turn after a request, what changed before it came", async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: "127.0.0.1" });
    const [request] = (await once(server, "connection")) as [Socket];
    await put("pods-0-eth0", result("pod-0", "10.0.0.1/24"));
    await becomes("10.0.0.1", "pod-0");
    for (let round = 1; round <= 50; round += 1) {
      const answered = once(request, "data")
        .then(() => new Promise((resolve) => void setImmediate(resolve)))
        .then(() => podsAt("10.0.0.1"));
      rmSync(join(folder, `pods-${round - 1}-eth0`));
      writeFileSync(join(folder, `pods-${round}-eth0`), result(`pod-${round}`, "10.0.0.1/24"));
      client.write("request");
      assert.deepEqual(await answered, [`pod-${round}`]);
    }
    client.destroy();
    server.close();
  });

  test("waits for what the kernel tells in the turn of a question", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    await becomes("10.0.0.1", "cart");
    const asked = Promise.withResolvers<readonly string[]>();
    // Heard right behind the records' own watch.
    const watcher = watch(folder, () => asked.resolve(podsAt("10.0.0.1")));
    try {
      rmSync(join(folder, "pods-1-eth0"));
      writeFileSync(join(folder, "pods-2-eth0"), result("till", "10.0.0.1/24"));
      assert.deepEqual(await asked.promise, ["till"]);
    } finally {
      watcher.close();
    }
  });

  test("answers nobody before the folder was read for the first time", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    const first = podsAt("10.0.0.1");
    await new Promise((resolve) => void setImmediate(resolve));
    assert.deepEqual(await podsAt("10.0.0.1"), ["cart"]);
    assert.deepEqual(await first, ["cart"]);
  });

  test("answers for an address that no record has at once, from a folder that it watches", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    const clock = new FakeClock();
    using watched = new CniResults({ folder, clock, signal: stop.signal });
    assert.deepEqual(await podsAt("10.0.0.1", watched), ["cart"]);

    assert.deepEqual(await podsAt("10.0.0.2", watched), []);
    assert.deepEqual(await podsAt("10.0.0.3", watched), []);
    assert.deepEqual(clock.pauses, []);
  });

  test("looks for a folder that is not there once a second, and keeps nobody waiting for it", async () => {
    const clock = new FakeClock();
    const path = join(folder, "absent");
    using absent = new CniResults({ folder: path, clock, signal: stop.signal });
    assert.deepEqual(await podsAt("10.0.0.1", absent), []);
    await mkdir(path);
    await put("absent/pods-1-eth0", result("cart", "10.0.0.1/24"));

    await clock.advance(999);
    assert.deepEqual(await podsAt("10.0.0.1", absent), []);
    await clock.advance(1);
    assert.deepEqual(await podsAt("10.0.0.1", absent), ["cart"]);
    assert.deepEqual(clock.pauses, []);
  });

  test("says on which interfaces a sandbox is, inside and on the node, as far as the plugin named them", async () => {
    const bridged = JSON.parse(result("cart", "10.0.0.1/24")) as { result: object };
    const interfaces = [
      { name: "cni0", mac: "02:00:00:00:00:01" },
      { name: "veth1", mac: "02:00:00:00:00:02" },
      { name: "eth0", mac: "02:00:00:00:00:0A", sandbox: "/var/run/netns/cart" },
      // Some name the pod's own without a sandbox.
      { name: "eth0" },
    ];
    await put(
      "pods-1-eth0",
      JSON.stringify({ ...bridged, result: { ...bridged.result, interfaces } }),
    );

    const [record] = await results.at("10.0.0.1");

    assert.deepEqual(record?.hostInterfaces, ["cni0", "veth1"]);
    assert.deepEqual(record.hardwareAddresses, ["02:00:00:00:00:0a"]);
  });

  test("takes no notice of the loopback address, which every pod has", async () => {
    await put("cni-loopback-1-lo", result("cart", "127.0.0.1/8", "::1/128"));
    assert.deepEqual(await podsAt("127.0.0.1"), []);
    assert.deepEqual(await podsAt("::1"), []);
  });

  test("follows a folder that was removed and made again", async () => {
    await put("pods-1-eth0", result("cart", "10.0.0.1/24"));
    assert.deepEqual(await podsAt("10.0.0.1"), ["cart"]);

    await rm(folder, { recursive: true });
    await becomes("10.0.0.1");
    await mkdir(folder);
    await put("pods-2-eth0", result("till", "10.0.0.1/24"));
    await becomes("10.0.0.1", "till");
    await rm(join(folder, "pods-2-eth0"));
    await put("pods-3-eth0", result("cart", "10.0.0.1/24"));

    await becomes("10.0.0.1", "cart");
  });
});
