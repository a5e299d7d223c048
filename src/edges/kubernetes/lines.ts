import type { IncomingMessage } from "node:http";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";

const LINE_BYTES_MAX = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * The lines of a response that never ends by itself.
 *
 * @param idleMs silence after which the connection counts as dead; a half-open socket says nothing
 * @throws {AppError} `kubernetes_unavailable`
 */
export async function* readLines(
  response: IncomingMessage,
  { clock, idleMs, signal }: { clock: Clock; idleMs: number; signal: AbortSignal },
): AsyncGenerator<string> {
  const chunks = (response as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (;;) {
      const { value, done } = await within(chunks.next(), clock, idleMs, signal);
      if (done === true) return;
      rest = rest.length === 0 ? value : Buffer.concat([rest, value]);
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        const line = rest.toString("utf8", 0, end).trim();
        rest = rest.subarray(end + 1);
        if (line !== "") yield line;
      }
      if (rest.length > LINE_BYTES_MAX) {
        throw new AppError(
          "kubernetes_unavailable",
          `a watch event is longer than ${LINE_BYTES_MAX} bytes`,
        );
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof AppError
      ? error
      : new AppError("kubernetes_unavailable", "the watch was cut", { cause: error });
  } finally {
    response.destroy();
  }
}

async function within<T>(
  promise: Promise<T>,
  clock: Clock,
  ms: number,
  signal: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  const silence = clock.sleep(ms, AbortSignal.any([signal, done.signal])).then(() => {
    throw new AppError("kubernetes_unavailable", `the watch was silent for ${ms} ms`);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    done.abort(new Error("no longer waiting"));
    // Both may still reject once nobody waits for them.
    promise.catch(() => {});
    silence.catch(() => {});
  }
}
