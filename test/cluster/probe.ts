import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { CREDENTIAL_ADDRESSES, METADATA_ADDRESS } from "./network.ts";
import type { Pod } from "./pods.ts";
import { ENVIRONMENT, until } from "./process.ts";

/** What a pod was answered. */
export interface Answer {
  readonly url: string;
  /** When it came, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly ms: number;
  /** 0 when there was none: refused, reset or later than 2 s. */
  readonly status: number;
  readonly body: string;
}

/** What a probe asks for. */
export interface ProbePlan {
  /** Each is asked for at the same even pace. */
  readonly urls: readonly string[];
  readonly everyMs: number;
  /** Whether connections are kept, as the SDKs' pools do, or each request has its own. */
  readonly keepAlive: boolean;
}

/** A pod's process that asks at an even pace. */
export interface Probe extends AsyncDisposable {
  readonly answers: readonly Answer[];
  /** The first answer after `since` that is as wanted. */
  first(wanted: (answer: Answer) => boolean, since: number, withinMs: number): Promise<Answer>;
}

export const ROLE_PATH = "/latest/meta-data/iam/security-credentials/";

/** What a pod asks at one of the credential addresses: EKS Pod Identity's agent has one path only. */
export function credentialUrl(address: string): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `http://${host}${address.endsWith("23") ? "/v1/credentials" : ROLE_PATH}`;
}

/** What a pod asks at each of the credential addresses. */
export const CREDENTIAL_URLS = Object.values(CREDENTIAL_ADDRESSES).flat().map(credentialUrl);

/** Whether the agent answered a pod: at the container endpoint, that a request without a token is refused. */
export function isAgents({ url, status, body }: Answer, role: string): boolean {
  return url.endsWith("/v1/credentials") ? status >= 400 : body === role;
}

const PROCESS = join(import.meta.dirname, "probe-process.ts");

/** Starts to ask the metadata address for `path` in the pod's own network, once every `everyMs`. */
export function probe(pod: Pod, path: string, everyMs: number, signal: AbortSignal): Probe {
  const urls = [`http://${METADATA_ADDRESS}${path}`];
  return startProbe(pod, { urls, everyMs, keepAlive: false }, signal);
}

/** Starts to ask in the pod's own network, as `plan` says. */
export function startProbe(pod: Pod, plan: ProbePlan, signal: AbortSignal): Probe {
  const child = spawn(
    "nsenter",
    [`--net=/proc/${pod.pid}/ns/net`, "--", process.execPath, PROCESS],
    {
      env: { ...ENVIRONMENT, PROBE: JSON.stringify(plan) },
      stdio: ["ignore", "pipe", "inherit"],
    },
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

/** What a pod of the client image runs to ask as `plan` says from its first moment on; its log has the answers. */
export async function probing(plan: ProbePlan): Promise<{
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}> {
  const script = await readFile(PROCESS, "utf8");
  return {
    command: ["node", "--input-type=module-typescript", "--eval", script],
    environment: { PROBE: JSON.stringify(plan) },
  };
}

/** The answers in a probing pod's log. */
export function answersIn(log: string): readonly Answer[] {
  return log
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Answer);
}

/** The median time that answers took, in milliseconds. */
export function medianMs(answers: readonly Answer[]): number {
  const sorted = answers.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
