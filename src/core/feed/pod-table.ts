import { AppError, ERRORS } from "../errors.ts";
import type { Credentials } from "../session/credentials.ts";
import type { FedPod, SessionId } from "./fed-pod.ts";
import type { FeedBatch } from "./feed-batch.ts";
import type { FedSession, InSync, Position } from "./feed-messages.ts";
import type { TokenKeys } from "./token-keys.ts";

/** More pods than any node has; who tells of more is no server in order. */
const PODS_MAX = 16_384;

/** Where a pod is: its addresses now, none once it is gone. */
export type PodAddresses = Pick<FedPod, "uid" | "addresses">;

/** What is held of a session. With both, the credentials go on being served while they live. */
export interface HeldSession {
  readonly credentials: Credentials | undefined;
  /** Why STS gave none the last time. */
  readonly failure: Extract<FedSession, { outcome: "failed" }> | undefined;
}

/**
 * The pods of one node as the feed told of them: read from memory, without waiting; written by whole
 * batches, so that no reader sees half of one.
 *
 * A snapshot is compared with what is held and never blanks it: a new server may not have a session's
 * credentials yet, and those of the former one are as good.
 */
export class PodTable {
  #pods = new Map<string, FedPod>();
  #sessions = new Map<SessionId, HeldSession>();
  readonly #byAddress = new Map<string, readonly FedPod[]>();
  readonly #listeners = new Set<() => void>();
  readonly #moveListeners = new Set<(moved: readonly PodAddresses[]) => void>();
  #at: InSync | undefined;
  #tokenKeys: TokenKeys | undefined;

  get size(): number {
    return this.#pods.size;
  }

  /** The last batch that was applied; undefined before the first. */
  get position(): Position | undefined {
    return this.#at?.position;
  }

  /** What stands before roles that are not written as ARNs; empty before the first batch. */
  get baseArn(): string {
    return this.#at?.baseArn ?? "";
  }

  /** How pods' tokens are verified; undefined while no server has said so. */
  get tokenKeys(): TokenKeys | undefined {
    return this.#tokenKeys;
  }

  /** Every pod that claims the address, in its one spelling: none, one, or several in a dispute. */
  at(address: string): readonly FedPod[] {
    return this.#byAddress.get(address) ?? [];
  }

  byUid(uid: string): FedPod | undefined {
    return this.#pods.get(uid);
  }

  /** Undefined while its credentials are on their way. */
  session(id: SessionId): HeldSession | undefined {
    return this.#sessions.get(id);
  }

  /**
   * Applies a batch that is whole. Changes are passed over where the same server process has said something newer:
   * while an agent goes from one stream to the next, the later one's first batch may come behind the former one's last.
   *
   * @throws {AppError} `server_unavailable` for changes to what another server's process said: what they
   *   are about is not what is held. `overloaded` for more pods than a node can have.
   */
  commit(batch: FeedBatch, at: InSync): void {
    const before = batch.isSnapshot ? 0 : this.size;
    if (before + batch.pods.size > PODS_MAX) {
      throw new AppError("overloaded", `the server tells of more than ${PODS_MAX} pods`);
    }
    const held = this.position;
    if (!batch.isSnapshot) {
      if (held?.epoch !== at.position.epoch) {
        throw new AppError("server_unavailable", "the feed does not go on from what is held");
      }
      if (at.position.revision < held.revision) return;
    }
    const moved = batch.isSnapshot ? this.#replace(batch) : this.#change(batch);
    this.#tokenKeys = batch.tokenKeys ?? this.#tokenKeys;
    this.#at = at;
    if (batch.pods.size > 0 || batch.sessions.size > 0) this.#forgetSessions();
    this.#tell(moved);
  }

