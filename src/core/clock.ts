/** Time, handed in so that tests can move it. All instants and spans are milliseconds. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Randomness, handed in: a number in [0, 1). */
export type Random = () => number;
