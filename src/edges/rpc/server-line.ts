import { backoffMs } from "#core/backoff.ts";
import type { Pause } from "#core/backoff.ts";
import type { Random } from "#core/clock.ts";
import { openLink } from "./link.ts";
import type { Link, LinkOptions } from "./link.ts";
import { reasonOf } from "./tls-peer.ts";

export interface ServerLineOptions extends LinkOptions {
  readonly random: Random;
  /** Pauses between connections that fail. */
  readonly pause: Pause;
  /** A connection that isn't up after this long is given up, in milliseconds. */
  readonly connectMs: number;
  readonly onUp: (link: Link) => void;
  /** The last connection ended, or a new one could not be made. */
  readonly onDown: (reason: string, error: unknown) => void;
}

/** Keeps one connection to one server address open, for ever. */
export class ServerLine implements AsyncDisposable {
  readonly address: string;
  /** The connection to use; undefined while there is none. */
  link: Link | undefined;
  readonly #options: ServerLineOptions;
  readonly #stop = new AbortController();
  readonly #links = new Set<Link>();
  readonly #done: Promise<void>;
  #hurry = new AbortController();

  constructor(address: string, options: ServerLineOptions) {
    this.address = address;
    this.#options = options;
    this.#done = this.#keep().catch(() => undefined);
  }

  /** Cuts the pause before the next try short: something changed that may help. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Lets open calls end on their own, for `graceMs` at most, once the server is no longer wanted. */
  async retire(graceMs: number): Promise<void> {
    this.#stop.abort();
    const { clock } = this.#options;
    for (const link of this.#links) link.retire("the server is no longer listed");
    const links = [...this.#links];
    const done = new AbortController();
    const gone = Promise.all(links.map((link) => aborted(link.gone))).then(() => done.abort());
    await Promise.race([gone, clock.sleep(graceMs, done.signal).catch(() => undefined)]);
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const link of this.#links) link.destroy();
    await this.#done;
  }

  async #keep(): Promise<void> {
    const { clock, random, pause, onUp, onDown } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; failures += 1) {
      this.#hurry = new AbortController();
      try {
        const link = await this.#open();
        this.link = link;
        const openedAt = clock.now();
        onUp(link);
        await aborted(AbortSignal.any([link.over, signal]));
        this.link = undefined;
        if (signal.aborted) return;
        onDown(reasonOf(link.over.reason), link.over.reason);
        // A connection that served for a while was no failure: the next one is tried at once.
        if (clock.now() - openedAt >= pause.mostMs) failures = -1;
      } catch (error) {
        if (signal.aborted) return;
        onDown(reasonOf(error), error);
      }
      if (failures < 0) continue;
      const rest = AbortSignal.any([signal, this.#hurry.signal]);
      await clock.sleep(backoffMs(failures, pause, random), rest).catch(() => undefined);
    }
  }

  async #open(): Promise<Link> {
    const { clock, connectMs } = this.#options;
    const giveUp = new AbortController();
    const done = new AbortController();
    const timer = clock.sleep(connectMs, AbortSignal.any([done.signal, this.#stop.signal])).then(
      () => giveUp.abort(new Error(`no connection within ${connectMs} ms`)),
      () => undefined,
    );
    try {
      const signal = AbortSignal.any([giveUp.signal, this.#stop.signal]);
      const link = await openLink(this.address, this.#options, signal);
      this.#links.add(link);
      link.gone.addEventListener("abort", () => this.#links.delete(link), { once: true });
      return link;
    } finally {
      done.abort();
      await timer;
    }
  }
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
