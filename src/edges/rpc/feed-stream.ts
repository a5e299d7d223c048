import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { FeedBatch } from "#core/feed/feed-batch.ts";
import type { PodTable } from "#core/feed/pod-table.ts";
import { feedMessageFromWire } from "./feed-wire.ts";
import { type FeedMessage as WireMessage, NodeFeed } from "./gen/rolecall/v1/node_feed_pb.ts";
import type { Link } from "./link.ts";

export interface FeedStreamOptions {
  readonly node: string;
  /** The agent's version, for the server's log. */
  readonly version: string;
  readonly table: PodTable;
  readonly clock: Clock;
  /** Called once the first batch is applied: from then on no other stream may write. */
  readonly onInSync: () => void;
  /** Called whenever something about the stream changed: in sync, its server going, over. */
  readonly onChange: () => void;
}

/** A server that says nothing for so long is gone, or frozen; it beats twice in that time. */
const SILENT_MS = 800;
/** However much a server says meanwhile: one that does not get through its first batch is of no use. */
const FIRST_BATCH_MS = 5_000;
const PING_PATIENCE_MS = 150;

/** One server's feed, read into the table batch by batch until it ends. */
export class FeedStream {
  readonly link: Link;
  isInSync = false;
  /** Whether the server asked its agents to go elsewhere. */
  isDraining = false;
  isOver = false;
  /** Why it ended; undefined while it goes on, and once it was closed. */
  failure: unknown;
  readonly #options: FeedStreamOptions;
  readonly #stop = new AbortController();
  #heardAt: number;

  constructor(link: Link, options: FeedStreamOptions) {
    this.link = link;
    this.#options = options;
    this.#heardAt = options.clock.now();
    // Ends with the stream, by the aborted sleep.
    this.#watch().catch(() => {});
    this.#read().catch((error: unknown) => this.#end(error));
    link.over.addEventListener("abort", options.onChange, { signal: this.#stop.signal });
  }

  /** Whether it will end soon, though it goes on for now. */
  get isLeaving(): boolean {
    return this.isDraining || this.link.over.aborted;
  }

  /** Applies nothing more, from now on. */
  close(): void {
    this.#end(undefined);
  }

  async #read(): Promise<void> {
    const { node, version, table } = this.#options;
    const { position } = table;
    const held =
      position === undefined ? undefined : { ...position, revision: BigInt(position.revision) };
    const signal = AbortSignal.any([this.#stop.signal, this.link.gone]);
    const request = { node, version, ...(held === undefined ? {} : { held }) };
    let batch = new FeedBatch();
    await this.link.stream(NodeFeed.method.follow, request, {
      signal,
      onMessage: (wire) => {
        if (!this.isOver) batch = this.#take(batch, wire);
      },
    });
    throw new AppError("server_unavailable", "the server ended the feed");
  }

  /** The batch that the next message belongs to. */
  #take(batch: FeedBatch, wire: WireMessage): FeedBatch {
    const { clock, table, onInSync, onChange } = this.#options;
    this.#heardAt = clock.now();
    const message = feedMessageFromWire(wire);
    if (message === undefined) return batch;
    switch (message.type) {
      case "heartbeat":
        return batch;
      case "drain":
        this.isDraining = true;
        onChange();
        return batch;
      case "in-sync":
        table.commit(batch, message);
        if (!this.isInSync) {
          this.isInSync = true;
          onInSync();
          onChange();
        }
        return new FeedBatch();
      default:
        batch.add(message);
        return batch;
    }
  }

  async #watch(): Promise<void> {
    const { clock } = this.#options;
    const openedAt = clock.now();
    for (;;) {
      const silentAt = this.#heardAt + SILENT_MS;
      const lateAt = this.isInSync ? Number.POSITIVE_INFINITY : openedAt + FIRST_BATCH_MS;
      const leftMs = Math.min(silentAt, lateAt) - clock.now();
      if (leftMs <= 0) break;
      await clock.sleep(leftMs, this.#stop.signal);
    }
    const isSilent = clock.now() - this.#heardAt >= SILENT_MS;
    const what = isSilent ? `silent for ${SILENT_MS} ms` : "never in sync";
    this.#end(new AppError("server_unavailable", `the server was ${what}`));
    // Whether the connection itself is of any use still, only a ping tells.
    void this.link.suspect(PING_PATIENCE_MS);
  }

  #end(failure: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.failure = failure;
    this.#stop.abort(new Error("the feed is over"));
    this.#options.onChange();
  }
}
