import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";

/** What one try of the health check found. */
export type HealthReport =
  | { readonly type: "healthy"; readonly message: string }
  | { readonly type: "try_failed"; readonly error: AppError }
  | { readonly type: "gave_up"; readonly error: AppError };

export interface HealthOptions {
  readonly client: { health(signal: AbortSignal): Promise<string> };
  /** How long the tries go on, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly report: (report: HealthReport) => void;
}

/** The pause between two tries. */
const PAUSE_MS = 100;

/**
 * Asks a server whether it is healthy, again and again until the time is over (specs: kiam.md §1.6).
 *
 * @returns the exit code: 0 when a server answered, 1 when none did.
 */
export async function runHealth(options: HealthOptions): Promise<number> {
  const { client, timeoutMs, clock, signal, report } = options;
  const done = new AbortController();
  const over = new AbortController();
  // Ends by the time or by `done`, and never rejects.
  void clock.sleep(timeoutMs, AbortSignal.any([signal, done.signal])).then(
    () => over.abort(),
    () => undefined,
  );
  const either = AbortSignal.any([signal, over.signal]);
  let last = new AppError("server_unavailable", `No server answered within ${timeoutMs} ms`);
  try {
    while (!either.aborted) {
      try {
        report({ type: "healthy", message: await client.health(either) });
        return 0;
      } catch (error) {
        if (either.aborted) break;
        last = AppError.from(error);
        report({ type: "try_failed", error: last });
      }
      await clock.sleep(PAUSE_MS, either).catch(() => undefined);
    }
    signal.throwIfAborted();
    report({ type: "gave_up", error: last });
    return 1;
  } finally {
    done.abort();
  }
}
