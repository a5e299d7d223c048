import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import { knownPod } from "#test/known-pod.ts";
import type { Pod } from "./pod.ts";
import { PodIndex } from "./pod-index.ts";

const pod = (fields: Partial<Pod>): Pod => knownPod({ uid: "a", ...fields });

function found(pods: readonly Partial<Pod>[], address = "10.0.0.1", podUid?: string): string {
  const index = new PodIndex();
  index.apply({ type: "replaced", items: pods.map(pod) });
  try {
    return index.find(address, podUid).uid;
  } catch (error) {
    return error instanceof AppError ? error.code : "crashed";
  }
}

describe("PodIndex.find", () => {
  const cases: { name: string; pods: Partial<Pod>[]; address?: string; expected: string }[] = [
    { name: "the one live pod", pods: [{}], expected: "a" },
    { name: "nothing at an unknown address", pods: [], expected: "pod_not_found" },
    { name: "not a pod that ended", pods: [{ phase: "Succeeded" }], expected: "pod_not_found" },
    {
      name: "the live pod beside one that failed",
      pods: [{ uid: "a", phase: "Failed" }, { uid: "b" }],
      expected: "b",
    },
    { name: "neither of two", pods: [{ uid: "a" }, { uid: "b" }], expected: "pod_ambiguous" },
    {
      name: "a terminating pod while nobody else claims",
      pods: [{ deleting: true }],
      expected: "a",
    },
    {
      name: "the new pod and not the terminating one before it",
      pods: [{ uid: "a", deleting: true }, { uid: "b" }],
      expected: "b",
    },
    { name: "no pod on the host network", pods: [{ hostNetwork: true }], expected: "host_network" },
    {
      name: "an IPv6 address in any spelling",
      pods: [{ addresses: ["10.0.0.1", "FD00:0:0::0001"] }],
      address: "fd00::1",
      expected: "a",
    },
    { name: "IPv4 inside IPv6", pods: [{}], address: "::ffff:10.0.0.1", expected: "a" },
  ];
  for (const { name, pods, address, expected } of cases) {
    test(`finds ${name}`, () => assert.equal(found(pods, address), expected));
  }
});

describe("PodIndex.find, when the node names the pod that it gave the address to", () => {
  const fresh = { addresses: [], phase: "Pending" } as const;
  const cases: { name: string; pods: Partial<Pod>[]; podUid: string; expected: string }[] = [
    {
      name: "finds a pod whose address Kubernetes does not know yet",
      pods: [{ ...fresh, uid: "new" }],
      podUid: "new",
      expected: "new",
    },
    {
      name: "finds the new pod and not the terminating one that had the address",
      pods: [
        { uid: "old", deleting: true },
        { ...fresh, uid: "new" },
      ],
      podUid: "new",
      expected: "new",
    },
    {
      name: "decides nothing while Kubernetes says that another pod still has the address",
      pods: [{ uid: "old" }, { ...fresh, uid: "new" }],
      podUid: "new",
      expected: "pod_ambiguous",
    },
    {
      name: "decides nothing when Kubernetes knows the address, but not that pod",
      pods: [{ uid: "old" }],
      podUid: "new",
      expected: "pod_ambiguous",
    },
    {
      name: "finds a static pod, which its node calls by another UID",
      pods: [{ uid: "mirror", isStatic: true }],
      podUid: "hash-of-a-file",
      expected: "mirror",
    },
    {
      name: "does not believe it of a pod that has another address",
      pods: [{ uid: "new", addresses: ["10.0.0.2"] }],
      podUid: "new",
      expected: "pod_not_found",
    },
    ...[
      { uid: "new", hostNetwork: true },
      { uid: "new", phase: "Succeeded" as const },
      { uid: "new", node: "" },
    ].map((fields) => ({
      name: `does not believe it of ${JSON.stringify(fields)}`,
      pods: [{ ...fresh, ...fields }],
      podUid: "new",
      expected: "pod_not_found",
    })),
  ];
  for (const { name, pods, podUid, expected } of cases) {
    test(name, () => assert.equal(found(pods, "10.0.0.1", podUid), expected));
  }
});

describe("PodIndex.apply", () => {
  const anyPod = fc.record({
    uid: fc.constantFrom("a", "b", "c", "d"),
    resourceVersion: fc.nat({ max: 50 }).map(String),
    node: fc.constantFrom("", "n1", "n2"),
    addresses: fc.subarray(["10.0.0.1", "10.0.0.2", "fd00::1"]),
  });

  test("keeps every index in step with the pods, whatever comes in what order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("put", "removed", "replaced"), fc.array(anyPod))),
        (changes) => {
          const index = new PodIndex();
          const model = new Map<string, Pod>();
          for (const [type, fields] of changes) {
            const items = [...new Map(fields.map((item) => [item.uid, pod(item)])).values()];
            if (type === "replaced") {
              index.apply({ type, items });
              for (const uid of model.keys())
                if (!items.some((item) => item.uid === uid)) model.delete(uid);
            } else {
              for (const item of items) index.apply({ type: type, item });
            }
            for (const item of items) {
              if (type === "removed") model.delete(item.uid);
              else if (model.get(item.uid)?.resourceVersion !== item.resourceVersion)
                model.set(item.uid, item);
            }
          }
          assert.deepEqual(new Map([...index.all()].map((item) => [item.uid, item])), model);
          for (const node of ["n1", "n2"]) {
            const expected = [...model.values()].filter((item) => item.node === node);
            assert.deepEqual(new Set(index.onNode(node)), new Set(expected));
          }
          for (const address of ["10.0.0.1", "10.0.0.2", "fd00::1"]) {
            const owners = [...model.values()].filter((item) => item.addresses.includes(address));
            if (owners.length === 1) assert.equal(index.find(address), owners[0]);
            else assert.throws(() => index.find(address), AppError);
          }
        },
      ),
    );
  });

  test("says only what really changed when everything is listed again", () => {
    const index = new PodIndex();
    index.apply({ type: "replaced", items: [pod({ uid: "a" }), pod({ uid: "b" })] });

    const delta = index.apply({
      type: "replaced",
      items: [pod({ uid: "b" }), pod({ uid: "c" })],
    });

    assert.deepEqual(
      delta.put.map(({ uid }) => uid),
      ["c"],
    );
    assert.deepEqual(
      delta.removed.map(({ uid }) => uid),
      ["a"],
    );
  });
});
