import type { Clock } from "../clock.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { areAlive, type Credentials } from "../session/credentials.ts";
import { Flights } from "./flights.ts";

/**
 * The server, as the table asks it. `podUid` is the pod that the node gave the address to, where that is
 * known. Both throw AppError: `server_unavailable` when none answers.
 */
export interface AskServer {
  role(address: string, signal: AbortSignal, podUid?: string): Promise<string>;
  credentials(
    address: string,
    role: string,
    signal: AbortSignal,
    podUid?: string,
  ): Promise<Credentials>;
}

/** The UID of the pod that the node itself gave an address to; undefined where the node can't tell. */
export type PodAt = (address: string) => Promise<string | undefined>;

/** What the table did that somebody may count or log. */
export type NodeTableEvent =
  | {
      readonly type: "held-served";
      readonly what: "role" | "credentials";
      readonly address: string;
    }
  | { readonly type: "evicted"; readonly address: string };

/** Spans are milliseconds. */
export interface NodeTableOptions {
  readonly ask: AskServer;
  readonly clock: Clock;
  /** What the node knows by itself; nothing when absent. */
  readonly podAt?: PodAt;
  /** How long a checked answer is served without asking again. With one call: below a second. */
  readonly freshMs?: number;
  /** How long a pod that nobody knows yet is waited for. */
  readonly holdMs?: number;
  /** The longest that one question may take, whatever the server does. */
  readonly askMaxMs?: number;
  readonly addressesMax?: number;
  readonly waitingPerAddressMax?: number;
  readonly observe?: (event: NodeTableEvent) => void;
}

interface Held {
  credentials: Credentials;
  checkedAt: number;
}

interface Entry {
  /** Whom the node gave the address to when this was learnt; undefined where it could not tell. */
  podUid: string | undefined;
  role: { readonly name: string; readonly checkedAt: number } | undefined;
  readonly credentials: Map<string, Held>;
  /** Grows whenever something was taken away: an answer that was asked for before is not kept. */
  generation: number;
}

/** A pod has one role; a name and its full ARN may both be asked for. */
const ROLES_PER_ADDRESS_MAX = 4;
/** After a server was found away: how long what is held is served without waiting for it. */
const AWAY_MS = 1_000;
/** A server that says nothing for this long is not waited for when an answer is held: clients leave at 500 ms. */
const SILENT_MS = 200;
const REASK_FIRST_MS = 50;
const REASK_MOST_MS = 100;

/** The server could not decide: what it decided before stays true while the credentials live. */
const UNDECIDED: ReadonlySet<ErrorCode> = new Set([
  "server_unavailable",
  "not_ready",
  "overloaded",
  "sts_unavailable",
  "sts_throttled",
  "kubernetes_unavailable",
  "internal",
]);
/** Refusals that are about the pod, so that nothing held for its address may remain. */
const ABOUT_POD: ReadonlySet<ErrorCode> = new Set([
  "pod_not_found",
  "pod_ambiguous",
  "host_network",
  "no_role",
]);

/**
 * The agent's picture of its node: address → role and credentials, as the server last confirmed.
 *
 * An answer confirmed within `freshMs` comes from memory; an older one is confirmed first, by one
 * call for all who wait. A definite answer replaces or removes what is held. While no server can
 * decide, what is held is served until the credentials expire, never after.
 */
export class NodeTable {
  readonly #ask: AskServer;
  readonly #clock: Clock;
  readonly #podAt: PodAt;
  readonly #freshMs: number;
  readonly #holdMs: number;
  readonly #addressesMax: number;
  readonly #observe: (event: NodeTableEvent) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #flights: Flights;
  #awayAt = Number.NEGATIVE_INFINITY;

