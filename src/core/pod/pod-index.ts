import type { Change } from "../watch/change.ts";
import { ownerOfAddress } from "./address-owner.ts";
import { normalizeAddress } from "./address.ts";
import { hasEnded, type Pod } from "./pod.ts";

/** What a change really changed. */
export interface PodDelta {
  readonly put: readonly Pod[];
  readonly removed: readonly Pod[];
}

type UidsBy = Map<string, Set<string>>;

/** Every pod of the cluster, by UID, by node and by address. */
export class PodIndex {
  readonly #pods = new Map<string, Pod>();
  readonly #byNode: UidsBy = new Map();
  readonly #byAddress: UidsBy = new Map();

  get size(): number {
    return this.#pods.size;
  }

  byUid(uid: string): Pod | undefined {
    return this.#pods.get(uid);
  }

  all(): Iterable<Pod> {
    return this.#pods.values();
  }

  *onNode(node: string): Iterable<Pod> {
    for (const uid of this.#byNode.get(node) ?? []) yield this.#known(uid);
  }

  /** Applies a change and says what it changed; a pod that comes again unchanged is not in it. */
  apply(change: Change<Pod>): PodDelta {
    switch (change.type) {
      case "put":
        return { put: this.#put(change.item) ? [change.item] : [], removed: [] };
      case "removed":
        return { put: [], removed: this.#remove(change.item.uid) };
      case "replaced": {
        const listed = new Set(change.items.map(({ uid }) => uid));
        const gone = [...this.#pods.keys()].filter((uid) => !listed.has(uid));
        return {
          removed: gone.flatMap((uid) => this.#remove(uid)),
          put: change.items.filter((pod) => this.#put(pod)),
        };
      }
    }
  }

  /**
   * The pod that owns an address now; `podUid` is what the node says of it (`ownerOfAddress`).
   *
   * @throws {AppError} `pod_not_found`, `pod_ambiguous` or `host_network`
   */
  find(address: string, podUid?: string): Pod {
    const claims = [...(this.#byAddress.get(normalizeAddress(address)) ?? [])]
      .map((uid) => this.#known(uid))
      .filter((pod) => !hasEnded(pod));
    const pod = podUid === undefined ? undefined : this.#pods.get(podUid);
    const named = pod === undefined || pod.node === "" || hasEnded(pod) ? undefined : pod;
    return ownerOfAddress(address, claims, podUid, named);
  }

  /**
   * Whether this was new. Versions are compared for equality only, as Kubernetes asks; the watch
   * gives them in their order.
   */
  #put(pod: Pod): boolean {
    const known = this.#pods.get(pod.uid);
    if (known?.resourceVersion === pod.resourceVersion) return false;
    if (known !== undefined) this.#remove(known.uid);
    this.#pods.set(pod.uid, pod);
    if (pod.node !== "") link(this.#byNode, pod.node, pod.uid);
    for (const address of pod.addresses) link(this.#byAddress, normalizeAddress(address), pod.uid);
    return true;
  }

  #remove(uid: string): Pod[] {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return [];
    this.#pods.delete(uid);
    unlink(this.#byNode, pod.node, uid);
    for (const address of pod.addresses) unlink(this.#byAddress, normalizeAddress(address), uid);
    return [pod];
  }

  #known(uid: string): Pod {
    const pod = this.#pods.get(uid);
    if (pod === undefined) throw new Error(`pod ${uid} is indexed but not kept`);
    return pod;
  }
}

function link(index: UidsBy, key: string, uid: string): void {
  const uids = index.get(key);
  if (uids === undefined) index.set(key, new Set([uid]));
  else uids.add(uid);
}

function unlink(index: UidsBy, key: string, uid: string): void {
  const uids = index.get(key);
  uids?.delete(uid);
  if (uids?.size === 0) index.delete(key);
}
