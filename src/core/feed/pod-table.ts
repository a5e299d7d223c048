import { AppError, ERRORS } from "../errors.ts";
import type { Credentials } from "../session/credentials.ts";
import type { FedPod, SessionId } from "./fed-pod.ts";
import type { FeedBatch } from "./feed-batch.ts";
import type { FedSession, InSync, Position } from "./feed-messages.ts";
import type { TokenKeys } from "./token-keys.ts";

/** More pods than any node has; who tells of more is no server in order. */
const PODS_MAX = 16_384;

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
  #at: InSync | undefined;
  #placesVersion = 0;
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

  /** Another one once a pod came, went, or has other addresses. */
  get placesVersion(): number {
    return this.#placesVersion;
  }

  /** How pods' tokens are verified; undefined while no server has said so. */
  get tokenKeys(): TokenKeys | undefined {
    return this.#tokenKeys;
  }

  /** Every pod that claims the address, in its one spelling: none, one, or several in a dispute. */
  at(address: string): readonly FedPod[] {
    return this.#byAddress.get(address) ?? [];
  }

  all(): Iterable<FedPod> {
    return this.#pods.values();
  }

  byUid(uid: string): FedPod | undefined {
    return this.#pods.get(uid);
  }

  /** Undefined while its credentials are on their way. */
  session(id: SessionId): HeldSession | undefined {
    return this.#sessions.get(id);
  }

  /**
   * Applies a batch that is whole.
   *
   * @throws {AppError} `server_unavailable` for changes to what another server's process said: what they
   *   are about is not what is held. `overloaded` for more pods than a node can have.
   */
  commit(batch: FeedBatch, at: InSync): void {
    const before = batch.isSnapshot ? 0 : this.size;
    if (before + batch.pods.size > PODS_MAX) {
      throw new AppError("overloaded", `the server tells of more than ${PODS_MAX} pods`);
    }
    if (batch.isSnapshot) this.#replace(batch);
    else if (at.position.epoch === this.position?.epoch) this.#change(batch);
    else throw new AppError("server_unavailable", "the feed does not go on from what is held");
    this.#tokenKeys = batch.tokenKeys ?? this.#tokenKeys;
    this.#at = at;
    if (batch.pods.size > 0) this.#forgetSessions();
    this.#tell();
  }

  /** Forgets everything: there is no feed any more that would keep it true. */
  clear(): void {
    this.#pods.clear();
    this.#sessions.clear();
    this.#byAddress.clear();
    this.#at = undefined;
    this.#tokenKeys = undefined;
    this.#placesVersion += 1;
    this.#tell();
  }

  /** Calls back after each batch, and when everything is forgotten, until the result is disposed. */
  onCommit(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #change({ pods, sessions }: FeedBatch): void {
    for (const [id, session] of sessions) {
      this.#sessions.set(id, withOutcome(this.#sessions.get(id), session));
    }
    for (const [uid, pod] of pods) {
      const before = this.#pods.get(uid);
      this.#unlink(before);
      if (!areSame(before?.addresses, pod?.addresses)) this.#placesVersion += 1;
      if (pod === undefined) this.#pods.delete(uid);
      else {
        this.#pods.set(uid, pod);
        this.#link(pod);
      }
    }
  }

  #replace({ pods, sessions }: FeedBatch): void {
    const before = { pods: this.#pods, sessions: this.#sessions };
    this.#pods = new Map();
    this.#sessions = new Map();
    this.#byAddress.clear();
    this.#placesVersion += 1;
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
