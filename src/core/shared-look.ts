import type { Clock } from "./clock.ts";

/** How looks are spaced. */
export interface SharedLookOptions {
  readonly clock: Clock;
  /** Between the beginnings of two looks, in milliseconds. */
  readonly pauseMs: number;
  /** Ends what waits for a look that has not begun. */
  readonly signal: AbortSignal;
}

/**
 * Makes looking at something bounded and yet never late: a look answers all who asked before it began,
 * and nobody who asked after that; and no look begins within `pauseMs` of the one before.
 */
export function sharedLook<T>(
  look: () => T | Promise<T>,
  { clock, pauseMs, signal }: SharedLookOptions,
): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve();
  let waiting: Promise<T> | undefined;
  let beganAt = Number.NEGATIVE_INFINITY;

  const next = async (): Promise<T> => {
    await running.catch(() => {});
    // The clock may have been set back meanwhile.
    const pause = Math.min(beganAt + pauseMs - clock.now(), pauseMs);
    if (pause > 0) await clock.sleep(pause, signal);
    beganAt = clock.now();
    const begun = Promise.try(look);
    running = begun;
    waiting = undefined;
    return begun;
  };
  return () => (waiting ??= next());
}
