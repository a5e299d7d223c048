import { backoffMs, type Pause } from "#core/backoff.ts";
import type { Clock, Random } from "#core/clock.ts";
import type { PodTable } from "#core/feed/pod-table.ts";
import { ranked } from "#core/feed/rendezvous.ts";
import { FeedStream } from "./feed-stream.ts";
import { Code } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { Link } from "./link.ts";
import type { FollowerEvent } from "./rpc-event.ts";
import type { ServerLines } from "./server-lines.ts";
import { errorFromStatus } from "./status.ts";
import { reasonOf } from "./tls-peer.ts";

export interface FeedFollowerOptions {
  /** The node whose feed is followed. */
  readonly node: string;
  /** The agent's version. */
  readonly version: string;
  readonly lines: Pick<ServerLines, "links" | "onUp">;
  readonly table: PodTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe: (event: FollowerEvent) => void;
  /** The longest that a better server is left waiting after a roll-out, in milliseconds; 30 s by default. */
  readonly rebalanceMs?: number;
}

/** `unoffered`: every server that can be reached has no feed, as Kiam's have none. */
export type FeedState = "in-sync" | "lost" | "unoffered";

/** How long a server that could not be followed is left alone. */
const PAUSE: Pause = { firstMs: 100, mostMs: 2_000 };
/** A Kiam server does not become another one while its connection stands. */
const UNOFFERED_MS = 30_000;
const REBALANCE_MS = 30_000;
/** The longest between two looks at what might have been missed. */
const LOOK_MS = 5_000;

/** What is known of a server that was tried, for as long as its connection stands. */
interface Tried {
  failures: number;
  /** When it may be tried again. */
  restsUntil: number;
  hasNoFeed: boolean;
}

/**
 * Follows the feed of the own node at one of the servers: the one that the node likes best, another one
 * when that fails, and the best again later, each time in sync there before it leaves where it was.
 */
export class FeedFollower {
  readonly #options: FeedFollowerOptions;
  readonly #tried = new WeakMap<Link, Tried>();
  #current: FeedStream | undefined;
  #rebalanceAt: number | undefined;
  #wake: () => void = () => {};
  #isUnoffered = false;

  constructor(options: FeedFollowerOptions) {
    this.#options = options;
  }

  get state(): FeedState {
    if (this.link !== undefined) return "in-sync";
    return this.#isUnoffered ? "unoffered" : "lost";
  }

  /** The connection to the server that is followed; undefined while none is. */
  get link(): Link | undefined {
    return this.#current?.isOver === false ? this.#current.link : undefined;
  }

  /** Follows until the signal aborts, and ends by its reason. */
  async run(signal: AbortSignal): Promise<never> {
    using _ = this.#options.lines.onUp(() => this.#wake());
    try {
      for (;;) {
        signal.throwIfAborted();
        const link = this.#next();
        if (link === undefined) await this.#news(signal);
        else await this.#move(link, signal);
      }
    } finally {
      this.#current?.close();
    }
  }

  /** Where to go now; undefined when there is nothing better than to stay. */
  #next(): Link | undefined {
    const { lines, node, clock, random, rebalanceMs = REBALANCE_MS } = this.#options;
    const current = this.#current?.isOver === false ? this.#current : undefined;
    const links = lines
      .links()
      .filter((link) => (this.#tried.get(link)?.restsUntil ?? 0) <= clock.now());
    const [address] = ranked(node, [...new Set(links.map((link) => link.address))]);
    const best = links.find((link) => link.address === address);
    if (best === undefined || best === current?.link) {
      this.#rebalanceAt = undefined;
      return undefined;
    }
    if (current === undefined || current.isLeaving) return best;
    // Not all agents at once, and not to a server that may be gone again in a moment.
    this.#rebalanceAt ??= clock.now() + rebalanceMs * random();
    return this.#rebalanceAt <= clock.now() ? best : undefined;
  }

  /** Opens the feed there, and leaves the former one once the new one is in sync. */
  async #move(link: Link, signal: AbortSignal): Promise<void> {
    const { observe } = this.#options;
    const former = this.#current;
    this.#rebalanceAt = undefined;
    const stream = new FeedStream(link, {
      ...this.#options,
      onInSync: () => {
        former?.close();
        this.#current = stream;
        this.#isUnoffered = false;
        this.#tried.delete(link);
        observe({ type: "feed_in_sync", server: link.address });
      },
      onChange: () => this.#changed(stream),
    });
    try {
      while (!stream.isInSync && !stream.isOver) await this.#news(signal);
    } finally {
      if (!stream.isInSync) stream.close();
    }
  }

  #changed(stream: FeedStream): void {
    const { observe } = this.#options;
    const { link, failure } = stream;
    if (stream.isOver && failure !== undefined) {
      const reason = reasonOf(errorFromStatus(failure));
      const isFirst = this.#rest(link, failure);
      if (stream.isInSync) observe({ type: "feed_lost", server: link.address, reason });
      else if (isFirst) observe({ type: "feed_failed", server: link.address, reason });
      this.#noticeUnoffered();
    } else if (stream.isDraining && this.#tried.get(link) === undefined) {
      // Not to be gone back to: a process that drains comes back as another one.
      this.#tried.set(link, {
        failures: 0,
        restsUntil: Number.POSITIVE_INFINITY,
        hasNoFeed: false,
      });
      observe({ type: "feed_draining", server: link.address });
    }
    this.#wake();
  }

  /** Leaves the server alone for a while. Whether this was its first failure. */
  #rest(link: Link, failure: unknown): boolean {
    const { clock, random } = this.#options;
    const failures = this.#tried.get(link)?.failures ?? 0;
    const hasNoFeed = failure instanceof GrpcFailure && failure.code === Code.Unimplemented;
    const pauseMs = hasNoFeed ? UNOFFERED_MS : backoffMs(failures, PAUSE, random);
    const restsUntil = clock.now() + pauseMs;
    this.#tried.set(link, { failures: failures + 1, restsUntil, hasNoFeed });
    return failures === 0 && !hasNoFeed;
  }

  #noticeUnoffered(): void {
    const { lines, table, observe } = this.#options;
    const links = lines.links();
    const isOffered = links.some((link) => this.#tried.get(link)?.hasNoFeed !== true);
    if (links.length === 0 || isOffered || this.#isUnoffered || this.state === "in-sync") return;
    this.#isUnoffered = true;
    // Nothing keeps it true any more.
    table.clear();
    observe({ type: "feed_unoffered" });
  }

  /** Waits until something may have changed, or for a look at what might have been missed. */
  async #news(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await clock.sleep(this.#pauseMs(), AbortSignal.any([signal, woken.signal])).catch(() => {});
    signal.throwIfAborted();
  }

  #pauseMs(): number {
    const { clock, lines } = this.#options;
    const now = clock.now();
    const instants = lines.links().map((link) => this.#tried.get(link)?.restsUntil ?? 0);
    if (this.#rebalanceAt !== undefined) instants.push(this.#rebalanceAt);
    const next = Math.min(...instants.filter((instant) => instant > now), now + LOOK_MS);
    return next - now;
  }
}
