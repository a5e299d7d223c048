import { readFile } from "node:fs/promises";

import type { Cluster } from "./cluster.ts";
import { CLIENT_IMAGE } from "./images.ts";
import type { ClusterNode } from "./node.ts";
import { until } from "./process.ts";
import { STS_URL } from "./sts.ts";

const ROLE = "iam.amazonaws.com/role";
const PERMITTED = "iam.amazonaws.com/permitted";
const STS_CA = "/etc/sts/ca.crt";

/** How long a pod may take to run, or to be gone, on two busy processors. */
const POD_MS = 90_000;

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  /** The node that it is bound to. Where it is absent, the scheduler chooses. */
  readonly node?: string;
  readonly role?: string;
  readonly hostNetwork?: boolean;
  /** What the pod runs; it sleeps when absent. */
  readonly command?: readonly string[];
}

/** A pod that runs and has its address. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly node: ClusterNode;
  /** Process id of its container. */
  readonly pid: number;
  /** Runs a command in the pod. */
  execute(...command: readonly string[]): Promise<string>;
  /** Asks for a URL from within the pod, the path as it is written. */
  get(url: string): Promise<{ readonly status: number; readonly body: string }>;
  /** Sets the pod's role; `null` takes it away. */
  setRole(role: string | null): Promise<void>;
  delete(): Promise<void>;
}

/** A pod, as far as the suite reads it. */
export interface PodObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly containerID?: string;
      readonly restartCount: number;
      readonly state: { readonly running?: unknown };
    }[];
  };
}

/** Creates a namespace that permits `permitted`, with what its pods need to trust STS. */
export async function createNamespace(
  cluster: Cluster,
  name: string,
  permitted: string,
): Promise<void> {
  const { api, authority } = cluster.controlPlane;
  await api.call("POST", "/api/v1/namespaces", {
    metadata: { name, annotations: { [PERMITTED]: permitted } },
  });
  await api.call("POST", `/api/v1/namespaces/${name}/configmaps`, {
    metadata: { name: "sts" },
    data: { "ca.crt": await readFile(authority.certificate, "utf8") },
  });
  await until(() => api.call("GET", `/api/v1/namespaces/${name}/serviceaccounts/default`), {
    what: `the service account of ${name}`,
    withinMs: 30_000,
    signal: cluster.signal,
  });
}

export async function permit(cluster: Cluster, namespace: string, roles: string): Promise<void> {
  await cluster.controlPlane.api.call("PATCH", `/api/v1/namespaces/${namespace}`, {
    metadata: { annotations: { [PERMITTED]: roles } },
  });
}

/** Creates a pod and does not wait for it. */
export async function createPod(cluster: Cluster, options: PodOptions): Promise<void> {
  await cluster.controlPlane.api.call(
    "POST",
    `/api/v1/namespaces/${options.namespace}/pods`,
    podManifest(options),
  );
}

/** Creates a pod of the client image and waits until it runs. */
export async function startPod(cluster: Cluster, options: PodOptions): Promise<Pod> {
  await createPod(cluster, options);
  return runningPod(cluster, options);
}

/** Waits until a pod runs. */
export async function runningPod(
  cluster: Cluster,
  { namespace, name }: Pick<PodOptions, "namespace" | "name">,
): Promise<Pod> {
  const { api } = cluster.controlPlane;
  const path = podPath(namespace, name);
  const { container, address, node } = await until(
    async () => {
      const { spec, status } = (await api.call("GET", path)) as PodObject;
      const [first] = status.containerStatuses ?? [];
      const container = first?.containerID?.replace("containerd://", "");
      const node = cluster.nodes.get(spec.nodeName ?? "");
      if (!first?.state.running || !container || !node || !status.podIP) return undefined;
      return { container, address: status.podIP, node };
    },
    { what: `pod ${namespace}/${name}`, withinMs: POD_MS, signal: cluster.signal },
  );
  const pid = (await node.containers()).get(container);
  if (pid === undefined) throw new Error(`Cannot find the process of pod ${namespace}/${name}`);
  const execute = (...command: readonly string[]): Promise<string> =>
    node.execute(container, command);
  return {
    namespace,
    name,
    address,
    node,
    pid,
    execute,
    get: async (url) => {
      const flags = ["--silent", "--path-as-is", "--max-time", "5", "--write-out", "%{http_code}"];
      const text = await execute("curl", ...flags, url);
      return { status: Number(text.slice(-3)), body: text.slice(0, -3) };
    },
    setRole: async (role) =>
      void (await api.call("PATCH", path, { metadata: { annotations: { [ROLE]: role } } })),
    delete: () => deletePod(cluster, namespace, name),
  };
}

/** Deletes a pod and waits until it is gone. */
export async function deletePod(cluster: Cluster, namespace: string, name: string): Promise<void> {
  const { api } = cluster.controlPlane;
  await api.call("DELETE", podPath(namespace, name));
  const names = async (): Promise<readonly string[]> =>
    (await listPods(cluster, namespace)).map(({ metadata }) => metadata.name);
  await until(async () => !(await names()).includes(name), {
    what: `the end of pod ${namespace}/${name}`,
    withinMs: POD_MS,
    signal: cluster.signal,
  });
}

export async function listPods(
  cluster: Cluster,
  namespace: string,
  selector = "",
): Promise<readonly PodObject[]> {
  const query = `?labelSelector=${encodeURIComponent(selector)}`;
  const path = `/api/v1/namespaces/${namespace}/pods${query}`;
  const { items } = (await cluster.controlPlane.api.call("GET", path)) as {
    readonly items: readonly PodObject[];
  };
  return items;
}

/** What a pod wrote to its standard output. */
export async function podLog(cluster: Cluster, namespace: string, name: string): Promise<string> {
  return cluster.controlPlane.api.text(`${podPath(namespace, name)}/log`);
}

function podPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/pods/${name}`;
}

function podManifest(options: PodOptions): unknown {
  const { metadata, spec } = podTemplate(options);
  return { metadata: { ...metadata, name: options.name }, spec };
}

/** What a pod of the client image is, without its name. */
export function podTemplate(options: Omit<PodOptions, "namespace" | "name">): {
  readonly metadata: object;
  readonly spec: object;
} {
  const { node, role, hostNetwork = false, command = ["sleep", "infinity"] } = options;
  const env = {
    STS_URL,
    AWS_REGION: "us-east-1",
    AWS_CA_BUNDLE: STS_CA,
    NODE_EXTRA_CA_CERTS: STS_CA,
    SSL_CERT_FILE: STS_CA,
  };
  return {
    metadata: { annotations: role === undefined ? {} : { [ROLE]: role } },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }),
      hostNetwork,
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "client",
          image: CLIENT_IMAGE,
          imagePullPolicy: "Never",
          command,
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          volumeMounts: [{ name: "sts", mountPath: "/etc/sts" }],
        },
      ],
      volumes: [{ name: "sts", configMap: { name: "sts" } }],
    },
  };
}
