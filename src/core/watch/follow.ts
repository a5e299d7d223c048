import { backoffMs, type Pause } from "../backoff.ts";
import type { Clock, Random } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Change } from "./change.ts";

/**
 * Opens the stream of a collection's changes.
 *
 * One opener serves one follower: it may remember where the last stream ended and go on from there.
 */
export type OpenChanges<T> = (signal: AbortSignal) => AsyncIterable<Change<T>>;

/** What became of a stream. `failures` counts those in a row that came to nothing. */
export type FollowEvent =
  | { readonly type: "ended" }
  | {
      readonly type: "broke";
      readonly error: AppError;
      readonly failures: number;
      readonly pauseMs: number;
    };

export interface FollowOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
  readonly signal: AbortSignal;
  readonly observe?: (event: FollowEvent) => void;
}

/** The most that a server's own wish for a pause is respected, milliseconds. */
const RETRY_AFTER_MS_MAX = 300_000;

/**
 * Follows a collection until aborted, opening a new stream when one ends or breaks.
 *
 * Changes are applied one at a time and in order: the next is not read until `apply` has settled,
 * so a slow reader slows the stream. A stream that breaks takes nothing away from what was applied.
 * An error that carries `retryAfterMs` is answered with at least that pause.
 *
 * @throws the signal's reason, and nothing else.
 */
export async function follow<T>(
  open: OpenChanges<T>,
  apply: (change: Change<T>) => void | Promise<void>,
  { clock, random, pause, signal, observe }: FollowOptions,
): Promise<never> {
  for (let failures = 0; ; failures += 1) {
    const openedAt = clock.now();
    const lived = (): boolean => clock.now() - openedAt >= pause.mostMs;
    let error: unknown;
    try {
      for await (const change of open(signal)) {
        signal.throwIfAborted();
        await apply(change);
        failures = 0;
      }
    } catch (caught) {
      error = caught;
    }
    signal.throwIfAborted();
    // A stream that stood long without a change was in order: its end is no reason to wait longer.
    if (lived()) failures = 0;
    const pauseMs = Math.max(backoffMs(failures, pause, random), retryAfterMs(error));
    if (error === undefined) observe?.({ type: "ended" });
    else observe?.({ type: "broke", error: AppError.from(error), failures: failures + 1, pauseMs });
    // Whoever ends each stream at once must not be asked in a tight loop.
    if (error !== undefined || !lived()) await clock.sleep(pauseMs, signal);
  }
}

function retryAfterMs(error: unknown): number {
  if (!(error instanceof Error) || !("retryAfterMs" in error)) return 0;
  const asked = error.retryAfterMs;
  return typeof asked === "number" && asked > 0 ? Math.min(asked, RETRY_AFTER_MS_MAX) : 0;
}
