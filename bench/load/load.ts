import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { compile } from "../compile.ts";
import { pinned } from "../processors.ts";

/** How requests come; see `load.c`. At least one of `requests` and `seconds`. */
export interface Shape {
  readonly mode: "keep" | "close" | "rate";
  readonly connections: number;
  readonly requests?: number;
  readonly seconds?: number;
  /** Requests a second, of the mode `rate`. */
  readonly perSecond?: number;
  /** Whether a source sends its own request each time, or requests are sent in turn. */
  readonly turn?: "source" | "request";
}

/** What came back. */
export interface Loaded {
  readonly answers: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Where connections come from: `count` addresses, counted up from `first`. */
export interface Sources {
  readonly first: string;
  readonly count: number;
}

/** Sends load to ports of 127.0.0.1. */
export interface LoadClient {
  /**
   * Keeps requests in a file.
   *
   * @param requests whole requests, one for each source or turn.
   * @returns what `send` is to be called with.
   */
  prepare(name: string, requests: readonly string[]): Promise<string>;
  /** Throws when any answer was missing or was not 200: such figures would say nothing. */
  send(port: number, requests: string, shape: Shape): Promise<Loaded>;
}

const GRACE_MS = 30_000;

/** Compiles the client into `folder`, which it keeps its files in. */
export async function loadClient(folder: string, sources: Sources): Promise<LoadClient> {
  const program = await compile("load/load.c", folder);
  return {
    async prepare(name, requests) {
      const file = join(folder, `${name}.requests`);
      await writeFile(file, requests.map((request) => `${request}\0`).join(""));
      return file;
    },
    async send(port, requests, shape) {
      const { mode, connections, turn = "source" } = shape;
      const { requests: count = 0, seconds = 0, perSecond = 0 } = shape;
      const words = [port, mode, connections, count, seconds, perSecond, requests, turn];
      const [client = "", ...parameters] = pinned("world", [
        program,
        ...words.map(String),
        sources.first,
        String(sources.count),
      ]);
      const stdout = await outputOf(client, parameters, timeoutMs(shape));
      const { failed, firstFailure, ...loaded } = JSON.parse(stdout) as Loaded & {
        readonly failed: number;
        readonly firstFailure: string;
      };
      if (failed > 0) {
        throw new Error(`${failed} of ${loaded.answers} answers failed, first: ${firstFailure}`);
      }
      return loaded;
    },
  };
}

/** What the client says; throws what it complains of. */
async function outputOf(
  client: string,
  parameters: readonly string[],
  timeout: number,
): Promise<string> {
  try {
    const options = { timeout, killSignal: "SIGKILL" } as const;
    return (await promisify(execFile)(client, parameters, options)).stdout;
  } catch (cause) {
    const { killed, stderr } = cause as { readonly killed: boolean; readonly stderr: string };
    const why = killed ? `no end within ${timeout} ms` : stderr.trim();
    throw new Error(why, { cause });
  }
}

/** Beyond it the server has stalled: 1 000 requests a second are expected of everyone. */
function timeoutMs({ seconds, requests = 0 }: Shape): number {
  return GRACE_MS + (seconds === undefined ? requests : seconds * 1_000);
}
