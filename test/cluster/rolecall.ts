import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Cluster } from "./cluster.ts";
import { NODES } from "./network.ts";
import { listPods, podLog, type PodObject } from "./pods.ts";
import { run, until } from "./process.ts";
import { STS_URL } from "./sts.ts";

export const ROLECALL_NAMESPACE = "rolecall";
const RELEASE = "rolecall";
const CHART = join(import.meta.dirname, "../../charts/rolecall");
const METRICS_PORT = 9_620;
/** As many as the chart starts. */
const SERVERS = 2;
/** How long a roll-out may take: kubelets need up to two minutes to see that the API server is back. */
const ROLLOUT_MS = 240_000;

/** What the servers' certificates are asked to name. */
export const SERVER_NAMES = [
  `${RELEASE}-server`,
  `${RELEASE}-server.${ROLECALL_NAMESPACE}`,
  `${RELEASE}-server.${ROLECALL_NAMESPACE}.svc`,
  `${RELEASE}-server.${ROLECALL_NAMESPACE}.svc.cluster.local`,
  "localhost",
  "127.0.0.1",
];

export type Part = "agent" | "server";

/** Rolecall as it runs in the cluster, installed by Helm from its own chart and image. */
export interface Rolecall {
  /** The pods of a part that are not on their way out. */
  pods(part: Part): Promise<readonly PodObject[]>;
  /** Waits until every pod of a part is new and ready. */
  rolledOut(part: Part): Promise<void>;
  /** Replaces every pod of a part, as `kubectl rollout restart` does. */
  restart(part: Part): Promise<void>;
  /** Ends `count` processes of a part, or all of them, at once and without asking. */
  kill(part: Part, count?: number): Promise<void>;
  /** The process ids of a part, by the names of their nodes. */
  processes(part: Part): Promise<readonly { readonly node: string; readonly pid: number }[]>;
  /** Ends every server likewise, and lets none be started until `startServers`. */
  killServers(): Promise<void>;
  /** Starts the servers again, and waits until they are ready. */
  startServers(): Promise<void>;
  /** The sum of a metric over a part's processes, over all series with these labels. */
  metric(part: Part, name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** What each process of a part has logged. */
  logs(part: Part): Promise<readonly string[]>;
  /** Upgrades to the chart with values that differ from the suite's own, and waits until that is rolled out. */
  upgrade(values: object): Promise<void>;
  /** Deletes the agents' DaemonSet, and waits until they are gone. */
  removeAgents(): Promise<void>;
}

export interface RolecallOptions {
  readonly cluster: Cluster;
  readonly helm: string;
  readonly folder: string;
}

const WORKLOAD = {
  agent: `/apis/apps/v1/namespaces/${ROLECALL_NAMESPACE}/daemonsets/${RELEASE}-agent`,
  server: `/apis/apps/v1/namespaces/${ROLECALL_NAMESPACE}/deployments/${RELEASE}-server`,
} as const;

/** Installs Rolecall; it is ready when this returns. */
export async function installRolecall(options: RolecallOptions): Promise<Rolecall> {
  const { cluster, helm, folder } = options;
  const { api } = cluster.controlPlane;
  const ca = await readFile(cluster.controlPlane.authority.certificate, "utf8");
  await api.call("POST", `/api/v1/namespaces/${ROLECALL_NAMESPACE}/configmaps`, {
    metadata: { name: "sts" },
    data: { "ca.crt": ca },
  });
  let changes = 0;
  /** Installs the chart, or upgrades to it, with the suite's values and what differs from them. */
  const deploy = async (different: object): Promise<void> => {
    changes += 1;
    const files = [VALUES, different].map((content, index) => ({
      file: join(folder, `values-${changes}-${index}.json`),
      content,
    }));
    for (const { file, content } of files) await writeFile(file, JSON.stringify(content));
    await run(helm, [
      "upgrade",
      RELEASE,
      CHART,
      "--install",
      `--namespace=${ROLECALL_NAMESPACE}`,
      `--kubeconfig=${cluster.controlPlane.kubeconfig("admin")}`,
      ...files.map(({ file }) => `--values=${file}`),
    ]);
    await awaitRollOut(cluster, "server");
    await awaitRollOut(cluster, "agent");
  };
  await deploy({});

  const pods = async (part: Part): Promise<readonly PodObject[]> =>
    (await listPods(cluster, ROLECALL_NAMESPACE, `component=${part}`)).filter(
      ({ metadata }) => !("deletionTimestamp" in metadata),
    );
  const addresses = async (part: Part): Promise<readonly string[]> =>
    (await pods(part)).map(({ status }) => status.podIP).filter((ip) => ip !== undefined);
  const rolledOut = (part: Part): Promise<void> => awaitRollOut(cluster, part);
  const metricsOf = async (address: string): Promise<string> =>
    (await fetch(`http://${address}:${METRICS_PORT}/metrics`)).text();

  const ended = async (part: Part): Promise<void> => {
    const isGone = async (): Promise<boolean> =>
      (await listPods(cluster, ROLECALL_NAMESPACE, `component=${part}`)).length === 0;
    const { signal } = cluster;
    await until(isGone, { what: `the end of the ${part}s`, withinMs: ROLLOUT_MS, signal });
  };
  const scale = async (replicas: number): Promise<void> =>
    void (await api.call("PATCH", WORKLOAD.server, { spec: { replicas } }));

  const rolecall: Rolecall = {
    pods,
    rolledOut,
    restart: async (part) => {
      const annotations = { "rolecall.test/restarted": String(Date.now()) };
      await api.call("PATCH", WORKLOAD[part], {
        spec: { template: { metadata: { annotations } } },
      });
      await rolledOut(part);
    },
    kill: async (part, count = Infinity) => {
      killAll((await processIds(cluster, await pods(part))).slice(0, count));
    },
    processes: async (part) => {
      const found = await Promise.all(
        (await pods(part)).map(async (pod) => {
          const pids = await processIds(cluster, [pod]);
          return pids.map((pid) => ({ node: pod.spec.nodeName ?? "", pid }));
        }),
      );
      return found.flat();
    },
    killServers: async () => {
      const running = await processIds(cluster, await pods("server"));
      await scale(0);
      killAll(running);
      await ended("server");
    },
    startServers: async () => {
      await scale(SERVERS);
      await rolledOut("server");
    },
    metric: async (part, name, labels = {}) => {
      const texts = await Promise.all((await addresses(part)).map(metricsOf));
      return texts.reduce((sum, text) => sum + sumOf(text, name, labels), 0);
    },
    logs: async (part) =>
      Promise.all(
        (await pods(part)).map(({ metadata }) =>
          podLog(cluster, ROLECALL_NAMESPACE, metadata.name),
        ),
      ),
    upgrade: deploy,
    removeAgents: async () => {
      await api.call("DELETE", WORKLOAD.agent);
      await ended("agent");
    },
  };
  return rolecall;
}

const IMAGE = { repository: "rolecall", tag: "test", pullPolicy: "Never" };

const VALUES = {
  agent: {
    image: IMAGE,
    // Everything that an expression can open, to see that credentials stay closed.
    allowRouteRegexp: ".*",
    host: { interception: "nft", interface: "" },
    log: { level: "debug" },
  },
  server: {
    image: IMAGE,
    log: { level: "debug" },
    region: "us-east-1",
    // A server that the suite froze is not to be replaced for that.
    livenessProbe: { failureThreshold: 60 },
    stsEndpoint: STS_URL,
    extraEnv: Object.entries({
      AWS_ACCESS_KEY_ID: "AKIAROLECALLSERVER00",
      AWS_SECRET_ACCESS_KEY: "of-the-suite",
      NODE_EXTRA_CA_CERTS: "/etc/sts/ca.crt",
    }).map(([name, value]) => ({ name, value })),
    extraVolumes: [{ name: "sts", configMap: { name: "sts" } }],
    extraVolumeMounts: [{ name: "sts", mountPath: "/etc/sts", readOnly: true }],
  },
};

interface WorkloadObject {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly replicas?: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberReady?: number;
  };
}

