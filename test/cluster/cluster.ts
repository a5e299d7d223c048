import { join } from "node:path";

import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import { startDns } from "./dns.ts";
import { makeNetwork, NODES } from "./network.ts";
import { startNode, type ClusterNode } from "./node.ts";
import { until } from "./process.ts";
import type { Tools } from "./tools.ts";

export interface ClusterOptions {
  readonly tools: Tools;
  readonly folder: string;
  readonly logs: string;
  /** The cgroup, below each hierarchy's root, that holds everything that runs in pods. */
  readonly cgroup: string;
  /** Docker archives of the images that pods may run. */
  readonly images: readonly string[];
  readonly resources: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

/** A Kubernetes cluster of two nodes: pods of "a" are routed one by one, those of "b" share a bridge. */
export interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  readonly signal: AbortSignal;
}

/** Starts the whole cluster; both nodes are Ready when this returns. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { tools, folder, logs, cgroup, images, resources, signal } = options;
  await makeNetwork();
  const controlPlane = await startControlPlane({
    kube: tools.kube,
    folder: join(folder, "control-plane"),
    logs,
    nodes: NODES.map(({ name }) => name),
    resources,
    signal,
  });
  await startDns({ coredns: tools.coredns, controlPlane, folder, logs, resources });
  const nodes = await Promise.all(
    NODES.map((network) =>
      startNode({
        network,
        kube: tools.kube,
        folder: join(folder, `node-${network.name}`),
        logs,
        cgroup,
        controlPlane,
        images,
        resources,
        signal,
      }),
    ),
  );
  await Promise.all(nodes.map((node) => ready(controlPlane, node, signal)));
  return {
    controlPlane,
    nodes: new Map(nodes.map((node) => [node.network.name, node])),
    signal,
  };
}

async function ready(
  { api }: ControlPlane,
  { network: { name }, kubelet }: ClusterNode,
  signal: AbortSignal,
): Promise<void> {
  await until(
    async () => {
      const node = (await api.call("GET", `/api/v1/nodes/${name}`)) as {
        readonly status: { readonly conditions: readonly { type: string; status: string }[] };
      };
      return node.status.conditions.some(
        ({ type, status }) => type === "Ready" && status === "True",
      );
    },
    { what: `node ${name}`, withinMs: 90_000, everyMs: 300, signal, daemon: kubelet },
  );
}
