import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { EventWindow } from "../pod/event-window.ts";
import type { Refusal } from "../policy/grant.ts";
import type { Pod } from "../pod/pod.ts";
import type { SessionKey } from "../session/session-identity.ts";
import type { AddressDispute } from "./address-dispute.ts";
import { ChangeLog } from "./change-log.ts";
import type { FeedMessage, Position } from "./feed-messages.ts";
import type { NodeFacts, PodFact, SessionFact } from "./node-facts.ts";

/** Of what something new is to be said. */
export type FactChange =
  | { readonly of: "pod"; readonly uid: string }
  | { readonly of: "session"; readonly key: SessionKey }
  | { readonly of: "token-keys" };

/** What happens to feeds, for logs, metrics and the pods' events. */
export type NodeFeedEvent =
  /** An agent follows. `resumed`: it was only told what had changed. */
  | { readonly type: "followed"; readonly node: string; readonly from: "snapshot" | "resumed" }
  /** An agent took so long that it got a snapshot instead of everything that it missed. */
  | { readonly type: "resynced"; readonly node: string }
  | { readonly type: "left"; readonly node: string }
  /** An agent is told that a pod gets nothing. */
  | {
      readonly type: "refused";
      readonly pod: Pod;
      /** The role as annotated. */
      readonly requested: string;
      readonly refusal: Refusal;
    }
  | { readonly type: "session_failed"; readonly pod: Pod; readonly error: AppError }
  /** An agent refuses the requests of an address that is said to be the pod's. */
  | { readonly type: "address_disputed"; readonly pod: Pod; readonly dispute: AddressDispute };

export interface NodeFeedOptions {
  readonly node: string;
  readonly facts: NodeFacts;
  /** Names the process; revisions mean nothing in another one. */
  readonly epoch: string;
  /** Where revisions begin: beyond every one that a forgotten feed of the node has given. */
  readonly firstRevision: number;
  readonly clock: Clock;
  readonly observe: (event: NodeFeedEvent) => void;
}

/** Changes that are remembered for agents that come back. */
const CHANGES_MAX = 256;
/**
 * Changes within so long of a batch wait for the next one: with a thousand in a second, a batch for each would cost
 * both ends most of their time. What changes after a pause goes at once.
 */
export const BATCH_EVERY_MS = 10;
/** What an agent may report: each address once in a window, and so many in all. */
const DISPUTES = { windowMs: 60_000, entriesMax: 64 };
/** One agent is there twice while it moves; more is nothing that a node does. */
const FOLLOWERS_MAX = 8;

/**
 * The feed of one node. Only what has changed is remembered, never what was said of it: a slow agent has
 * no queue, it is told what is true when it reads again.
 */
export class NodeFeed {
  readonly #options: NodeFeedOptions;
  readonly #log: ChangeLog<FactChange>;
  /** What wakes each follower that waits. */
  readonly #followers = new Set<Follower>();
  readonly #disputes: EventWindow;
  #isDraining = false;

  constructor(options: NodeFeedOptions) {
    this.#options = options;
    this.#log = new ChangeLog(CHANGES_MAX, options.firstRevision);
    this.#disputes = new EventWindow({ ...options, ...DISPUTES });
  }

  /** How many streams are open. */
  get followers(): number {
    return this.#followers.size;
  }

  /** The last change's. */
  get revision(): number {
    return this.#log.revision;
  }

  changed(change: FactChange): void {
    this.#log.add(change);
    this.beat();
  }

