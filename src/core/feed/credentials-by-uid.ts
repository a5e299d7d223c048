import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { orAborted } from "../or-aborted.ts";
import type { RoleArn } from "../role/role-arn.ts";
import { areAlive, type Credentials } from "../session/credentials.ts";
import type { FedPod } from "./fed-pod.ts";
import { Flights } from "./flights.ts";
import type { PodTable } from "./pod-table.ts";

/** What a pod is given. */
export interface GivenCredentials {
  readonly pod: FedPod;
  readonly roleArn: RoleArn;
  readonly credentials: Credentials;
}

/** Spans are milliseconds. */
export interface CredentialsByUidOptions {
  readonly table: PodTable;
  readonly clock: Clock;
  /** How long a pod, or its session, that the feed has not brought yet is waited for. */
  readonly holdMs?: number;
  readonly waitingPerPodMax?: number;
}

/** Of clients' patience, 500 ms at the least, some is left for the way back. */
const HOLD_MS = 400;
const WAITING_PER_POD_MAX = 128;

/** Credentials of the pod with a UID, from memory; whose UID it is must have been proved. */
export class CredentialsByUid {
  readonly #table: PodTable;
  readonly #clock: Clock;
  readonly #holdMs: number;
  readonly #holds: Flights;

  constructor({ table, clock, holdMs, waitingPerPodMax }: CredentialsByUidOptions) {
    this.#table = table;
    this.#clock = clock;
    this.#holdMs = holdMs ?? HOLD_MS;
    this.#holds = new Flights({
      clock,
      longestMs: 2 * this.#holdMs,
      waitingPerOwnerMax: waitingPerPodMax ?? WAITING_PER_POD_MAX,
    });
  }

  /**
   * The pod's credentials, alive when they are returned.
   *
   * @throws {AppError} the refusal of the pod's grant or of STS; `no_role`; `pod_not_found` for a pod that is
   * gone, or not known after the wait.
   */
  async of(uid: string, signal: AbortSignal): Promise<GivenCredentials> {
    if (this.#isOnItsWay(uid)) {
      await this.#holds.join(uid, uid, signal, (within) => this.#hold(uid, within));
    }
    const pod = this.#table.byUid(uid);
    if (pod === undefined) {
      throw new AppError("pod_not_found", "The token's pod is not known on this node.");
    }
    return this.#given(pod);
  }

  #given(pod: FedPod): GivenCredentials {
    const { grant } = pod;
    if (grant.outcome === "none") throw new AppError("no_role", "The pod names no role.");
    if (grant.outcome === "refused") throw new AppError(grant.code, grant.reason);
    const held = this.#table.session(grant.session);
    const credentials = held?.credentials;
    if (credentials !== undefined && areAlive(credentials, this.#clock.now())) {
      return { pod, roleArn: grant.roleArn, credentials };
    }
    if (held?.failure !== undefined) throw new AppError(held.failure.code, held.failure.reason);
    throw new AppError("sts_unavailable", "The pod's credentials have not come yet, or expired.");
  }

  /** Whether the feed may still bring what an answer needs. */
  #isOnItsWay(uid: string): boolean {
    const grant = this.#table.byUid(uid)?.grant;
    if (grant === undefined) return true;
    return grant.outcome === "granted" && this.#table.session(grant.session) === undefined;
  }

  async #hold(uid: string, signal: AbortSignal): Promise<void> {
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    using _ = this.#table.onCommit(() => {
      if (!this.#isOnItsWay(uid)) resolve();
    });
    const done = new AbortController();
    const over = this.#clock.sleep(this.#holdMs, done.signal).catch(() => {});
    try {
      await orAborted(Promise.race([arrived, over]), signal);
    } finally {
      done.abort(new Error("the wait is over"));
    }
  }
}
