import type { Clock } from "../clock.ts";
import { AppError, type ErrorCode } from "../errors.ts";

export interface WaitingRoomOptions {
  readonly clock: Clock;
  /** Calls back whenever an answer may have changed, until the result is disposed. */
  readonly onNews: (listener: () => void) => Disposable;
  /** How long a failure of each code may pass by itself, in milliseconds; others are final. */
  readonly patienceMs: Partial<Record<ErrorCode, number>>;
  readonly perOwnerMax: number;
  readonly allMax: number;
}

/** Somebody who may stop waiting. The signal is asked for only when it comes to that: making one is dear. */
export interface Waiter {
  readonly signal: AbortSignal;
}

/** Lets requests wait for news that may answer them: few for each owner, not too many in all, none for long. */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  readonly #waiting = new Map<string, number>();
  #all = 0;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /**
   * The first answer of `read`, which is asked at once and then at each piece of news.
   *
   * @throws {AppError} the last failure of `read` once it is final or the patience with it is over;
   *   `overloaded` when too many wait; the reason of the waiter's signal.
   */
  async firstAnswer<T>(owner: string, read: () => T | Promise<T>, waiter: Waiter): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (this.#patienceWith(error) === 0) throw error;
    }
    return this.#wait(owner, read, waiter.signal);
  }

  async #wait<T>(owner: string, read: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock } = this.#options;
    const startedAt = clock.now();
    this.#enter(owner);
    try {
      for (;;) {
        using news = this.#news(signal);
        try {
          return await read();
        } catch (error) {
          const leftMs = startedAt + this.#patienceWith(error) - clock.now();
          if (leftMs <= 0) throw error;
          await news.within(leftMs);
        }
      }
    } finally {
      this.#leave(owner);
    }
  }

  /** Listens from now on, so that nothing is missed between a reading and the wait for the next one. */
  #news(signal: AbortSignal) {
    const { clock, onNews } = this.#options;
    const arrived = new AbortController();
    const listening = onNews(() => arrived.abort());
    return {
      async within(ms: number): Promise<void> {
        await clock.sleep(ms, AbortSignal.any([signal, arrived.signal])).catch(() => {});
        signal.throwIfAborted();
      },
      [Symbol.dispose]: () => listening[Symbol.dispose](),
    };
  }

  #patienceWith(error: unknown): number {
    return error instanceof AppError ? (this.#options.patienceMs[error.code] ?? 0) : 0;
  }

  #enter(owner: string): void {
    const { perOwnerMax, allMax } = this.#options;
    const waiting = this.#waiting.get(owner) ?? 0;
    if (waiting >= perOwnerMax || this.#all >= allMax) {
      throw new AppError("overloaded", "Too many requests wait already.");
    }
    this.#waiting.set(owner, waiting + 1);
    this.#all += 1;
  }

  #leave(owner: string): void {
    const left = (this.#waiting.get(owner) ?? 1) - 1;
    if (left === 0) this.#waiting.delete(owner);
    else this.#waiting.set(owner, left);
    this.#all -= 1;
  }
}