  /** Tells of the pods in a dispute: of those that live on this node, since no other is the agent's to speak of. */
  disputed(dispute: AddressDispute): void {
    const { node, facts, observe } = this.#options;
    if (!this.#disputes.admits(dispute.address, dispute.between)) return;
    for (const uid of new Set(dispute.podUids)) {
      const pod = facts.pod(uid)?.pod;
      if (pod?.node === node) observe({ type: "address_disputed", pod, dispute });
    }
  }

  /** Lets each follower say what is new, or at least that the server lives. */
  beat(): void {
    for (const follower of this.#followers) follower.wake();
  }

  /** Sends the agents elsewhere. */
  drain(): void {
    this.#isDraining = true;
    this.beat();
  }

  /**
   * Everything about the node, from now until the signal aborts: what has changed since `held`, where that
   * is remembered, else a snapshot.
   *
   * @throws {AppError} `not_ready`; `overloaded` when too many follow already.
   */
  async *follow(held: Position | undefined, signal: AbortSignal): AsyncGenerator<FeedMessage> {
    const { node, epoch, clock, observe } = this.#options;
    if (this.#followers.size >= FOLLOWERS_MAX) {
      throw new AppError("overloaded", `${FOLLOWERS_MAX} agents follow this node already`);
    }
    const follower = new Follower(signal, () => {
      if (this.#followers.delete(follower)) observe({ type: "left", node });
    });
    this.#followers.add(follower);
    try {
      const resumed = held?.epoch === epoch ? this.#since(held.revision) : undefined;
      observe({ type: "followed", node, from: resumed === undefined ? "snapshot" : "resumed" });
      let batch = resumed ?? this.#snapshot();
      for (let isToldToLeave = false; !signal.aborted;) {
        const { revision } = batch;
        const mayFollow = clock.sleep(BATCH_EVERY_MS, signal).catch(() => undefined);
        yield* batch.messages;
        while (!signal.aborted && this.#log.revision === revision) {
          if (this.#isDraining && !isToldToLeave) {
            isToldToLeave = true;
            yield { type: "drain" };
          }
          await follower.woken();
          if (this.#log.revision === revision) yield { type: "heartbeat" };
        }
        await mayFollow;
        batch = this.#since(revision) ?? this.#resync();
      }
    } finally {
      follower.leave();
    }
  }

  #resync(): Batch {
    this.#options.observe({ type: "resynced", node: this.#options.node });
    return this.#snapshot();
  }

  #snapshot(): Batch {
    const { facts, node } = this.#options;
    const pods = [...facts.uidsOn(node)]
      .map((uid) => facts.pod(uid))
      .filter((fact) => fact !== undefined);
    const keys = new Set(pods.map(({ session }) => session).filter((key) => key !== undefined));
    return this.#batch([
      { type: "snapshot" },
      ...this.#tokenKeys(),
      ...[...keys].flatMap((key) => this.#session(key)),
      ...pods.map((fact) => this.#pod(fact)),
    ]);
  }

  /** What has changed since a revision, as it is now; undefined when that is not remembered. */
  #since(revision: number): Batch | undefined {
    const changes = this.#log.since(revision);
    if (changes === undefined) return undefined;
    const uids = new Set(changes.flatMap((change) => (change.of === "pod" ? [change.uid] : [])));
    const keys = new Set(
      changes.flatMap((change) => (change.of === "session" ? [change.key] : [])),
    );
    const hasKeys = changes.some((change) => change.of === "token-keys");
    return this.#batch([
      ...(hasKeys ? this.#tokenKeys() : []),
      ...[...keys].flatMap((key) => this.#session(key)),
      ...[...uids].map((uid) => {
        const fact = this.#options.facts.pod(uid);
        return fact === undefined ? ({ type: "pod-gone", uid } as const) : this.#pod(fact);
      }),
    ]);
  }

  #batch(messages: readonly FeedMessage[]): Batch {
    const { epoch, facts } = this.#options;
    const { revision } = this.#log;
    const position = { epoch, revision };
    const inSync = { type: "in-sync", position, baseArn: facts.baseArn } as const;
    return { messages: [...messages, inSync], revision };
  }

  #tokenKeys(): FeedMessage[] {
    const tokenKeys = this.#options.facts.tokenKeys();
    return tokenKeys === undefined ? [] : [{ type: "token-keys", tokenKeys }];
  }

  #pod({ fed, pod, refusal }: PodFact): FeedMessage {
    if (refusal !== undefined) {
      this.#options.observe({ type: "refused", pod, requested: pod.role ?? "", refusal });
    }
    return { type: "pod", pod: fed };
  }

  #session(key: SessionKey): FeedMessage[] {
    const fact = this.#options.facts.session(key);
    if (fact === undefined) return [];
    this.#tellOfFailure(key, fact);
    return [{ type: "session", ...fact }];
  }

  #tellOfFailure(key: SessionKey, { session }: SessionFact): void {
    if (session.outcome === "issued") return;
    const { facts, node, observe } = this.#options;
    const error = new AppError(session.code, session.reason);
    for (const uid of facts.uidsOn(node)) {
      const fact = facts.pod(uid);
      if (fact?.session === key) observe({ type: "session_failed", pod: fact.pod, error });
    }
  }
}

/** Messages that count together, and the revision that they lead to. */
interface Batch {
  readonly messages: readonly FeedMessage[];
  readonly revision: number;
}

/** One stream's wait for news. Whoever ends the stream may do so while the stream is stuck in a write. */
class Follower {
  readonly #signal: AbortSignal;
  readonly #left: () => void;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal, left: () => void) {
    this.#signal = signal;
    this.#left = left;
    signal.addEventListener("abort", this.leave, { once: true });
  }

  /** Settles at the next `wake`, or when the stream ends. */
  async woken(): Promise<void> {
    if (this.#signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }

  readonly leave = (): void => {
    this.#signal.removeEventListener("abort", this.leave);
    this.#left();
    this.#wake();
  };
}
