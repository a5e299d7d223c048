import { execFile } from "node:child_process";

/** What a program said. */
export interface Executed {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program without a shell, with `input` on its standard input. Rejects only when it could not
 * be run to its end: not found (`code` is `ENOENT`), killed by its deadline, by the signal, or for saying too much.
 */
export type Execute = (
  program: string,
  parameters: readonly string[],
  signal: AbortSignal,
  input?: string,
) => Promise<Executed>;

/** A program that says more than this is ended. Routing rules alone are 100 KiB where a pod has two, as on EKS. */
const OUTPUT_BYTES_MAX = 1_048_576;
const DEADLINE_MS = 10_000;
const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** English messages and no environment but the path. */
export const TOOL_ENVIRONMENT = { PATH: SEARCH_PATH, LC_ALL: "C" } as const;

/** Runs a real program, with English messages and no environment but the path. */
export const executeFile: Execute = (program, parameters, signal, input = "") =>
  new Promise((resolve, reject) => {
    const options = {
      signal,
      timeout: DEADLINE_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
      killSignal: "SIGKILL",
      env: TOOL_ENVIRONMENT,
      encoding: "utf8",
    } as const;
    const child = execFile(program, [...parameters], options, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (signal.aborted) reject(signal.reason as Error);
      else if (typeof error.code === "number") resolve({ status: error.code, stdout, stderr });
      else if (error.killed && typeof error.code !== "string")
        reject(new Error(`${program} took more than ${DEADLINE_MS} ms`));
      else reject(error);
    });
    // A program that ends without having read it says why by its status.
    child.stdin?.on("error", () => {}).end(input);
  });