  /** Forgets everything: there is no feed any more that would keep it true. */
  clear(): void {
    const moved = [...this.#pods.keys()].map((uid) => ({ uid, addresses: [] }));
    this.#pods.clear();
    this.#sessions.clear();
    this.#byAddress.clear();
    this.#at = undefined;
    this.#tokenKeys = undefined;
    this.#tell(moved);
  }

  /** Calls back after each batch, and when everything is forgotten, until the result is disposed. */
  onCommit(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** As {@link onCommit} and before it, with the pods that came, went or have other addresses, where there are any. */
  onMoved(listener: (moved: readonly PodAddresses[]) => void): Disposable {
    this.#moveListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#moveListeners.delete(listener) };
  }

  #tell(moved: readonly PodAddresses[]): void {
    if (moved.length > 0) for (const listener of this.#moveListeners) listener(moved);
    for (const listener of this.#listeners) listener();
  }

  #change({ pods, sessions }: FeedBatch): readonly PodAddresses[] {
    for (const [id, session] of sessions) {
      this.#sessions.set(id, withOutcome(this.#sessions.get(id), session));
    }
    const moved: PodAddresses[] = [];
    for (const [uid, pod] of pods) {
      const before = this.#pods.get(uid);
      this.#unlink(before);
      if (!areSame(before?.addresses, pod?.addresses)) {
        moved.push({ uid, addresses: pod?.addresses ?? [] });
      }
      if (pod === undefined) this.#pods.delete(uid);
      else {
        this.#pods.set(uid, pod);
        this.#link(pod);
      }
    }
    return moved;
  }

  #replace({ pods, sessions }: FeedBatch): readonly PodAddresses[] {
    const before = { pods: this.#pods, sessions: this.#sessions };
    this.#pods = new Map();
    this.#sessions = new Map();
    this.#byAddress.clear();
    for (const pod of pods.values()) {
      if (pod === undefined) continue;
      this.#pods.set(pod.uid, pod);
      this.#link(pod);
      if (pod.grant.outcome !== "granted" || this.#sessions.has(pod.grant.session)) continue;
      // Numbers mean something else in another epoch: what is held is found by the pod and its role.
      const former = before.pods.get(pod.uid)?.grant;
      if (former?.outcome !== "granted" || former.roleArn !== pod.grant.roleArn) continue;
      const held = before.sessions.get(former.session);
      if (held !== undefined) this.#sessions.set(pod.grant.session, held);
    }
    for (const [id, session] of sessions) {
      this.#sessions.set(id, withOutcome(this.#sessions.get(id), session));
    }
    return movedBetween(before.pods, this.#pods);
  }

  #link(pod: FedPod): void {
    for (const address of new Set(pod.addresses)) {
      this.#byAddress.set(address, [...this.at(address), pod]);
    }
  }

  #unlink(pod: FedPod | undefined): void {
    for (const address of pod?.addresses ?? []) {
      const others = this.at(address).filter((other) => other !== pod);
      if (others.length > 0) this.#byAddress.set(address, others);
      else this.#byAddress.delete(address);
    }
  }

  #forgetSessions(): void {
    const named = new Set<SessionId>();
    for (const { grant } of this.#pods.values()) {
      if (grant.outcome === "granted") named.add(grant.session);
    }
    for (const id of this.#sessions.keys()) if (!named.has(id)) this.#sessions.delete(id);
  }
}

function movedBetween(
  before: ReadonlyMap<string, FedPod>,
  now: ReadonlyMap<string, FedPod>,
): readonly PodAddresses[] {
  const gone = [...before.keys()].filter((uid) => !now.has(uid));
  const come = [...now.values()].filter(
    ({ uid, addresses }) => !areSame(before.get(uid)?.addresses, addresses),
  );
  return [...gone.map((uid) => ({ uid, addresses: [] })), ...come];
}

function areSame(
  former: readonly string[] | undefined,
  present: readonly string[] | undefined,
): boolean {
  return (
    former?.length === present?.length &&
    former?.every((address, at) => address === present?.[at]) === true
  );
}

/** STS being away takes nothing away; its definite refusal does. */
function withOutcome(held: HeldSession | undefined, session: FedSession): HeldSession {
  if (session.outcome === "issued") {
    return { credentials: session.credentials, failure: undefined };
  }
  const isPassing = ERRORS[session.code].retryable;
  return { credentials: isPassing ? held?.credentials : undefined, failure: session };
}
