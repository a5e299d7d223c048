import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { ownerOfAddress } from "../pod/address-owner.ts";
import { refusedRequest } from "../policy/decide-grant.ts";
import { resolveRole } from "../role/resolve-role.ts";
import type { RoleArn } from "../role/role-arn.ts";
import { areAlive, type Credentials } from "../session/credentials.ts";
import type { AskedTable } from "./asked-table.ts";
import type { FedPod } from "./fed-pod.ts";
import { Flights } from "./flights.ts";
import type { Places } from "./places.ts";
import type { PodAnswers } from "./pod-answers.ts";
import type { PodTable } from "./pod-table.ts";
import { type Waiter, WaitingRoom } from "./waiting-room.ts";

/** What the agent knows of the pod at an address without asking anybody. */
export interface KnownPod {
  /** As the node knows it, which calls static pods by others than the API does; undefined while it is not known. */
  readonly uid: string | undefined;
  /** Whether its namespace asks for session tokens; undefined while that is not known. */
  readonly requireImdsv2: boolean | undefined;
  /** The role that it was granted; undefined without a grant, or where no feed names its ARN. */
  readonly roleArn: RoleArn | undefined;
  /** The pod itself, where the feed tells of it and the node agrees. */
  readonly fed?: FedPod;
}

/** What a pod is given. */
export interface GivenCredentials {
  readonly pod: FedPod;
  readonly roleArn: RoleArn;
  readonly credentials: Credentials;
}

/** Where an answer came from: the feed, what a lost feed left behind, or a server that was asked. */
export type AnswerSource = "memory" | "held" | "server";

export interface NodeTableOptions {
  readonly pods: PodTable;
  readonly isInSync: () => boolean;
  /** What the node itself says of an address. It comes before what any server says. */
  readonly places: Pick<Places, "ownerOf" | "compare" | "confirm">;
  /** A server, asked about an address that the feed does not know, where the node names its pod. */
  readonly server: PodAnswers;
  /** What answers while there is no feed: never was one, or the servers have none. */
  readonly asked: PodAnswers & Pick<AskedTable, "leaveTo">;
  readonly clock: Clock;
  readonly observe?: (source: AnswerSource) => void;
}

/** Asks a server, or what stands in for it. */
type Ask<T> = (from: PodAnswers, podUid: string | undefined, signal: AbortSignal) => Promise<T>;

/** Kubernetes may be telling of the pod, its address or its namespace just now: how long that is waited for. */
const HOLD_MS = 400;
/** How long credentials that the server is getting are waited for, the wait for the pod included. */
const SESSION_MS = 700;
const WAITING_PER_OWNER_MAX = 32;
const WAITING_MAX = 1_024;
/** The longest that one question to a server may take. */
const ASK_MS = 2_000;

/**
 * Whose an address is and what its pod gets: what endpoints ask.
 *
 * The feed answers from memory, a server is asked only about an address that it does not know. Whatever
 * answers, the node itself says first whose the address is now (design invariant 2).
 */
export class NodeTable {
  readonly #options: NodeTableOptions;
  readonly #waiting: WaitingRoom;
  readonly #flights: Flights;

