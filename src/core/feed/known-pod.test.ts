import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { BASE_ARN, fedPod, feed, granted } from "#test/fed-pod.ts";
import type { FedPod } from "./fed-pod.ts";
import { type KnownPod, NodeTable } from "./node-table.ts";
import type { LocalOwner } from "./places.ts";
import type { PodAnswers } from "./pod-answers.ts";
import { PodTable } from "./pod-table.ts";

const ADDRESS = "10.0.0.1";
const READER = granted("reader", 1);
const SANDBOX = { namespace: "shop", name: "cart", hostInterfaces: [], hardwareAddresses: [] };
const nobody: PodAnswers = {
  role: () => Promise.reject(new AppError("server_unavailable", "nobody is asked")),
  credentials: () => Promise.reject(new AppError("server_unavailable", "nobody is asked")),
};

/** What is known at an address of which feed and node say this. */
function known(pods: readonly FedPod[], podUid?: string | AppError): Promise<KnownPod> {
  const table = new PodTable();
  feed(
    table,
    pods.map((pod) => ({ type: "pod", pod })),
  );
  const ownerOf = async (address: string): Promise<LocalOwner> => {
    if (podUid instanceof AppError) throw podUid;
    const record = podUid === undefined ? undefined : { ...SANDBOX, podUid };
    return { address, record, place: undefined };
  };
  const nodeTable = new NodeTable({
    pods: table,
    isInSync: () => true,
    places: { ownerOf, confirm: async () => {} },
    server: nobody,
    asked: nobody,
    clock: new FakeClock(),
  });
  return nodeTable.known(ADDRESS);
}

describe("what is known of the pod at an address", () => {
  for (const requireImdsv2 of [false, true]) {
    test(`is its UID, its role and that tokens are ${requireImdsv2 ? "" : "not "}asked of it`, async () => {
      assert.deepEqual(await known([fedPod({ requireImdsv2, ...READER })], "uid-1"), {
        uid: "uid-1",
        requireImdsv2,
        roleArn: `${BASE_ARN}reader`,
      });
    });
  }

  test("is not what its namespace asks while the server does not know that itself", async () => {
    const grant = { outcome: "refused", code: "namespace_unknown", reason: "why" } as const;
    const { uid, requireImdsv2, roleArn } = await known([fedPod({ role: "reader", grant })]);
    assert.deepEqual([uid, requireImdsv2, roleArn], ["uid-1", undefined, undefined]);
  });

  test("is the UID that the node recorded, of a pod that no server told of", async () => {
    const { uid, requireImdsv2, roleArn } = await known([], "uid-2");
    assert.deepEqual([uid, requireImdsv2, roleArn], ["uid-2", undefined, undefined]);
  });

  test("is nothing of the pod before it there", async () => {
    const before = fedPod({ requireImdsv2: false, ...READER });
    const { uid, requireImdsv2, roleArn } = await known([before], "uid-2");
    assert.deepEqual([uid, requireImdsv2, roleArn], ["uid-2", undefined, undefined]);
  });

  test("is nothing where feed and node disagree, or two pods are there", async () => {
    const disputed = new AppError("pod_ambiguous", "why");
    const nothing = { uid: undefined, requireImdsv2: undefined, roleArn: undefined };
    assert.deepEqual(await known([fedPod(READER)], disputed), nothing);
    assert.deepEqual(await known([fedPod(READER), fedPod({ ...READER, uid: "uid-2" })]), nothing);
    assert.deepEqual(await known([]), nothing);
  });
});
