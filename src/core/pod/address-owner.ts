import { AppError } from "../errors.ts";

/** What decides whose an address is; every pod is a live one. */
export interface Claim {
  readonly uid: string;
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  readonly isStatic: boolean;
  readonly deleting: boolean;
}

/**
 * The pod that owns an address now. Pods on the host network share the node's. A terminating pod keeps
 * its address until another pod claims it that is not terminating; any other dispute is not decided
 * (design invariant 2).
 *
 * @param claims every live pod that Kubernetes says has the address
 * @param podUid the pod that the node itself gave the address to, where it says so. That comes seconds
 *   before the API server knows the address; where the two disagree, nothing is decided.
 * @param named the live pod of that UID
 * @throws {AppError} `pod_not_found`, `pod_ambiguous` or `host_network`
 */
export function ownerOfAddress<T extends Claim>(
  address: string,
  claims: readonly T[],
  podUid: string | undefined,
  named: T | undefined,
): T {
  const owners = claims.filter(({ hostNetwork }) => !hostNetwork);
  if (named !== undefined && isAwaitingAddress(named)) owners.push(named);
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

/** Whether Kubernetes does not know the pod's address yet. */
function isAwaitingAddress({ addresses, hostNetwork }: Claim): boolean {
  return addresses.length === 0 && !hostNetwork;
}
