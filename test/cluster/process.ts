import { execFile, spawn } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** What every process of the suite is started with: none may look for a metadata service on its own. */
export const ENVIRONMENT: NodeJS.ProcessEnv = { ...process.env, AWS_EC2_METADATA_DISABLED: "true" };

/** How long a process that was asked to end may take before it is killed. */
const GRACE_MS = 5_000;

const OUTPUT_BYTES_MAX = 64 << 20;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/**
 * Runs a command to its end.
 *
 * @returns what it wrote to its standard output.
 * @throws when it ends with another code than 0; the message holds what it wrote.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, {
    env: ENVIRONMENT,
    maxBuffer: OUTPUT_BYTES_MAX,
    ...options,
  });
  return stdout;
}

export interface Launch {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly log: string;
}

/** A process that runs until it is stopped. Disposing asks it to end, then kills it. */
export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  readonly log: string;
  /** Whether it still runs. */
  lives(): boolean;
  /** Ends it at once, without asking. */
  kill(): Promise<void>;
}

/** Starts a process whose output goes to `log`. */
export function launch({ name, command, args, env, log }: Launch): Daemon {
  const output = openSync(log, "a");
  const child = spawn(command, args, {
    env: env ?? ENVIRONMENT,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const ended = Promise.withResolvers<void>();
  let running = true;
  const end = (): void => {
    running = false;
    ended.resolve();
  };
  child.once("exit", end).once("error", end);
  if (child.pid === undefined) throw new Error(`Cannot start ${name}: ${command} cannot be run`);

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (!running) return;
    child.kill(signal);
    const killing = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
    await ended.promise;
    clearTimeout(killing);
  };
  return {
    pid: child.pid,
    log,
    lives: () => running,
    kill: () => stop("SIGKILL"),
    [Symbol.asyncDispose]: () => stop("SIGTERM"),
  };
}

export interface Until {
  readonly what: string;
  readonly withinMs: number;
  readonly everyMs?: number;
  readonly signal: AbortSignal;
  /** A process that the wait depends on: its end ends the wait. */
  readonly daemon?: Daemon;
}

/** Asks again and again until the answer is neither `undefined` nor `false`; an error counts as "not yet". */
export async function until<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  { what, withinMs, everyMs = 100, signal, daemon }: Until,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    signal.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    if (daemon && !daemon.lives())
      throw new Error(`Cannot await ${what}: its process ended\n${await tail(daemon.log)}`);
    if (performance.now() > deadline) {
      throw new Error(`Cannot await ${what} longer than ${withinMs} ms`, { cause: last });
    }
    await sleep(everyMs, undefined, { signal });
  }
}

/** The last lines of a log. */
export async function tail(log: string, lines = 15): Promise<string> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
