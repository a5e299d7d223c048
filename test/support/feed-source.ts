import { Events } from "./rpc.ts";
import type { FedPod } from "#core/feed/fed-pod.ts";
import type { FeedMessage, Position } from "#core/feed/feed-messages.ts";
import { AppError } from "#core/errors.ts";
import { BASE_ARN } from "./fed-pod.ts";

/** One agent's stream at a {@link FeedSource}. */
export interface FollowedStream {
  readonly type: "followed";
  readonly node: string;
  readonly held: Position | undefined;
}

/** A server's side of the node feed that says what a test tells it to, and nothing by itself. */
export class FeedSource {
  readonly epoch: string;
  readonly streams = new Events<FollowedStream | { readonly type: "left" }>();
  /** Why nobody may follow; undefined when everybody may. */
  refusal: AppError | undefined;
  /** How many streams are open. */
  open = 0;
  #said: FeedMessage[] = [];
  #revision = 0;
  #wake: () => void = () => {};
  #news = Promise.withResolvers<void>();

  constructor(epoch: string) {
    this.epoch = epoch;
    this.#renew();
  }

  readonly follow = (
    node: string,
    held: Position | undefined,
    signal: AbortSignal,
  ): AsyncIterable<FeedMessage> => {
    if (this.refusal !== undefined) throw this.refusal;
    return this.#stream({ type: "followed", node, held }, signal);
  };

  /** Says it on every stream, and to whoever comes later. */
  say(...messages: readonly FeedMessage[]): void {
    this.#said.push(...messages);
    this.#wake();
  }

  /** A snapshot of these pods, whole. */
  saySnapshot(...pods: readonly FedPod[]): void {
    this.sayBatch({ type: "snapshot" }, ...pods.map((pod) => ({ type: "pod", pod }) as const));
  }

  sayBatch(...messages: readonly FeedMessage[]): void {
    this.#revision += 1;
    const position = { epoch: this.epoch, revision: this.#revision };
    this.say(...messages, { type: "in-sync", position, baseArn: BASE_ARN });
  }

  async *#stream(stream: FollowedStream, signal: AbortSignal): AsyncGenerator<FeedMessage> {
    this.open += 1;
    this.streams.observe(stream);
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    try {
      for (let next = 0; !signal.aborted;) {
        const message = this.#said[next];
        next += message === undefined ? 0 : 1;
        if (message === undefined) await Promise.race([this.#news.promise, aborted.promise]);
        else yield message;
      }
    } finally {
      this.open -= 1;
      this.streams.observe({ type: "left" });
    }
  }

  #renew(): void {
    this.#news = Promise.withResolvers();
    this.#wake = () => {
      this.#news.resolve();
      this.#renew();
    };
  }
}
