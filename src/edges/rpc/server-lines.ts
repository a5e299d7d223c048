import type { Pause } from "#core/backoff.ts";
import type { Random } from "#core/clock.ts";
import type { Link, LinkOptions } from "./link.ts";
import type { KiamClientEvent } from "./rpc-event.ts";
import { formatHostPort } from "./server-address.ts";
import { ServerLine } from "./server-line.ts";
import { reasonOf } from "./tls-peer.ts";

/** Every address of a host, in any order. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

export interface ServerLinesOptions extends LinkOptions {
  readonly resolve: Resolve;
  readonly resolveMs: number;
  readonly pause: Pause;
  readonly connectMs: number;
  readonly random: Random;
  readonly observe: (event: KiamClientEvent) => void;
}

/** Servers that an agent is connected to at once; what a name lists beyond that is left out. */
const SERVERS_MAX = 16;
/** The least time between two resolutions that failures ask for, in milliseconds. */
const RESOLVE_PAUSE_MS = 250;
/** How long calls may go on at a server that is no longer listed. */
const RETIRE_MS = 10_000;

/** A connection to every server that a name stands for. */
export class ServerLines implements AsyncDisposable {
  readonly #options: ServerLinesOptions;
  readonly #lines = new Map<string, ServerLine>();
  readonly #retiring = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #complaints = new Map<string, string>();
  readonly #done: Promise<void>;
  #hurry = new AbortController();
  #turn = 0;
  /** The latest failure of a resolution or connection; undefined while there is none. */
  lastError: unknown;

  constructor(options: ServerLinesOptions) {
    this.#options = options;
    this.#done = this.#follow().catch(() => undefined);
  }

  /** Every connection that takes calls. */
  links(): readonly Link[] {
    return [...this.#lines.values()]
      .map(({ link }) => link)
      .filter((link) => link !== undefined)
      .filter((link) => !link.over.aborted);
  }

  /** The next connection in turn that isn't excluded: one that answers before one that is late. */
  next(excluded: ReadonlySet<Link>): Link | undefined {
    const links = this.links().filter((link) => !excluded.has(link));
    const sound = links.filter((link) => !link.isSuspect);
    const candidates = sound.length > 0 ? sound : links;
    this.#turn = (this.#turn + 1) % 2 ** 30;
    return candidates[this.#turn % candidates.length];
  }

  /** Calls back when a connection comes up, until the result is disposed. */
  onUp(listener: () => void): Disposable {
    this.#waiting.add(listener);
    return { [Symbol.dispose]: () => void this.#waiting.delete(listener) };
  }

  /** New certificate files may help where the former ones didn't. */
  hurry(): void {
    this.#hurry.abort();
    for (const line of this.#lines.values()) line.hurry();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#lines.values()].map((line) => line[Symbol.asyncDispose]()));
    await this.#done;
    await Promise.all(this.#retiring);
  }

  async #follow(): Promise<void> {
    const { clock, resolveMs } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#hurry = new AbortController();
      const resolved = await this.#resolve(signal);
      const hurried = AbortSignal.any([signal, this.#hurry.signal]);
      const pauseMs = resolved ? resolveMs : Math.min(resolveMs, 4 * RESOLVE_PAUSE_MS);
      await clock.sleep(RESOLVE_PAUSE_MS, signal);
      await clock.sleep(Math.max(0, pauseMs - RESOLVE_PAUSE_MS), hurried).catch(() => undefined);
    }
  }

  /** An empty or failed answer changes nothing: the servers known before may well be there still. */
  async #resolve(signal: AbortSignal): Promise<boolean> {
    const { host, resolve, observe } = this.#options;
    try {
      // Resolvers turn the order, and which ones are left out must not depend on it.
      const found = [...new Set(await resolve(host, signal))].toSorted().slice(0, SERVERS_MAX);
      if (signal.aborted) return false;
      if (found.length === 0) throw new Error(`"${host}" has no address`);
      this.#complaints.delete("");
      this.#use(found);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.lastError = error;
      const reason = reasonOf(error);
      if (this.#isNews("", reason)) observe({ type: "resolve_failed", host, reason });
      return false;
    }
  }

  #use(addresses: readonly string[]): void {
    const added = addresses.filter((address) => !this.#lines.has(address));
    const removed = [...this.#lines.values()].filter(({ address }) => !addresses.includes(address));
    if (added.length === 0 && removed.length === 0) return;
    this.#options.observe({ type: "resolved", host: this.#options.host, addresses });
    for (const address of added) this.#lines.set(address, this.#line(address));
    for (const line of removed) {
      this.#lines.delete(line.address);
      this.#complaints.delete(line.address);
      const retired = line.retire(RETIRE_MS).finally(() => this.#retiring.delete(retired));
      this.#retiring.add(retired);
    }
  }

  #line(address: string): ServerLine {
    const { observe, port } = this.#options;
    const server = formatHostPort({ host: address, port });
    return new ServerLine(address, {
      ...this.#options,
      onUp: () => {
        this.#complaints.delete(address);
        observe({ type: "server_reachable", server });
        for (const listener of this.#waiting) listener();
      },
      onDown: (reason, error) => {
        this.lastError = error;
        this.#hurry.abort();
        if (this.#isNews(address, reason)) observe({ type: "server_unreachable", server, reason });
      },
    });
  }

  /** Whether this was not the last thing said about the address. */
  #isNews(address: string, reason: string): boolean {
    if (this.#complaints.get(address) === reason) return false;
    this.#complaints.set(address, reason);
    return true;
  }
}
