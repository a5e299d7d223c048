/** Something that goes on until it is done, fails, or is told to stop. */
export type Task = (signal: AbortSignal) => Promise<unknown>;

/**
 * Runs tasks side by side. The first to fail stops the others, and all have settled before this
 * does, so that nothing outlives the call. A task that ends well lets the others go on.
 *
 * @throws the signal's reason once it has aborted, or else the first failure.
 */
export async function together(signal: AbortSignal, tasks: readonly Task[]): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);

  const settle = async (task: Task): Promise<void> => {
    try {
      await task(stop);
    } catch (error) {
      failed.abort(error);
    }
  };
  await Promise.all(tasks.map(settle));

  signal.throwIfAborted();
  failed.signal.throwIfAborted();
}
