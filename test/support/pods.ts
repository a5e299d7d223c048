/** A Kubernetes object as JSON. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface PodFields {
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly node?: string;
  readonly addresses?: readonly string[];
  readonly phase?: string;
  readonly hostNetwork?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  /** An RFC 3339 instant; absent for a pod that is not being deleted. */
  readonly deletionTimestamp?: string;
}

/** A pod as the API server would give it, with the fields around it that it always has. */
export function kubernetesPod(fields: PodFields): KubernetesObject {
  const { namespace = "default", name, node = "node-a", addresses = [] } = fields;
  const { phase = addresses.length > 0 ? "Running" : "Pending", hostNetwork = false } = fields;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      uid: fields.uid ?? `uid-${namespace}-${name}`,
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { app: name },
      annotations: fields.annotations ?? {},
      ...(fields.deletionTimestamp === undefined
        ? {}
        : { deletionTimestamp: fields.deletionTimestamp }),
    },
    spec: {
      containers: [{ name: "main", image: "example/application:1" }],
      ...(node === "" ? {} : { nodeName: node }),
      ...(hostNetwork ? { hostNetwork } : {}),
    },
    status: {
      phase,
      ...(addresses.length === 0
        ? {}
        : { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
    },
  };
}

/** A namespace as the API server would give it. */
export function kubernetesNamespace(fields: {
  readonly name: string;
  readonly annotations?: Readonly<Record<string, string>>;
}): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: fields.name,
      uid: `uid-${fields.name}`,
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { "kubernetes.io/metadata.name": fields.name },
      annotations: fields.annotations ?? {},
    },
    spec: { finalizers: ["kubernetes"] },
    status: { phase: "Active" },
  };
}
