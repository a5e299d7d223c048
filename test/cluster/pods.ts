import type { ChildProcess } from "node:child_process";
import { basename, dirname } from "node:path";

import type { Cluster } from "./cluster.ts";
import { CLIENT_IMAGE } from "./images.ts";
import type { ClusterNode } from "./node.ts";
import { until } from "./process.ts";
import { OPEN_STS_URL } from "./sts.ts";

const ROLE = "iam.amazonaws.com/role";
const PERMITTED = "iam.amazonaws.com/permitted";
/** Where the token is that a pod may show at the container endpoint. */
export const TOKEN_FILE = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/token";

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
  /** What its processes find in their environment, besides STS and the region. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it has a token for the container endpoint, at `TOKEN_FILE`. */
  readonly token?: boolean;
}

/** A pod that runs and has its address. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  /** Its first address. */
  readonly address: string;
  /** Its addresses, of IPv4 and of IPv6. */
  readonly addresses: readonly string[];
  readonly node: ClusterNode;
  /** Process id of its container. */
  readonly pid: number;
  /** Runs a command in the pod. */
  execute(...command: readonly string[]): Promise<string>;
  /** Starts a command in the pod, whose standard output is read as it comes. */
  start(...command: readonly string[]): ChildProcess;
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
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly containerID?: string;
      readonly restartCount: number;
      readonly state: { readonly running?: unknown };
    }[];
  };
}

/** Creates a namespace that permits `permitted`, in which pods can be created when this returns. */
export async function createNamespace(
  cluster: Cluster,
  name: string,
  permitted: string,
): Promise<void> {
  const { api } = cluster.controlPlane;
  await api.call("POST", "/api/v1/namespaces", {
    metadata: { name, annotations: { [PERMITTED]: permitted } },
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
  const { container, address, addresses, node } = await until(
    async () => {
      const { spec, status } = (await api.call("GET", path)) as PodObject;
      const [first] = status.containerStatuses ?? [];
      const container = first?.containerID?.replace("containerd://", "");
      const node = cluster.nodes.get(spec.nodeName ?? "");
      if (!first?.state.running || !container || !node || !status.podIP) return undefined;
      const addresses = (status.podIPs ?? []).map(({ ip }) => ip);
      return { container, address: status.podIP, addresses, node };
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
    addresses,
    node,
    pid,
    execute,
    start: (...command) => node.start(container, command),
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

/** Deletes every pod of a namespace and waits until all are gone. */
export async function deletePods(cluster: Cluster, namespace: string): Promise<void> {
  await cluster.controlPlane.api.call("DELETE", `/api/v1/namespaces/${namespace}/pods`);
  await until(async () => (await listPods(cluster, namespace)).length === 0, {
    what: `the end of the pods of ${namespace}`,
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
    STS_URL: OPEN_STS_URL,
    AWS_REGION: "us-east-1",
    AWS_DEFAULT_REGION: "us-east-1",
    ...options.environment,
  };
  const tokens = options.token === true ? [tokenVolume()] : [];
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
          volumeMounts: tokens.map(({ name }) => ({ name, mountPath: dirname(TOKEN_FILE) })),
        },
      ],
      volumes: tokens,
    },
  };
}

/** A token as EKS Pod Identity gives it to pods. */
function tokenVolume(): { readonly name: string; readonly projected: object } {
  const serviceAccountToken = {
    audience: "pods.eks.amazonaws.com",
    expirationSeconds: 86_400,
    path: basename(TOKEN_FILE),
  };
  return { name: "token", projected: { sources: [{ serviceAccountToken }] } };
}