async function awaitRollOut(cluster: Cluster, part: Part): Promise<void> {
  const done = async (): Promise<boolean> => {
    const { metadata, spec, status } = (await cluster.controlPlane.api.call(
      "GET",
      WORKLOAD[part],
    )) as WorkloadObject;
    if ((status.observedGeneration ?? 0) < metadata.generation) return false;
    const wanted = part === "agent" ? NODES.length : spec.replicas;
    const updated = part === "agent" ? status.updatedNumberScheduled : status.updatedReplicas;
    const ready = part === "agent" ? status.numberReady : status.readyReplicas;
    const all = part === "agent" ? wanted : status.replicas;
    return updated === wanted && ready === wanted && all === wanted;
  };
  await until(done, {
    what: `the ${part}s`,
    withinMs: ROLLOUT_MS,
    everyMs: 300,
    signal: cluster.signal,
  });
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // It may have ended on its own since it was found.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

async function processIds(cluster: Cluster, pods: readonly PodObject[]): Promise<number[]> {
  const all = await Promise.all(
    [...cluster.nodes.values()].map(async (node) => [...(await node.containers())]),
  );
  const running = new Map(all.flat());
  return pods
    .flatMap(({ status }) => status.containerStatuses ?? [])
    .map(({ containerID = "" }) => running.get(containerID.replace("containerd://", "")))
    .filter((pid) => pid !== undefined);
}

/** Adds up the samples of one family in Prometheus' text format. */
function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) =>
      Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)),
    )
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
