import { rename, rm, writeFile } from "node:fs/promises";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { Health } from "./telemetry.ts";

export interface ReadyFileOptions {
  readonly path: string;
  readonly health: () => Health;
  readonly clock: Clock;
}

/** Much shorter than what the probes take for a standstill (images/launcher.c). */
const WRITE_EVERY_MS = 1_000;

/**
 * Says in a file whether the process is ready, anew every second: `ready`, or why not. Where two processes
 * share a port during an upgrade, a probe over the network could not tell which one answers; the image's
 * `rolecall is-ready FILE` and `rolecall is-alive FILE` look at the file and at its age instead.
 *
 * Disposing removes it. A file that can't be written any more grows old, which is what probes look for.
 *
 * @throws {AppError} `invalid_settings` when it can't be written at first.
 */
export async function openReadyFile(options: ReadyFileOptions): Promise<AsyncDisposable> {
  const { path, health, clock } = options;
  const write = async (): Promise<void> => {
    const { ready, reasons } = health();
    // Whole at every moment.
    await writeFile(`${path}.new`, `${ready ? "ready" : reasons.join("\n")}\n`);
    await rename(`${path}.new`, path);
  };
  try {
    await write();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AppError("invalid_settings", `--ready-file: cannot write ${path}: ${code}`, {
      cause: error,
    });
  }
  const stop = new AbortController();
  const writing = (async () => {
    for (;;) {
      await clock.sleep(WRITE_EVERY_MS, stop.signal);
      await write().catch(() => undefined);
    }
  })().catch(() => undefined);
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await writing;
      await rm(path, { force: true });
    },
  };
}
