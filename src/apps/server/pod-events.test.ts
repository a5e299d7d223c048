import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { EventWindow } from "#core/pod/event-window.ts";
import type { RefusalCode } from "#core/policy/grant.ts";
import type { PodEvent } from "#edges/kubernetes/events.ts";
import { projectPod } from "#edges/kubernetes/pods.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { kubernetesPod } from "#test/pods.ts";
import { podEvents } from "./pod-events.ts";

function podNamed(name: string) {
  const pod = projectPod(kubernetesPod({ namespace: "shop", name }));
  assert.ok(pod !== undefined);
  return pod;
}

function setUp(write: (event: PodEvent) => Promise<void> = async () => undefined) {
  const written: PodEvent[] = [];
  const fates: string[] = [];
  const tell = podEvents({
    window: new EventWindow({ clock: new FakeClock(), windowMs: 60_000, entriesMax: 1_000 }),
    write: async (event) => {
      await write(event);
      written.push(event);
    },
    signal: new AbortController().signal,
    observe: (fate) => fates.push(fate),
  });
  const refuse = (name: string, code: RefusalCode, reason = "why"): void =>
    tell({
      type: "refused",
      pod: podNamed(name),
      requested: 'a "role"',
      refusal: { outcome: "refused", code, reason },
    });
  return { written, fates, tell, refuse };
}

describe("podEvents", () => {
  test("tells a refusal in Kiam's words, once for a pod", async () => {
    const { written, refuse } = setUp();

    refuse("cart", "namespace_forbids", "namespace policy expression 'a' forbids role 'b'");
    refuse("cart", "namespace_forbids", "again");
    refuse("till", "role_mismatch");
    await settle();

    assert.deepEqual(
      written.map(({ pod, type, reason, message }) => [pod.name, type, reason, message]),
      [
        [
          "cart",
          "Warning",
          "KiamRoleForbidden",
          `failed assuming role "a \\"role\\"": namespace policy expression 'a' forbids role 'b'`,
        ],
        ["till", "Warning", "KiamRoleForbidden", 'failed assuming role "a \\"role\\"": why'],
      ],
    );
  });

  for (const code of ["no_role", "namespace_unknown"] as const) {
    test(`says nothing of ${code}, which is no refusal of a role`, async () => {
      const { written, refuse } = setUp();
      refuse("cart", code);
      await settle();
      assert.deepEqual(written, []);
    });
  }

  test("tells that STS refused, and nothing of what passes by itself", async () => {
    const { written, tell } = setUp();
    const pod = podNamed("cart");

    tell({ type: "session_failed", pod, error: new AppError("overloaded", "too many") });
    tell({ type: "session_failed", pod, error: new AppError("sts_denied", "AccessDenied: no") });
    await settle();

    assert.deepEqual(
      written.map(({ reason, message }) => [reason, message]),
      [["KiamCredentialError", "failed retrieving credentials: AccessDenied: no"]],
    );
  });

  test("tells that a pod's address is disputed, where the pod names a role", async () => {
    const { written, tell } = setUp();
    const dispute = { address: "10.0.0.1", between: "server-and-record", podUids: [] } as const;
    for (const role of ["reader", undefined]) {
      tell({ type: "address_disputed", pod: { ...podNamed(`cart-${role}`), role }, dispute });
    }
    await settle();

    assert.deepEqual(
      written.map(({ pod, type, reason, message }) => [pod.name, type, reason, message]),
      [
        [
          "cart-reader",
          "Warning",
          "RolecallAddressDisputed",
          "refusing requests by address: the node recorded 10.0.0.1 for another pod than the one that Kubernetes names",
        ],
      ],
    );
  });

  test("writes one at a time, lets few wait, and outlives what can't be written", async () => {
    const gate = Promise.withResolvers<void>();
    let writing = 0;
    const { written, fates, refuse } = setUp(async ({ pod }) => {
      writing += 1;
      assert.equal(writing, 1);
      await gate.promise;
      writing -= 1;
      if (pod.name === "pod-0") throw new AppError("kubernetes_refused", "no");
    });

    for (let index = 0; index < 300; index += 1) refuse(`pod-${index}`, "namespace_forbids");
    gate.resolve();
    while (fates.length < 300) await settle();

    assert.equal(written.length, 255);
    assert.equal(fates.filter((fate) => fate === "dropped").length, 44);
    assert.equal(fates.filter((fate) => fate === "failed").length, 1);
  });
});
