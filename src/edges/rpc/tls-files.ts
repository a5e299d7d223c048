import { watch } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { readAlikeTwice } from "./read-alike-twice.ts";
import { TLS_FILE_BYTES_MAX, parseTlsMaterial, unusable } from "./tls-material.ts";
import type { TlsMaterial, TlsPaths } from "./tls-material.ts";

/** What happens to the certificate files. `expiresAt` is milliseconds since the Unix epoch. */
export type TlsFilesEvent =
  | {
      readonly type: "tls_loaded";
      /** False for the first time, true for every replacement. */
      readonly isUpdate: boolean;
      readonly expiresAt: number;
      /** Why peers would not accept the own certificate; undefined when they would. */
      readonly problem: string | undefined;
    }
  | { readonly type: "tls_update_failed"; readonly error: AppError };

export interface TlsFilesOptions extends TlsPaths {
  readonly clock: Clock;
  /** Ends the watching; what was read stays usable. */
  readonly signal: AbortSignal;
  readonly observe: (event: TlsFilesEvent) => void;
  /** Called after each replacement. */
  readonly onChange?: (material: TlsMaterial) => void;
  /** Milliseconds between two readings; 2 s by default. */
  readonly pollMs?: number;
}

/** Certificate files that are followed. */
export interface TlsFiles {
  /** What is in use now. */
  readonly current: TlsMaterial;
  /** `current.expiresAt`. */
  readonly expiresAt: number;
  /** Calls the listener after each replacement until the result is disposed. */
  subscribe(listener: () => void): Disposable;
}

const POLL_MS = 2_000;
/** How long a hint is let rest, so that a set that is being written is read once it is whole. */
const SETTLE_MS = 50;

/**
 * Reads the three files and follows them: their content is compared at each reading, so symlink swaps
 * (`..data`), renames and network file systems are all noticed. A set that is half-written or does not
 * belong together is observed once and the former set stays in use.
 *
 * @throws {AppError} `invalid_settings` when the files can't be used at the start.
 */
export async function watchTlsFiles(options: TlsFilesOptions): Promise<TlsFiles> {
  const { observe, onChange } = options;
  let current = parseTlsMaterial(options, await readSet(options), options.clock.now());
  const listeners = new Set<() => void>();
  const use = (material: TlsMaterial): void => {
    current = material;
    const { expiresAt, problem } = material;
    observe({ type: "tls_loaded", isUpdate: true, expiresAt, problem });
    onChange?.(material);
    for (const listener of listeners) listener();
  };
  const { expiresAt, problem } = current;
  observe({ type: "tls_loaded", isUpdate: false, expiresAt, problem });

  // Ends with the signal and reports through `observe`; nobody has to wait for it.
  void follow(options, () => current, use);
  return {
    get current() {
      return current;
    },
    get expiresAt() {
      return current.expiresAt;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
}

async function follow(
  options: TlsFilesOptions,
  current: () => TlsMaterial,
  use: (material: TlsMaterial) => void,
): Promise<void> {
  const { clock, signal, observe, pollMs = POLL_MS } = options;
  using hints = hintsOf(options);
  let complaint = "";
  while (!signal.aborted) {
    try {
      await hints.within(pollMs, clock, signal);
      if (!isSame(await readFiles(options), current())) {
        use(parseTlsMaterial(options, await readSet(options), clock.now()));
      }
      complaint = "";
    } catch (error) {
      if (signal.aborted) return;
      const failure = AppError.from(error);
      // The same trouble is said once and not at each reading.
      if (failure.message !== complaint) observe({ type: "tls_update_failed", error: failure });
      complaint = failure.message;
    }
  }
}

/** Says early that something may have changed; polling alone is enough where it can't. */
function hintsOf(paths: TlsPaths) {
  let wake: (() => void) | undefined;
  const folders = new Set([paths.cert, paths.key, paths.ca].map((path) => dirname(path)));
  const watchers = [...folders].flatMap((folder) => {
    try {
      const watcher = watch(folder, { persistent: false }, () => wake?.());
      watcher.on("error", () => watcher.close());
      return [watcher];
    } catch {
      // No inotify left, or a file system without it.
      return [];
    }
  });
  return {
    async within(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
      const hint = new AbortController();
      wake = () => hint.abort();
      await clock.sleep(ms, AbortSignal.any([signal, hint.signal])).catch(() => undefined);
      signal.throwIfAborted();
      if (hint.signal.aborted) await clock.sleep(Math.min(SETTLE_MS, ms), signal);
    },
    [Symbol.dispose]: () => {
      for (const watcher of watchers) watcher.close();
    },
  };
}

type Files = Pick<TlsMaterial, "cert" | "key" | "ca">;

/** The three files as they are at one moment: a swap between two of them would mix an old and a new set. */
async function readSet(paths: TlsPaths): Promise<Files> {
  const files = await readAlikeTwice(() => readFiles(paths), isSame);
  if (files !== undefined) return files;
  throw unusable(paths.cert, "it and the files beside it change all the time");
}

async function readFiles({ cert, key, ca }: TlsPaths): Promise<Files> {
  return { cert: await readBounded(cert), key: await readBounded(key), ca: await readBounded(ca) };
}

async function readBounded(path: string): Promise<Buffer> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > TLS_FILE_BYTES_MAX) {
      throw unusable(path, `${size} bytes, more than ${TLS_FILE_BYTES_MAX}`);
    }
    return await file.readFile();
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw unusable(path, error instanceof Error ? error.message : "cannot be read", error);
  }
}

function isSame(one: Files, other: Files): boolean {
  return one.cert.equals(other.cert) && one.key.equals(other.key) && one.ca.equals(other.ca);
}
