import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Pod } from "../pod/pod.ts";
import type { PodIndex } from "../pod/pod-index.ts";
import type { SessionKey } from "../session/session-identity.ts";
import type { AddressDispute } from "./address-dispute.ts";
import type { FeedMessage, Position } from "./feed-messages.ts";
import type { NodeFacts } from "./node-facts.ts";
import { NodeFeed, type NodeFeedEvent } from "./node-feed.ts";

export interface NodeFeedsOptions {
  readonly facts: NodeFacts;
  /** What is still missing before anything may be said. */
  readonly missing: () => readonly string[];
  readonly pods: Pick<PodIndex, "byUid">;
  readonly epoch: string;
  readonly clock: Clock;
  readonly observe: (event: NodeFeedEvent) => void;
}

/**
 * Agents leave a server that has said nothing for 800 ms: one beat may be lost. Not more often, since beats are
 * most of what an idle feed costs: 112 µs of the server's processor time each, 53 of them TLS and system calls.
 */
const BEAT_MS = 350;
/** How long the changes of a node are remembered for an agent that went away. */
const REMEMBER_MS = 300_000;
/** Nodes that are remembered; more than Kubernetes can have in one cluster. */
const NODES_MAX = 10_000;
/** RFC 1123's bound for the name of a Kubernetes node. */
const NAME_CHARS_MAX = 253;

interface Remembered {
  readonly feed: NodeFeed;
  /** When an agent was last seen to follow it. */
  followedAt: number;
}

/** The feeds of all nodes that agents follow, or did a moment ago. */
export class NodeFeeds {
  readonly #options: NodeFeedsOptions;
  readonly #nodes = new Map<string, Remembered>();
  /** Beyond every revision of the feeds that were forgotten: whoever comes back with one is told everything. */
  #firstRevision = 0;

  constructor(options: NodeFeedsOptions) {
    this.#options = options;
  }

  /** How many streams are open. */
  get followers(): number {
    let sum = 0;
    for (const { feed } of this.#nodes.values()) sum += feed.followers;
    return sum;
  }

  /**
   * The feed of a node (`NodeFeed.follow`).
   *
   * @throws {AppError} `not_ready` before the server has seen the cluster's present state: what an agent
   *   holds is worth more than what half a list says.
   */
  follow(
    node: string,
    held: Position | undefined,
    signal: AbortSignal,
  ): AsyncIterable<FeedMessage> {
    const missing = this.#options.missing();
    if (missing.length > 0) throw new AppError("not_ready", missing.join("; "));
    if (node === "" || node.length > NAME_CHARS_MAX) {
      throw new AppError("invalid_settings", "that is no name of a node; set --node-name");
    }
    return this.#of(node).follow(held, signal);
  }

  /** An agent reports a dispute (`NodeFeed.disputed`); one whose feed is not followed here is not heard. */
  disputed(node: string, dispute: AddressDispute): void {
    this.#nodes.get(node)?.feed.disputed(dispute);
  }

  podChanged({ node, uid }: Pod): void {
    this.#nodes.get(node)?.feed.changed({ of: "pod", uid });
  }

  /** @param owners UIDs of the pods that are concerned */
  sessionChanged(key: SessionKey, owners: Iterable<string>): void {
    const nodes = new Set<string>();
    for (const uid of owners) nodes.add(this.#options.pods.byUid(uid)?.node ?? "");
    for (const node of nodes) this.#nodes.get(node)?.feed.changed({ of: "session", key });
  }

  tokenKeysChanged(): void {
    for (const { feed } of this.#nodes.values()) feed.changed({ of: "token-keys" });
  }

  /** Says on every stream that the server lives, and at the end that it goes. Ends by the signal's reason. */
  async run(signal: AbortSignal): Promise<never> {
    const { clock } = this.#options;
    try {
      for (;;) {
        await clock.sleep(BEAT_MS, signal);
        for (const [node, remembered] of this.#nodes) this.#beat(node, remembered);
      }
    } finally {
      for (const { feed } of this.#nodes.values()) feed.drain();
    }
  }

  #beat(node: string, remembered: Remembered): void {
    const now = this.#options.clock.now();
    if (remembered.feed.followers > 0) remembered.followedAt = now;
    else if (now - remembered.followedAt >= REMEMBER_MS) {
      this.#firstRevision = Math.max(this.#firstRevision, remembered.feed.revision + 1);
      this.#nodes.delete(node);
    }
    remembered.feed.beat();
  }

  #of(node: string): NodeFeed {
    const known = this.#nodes.get(node);
    if (known !== undefined) return known.feed;
    if (this.#nodes.size >= NODES_MAX) {
      throw new AppError("overloaded", `${NODES_MAX} nodes are followed already`);
    }
    const feed = new NodeFeed({ ...this.#options, node, firstRevision: this.#firstRevision });
    this.#nodes.set(node, { feed, followedAt: this.#options.clock.now() });
    return feed;
  }
}
