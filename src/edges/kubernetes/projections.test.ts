import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ANNOTATIONS } from "#core/pod/pod.ts";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import { projectNamespace } from "./namespaces.ts";
import { projectPod } from "./pods.ts";

const ABOUT = { uid: "u", name: "n", namespace: "s" };

describe("projectPod", () => {
  test("keeps what is needed, external IDs as secrets", () => {
    const pod = projectPod(
      kubernetesPod({
        name: "cart",
        addresses: ["10.0.0.1", "fd00::1"],
        annotations: {
          [ANNOTATIONS.role]: "reader",
          [ANNOTATIONS.sessionName]: "cart",
          [ANNOTATIONS.externalId]: "hunter2",
        },
      }),
    );

    assert.deepEqual([pod?.role, pod?.sessionName, pod?.node], ["reader", "cart", "node-a"]);
    assert.deepEqual(pod?.addresses, ["10.0.0.1", "fd00::1"]);
    assert.doesNotMatch(JSON.stringify(pod), /hunter2/);
  });

  const partial = [
    { name: "no spec and no status", object: { metadata: ABOUT } },
    { name: "no annotations", object: { metadata: ABOUT, spec: {}, status: {} } },
    { name: "null everywhere", object: { metadata: { ...ABOUT, annotations: null }, spec: null } },
    {
      name: "other kinds of values",
      object: {
        metadata: { ...ABOUT, annotations: { [ANNOTATIONS.role]: 7 }, resourceVersion: 1 },
        spec: { nodeName: [], hostNetwork: "true" },
        status: { podIP: 1, podIPs: [null, { ip: {} }, "x"], phase: { a: 1 } },
      },
    },
  ];
  for (const { name, object } of partial) {
    test(`takes a pod with ${name}: nowhere, nameless and without a role`, () => {
      const pod = projectPod(object);
      assert.deepEqual(
        [pod?.node, pod?.addresses, pod?.role, pod?.phase, pod?.hostNetwork],
        ["", [], undefined, "Unknown", false],
      );
    });
  }

  for (const field of ["uid", "name", "namespace"]) {
    test(`skips a pod without ${field}`, () => {
      assert.equal(projectPod({ metadata: { ...ABOUT, [field]: undefined } }), undefined);
    });
  }

  test("takes a bounded number of addresses", () => {
    const podIPs = Array.from({ length: 1_000 }, (_, index) => ({ ip: `10.0.0.${index}` }));
    assert.equal(projectPod({ metadata: ABOUT, status: { podIPs } })?.addresses.length, 8);
  });
});

describe("projectNamespace", () => {
  const askedBy = (annotation?: string): boolean | undefined =>
    projectNamespace(
      kubernetesNamespace({
        name: "shop",
        annotations: annotation === undefined ? {} : { [ANNOTATIONS.requireImdsv2]: annotation },
      }),
    )?.requireImdsv2;

  for (const annotation of ["true", "True", "1", "yes", "fals", ""]) {
    test(`asks for session tokens where the annotation says ${JSON.stringify(annotation)}`, () => {
      assert.equal(askedBy(annotation), true);
    });
  }

  test("asks for none where it says false, or is not there", () => {
    assert.deepEqual([askedBy("false"), askedBy()], [false, false]);
  });
});

describe("what the API server sends", () => {
  /** Anything where something else is expected. */
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom({}, [], null, 0, "", { ip: 1 }));
  const objects = fc.record(
    {
      metadata: fc.oneof(
        anything,
        fc.record({ uid: anything, name: anything, namespace: anything, annotations: anything }),
        fc.record({ uid: fc.constant("u"), name: fc.constant("n"), namespace: anything }),
      ),
      spec: fc.oneof(anything, fc.record({ nodeName: anything, hostNetwork: anything })),
      status: fc.oneof(anything, fc.record({ podIP: anything, podIPs: anything, phase: anything })),
    },
    { requiredKeys: [] },
  );

  test("never makes a projection throw, nor gives a value of the wrong kind", () => {
    fc.assert(
      fc.property(fc.oneof(anything, objects), (object) => {
        const pod = projectPod(object);
        const namespace = projectNamespace(object);
        for (const text of [
          pod?.uid,
          pod?.node,
          pod?.role,
          namespace?.name,
          namespace?.permitted,
        ]) {
          assert.ok(text === undefined || typeof text === "string");
        }
        assert.ok(pod === undefined || pod.addresses.every((ip) => typeof ip === "string"));
      }),
      { numRuns: 1_000 },
    );
  });
});
