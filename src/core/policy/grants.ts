import { AppError } from "../errors.ts";
import type { NamespaceIndex } from "../pod/namespace-index.ts";
import { hasEnded, type Namespace, type Pod } from "../pod/pod.ts";
import type { PodIndex } from "../pod/pod-index.ts";
import type { Change } from "../watch/change.ts";
import { decideGrant, decideRequest, type GrantRules } from "./decide-grant.ts";
import type { Grant } from "./grant.ts";

/** Is told of each pod that changed, or whose namespace did, once it is decided anew. */
export interface GrantListener {
  /** The grant is undefined where there is nothing to decide: the pod names no role, is on no node, or has ended. */
  readonly decided: (pod: Pod, grant: Grant | undefined) => void;
  readonly gone: (pod: Pod) => void;
}

/** One pod's request, decided on present data. */
export interface Request {
  readonly pod: Pod;
  readonly grant: Grant;
}

/**
 * Keeps the decision for every pod in step with the cluster.
 *
 * Each change of a pod or a namespace is followed by the decisions that depend on it, so the
 * sessions that are kept are always the ones that present data permit: policy comes before STS
 * (design invariant 1). A pod counts from the moment it is scheduled, which is before it runs.
 */
export class Grants {
  readonly #pods: PodIndex;
  readonly #namespaces: NamespaceIndex;
  readonly #listener: GrantListener;
  readonly #synced = { pods: false, namespaces: false };
  #rules: GrantRules | undefined;

  constructor(pods: PodIndex, namespaces: NamespaceIndex, listener: GrantListener) {
    this.#pods = pods;
    this.#namespaces = namespaces;
    this.#listener = listener;
  }

  /** Starts deciding. Until then the cluster is followed and nothing is granted. */
  use(rules: GrantRules): void {
    this.#rules = rules;
    for (const pod of this.#pods.all()) this.#decide(pod);
  }

  /** What is still missing before requests can be decided; empty when nothing is. */
  missing(): readonly string[] {
    return [
      ...(this.#synced.pods ? [] : ["pods have not been listed yet"]),
      ...(this.#synced.namespaces ? [] : ["namespaces have not been listed yet"]),
      ...(this.#rules === undefined ? ["the base ARN of roles is not known yet"] : []),
    ];
  }

  applyPods(change: Change<Pod>): void {
    const { put, removed } = this.#pods.apply(change);
    if (change.type === "replaced") this.#synced.pods = true;
    for (const pod of removed) this.#listener.gone(pod);
    for (const pod of put) this.#decide(pod);
  }

  applyNamespaces(change: Change<Namespace>): void {
    const { put, removed } = this.#namespaces.apply(change);
    if (change.type === "replaced") this.#synced.namespaces = true;
    const changed = new Set([...put, ...removed].map(({ name }) => name));
    if (changed.size === 0) return;
    for (const pod of this.#pods.all()) if (changed.has(pod.namespace)) this.#decide(pod);
  }

  /**
   * The live pod at an address; `podUid` is what its node says of it (`PodIndex.find`).
   *
   * @throws {AppError} `not_ready` before the first lists; else as `PodIndex.find`.
   */
  podAt(address: string, podUid?: string): Pod {
    this.#present();
    return this.#pods.find(address, podUid);
  }

  /**
   * Decides whether the pod at an address may have the role that it asks for.
   *
   * @throws {AppError} as `podAt`.
   */
  request(address: string, role: string, podUid?: string): Request {
    const rules = this.#present();
    const pod = this.#pods.find(address, podUid);
    return { pod, grant: decideRequest(pod, this.#namespaces.get(pod.namespace), role, rules) };
  }

  /**
   * The present decision for a pod; undefined where there is nothing to decide: it names no role, is on
   * no node, or has ended.
   *
   * @throws {AppError} `not_ready` before there are rules.
   */
  grantOf(pod: Pod): Grant | undefined {
    if (pod.role === undefined || pod.node === "" || hasEnded(pod)) return undefined;
    return decideGrant(pod, this.#namespaces.get(pod.namespace), this.#known());
  }

  /**
   * What stands before roles that are not written as ARNs.
   *
   * @throws {AppError} `not_ready` before it is known.
   */
  get baseArn(): string {
    return this.#known().baseArn;
  }

  /** Whether a pod's namespace asks its requests for session tokens. */
  requiresImdsv2({ namespace }: Pod): boolean {
    return this.#namespaces.get(namespace)?.requireImdsv2 ?? false;
  }

  #present(): GrantRules {
    const missing = this.missing();
    if (missing.length > 0) {
      throw new AppError("not_ready", `Cannot answer yet: ${missing.join("; ")}`);
    }
    return this.#known();
  }

  #known(): GrantRules {
    if (this.#rules !== undefined) return this.#rules;
    throw new AppError("not_ready", "the base ARN of roles is not known yet");
  }

  #decide(pod: Pod): void {
    if (this.#rules !== undefined) this.#listener.decided(pod, this.grantOf(pod));
  }
}
