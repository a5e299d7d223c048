import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { exists } from "./cache.ts";
import type { ControlPlane } from "./control-plane.ts";
import { DNS_SERVICE, entering, POD_RANGES, type NodeNetwork } from "./network.ts";
import { ENVIRONMENT, launch, run, until, type Daemon } from "./process.ts";

/** Where Debian puts the CNI plug-ins. */
const PLUGINS = "/usr/lib/cni";
/** What containerd calls the image that the suite gives to its nodes. */
const ROLECALL_IMAGE = "docker.io/library/rolecall:test";

export interface NodeOptions {
  readonly network: NodeNetwork;
  readonly kube: string;
  readonly folder: string;
  readonly logs: string;
  /** The cgroup, below each hierarchy's root, in which the node's pods run. */
  readonly cgroup: string;
  readonly controlPlane: ControlPlane;
  /** Docker archives of the images that the node's pods may run. */
  readonly images: readonly string[];
  readonly resources: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

/** One machine of the cluster: a network namespace with its own containerd, kubelet and kube-proxy. */
export interface ClusterNode {
  readonly network: NodeNetwork;
  readonly kubelet: Daemon;
  /** Process ids of the running containers, by container id. */
  containers(): Promise<ReadonlyMap<string, number>>;
  /** Runs a command in a running container, with that container's environment. */
  execute(container: string, command: readonly string[]): Promise<string>;
  /** Starts one likewise; it ends with the container at the latest. */
  start(container: string, command: readonly string[]): ChildProcess;
  /** Runs a command of Rolecall's image to its end, as the machine's boot does before there are pods: how-to/install.md. */
  boot(command: readonly string[]): Promise<string>;
  /**
   * Notes which addresses were given. What it returns lets the addresses that are given from here on be given again,
   * in the same order, as soon as they are free.
   */
  markAddresses(): Promise<(given: readonly string[]) => Promise<void>>;
}

/** Starts a node, up to its kubelet. It is Ready some seconds later. */
export async function startNode(options: NodeOptions): Promise<ClusterNode> {
  const { network, kube, folder, logs, controlPlane, resources, signal } = options;
  await mkdir(join(folder, "cni"), { recursive: true });
  const enter = (name: string, command: string, args: readonly string[]): Daemon =>
    launch({
      name,
      command: "nsenter",
      args: [...entering(network.name), command, ...args],
      env: { ...ENVIRONMENT, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
      log: join(logs, `${name}-${network.name}.log`),
    });

  await writeFile(join(folder, "cni", "10-pods.conflist"), JSON.stringify(podNetwork(options)));
  await writeFile(join(folder, "containerd.toml"), containerdConfig(folder));
  const socket = join(folder, "containerd.sock");
  const client = ["--address", socket, "--namespace", "k8s.io"];
  const ctr = (...args: string[]): Promise<string> => run("ctr", [...client, ...args]);
  const daemon = resources.use(
    enter("containerd", "containerd", ["--config", join(folder, "containerd.toml")]),
  );
  await until(() => ctr("version"), { what: "containerd", withinMs: 30_000, signal, daemon });
  await Promise.all(options.images.map((archive) => ctr("images", "import", archive)));

  await writeFile(join(folder, "kubelet.json"), JSON.stringify(kubeletConfig(options, socket)));
  const kubelet = [
    "kubelet",
    `--config=${folder}/kubelet.json`,
    `--kubeconfig=${controlPlane.kubeconfig(`node-${network.name}`)}`,
    `--hostname-override=${network.name}`,
    `--node-ip=${network.addresses.join(",")}`,
    `--root-dir=${folder}/kubelet`,
    `--cert-dir=${folder}/kubelet-pki`,
  ];
  const kubeletDaemon = resources.use(enter("kubelet", kube, kubelet));

  await writeFile(join(folder, "proxy.json"), JSON.stringify(proxyConfig(options)));
  const proxy = [
    "kube-proxy",
    `--config=${folder}/proxy.json`,
    `--hostname-override=${network.name}`,
  ];
  resources.use(enter("kube-proxy", kube, proxy));
  return {
    network,
    kubelet: kubeletDaemon,
    containers: async () => parseTasks(await ctr("tasks", "ls")),
    execute: (container, command) => ctr(...executing(container, command)),
    start: (container, command) =>
      spawn("ctr", [...client, ...executing(container, command)], {
        env: ENVIRONMENT,
        stdio: ["ignore", "pipe", "pipe"],
      }),
    boot: (command) => {
      const own = `--cgroup=/${options.cgroup}/${network.name}/boot`;
      const how = ["--rm", "--net-host", "--cap-add=CAP_NET_ADMIN", own];
      return ctr("run", ...how, ROLECALL_IMAGE, "boot", ...command);
    },
    markAddresses: async () => {
      const given = join(folder, "addresses", "pods");
      const marks = [join(given, "last_reserved_ip.0"), join(given, "last_reserved_ip.1")];
      const marked = await Promise.all(marks.map((file) => readFile(file).catch(() => undefined)));
      return async (addresses) => {
        for (const address of addresses) {
          // A pod is gone from the API before its network is.
          const isFree = async (): Promise<boolean> => !(await exists(join(given, address)));
          await until(isFree, { what: `the release of ${address}`, withinMs: 60_000, signal });
        }
        // host-local goes on behind the address that it gave last.
        for (const [family, last] of marked.entries()) {
          const file = marks[family] ?? "";
          await (last === undefined ? rm(file) : writeFile(file, last));
        }
      };
    },
  };
}

function executing(container: string, command: readonly string[]): string[] {
  return ["tasks", "exec", "--exec-id", randomUUID(), container, ...command];
}

function parseTasks(table: string): ReadonlyMap<string, number> {
  const rows = table.trim().split("\n").slice(1);
  const running = rows.map((row) => row.split(/\s+/)).filter((cells) => cells[2] === "RUNNING");
  return new Map(running.map(([id = "", pid = ""]) => [id, Number(pid)]));
}

/** Node "a" routes each pod by itself; node "b" has its pods on one bridge. */
function podNetwork({ network, folder }: NodeOptions): unknown {
  const ipam = {
    type: "host-local",
    dataDir: join(folder, "addresses"),
    ranges: network.pods.map((range) => [range]),
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  };
  const topology =
    network.name === "a"
      ? { type: "ptp", ipMasq: false, ipam }
      : { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: false, hairpinMode: true, ipam };
  return {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [topology, { type: "portmap", capabilities: { portMappings: true } }],
  };
}

function containerdConfig(folder: string): string {
  const cri = '[plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/containerd"
state = "${folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${folder}/containerd.sock"
[ttrpc]
  address = "${folder}/containerd.ttrpc"
${cri}]
  sandbox_image = "rolecall-test/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
${cri}.containerd]
  snapshotter = "overlayfs"
${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
${cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
${cri}.cni]
  bin_dir = "${PLUGINS}"
  conf_dir = "${folder}/cni"
`;
}

function kubeletConfig(
  { controlPlane, folder, cgroup, network }: NodeOptions,
  socket: string,
): unknown {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: network.addresses[0],
    authentication: {
      x509: { clientCAFile: controlPlane.authority.certificate },
      anonymous: { enabled: false },
    },
    authorization: { mode: "AlwaysAllow" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}/${network.name}`,
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    enforceNodeAllocatable: [],
    evictionHard: {},
    // An image that is collected can't be had again: there is no registry.
    imageGCHighThresholdPercent: 100,
    maxPods: 250,
    serializeImagePulls: false,
    registryPullQPS: 0,
    eventRecordQPS: 0,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    syncFrequency: "10s",
    clusterDomain: "cluster.local",
    clusterDNS: [DNS_SERVICE],
    resolvConf: "",
    containerRuntimeEndpoint: `unix://${socket}`,
    podLogsDir: join(folder, "pod-logs"),
    volumePluginDir: join(folder, "volume-plugins"),
    staticPodPath: "",
    healthzBindAddress: "127.0.0.1",
  };
}

function proxyConfig({ controlPlane, network }: NodeOptions): unknown {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    bindAddress: network.addresses[0],
    clusterCIDR: POD_RANGES.join(","),
    clientConnection: { kubeconfig: controlPlane.kubeconfig("proxy") },
    conntrack: { maxPerCore: 0, min: 0 },
  };
}