  constructor(options: NodeTableOptions) {
    this.#ask = options.ask;
    this.#clock = options.clock;
    this.#podAt = options.podAt ?? (async () => undefined);
    this.#freshMs = options.freshMs ?? 500;
    this.#holdMs = options.holdMs ?? 400;
    this.#addressesMax = options.addressesMax ?? 4_096;
    this.#observe = options.observe ?? (() => {});
    this.#flights = new Flights({
      clock: options.clock,
      longestMs: options.askMaxMs ?? 5_000,
      waitingPerOwnerMax: options.waitingPerAddressMax ?? 128,
    });
  }

  /**
   * The role of the pod at an address, as its annotation names it.
   *
   * @throws {AppError} the server's refusal; `no_role` when the annotation is empty.
   */
  async role(address: string, signal: AbortSignal): Promise<string> {
    return this.#answer({
      address,
      signal,
      key: "role",
      what: "role",
      held: () => this.#heldRole(address),
      isFresh: () => this.#isFresh(this.#entries.get(address)?.role?.checkedAt),
      ask: (podUid, within) => this.#askRole({ address, podUid }, within),
    });
  }

  /**
   * Credentials of `role` for the pod at an address. They are alive when they are returned.
   *
   * @throws {AppError} the server's refusal, or `server_unavailable` when nothing alive is held.
   */
  async credentials(address: string, role: string, signal: AbortSignal): Promise<Credentials> {
    return this.#answer({
      address,
      signal,
      key: `credentials ${role}`,
      what: "credentials",
      held: () => this.#heldCredentials(address, role),
      isFresh: () => this.#isFresh(this.#entries.get(address)?.credentials.get(role)?.checkedAt),
      ask: (podUid, within) => this.#askCredentials({ address, podUid }, role, within),
    });
  }

  /** Forgets what can no longer be served. To be called now and then, a minute apart or so. */
  sweep(): void {
    for (const [address, entry] of this.#entries) {
      for (const [role, { credentials }] of entry.credentials) {
        if (!areAlive(credentials, this.#clock.now())) entry.credentials.delete(role);
      }
      if (entry.credentials.size === 0 && !this.#isFresh(entry.role?.checkedAt)) {
        this.#entries.delete(address);
      }
    }
  }

  /** How many addresses are held. */
  get size(): number {
    return this.#entries.size;
  }

  async #answer<T>(question: Question<T>): Promise<T> {
    const { address, signal, what } = question;
    const podUid = await this.#podAt(address);
    this.#leaveTo(podUid, address);
    const before = question.held();
    if (before !== undefined && question.isFresh()) return before;

    const key = `${address} ${podUid ?? ""} ${question.key}`;
    const asking = this.#flights.join<T>(address, key, signal, (within) =>
      question.ask(podUid, within),
    );
    if (before !== undefined && this.#clock.now() - this.#awayAt < AWAY_MS) {
      // Confirmed in the background: a dead server must not cost every request its timeout.
      asking.catch(() => {});
      this.#observe({ type: "held-served", what, address });
      return before;
    }
    try {
      return before === undefined ? await asking : await this.#orHeld(asking, question);
    } catch (error) {
      if (!(error instanceof AppError) || !UNDECIDED.has(error.code)) throw error;
      // Looked up again: the credentials may have expired, or been taken away, while it was asked.
      const after = question.held();
      if (after === undefined) throw error;
      this.#observe({ type: "held-served", what, address });
      return after;
    }
  }

  /** What the server says, or what is held when it says nothing for too long. */
  async #orHeld<T>(asking: Promise<T>, { held, what, address }: Question<T>): Promise<T> {
    const done = new AbortController();
    const silent = this.#clock.sleep(SILENT_MS, done.signal).then(
      () => {
        const after = held();
        if (after === undefined) return asking;
        this.#observe({ type: "held-served", what, address });
        return after;
      },
      () => asking,
    );
    try {
      return await Promise.race([asking, silent]);
    } finally {
      done.abort(new Error("answered"));
      // The later of the two may still fail, and nobody waits for it.
      asking.catch(() => {});
      silent.catch(() => {});
    }
  }

  async #askRole(owner: Owner, signal: AbortSignal): Promise<string> {
    const { address, podUid } = owner;
    const generation = this.#entries.get(address)?.generation;
    try {
      const name = await this.#untilKnown(() => this.#ask.role(address, signal, podUid), signal);
      if (name === "") throw new AppError("no_role", "The pod names no role.");
      this.#awayAt = Number.NEGATIVE_INFINITY;
      if (this.#entries.get(address)?.generation === generation) this.#holdRole(owner, name);
      return name;
    } catch (error) {
      const refusal = this.#noted(error);
      if (!UNDECIDED.has(refusal.code)) this.#forget(address);
      throw refusal;
    }
  }

  async #askCredentials(owner: Owner, role: string, signal: AbortSignal): Promise<Credentials> {
    const { address, podUid } = owner;
    const generation = this.#entries.get(address)?.generation;
    try {
      const ask = (): Promise<Credentials> => this.#ask.credentials(address, role, signal, podUid);
      const credentials = await this.#untilKnown(ask, signal);
      if (!areAlive(credentials, this.#clock.now())) {
        throw new AppError("sts_unavailable", "The server's credentials have expired.");
      }
      this.#awayAt = Number.NEGATIVE_INFINITY;
      if (this.#entries.get(address)?.generation === generation) {
        this.#holdCredentials(owner, role, credentials);
      }
      return credentials;
    } catch (error) {
      const refusal = this.#noted(error);
      if (ABOUT_POD.has(refusal.code)) this.#forget(address);
      else if (!UNDECIDED.has(refusal.code)) this.#forgetRole(address, role);
      throw refusal;
    }
  }

  /** Asks again while the pod, or its namespace, is not known yet, for at most `holdMs`. */
  async #untilKnown<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const until = this.#clock.now() + this.#holdMs;
    for (let pauseMs = REASK_FIRST_MS; ; pauseMs = REASK_MOST_MS) {
      try {
        return await ask();
      } catch (error) {
        const { code } = AppError.from(error);
        const mayAppear = code === "pod_not_found" || code === "namespace_unknown";
        if (!mayAppear || this.#clock.now() + pauseMs > until) throw error;
      }
      await this.#clock.sleep(pauseMs, signal);
    }
  }

  /** What was learnt of the address' former owner is not the present one's (design invariant 2). */
  #leaveTo(podUid: string | undefined, address: string): void {
    const entry = this.#entries.get(address);
    if (podUid === undefined || entry === undefined || entry.podUid === podUid) return;
    if (entry.podUid !== undefined) this.#forget(address);
    entry.podUid = podUid;
  }

  #noted(error: unknown): AppError {
    const refusal = AppError.from(error);
    this.#awayAt =
      refusal.code === "server_unavailable" ? this.#clock.now() : Number.NEGATIVE_INFINITY;
    return refusal;
  }

  #isFresh(checkedAt: number | undefined): boolean {
    return checkedAt !== undefined && this.#clock.now() - checkedAt < this.#freshMs;
  }

  /** A role is only worth repeating while it is fresh or credentials for it are still held. */
  #heldRole(address: string): string | undefined {
    const role = this.#entries.get(address)?.role;
    if (role === undefined) return undefined;
    if (this.#isFresh(role.checkedAt)) return role.name;
    return this.#heldCredentials(address, role.name) === undefined ? undefined : role.name;
  }

  #heldCredentials(address: string, role: string): Credentials | undefined {
    const credentials = this.#entries.get(address)?.credentials.get(role)?.credentials;
    return credentials !== undefined && areAlive(credentials, this.#clock.now())
      ? credentials
      : undefined;
  }

  #holdRole({ address, podUid }: Owner, name: string): void {
    const entry = this.#entry(address);
    entry.podUid = podUid ?? entry.podUid;
    entry.role = { name, checkedAt: this.#clock.now() };
    for (const role of entry.credentials.keys()) {
      // Another role is another pod, or a changed annotation: what it had is not this pod's.
      if (role !== name) this.#forgetRole(address, role);
    }
  }

  #holdCredentials({ address, podUid }: Owner, role: string, credentials: Credentials): void {
    const entry = this.#entry(address);
    entry.podUid = podUid ?? entry.podUid;
    const held = entry.credentials;
    held.delete(role);
    const oldest = held.keys().next().value;
    if (held.size >= ROLES_PER_ADDRESS_MAX && oldest !== undefined) held.delete(oldest);
    held.set(role, { credentials, checkedAt: this.#clock.now() });
  }

  #forgetRole(address: string, role: string): void {
    const entry = this.#entry(address);
    entry.credentials.delete(role);
    entry.generation += 1;
  }

  #forget(address: string): void {
    const entry = this.#entry(address);
    entry.role = undefined;
    entry.credentials.clear();
    entry.generation += 1;
  }

  /** The entry of an address, now the youngest one. The oldest gives way when the table is full. */
  #entry(address: string): Entry {
    const entry = this.#entries.get(address) ?? {
      podUid: undefined,
      role: undefined,
      credentials: new Map<string, Held>(),
      generation: 0,
    };
    this.#entries.delete(address);
    this.#entries.set(address, entry);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > this.#addressesMax && oldest !== undefined) {
      this.#entries.delete(oldest);
      this.#observe({ type: "evicted", address: oldest });
    }
    return entry;
  }
}

/** An address, and whom the node gave it to when it was asked about. */
interface Owner {
  readonly address: string;
  readonly podUid: string | undefined;
}

interface Question<T> {
  readonly address: string;
  readonly signal: AbortSignal;
  readonly key: string;
  readonly what: "role" | "credentials";
  readonly held: () => T | undefined;
  readonly isFresh: () => boolean;
  readonly ask: (podUid: string | undefined, signal: AbortSignal) => Promise<T>;
}
