import { backoffMs } from "../backoff.ts";
import type { Clock, Random } from "../clock.ts";
import { AppError } from "../errors.ts";
import { orAborted } from "../or-aborted.ts";
import { type Credentials, areAlive } from "./credentials.ts";
import { FlightQueue } from "./flight-queue.ts";
import { rememberMs } from "./refusal-memory.ts";
import { type SessionIdentity, type SessionKey, sessionKey } from "./session-identity.ts";

/** Asks STS for one session. */
export type IssueCredentials = (
  identity: SessionIdentity,
  signal: AbortSignal,
) => Promise<Credentials>;

/** What happens to sessions, for logs and metrics. */
export type SessionEvent =
  | { readonly type: "hit" | "miss" }
  | { readonly type: "asking"; readonly identity: SessionIdentity }
  | {
      readonly type: "issued";
      readonly identity: SessionIdentity;
      readonly credentials: Credentials;
      readonly isRenewal: boolean;
      readonly ms: number;
    }
  | {
      readonly type: "failed";
      readonly identity: SessionIdentity;
      readonly error: AppError;
      /** Whether credentials are held that go on being served. */
      readonly isHeld: boolean;
      readonly ms: number;
    }
  | { readonly type: "dropped"; readonly identity: SessionIdentity }
  | { readonly type: "prefetch_dropped"; readonly identity: SessionIdentity };

/** What is known of one session now. */
export interface SessionState {
  /** Names it within this process; never used twice. */
  readonly id: number;
  /** Undefined unless they may be served. */
  readonly credentials: Credentials | undefined;
  /** Why STS gave none the last time; undefined once it did. */
  readonly failure: AppError | undefined;
}

/** Is told that what is known of a session has changed, for these of its owners. */
export type SessionChanged = (key: SessionKey, owners: Iterable<string>) => void;

export interface SessionsOptions {
  readonly issue: IssueCredentials;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends every call and the renewing. */
  readonly signal: AbortSignal;
  readonly observe: (event: SessionEvent) => void;
  /** Also told when a pod comes to need a session that is known already. */
  readonly changed?: SessionChanged;
  /** How many calls to STS run at once (`--fetchers`). */
  readonly concurrencyMax: number;
  /** How many sessions may wait for one (`--prefetch-buffer-size`). */
  readonly queueMax: number;
  /** What a session still has to live when it is renewed; half of its life when undefined. */
  readonly renewBeforeMs?: number | undefined;
  /** How long one call to STS may take. */
  readonly budgetMs?: number;
}

interface Session {
  readonly id: number;
  readonly key: SessionKey;
  readonly identity: SessionIdentity;
  /** UIDs of the live pods that need it. */
  readonly owners: Set<string>;
  held: Credentials | undefined;
  flight: Promise<Credentials> | undefined;
  refused: { readonly error: AppError; readonly since: number; readonly until: number } | undefined;
  failures: number;
  /** When it is looked after again: renewed, tried again or dropped. */
  dueAt: number;
}

const BUDGET_MS = 15_000;
/**
 * Renewals come up to this part of a session's life sooner or later, so that they don't come together:
 * for an hour 3 minutes, which leaves the 25 minutes that served credentials have (design invariant 4).
 */
const JITTER = 0.05;
const SOONEST_MS = 1_000;
/** A new need for a session clears a refusal, but not more often than this. */
const FORGIVE_AFTER_MS = 5_000;
/** Sessions that were asked for by no known owner; beyond this the oldest is dropped. */
const UNOWNED_MAX = 1_000;
const SLOWED_MS = 2_000;

