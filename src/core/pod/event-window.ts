import type { Clock } from "../clock.ts";

export interface EventWindowOptions {
  readonly clock: Clock;
  /** How long one event speaks for those like it, milliseconds. */
  readonly windowMs: number;
  /** How many events are remembered; beyond that none is admitted until one's window is over. */
  readonly entriesMax: number;
}

/** Admits one event for each pod and reason in a window, so that a busy pod can't flood Kubernetes. */
export class EventWindow {
  readonly #options: EventWindowOptions;
  /** When each window ends. All last equally long, so the order of insertion is that of the ends. */
  readonly #ends = new Map<string, number>();

  constructor(options: EventWindowOptions) {
    this.#options = options;
  }

  /** Whether an event may be written now; if so, the next like it waits for the window's end. */
  admits(uid: string, reason: string): boolean {
    const { clock, windowMs, entriesMax } = this.#options;
    const now = clock.now();
    for (const [key, end] of this.#ends) {
      if (end > now) break;
      this.#ends.delete(key);
    }
    const key = JSON.stringify([uid, reason]);
    if (this.#ends.has(key) || this.#ends.size >= entriesMax) return false;
    this.#ends.set(key, now + windowMs);
    return true;
  }
}
