import type { Clock } from "../clock.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { areAlive, type Credentials } from "../session/credentials.ts";
import { Flights } from "./flights.ts";
import { HeldAnswers, type Owner } from "./held-answers.ts";
import { nameOfPlace } from "./local-truth.ts";
import type { LocalOwner } from "./places.ts";
import type { PodAnswers } from "./pod-answers.ts";

/** What the table did that somebody may count or log. */
export type AskedTableEvent =
  | {
      readonly type: "held-served";
      readonly what: "role" | "credentials";
      readonly address: string;
    }
  | { readonly type: "evicted"; readonly address: string };

/** Spans are milliseconds. */
export interface AskedTableOptions {
  readonly ask: PodAnswers;
  readonly clock: Clock;
  /** How long a checked answer is served without asking again. With one call: below a second. */
  readonly freshMs?: number;
  /** How long a pod that nobody knows yet is waited for. */
  readonly holdMs?: number;
  /** The longest that one question may take, whatever the server does. */
  readonly askMaxMs?: number;
  readonly addressesMax?: number;
  readonly waitingPerAddressMax?: number;
  readonly observe?: (event: AskedTableEvent) => void;
}

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
 * What servers said of the node's pods when they were asked, address by address: the whole of an agent's
 * knowledge where its servers have no node feed, as Kiam's have none.
 *
 * An answer confirmed within `freshMs` comes from memory; an older one is confirmed first, by one
 * call for all who wait. A definite answer replaces or removes what is held. While no server can
 * decide, what is held is served until the credentials expire, never after.
 */
export class AskedTable implements PodAnswers {
  readonly #ask: PodAnswers;
  readonly #clock: Clock;
  readonly #holdMs: number;
  readonly #observe: (event: AskedTableEvent) => void;
  readonly #held: HeldAnswers;
  readonly #flights: Flights;
  #awayAt = Number.NEGATIVE_INFINITY;

  constructor(options: AskedTableOptions) {
    this.#ask = options.ask;
    this.#clock = options.clock;
    this.#holdMs = options.holdMs ?? 400;
    this.#observe = options.observe ?? (() => {});
    this.#held = new HeldAnswers({
      clock: options.clock,
      freshMs: options.freshMs ?? 500,
      addressesMax: options.addressesMax ?? 4_096,
      onEvicted: (address) => this.#observe({ type: "evicted", address }),
    });
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
  async role(address: string, signal: AbortSignal, podUid?: string): Promise<string> {
    return this.#answer({
      owner: { address, podUid },
      signal,
      key: "role",
      what: "role",
      held: () => this.#held.role(address),
      isFresh: () => this.#held.isRoleFresh(address),
      ask: (within) => this.#askRole({ address, podUid }, within),
    });
  }

  /**
   * Credentials of `role` for the pod at an address. They are alive when they are returned.
   *
   * @throws {AppError} the server's refusal, or `server_unavailable` when nothing alive is held.
   */
  async credentials(
    address: string,
    role: string,
    signal: AbortSignal,
    podUid?: string,
  ): Promise<Credentials> {
    return this.#answer({
      owner: { address, podUid },
      signal,
      key: `credentials ${role}`,
      what: "credentials",
      held: () => this.#held.credentials(address, role),
      isFresh: () => this.#held.areCredentialsFresh(address, role),
      ask: (within) => this.#askCredentials({ address, podUid }, role, within),
    });
  }

  /** Forgets what was learnt while the address was another pod's, or elsewhere. */
  leaveTo({ address, record, place }: LocalOwner): void {
    this.#held.leaveTo({ address, podUid: record?.podUid }, place && nameOfPlace(place));
  }

  /** Forgets what can no longer be served. To be called now and then, a minute apart or so. */
  sweep(): void {
    this.#held.sweep();
  }

  /** How many addresses are held. */
  get size(): number {
    return this.#held.size;
  }

  async #answer<T>(question: Question<T>): Promise<T> {
    const { owner, signal, what } = question;
    const { address, podUid } = owner;
    this.#held.leaveTo(owner);
    const before = question.held();
    if (before !== undefined && question.isFresh()) return before;

    // Who is there now shares no question that was asked for who was there before.
    const key = `${address} ${podUid ?? ""} ${this.#held.placeOf(address) ?? ""} ${question.key}`;
    const asking = this.#flights.join<T>(address, key, signal, (within) => question.ask(within));
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
  async #orHeld<T>(asking: Promise<T>, { held, what, owner }: Question<T>): Promise<T> {
    const done = new AbortController();
    const silent = this.#clock.sleep(SILENT_MS, done.signal).then(
      () => {
        const after = held();
        if (after === undefined) return asking;
        this.#observe({ type: "held-served", what, address: owner.address });
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
    try {
      const ask = (): Promise<string> => this.#ask.role(address, signal, podUid);
      const { answer: name, askedAt } = await this.#untilKnown(address, ask, signal);
      if (name === "") throw new AppError("no_role", "The pod names no role.");
      this.#awayAt = Number.NEGATIVE_INFINITY;
      this.#held.holdRole(owner, name, askedAt);
      return name;
    } catch (error) {
      const refusal = this.#noted(error);
      if (!UNDECIDED.has(refusal.code)) this.#held.forget(address);
      throw refusal;
    }
  }

  async #askCredentials(owner: Owner, role: string, signal: AbortSignal): Promise<Credentials> {
    const { address, podUid } = owner;
    try {
      const ask = (): Promise<Credentials> => this.#ask.credentials(address, role, signal, podUid);
      const { answer: credentials, askedAt } = await this.#untilKnown(address, ask, signal);
      if (!areAlive(credentials, this.#clock.now())) {
        throw new AppError("sts_unavailable", "The server's credentials have expired.");
      }
      this.#awayAt = Number.NEGATIVE_INFINITY;
      this.#held.holdCredentials(owner, role, { credentials, askedAt });
      return credentials;
    } catch (error) {
      const refusal = this.#noted(error);
      if (ABOUT_POD.has(refusal.code)) this.#held.forget(address);
      else if (!UNDECIDED.has(refusal.code)) this.#held.forgetRole(address, role);
      throw refusal;
    }
  }

  /**
   * Asks again while the pod, or its namespace, is not known yet, for at most `holdMs`. Meanwhile
   * nothing held may be given: the address may have a new pod that the server has not seen.
   */
  async #untilKnown<T>(
    address: string,
    ask: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly answer: T; readonly askedAt: number }> {
    const until = this.#clock.now() + this.#holdMs;
    for (let pauseMs = REASK_FIRST_MS; ; pauseMs = REASK_MOST_MS) {
      const askedAt = this.#held.moment;
      try {
        return { answer: await ask(), askedAt };
      } catch (error) {
        const { code } = AppError.from(error);
        const mayAppear = code === "pod_not_found" || code === "namespace_unknown";
        if (mayAppear) this.#held.forget(address);
        if (!mayAppear || this.#clock.now() + pauseMs > until) throw error;
      }
      await this.#clock.sleep(pauseMs, signal);
    }
  }

  #noted(error: unknown): AppError {
    const refusal = AppError.from(error);
    this.#awayAt =
      refusal.code === "server_unavailable" ? this.#clock.now() : Number.NEGATIVE_INFINITY;
    return refusal;
  }
}

interface Question<T> {
  readonly owner: Owner;
  readonly signal: AbortSignal;
  readonly key: string;
  readonly what: "role" | "credentials";
  readonly held: () => T | undefined;
  readonly isFresh: () => boolean;
  readonly ask: (signal: AbortSignal) => Promise<T>;
}
