import type { Pod } from "#core/pod/pod.ts";
import type { Change } from "#core/watch/change.ts";
import { knownPod } from "#test/known-pod.ts";
import { type BenchPod, NODE_NAME, NODE_PODS, UNPLACED_UID } from "./pods.ts";

/** Pods that come and go beside those that are served. */
const GUESTS = 16;

/**
 * What a busy node's watch brings, one change a call: in turn a served pod's status, and a guest that
 * comes or goes. Each guest is a new pod; every other one has a session of its own, so that credentials
 * travel too.
 *
 * @param apply takes one change, as from the watch.
 */
export function podChanges(apply: (change: Change<Pod>) => void): () => void {
  const guests: (Pod | undefined)[] = Array.from({ length: GUESTS }, () => undefined);
  let count = 0;
  return () => {
    count += 1;
    const resourceVersion = String(count + 1);
    if (count % 2 === 0) {
      const served = NODE_PODS[(count / 2) % NODE_PODS.length];
      if (served !== undefined) apply({ type: "put", item: asKnown(served, resourceVersion) });
      return;
    }
    const place = ((count - 1) / 2) % GUESTS;
    const guest = guests[place];
    guests[place] = undefined;
    if (guest !== undefined) {
      apply({ type: "removed", item: guest });
      return;
    }
    const item = knownPod({
      uid: `guest-${count}`,
      name: `guest-${count}`,
      role: "bench-role-0",
      node: NODE_NAME,
      addresses: [`10.99.2.${place + 1}`],
      resourceVersion,
      sessionName: place % 2 === 0 ? `guest-${count}` : undefined,
    });
    guests[place] = item;
    apply({ type: "put", item });
  };
}

/** A pod of the node that Kubernetes knows no address of. */
export function unplaced(): Pod {
  const name = "unplaced";
  return knownPod({
    uid: UNPLACED_UID,
    name,
    role: "bench-role-0",
    node: NODE_NAME,
    addresses: [],
  });
}

/** A pod of the node as the watch brings it. */
export function asKnown({ uid, name, address, role }: BenchPod, resourceVersion: string): Pod {
  return knownPod({ uid, name, role, node: NODE_NAME, addresses: [address], resourceVersion });
}