  constructor(options: NodeTableOptions) {
    const { clock, pods } = options;
    this.#options = options;
    this.#waiting = new WaitingRoom({
      clock,
      onNews: (listener) => pods.onCommit(listener),
      patienceMs: {
        pod_not_found: HOLD_MS,
        pod_ambiguous: HOLD_MS,
        namespace_unknown: HOLD_MS,
        not_ready: SESSION_MS,
      },
      perOwnerMax: WAITING_PER_OWNER_MAX,
      allMax: WAITING_MAX,
    });
    this.#flights = new Flights({
      clock,
      longestMs: ASK_MS,
      waitingPerOwnerMax: WAITING_PER_OWNER_MAX,
    });
  }

  /**
   * The role of the pod at an address, as its annotation names it.
   *
   * @throws {AppError} why there is none; one that is retryable where that may pass.
   */
  role(address: string, waiter: Waiter): Promise<string> {
    return this.#answer(address, waiter, "role", roleOf, (ask, podUid, within) =>
      ask.role(address, within, podUid),
    );
  }

  /**
   * As `role`, but only where its credentials may be had as far as is known: a list that leads to a
   * refusal makes clients ask in circles. Does not wait for STS.
   *
   * @throws {AppError} as `credentials`
   */
  async listedRole(address: string, waiter: Waiter): Promise<string> {
    const listed = (pod: FedPod): string => {
      const role = roleOf(pod);
      if (pod.grant.outcome === "refused") throw new AppError(pod.grant.code, pod.grant.reason);
      return role;
    };
    return this.#answer(address, waiter, "listed", listed, async (ask, podUid, within) => {
      const role = await ask.role(address, within, podUid);
      try {
        await ask.credentials(address, role, within, podUid);
      } catch (error) {
        const { code, retryable } = AppError.from(error);
        // What STS refuses is told with the credentials, where it has a form of its own.
        if (!retryable && code !== "sts_denied") throw error;
      }
      return role;
    });
  }

  /**
   * Credentials of `role` for the pod at an address. They are alive when they are returned.
   *
   * @param known what `known` has just said of the address, for a request that has asked it already
   * @throws {AppError} why there are none; one that is retryable where that may pass.
   */
  credentials(
    address: string,
    role: string,
    waiter: Waiter,
    known?: KnownPod,
  ): Promise<Credentials> {
    const given = (pod: FedPod): Credentials => this.#credentialsOf(pod, role);
    const ask: Ask<Credentials> = (from, podUid, within) =>
      from.credentials(address, role, within, podUid);
    return this.#answer(address, waiter, `credentials ${role}`, given, ask, known?.fed);
  }

  /**
   * Credentials of the pod with a UID; whose UID it is must have been proved. No address plays a part in it, and
   * only a feed knows UIDs: no server is asked.
   *
   * @throws {AppError} as `credentials`; `pod_not_found` for a pod that is gone, or not known after the wait.
   */
  async credentialsOf(uid: string, waiter: Waiter): Promise<GivenCredentials> {
    const { isInSync, observe } = this.#options;
    const given = await this.#waiting.firstAnswer(uid, () => this.#givenTo(uid), waiter);
    observe?.(isInSync() ? "memory" : "held");
    return given;
  }

  /** What is known of the pod at an address now. Waits for nothing and never throws. */
  async known(address: string): Promise<KnownPod> {
    try {
      const { fed, uid } = await this.#ownerAt(address);
      const { requireImdsv2, grant } = fed;
      const roleArn = grant.outcome === "granted" ? grant.roleArn : undefined;
      const isDecided = grant.outcome !== "refused" || grant.code !== "namespace_unknown";
      return { uid, requireImdsv2: isDecided ? requireImdsv2 : undefined, roleArn, fed };
    } catch {
      const uid = await this.#recordedAt(address).catch(() => undefined);
      return { uid, requireImdsv2: undefined, roleArn: undefined };
    }
  }

  /** The way of one request: the node says whose the address is, the feed what its pod gets. */
  async #answer<T>(
    address: string,
    waiter: Waiter,
    what: string,
    read: (pod: FedPod) => T,
    ask: Ask<T>,
    known?: FedPod,
  ): Promise<T> {
    const { pods, isInSync, places, asked, server, observe } = this.#options;
    if (pods.position === undefined) {
      const local = await places.ownerOf(address);
      asked.leaveTo(local);
      return ask(asked, local.record?.podUid, waiter.signal);
    }
    // Only at once: after a wait the address may be another pod's.
    let first = known;
    const readNow = async (): Promise<T> => {
      const pod = first ?? (await this.#ownerAt(address)).fed;
      first = undefined;
      return read(pod);
    };
    try {
      const answer = await this.#waiting.firstAnswer(address, readNow, waiter);
      observe?.(isInSync() ? "memory" : "held");
      return answer;
    } catch (error) {
      if (AppError.from(error).code !== "pod_not_found") throw error;
      const podUid = await this.#recordedAt(address);
      // Of an address alone a server says what it says in its feed, and the node could not contradict it.
      if (podUid === undefined) throw error;
      const key = `${address} ${podUid} ${what}`;
      observe?.("server");
      return this.#flights.join(address, key, waiter.signal, (within) =>
        ask(server, podUid, within),
      );
    }
  }

  /**
   * The feed's word on an address, held against the node's own, and the pod's UID by the node where it has one.
   *
   * @throws {AppError} `pod_not_found`, `pod_ambiguous` or `host_network`
   */
  async #ownerAt(address: string): Promise<{ readonly fed: FedPod; readonly uid: string }> {
    const { pods, places } = this.#options;
    const local = await places.ownerOf(address);
    const podUid = local.record?.podUid;
    const named = podUid === undefined ? undefined : pods.byUid(podUid);
    const claims = pods.at(address);
    places.compare(local, claims);
    const fed = ownerOfAddress(address, claims, podUid, named);
    await places.confirm(local, fed);
    return { fed, uid: podUid ?? fed.uid };
  }

  /** @throws {AppError} `pod_ambiguous` */
  async #recordedAt(address: string): Promise<string | undefined> {
    return (await this.#options.places.ownerOf(address)).record?.podUid;
  }

  #givenTo(uid: string): GivenCredentials {
    const pod = this.#options.pods.byUid(uid);
    if (pod === undefined)
      throw new AppError("pod_not_found", "No live pod of this node has the UID.");
    roleOf(pod);
    return this.#granted(pod);
  }

  #credentialsOf(pod: FedPod, requested: string): Credentials {
    const { pods } = this.#options;
    const role = roleOf(pod);
    if (requested !== role && !isInvalid(pod)) {
      const annotated = resolveRole(role, pods.baseArn);
      const mismatch = refusedRequest(pod, annotated, requested, pods.baseArn);
      if (mismatch !== undefined) throw new AppError(mismatch.code, mismatch.reason);
    }
    return this.#granted(pod).credentials;
  }

  #granted(pod: FedPod): GivenCredentials {
    const { pods, clock } = this.#options;
    // Who was read a moment ago, before a look at the node, may be granted something else since, and another
    // server's process means another session by the same number.
    if (pods.byUid(pod.uid) !== pod) {
      throw new AppError(
        "not_ready",
        "The server has just said something new of the pod; try again.",
      );
    }
    const { grant } = pod;
    if (grant.outcome === "none") throw new AppError("no_role", "The pod names no role.");
    if (grant.outcome === "refused") throw new AppError(grant.code, grant.reason);
    const session = pods.session(grant.session);
    const credentials = session?.credentials;
    if (credentials !== undefined && areAlive(credentials, clock.now())) {
      return { pod, roleArn: grant.roleArn, credentials };
    }
    if (session?.failure !== undefined) {
      throw new AppError(session.failure.code, session.failure.reason);
    }
    throw session === undefined
      ? new AppError("not_ready", "The server is getting the role's credentials; try again.")
      : new AppError("sts_unavailable", "The role's credentials have expired.");
  }
}

function roleOf({ role, grant }: FedPod): string {
  if (role !== undefined && role !== "") return role;
  const reason = grant.outcome === "refused" ? grant.reason : "The pod names no role.";
  throw new AppError("no_role", reason);
}

/** Whether the annotation is no role: then whatever is asked for, that is why. */
function isInvalid({ grant }: FedPod): boolean {
  return grant.outcome === "refused" && grant.code === "invalid_role";
}