/**
 * Every session that a live pod needs: issued once, renewed ahead, held until it really expires.
 *
 * Calls to STS belong to this table and never to a caller: who stops waiting ends its own wait only.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #queue: FlightQueue;
  readonly #sessions = new Map<SessionKey, Session>();
  /** Those that no pod needs, the oldest first. */
  readonly #unowned = new Set<Session>();
  readonly #keyOf = new Map<string, SessionKey>();
  #slowedUntil = 0;
  #lastId = 0;
  #wake: () => void = () => {};

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#queue = new FlightQueue(options.concurrencyMax, options.queueMax);
  }

  /** How many sessions are known. */
  get size(): number {
    return this.#sessions.size;
  }

  /** What is known of a session; undefined when no pod needs it. */
  state(key: SessionKey): SessionState | undefined {
    const session = this.#sessions.get(key);
    if (session === undefined) return undefined;
    const { id, held, refused } = session;
    const isAlive = held !== undefined && areAlive(held, this.#options.clock.now());
    return { id, credentials: isAlive ? held : undefined, failure: refused?.error };
  }

  /** How many calls to STS are running. */
  get asking(): number {
    return this.#queue.running;
  }

  /**
   * The credentials of a session: held ones while they live, else those of the one call that is
   * made for everybody who waits. The signal ends this wait and nothing else.
   *
   * @throws {AppError} `sts_denied`, `sts_throttled`, `sts_unavailable` or `overloaded`
   */
  async get(identity: SessionIdentity, signal: AbortSignal): Promise<Credentials> {
    const { clock, observe } = this.#options;
    const session = this.#ensure(identity);
    if (session.held !== undefined && areAlive(session.held, clock.now())) {
      observe({ type: "hit" });
      return session.held;
    }
    observe({ type: "miss" });
    if (session.refused !== undefined && clock.now() < session.refused.until) {
      throw session.refused.error;
    }
    const flight = session.flight ?? this.#start(session, true);
    if (flight === undefined) {
      throw new AppError("overloaded", "too many sessions wait for STS; try again");
    }
    return orAborted(flight, signal);
  }

  /** Says which session a pod needs from now on; undefined when it needs none. */
  want(owner: string, identity: SessionIdentity | undefined): void {
    const key = identity === undefined ? undefined : sessionKey(identity);
    const before = this.#keyOf.get(owner);
    if (before === key) return;
    if (before !== undefined) this.#release(owner, before);
    if (identity === undefined || key === undefined) return;

    this.#keyOf.set(owner, key);
    const session = this.#ensure(identity);
    session.owners.add(owner);
    this.#unowned.delete(session);
    this.#forgive(session);
    const isHeld = session.held !== undefined && areAlive(session.held, this.#options.clock.now());
    if (!isHeld && session.flight === undefined && session.refused === undefined) {
      this.#prefetch(session);
    }
    this.#options.changed?.(key, [owner]);
  }

  /** Renews, tries again and drops what is due. Ends only by the signal's reason. */
  async run(signal: AbortSignal): Promise<never> {
    const { clock } = this.#options;
    for (;;) {
      const now = clock.now();
      for (const session of this.#sessions.values()) {
        if (session.dueAt <= now && session.flight === undefined) this.#lookAfter(session, now);
      }
      let next = Number.POSITIVE_INFINITY;
      for (const { dueAt } of this.#sessions.values()) next = Math.min(next, dueAt);
      const woken = new AbortController();
      this.#wake = () => woken.abort(new Error("something is due sooner"));
      // A flight that is still on sets its own next time when it lands.
      const pause = Math.min(Math.max(next - clock.now(), 100), 60_000);
      await clock.sleep(pause, AbortSignal.any([signal, woken.signal])).catch(() => {
        signal.throwIfAborted();
      });
    }
  }

  #lookAfter(session: Session, now: number): void {
    if (session.owners.size > 0) this.#prefetch(session);
    else if (session.held === undefined || !areAlive(session.held, now)) this.#drop(session);
    else session.dueAt = session.held.expiresAt;
  }

  #ensure(identity: SessionIdentity): Session {
    const key = sessionKey(identity);
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    this.#makeRoom();
    this.#lastId += 1;
    const session: Session = {
      id: this.#lastId,
      key,
      identity,
      owners: new Set(),
      held: undefined,
      flight: undefined,
      refused: undefined,
      failures: 0,
      dueAt: Number.POSITIVE_INFINITY,
    };
    this.#sessions.set(key, session);
    this.#unowned.add(session);
    return session;
  }

  #makeRoom(): void {
    const [oldest] = this.#unowned;
    if (oldest !== undefined && this.#unowned.size >= UNOWNED_MAX) this.#drop(oldest);
  }

  #release(owner: string, key: SessionKey): void {
    this.#keyOf.delete(owner);
    const session = this.#sessions.get(key);
    session?.owners.delete(owner);
    if (session?.owners.size === 0) this.#drop(session);
  }

  #drop(session: Session): void {
    this.#sessions.delete(session.key);
    this.#unowned.delete(session);
    this.#options.observe({ type: "dropped", identity: session.identity });
  }

  #forgive(session: Session): void {
    const { refused } = session;
    if (refused === undefined) return;
    if (this.#options.clock.now() - refused.since >= FORGIVE_AFTER_MS) session.refused = undefined;
  }

  #prefetch(session: Session): void {
    if (this.#start(session, false) !== undefined) return;
    this.#options.observe({ type: "prefetch_dropped", identity: session.identity });
    this.#due(session, this.#options.clock.now() + SOONEST_MS);
  }

  /** Starts the one call for a session; undefined when too much waits. */
  #start(session: Session, isUrgent: boolean): Promise<Credentials> | undefined {
    const { promise, resolve, reject } = Promise.withResolvers<Credentials>();
    // Nobody may be waiting for a prefetch, and its failure is remembered in the session.
    promise.catch(() => {});
    const fly = async (): Promise<void> => {
      try {
        resolve(await this.#issue(session));
      } catch (error) {
        reject(error);
      }
    };
    if (!this.#queue.offer(fly, isUrgent)) return undefined;
    session.flight = promise;
    return promise;
  }

  async #issue(session: Session): Promise<Credentials> {
    const { clock, issue, observe, signal, budgetMs = BUDGET_MS } = this.#options;
    const isRenewal = session.held !== undefined;
    await this.#calm();
    const started = clock.now();
    observe({ type: "asking", identity: session.identity });
    const done = new AbortController();
    try {
      const credentials = await Promise.race([
        issue(session.identity, AbortSignal.any([signal, done.signal])),
        this.#timeOut(budgetMs, AbortSignal.any([signal, done.signal])),
      ]);
      this.#keep(session, credentials);
      const ms = clock.now() - started;
      observe({ type: "issued", identity: session.identity, credentials, isRenewal, ms });
      return credentials;
    } catch (error) {
      throw this.#remember(session, AppError.from(error), clock.now() - started);
    } finally {
      done.abort(new Error("the call is over"));
      session.flight = undefined;
      this.#wake();
    }
  }

  /** Waits while STS has asked for fewer calls. */
  async #calm(): Promise<void> {
    const { clock, signal } = this.#options;
    const wait = this.#slowedUntil - clock.now();
    if (wait > 0) await clock.sleep(wait, signal);
  }

  async #timeOut(ms: number, signal: AbortSignal): Promise<never> {
    await this.#options.clock.sleep(ms, signal);
    throw new AppError("sts_unavailable", `STS did not answer within ${ms} ms`);
  }

  #keep(session: Session, credentials: Credentials): void {
    const { clock, random, renewBeforeMs } = this.#options;
    const now = clock.now();
    const life = credentials.expiresAt - now;
    if (life <= 0) {
      throw new AppError(
        "sts_unavailable",
        `STS issued credentials that have already expired, at ${new Date(credentials.expiresAt).toISOString()}; compare the clocks`,
      );
    }
    session.held = credentials;
    session.refused = undefined;
    session.failures = 0;
    const spread = (random() - 0.5) * 2 * JITTER * life;
    const before = Math.min(renewBeforeMs ?? life / 2, life);
    this.#due(session, Math.max(now + SOONEST_MS, credentials.expiresAt - before + spread));
    this.#options.changed?.(session.key, session.owners);
  }

  #remember(session: Session, error: AppError, ms: number): AppError {
    const { clock, random, observe } = this.#options;
    const now = clock.now();
    const pause = rememberMs(error.code, session.failures, (failures, bounds) =>
      backoffMs(failures, bounds, random),
    );
    session.failures += 1;
    session.refused = { error, since: now, until: now + pause };
    if (error.code === "sts_throttled") this.#slowedUntil = now + SLOWED_MS;
    const isHeld = session.held !== undefined && areAlive(session.held, now);
    observe({ type: "failed", identity: session.identity, error, isHeld, ms });
    this.#due(session, now + pause);
    this.#options.changed?.(session.key, session.owners);
    return error;
  }

  #due(session: Session, at: number): void {
    session.dueAt = at;
    this.#wake();
  }
}
