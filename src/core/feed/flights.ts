import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { orAborted } from "../or-aborted.ts";

/** Bounds of {@link Flights}. */
export interface FlightsOptions {
  readonly clock: Clock;
  /** The longest that one question may take, in milliseconds. */
  readonly longestMs: number;
  /**
   * How many callers of one owner may wait at once, questions counted whose callers left; more are
   * refused as `overloaded`.
   */
  readonly waitingPerOwnerMax: number;
}

/**
 * One question in flight per key, shared by all who ask it meanwhile.
 *
 * The question belongs to nobody's request: a caller that leaves stops waiting, and the answer
 * still arrives for the others.
 */
export class Flights {
  readonly #options: FlightsOptions;
  readonly #flights = new Map<string, Promise<unknown>>();
  readonly #waiting = new Map<string, number>();

  constructor(options: FlightsOptions) {
    this.#options = options;
  }

  /**
   * Waits for the answer to `key`, asking if nobody does.
   *
   * @throws {AppError} `overloaded` beyond the owner's bound, `server_unavailable` past `longestMs`.
   */
  async join<T>(
    owner: string,
    key: string,
    signal: AbortSignal,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const leave = this.#enter(owner);
    // The key names the kind of answer, so whoever joins expects the same type.
    const flight = this.#flights.get(key) as Promise<T> | undefined;
    // Whoever asks keeps the place until the answer is there: leaving early makes no room for more.
    if (flight === undefined) return orAborted(this.#start(key, ask, leave), signal);
    try {
      return await orAborted(flight, signal);
    } finally {
      leave();
    }
  }

  /** Takes one of the owner's places; the result gives it back. */
  #enter(owner: string): () => void {
    const waiting = this.#waiting.get(owner) ?? 0;
    if (waiting >= this.#options.waitingPerOwnerMax) {
      throw new AppError("overloaded", "Too many requests of this pod wait already.");
    }
    this.#waiting.set(owner, waiting + 1);
    return () => {
      const left = (this.#waiting.get(owner) ?? 1) - 1;
      if (left === 0) this.#waiting.delete(owner);
      else this.#waiting.set(owner, left);
    };
  }

  #start<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, leave: () => void): Promise<T> {
    const flight = this.#bounded(ask).finally(() => {
      this.#flights.delete(key);
      leave();
    });
    // Whoever asked may have left; the failure is then nobody's.
    flight.catch(() => {});
    this.#flights.set(key, flight);
    return flight;
  }

  async #bounded<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const tooLate = new AbortController();
    const done = new AbortController();
    this.#options.clock.sleep(this.#options.longestMs, done.signal).then(
      () => tooLate.abort(new AppError("server_unavailable", "No server answered in time.")),
      () => {},
    );
    try {
      return await orAborted(ask(tooLate.signal), tooLate.signal);
    } finally {
      done.abort();
    }
  }
}
