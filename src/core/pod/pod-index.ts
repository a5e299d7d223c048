import { AppError } from "../errors.ts";
import type { Change } from "../watch/change.ts";
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
   * The pod that owns an address now. Pods that ended own none, and pods on the host network share
   * the node's. A terminating pod keeps its address until another pod claims it that is not
   * terminating; any other dispute is not decided (design invariant 2).
   *
   * @param podUid the pod that the node itself gave the address to, where it says so. That comes
   *   seconds before the API server knows the address; where the two disagree, nothing is decided.
   * @throws {AppError} `pod_not_found`, `pod_ambiguous` or `host_network`
   */
  find(address: string, podUid?: string): Pod {
    const claims = [...(this.#byAddress.get(normalizeAddress(address)) ?? [])]
      .map((uid) => this.#known(uid))
      .filter((pod) => !hasEnded(pod));
    const owners = [
      ...claims.filter(({ hostNetwork }) => !hostNetwork),
      ...this.#awaitingAddress(podUid),
    ];
    const staying = owners.filter(({ deleting }) => !deleting);
    const [pod, ...others] = staying.length > 0 ? staying : owners;
    if (pod !== undefined && others.length === 0) {
      if (podUid === undefined || podUid === pod.uid || pod.isStatic) return pod;
      throw new AppError(
        "pod_ambiguous",
        `the node gave ${address} to another pod than the one that Kubernetes still names`,
      );
    }
    if (pod !== undefined) {
      throw new AppError(
        "pod_ambiguous",
        `${others.length + 1} live pods claim the address ${address}`,
      );
    }
    if (claims.length > 0) {
      throw new AppError(
        "host_network",
        `${address} is shared by pods on the host network; they cannot be told apart by address`,
      );
    }
    throw new AppError("pod_not_found", `no live pod is known at ${address}`);
  }

  /** The pod of that UID, if it is on a node and Kubernetes does not know its address yet. */
  #awaitingAddress(uid: string | undefined): readonly Pod[] {
    const pod = uid === undefined ? undefined : this.#pods.get(uid);
    if (pod === undefined || pod.node === "" || pod.addresses.length > 0) return [];
    return pod.hostNetwork || hasEnded(pod) ? [] : [pod];
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
