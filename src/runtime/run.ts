/** What a process is given: the signal that says "stop", and the stack that closes what it opened. */
export interface Run {
  readonly signal: AbortSignal;
  readonly resources: AsyncDisposableStack;
}

/** The bounds of a run. */
export interface RunOptions {
  /** How long closing may take after a signal; Kubernetes kills after 30 s by default. */
  readonly stopWithinMs?: number;
  /** Told the signal's name when the first one arrives. */
  readonly onSignal?: (name: NodeJS.Signals) => void;
}

/**
 * Runs a process until it is done, fails, or is told to stop.
 *
 * SIGTERM, SIGINT and the end of `main` abort the signal; what was put on `resources` is closed in any case, last
 * opened first. A second signal, or closing that takes too long, ends the process at once with 1.
 * What nobody caught is a bug: it is reported and ends the process with 1.
 *
 * @returns the exit code: 0 when done or told to stop, 1 on failure.
 */
export async function run(
  main: (run: Run) => Promise<void>,
  report: (error: unknown) => void,
  { stopWithinMs = 25_000, onSignal }: RunOptions = {},
): Promise<number> {
  const stopping = new AbortController();
  let deadline: NodeJS.Timeout | undefined;
  const stop = (name: NodeJS.Signals): void => {
    if (stopping.signal.aborted) process.exit(1);
    deadline = setTimeout(() => {
      report(new Error(`could not stop within ${stopWithinMs} ms after ${name}`));
      process.exit(1);
    }, stopWithinMs).unref();
    onSignal?.(name);
    stopping.abort(new Error(`received ${name}`));
  };
  const crash = (error: unknown): void => {
    report(error);
    process.exit(1);
  };
  process.on("SIGTERM", stop).on("SIGINT", stop);
  process.on("uncaughtException", crash);

  try {
    await using resources = new AsyncDisposableStack();
    try {
      await main({ signal: stopping.signal, resources });
    } finally {
      // What goes on until the signal would keep a process that failed, or is done, for ever.
      stopping.abort(new Error("the process ends"));
    }
    return 0;
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) return 0;
    report(error);
    return 1;
  } finally {
    clearTimeout(deadline);
    process.off("SIGTERM", stop).off("SIGINT", stop).off("uncaughtException", crash);
  }
}
