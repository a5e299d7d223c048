import { execFile } from "node:child_process";

/** What a program said. */
export interface Executed {
  readonly status: number;
  readonly stderr: string;
}

/**
 * Runs a program without a shell. Rejects only when it could not be run to its end: not found
 * (`code` is `ENOENT`), killed by its deadline or by the signal.
 */
export type Execute = (
  program: string,
  parameters: readonly string[],
  signal: AbortSignal,
) => Promise<Executed>;

/** A program that says more than this is cut off. */
const OUTPUT_BYTES_MAX = 65_536;
const DEADLINE_MS = 10_000;

/** Runs a real program, with English messages and no environment but the path. */
export const executeFile: Execute = (program, parameters, signal) =>
  new Promise((resolve, reject) => {
    const options = {
      signal,
      timeout: DEADLINE_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
      killSignal: "SIGKILL",
      env: { PATH: SEARCH_PATH, LC_ALL: "C" },
      encoding: "utf8",
    } as const;
    execFile(program, [...parameters], options, (error, _stdout, stderr) => {
      if (error === null) resolve({ status: 0, stderr });
      else if (signal.aborted) reject(signal.reason as Error);
      else if (typeof error.code === "number") resolve({ status: error.code, stderr });
      else if (error.killed) reject(new Error(`${program} took more than ${DEADLINE_MS} ms`));
      else reject(error);
    });
  });

const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
