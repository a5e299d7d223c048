import type { Cluster } from "./cluster.ts";
import { listPods, podLog, podTemplate } from "./pods.ts";
import { until } from "./process.ts";

/** How long all pods of a call may take: starting one costs the machine about a third of a second. */
const JOBS_MS = 240_000;

/** Asks for the role and for its credentials, at once and once, as a client with a second to spend does. */
const ASK_ONCE = `
at=http://169.254.169.254/latest/meta-data/iam/security-credentials/
ask() { curl --silent --show-error --fail --max-time 1 --write-out '%{stderr}s %{time_total}\\n' "$1"; }
role=$(ask $at) && ask "$at$role" | grep --quiet '"Code" *: *"Success"'
`;

export interface JobOptions {
  readonly role: string;
  readonly pods: number;
}

/**
 * Runs pods that call as soon as they run and never again, all at once, and waits for their ends.
 *
 * @returns the milliseconds that the slowest single answer took.
 * @throws when one of them failed, with what it wrote.
 */
export async function runJobs(
  cluster: Cluster,
  namespace: string,
  jobs: readonly JobOptions[],
): Promise<number> {
  const { api } = cluster.controlPlane;
  await Promise.all(
    jobs.map(({ role, pods }) =>
      api.call("POST", `/apis/batch/v1/namespaces/${namespace}/jobs`, {
        metadata: { name: role },
        spec: {
          completions: pods,
          parallelism: pods,
          backoffLimit: 0,
          podReplacementPolicy: "Failed",
          template: podTemplate({ role, command: ["sh", "-c", ASK_ONCE] }),
        },
      }),
    ),
  );
  const wanted = jobs.reduce((sum, { pods }) => sum + pods, 0);
  const ended = await until(
    async () => {
      const pods = await listPods(cluster, namespace);
      const failed = pods.find(({ status }) => status.phase === "Failed");
      if (failed !== undefined) return [failed];
      const succeeded = pods.filter(({ status }) => status.phase === "Succeeded");
      return succeeded.length >= wanted ? succeeded : undefined;
    },
    {
      what: `${wanted} pods in ${namespace}`,
      withinMs: JOBS_MS,
      everyMs: 500,
      signal: cluster.signal,
    },
  );
  const logs = await Promise.all(
    ended.map(({ metadata }) => podLog(cluster, namespace, metadata.name)),
  );
  const seconds = logs.flatMap((log) =>
    [...log.matchAll(/^s (?<seconds>[\d.]+)$/gm)].map(({ groups }) => Number(groups?.["seconds"])),
  );
  const failed = ended.find(({ status }) => status.phase === "Failed");
  if (failed !== undefined) throw new Error(`${failed.metadata.name} failed: ${logs.join("\n")}`);
  return Math.round(Math.max(...seconds) * 1_000);
}
