import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { connectApi, type KubeApi } from "./api.ts";
import { makeAuthority, makeTokenKeys, type Authority, type Certificate } from "./certificates.ts";
import { API_SERVICE, HUB, SERVICE_RANGES } from "./network.ts";
import { launch, until, type Daemon } from "./process.ts";

export const API_URL = `https://${HUB}:6443`;

/** What a client of the API server needs, by the identity that it calls with. */
export interface ControlPlane {
  readonly api: KubeApi;
  readonly authority: Authority;
  readonly kubeconfig: (identity: string) => string;
  /** Ends the API server, and with it what it serves, at once. */
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
}

export interface ControlPlaneOptions {
  readonly kube: string;
  readonly folder: string;
  readonly logs: string;
  /** Names of the nodes that will join. */
  readonly nodes: readonly string[];
  readonly resources: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

interface Files {
  readonly serving: Certificate;
  readonly kubelets: Certificate;
  readonly tokens: { readonly secret: string; readonly open: string };
  readonly identities: string;
}

/** Starts etcd, the API server, the controller manager and the scheduler; ready when the API server is. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { kube, folder, logs, nodes, resources, signal } = options;
  await mkdir(folder, { recursive: true });
  const authority = await makeAuthority(folder, "cluster");
  const files = await writeFiles(folder, authority, nodes);
  const start = (name: string, args: readonly string[]): Daemon =>
    launch({ name, command: kube, args: [name, ...args], log: join(logs, `${name}.log`) });

  resources.use(
    start("etcd", [`--data-dir=${folder}/etcd`, "--client-port=2379", "--peer-port=2380"]),
  );
  let daemons: readonly Daemon[] = [];
  const api = resources.use(
    await connectApi({ url: API_URL, authority: authority.certificate, token: "admin" }),
  );
  const kubeconfig = (identity: string): string => join(folder, `${identity}.kubeconfig`);
  // The controllers start anew with the API server: left running, they would rest for half a minute first.
  const startAll = async (): Promise<void> => {
    const daemon = start("kube-apiserver", apiServerFlags(authority, files));
    daemons = [daemon];
    const ready = async (): Promise<boolean> => (await api.text("/readyz")) === "ok";
    await until(ready, { what: "the API server", withinMs: 60_000, signal, daemon });
    const controllers = controllerFlags(kubeconfig("controllers"), authority, files);
    const scheduler = ["--leader-elect=false", ...reaching(kubeconfig("scheduler"))];
    daemons = [
      daemon,
      start("kube-controller-manager", controllers),
      start("kube-scheduler", scheduler),
    ];
  };
  const stopAll = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.kill()));
  };
  resources.defer(stopAll);
  await startAll();
  return { api, authority, kubeconfig, start: startAll, stop: stopAll };
}

async function writeFiles(
  folder: string,
  authority: Authority,
  nodes: readonly string[],
): Promise<Files> {
  const users = [
    { token: "admin", user: "test", groups: "system:masters" },
    { token: "controllers", user: "system:kube-controller-manager", groups: "" },
    { token: "scheduler", user: "system:kube-scheduler", groups: "" },
    { token: "proxy", user: "system:kube-proxy", groups: "" },
    { token: "dns", user: "test-dns", groups: "system:masters" },
    ...nodes.map((name) => ({
      token: `node-${name}`,
      user: `system:node:${name}`,
      groups: "system:nodes",
    })),
  ];
  const identities = join(folder, "identities.csv");
  await writeFile(
    identities,
    users.map(({ token, user, groups }) => `${token},${user},${user},"${groups}"\n`).join(""),
  );
  for (const { token } of users) {
    await writeFile(
      join(folder, `${token}.kubeconfig`),
      JSON.stringify(kubeconfigOf(authority.certificate, token)),
    );
  }
  const service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
  return {
    serving: await authority.issue("api", "CN=kube-apiserver", [
      HUB,
      API_SERVICE,
      "127.0.0.1",
      ...service,
    ]),
    kubelets: await authority.issue("kubelets", "O=system:masters, CN=kube-apiserver", [
      "kube-apiserver",
    ]),
    tokens: await makeTokenKeys(folder),
    identities,
  };
}

function apiServerFlags(
  authority: Authority,
  { serving, kubelets, tokens, identities }: Files,
): string[] {
  return [
    "--etcd-servers=http://127.0.0.1:2379",
    "--secure-port=6443",
    "--bind-address=0.0.0.0",
    `--advertise-address=${HUB}`,
    `--tls-cert-file=${serving.certificate}`,
    `--tls-private-key-file=${serving.key}`,
    `--client-ca-file=${authority.certificate}`,
    `--kubelet-client-certificate=${kubelets.certificate}`,
    `--kubelet-client-key=${kubelets.key}`,
    "--kubelet-preferred-address-types=InternalIP",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${tokens.open}`,
    `--service-account-signing-key-file=${tokens.secret}`,
    `--token-auth-file=${identities}`,
    "--authorization-mode=Node,RBAC",
    `--service-cluster-ip-range=${SERVICE_RANGES.join(",")}`,
    "--allow-privileged",
  ];
}

function controllerFlags(kubeconfig: string, authority: Authority, { tokens }: Files): string[] {
  return [
    "--use-service-account-credentials",
    `--service-account-private-key-file=${tokens.secret}`,
    `--root-ca-file=${authority.certificate}`,
    "--leader-elect=false",
    ...reaching(kubeconfig),
  ];
}

/** How a component reaches the API server, and whom it believes when it is asked itself. */
function reaching(kubeconfig: string): string[] {
  return ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
    (flag) => `--${flag}=${kubeconfig}`,
  );
}

function kubeconfigOf(authority: string, token: string): unknown {
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: API_URL, "certificate-authority": authority } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
}
