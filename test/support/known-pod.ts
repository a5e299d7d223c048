import type { Pod } from "#core/pod/pod.ts";

/** A running pod as the core knows it, with what a test has to say of it. */
export function knownPod(fields: Partial<Pod> = {}): Pod {
  return {
    uid: "uid-1",
    namespace: "shop",
    name: "cart",
    resourceVersion: "1",
    node: "node-a",
    addresses: ["10.0.0.1"],
    phase: "Running",
    hostNetwork: false,
    isStatic: false,
    deleting: false,
    createdAt: 0,
    role: undefined,
    sessionName: undefined,
    externalId: undefined,
    ...fields,
  };
}
