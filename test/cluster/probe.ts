import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import type { Pod } from "./pods.ts";
import { ENVIRONMENT, until } from "./process.ts";

/** What the metadata address answered to a pod. */
export interface Answer {
  /** When it came, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly ms: number;
  /** 0 when there was none: refused, reset or later than 2 s. */
  readonly status: number;
  readonly body: string;
}

/** A pod's process that asks the metadata address at an even pace. */
export interface Probe extends AsyncDisposable {
  readonly answers: readonly Answer[];
  /** The first answer after `since` that is as wanted. */
  first(wanted: (answer: Answer) => boolean, since: number, withinMs: number): Promise<Answer>;
}

export const ROLE_PATH = "/latest/meta-data/iam/security-credentials/";

/** Starts to ask for `path` in the pod's own network, once every `everyMs`. */
export function probe(pod: Pod, path: string, everyMs: number, signal: AbortSignal): Probe {
  const script = join(import.meta.dirname, "probe-process.ts");
  const child = spawn(
    "nsenter",
    [`--net=/proc/${pod.pid}/ns/net`, "--", process.execPath, script, path, String(everyMs)],
    { env: ENVIRONMENT, stdio: ["ignore", "pipe", "inherit"] },
  );
  const answers: Answer[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => answers.push(JSON.parse(line)));
  return {
    answers,
    first: (wanted, since, withinMs) =>
      until(() => answers.find((answer) => answer.at >= since && wanted(answer)), {
        what: `an answer to ${pod.namespace}/${pod.name} as wanted, last: ${JSON.stringify(answers.at(-1))}`,
        withinMs,
        everyMs: 20,
        signal,
      }),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, "exit");
    },
  };
}
