import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { quietEnvironment, stopChild } from "#apps/demo/processes.ts";

/** Each pod has an interface and a route of its own on the node, or all share a bridge. */
export type Topology = "routed" | "bridged";

/** Where pods reach their node, by topology. */
export const GATEWAYS: Readonly<Record<Topology, string>> = {
  routed: "10.77.0.1",
  bridged: "10.78.0.1",
};
const BRIDGE = "cni0";

/** What a pod's client got. */
export interface PodReply {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

/** The interface that a pod was given, as a network plugin would tell of it. */
export interface Plugged {
  readonly address: string;
  readonly hostInterface: string;
  readonly hardwareAddress: string;
}

/** A network namespace as a pod has one, with a client in it. */
export interface PodSpace extends AsyncDisposable {
  /** Gives it a new interface with the address, and takes the one away that it had. */
  plug(address: string): Promise<Plugged>;
  /** Takes its interface away, and with it the address. */
  unplug(): Promise<void>;
  /** One GET on a connection of its own. */
  get(url: string): Promise<PodReply>;
}

/** A network namespace as a node has one, by a process that lives in it. */
export interface NodeSpace {
  readonly pid: number;
}

/** Makes a node's network of a process' network namespace, which must be one of its own. */
export async function makeNode(node: NodeSpace): Promise<void> {
  await ip(node.pid, [
    "link set lo up",
    `link add ${BRIDGE} type bridge`,
    `link set ${BRIDGE} up`,
    `addr add ${GATEWAYS.bridged}/24 dev ${BRIDGE}`,
  ]);
}

/** A network namespace of its own that is made a node's; its files are below `/proc` of the process. */
export async function startNodeSpace(): Promise<NodeSpace & AsyncDisposable> {
  const script = "mount -t sysfs sysfs /sys && echo ready && exec cat";
  const child = spawn("unshare", ["--net", "--mount", "sh", "-c", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const node = { pid: child.pid ?? 0 };
  await makeNode(node);
  return { ...node, [Symbol.asyncDispose]: () => stopChild(child) };
}

let interfaces = 0;

/** Starts a pod's network namespace, which has no interface yet. */
export async function startPodSpace(node: NodeSpace, topology: Topology): Promise<PodSpace> {
  const client = new URL("./pod-client.ts", import.meta.url).pathname;
  const child = spawn("unshare", ["--net", process.execPath, client], {
    stdio: ["pipe", "pipe", "inherit"],
    env: quietEnvironment({}),
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await answers.next();
  const pid = child.pid ?? 0;
  await ip(pid, ["link set lo up"]);
  let hostInterface: string | undefined;

  const unplug = async (): Promise<void> => {
    if (hostInterface !== undefined) await ip(node.pid, [`link del ${hostInterface}`]);
    hostInterface = undefined;
  };
  return {
    unplug,
    async plug(address) {
      await unplug();
      const number = (interfaces += 1);
      const name = `veth${number}`;
      const hardwareAddress = `02:00:00:${hexOf(number >> 16)}:${hexOf(number >> 8)}:${hexOf(number)}`;
      hostInterface = name;
      const host = `${address}/${address.includes(":") ? 128 : 32}`;
      await ip(node.pid, [
        `link add ${name} type veth peer name eth0 address ${hardwareAddress} netns ${pid}`,
        ...(topology === "routed"
          ? [
              `link set ${name} up`,
              `addr add ${GATEWAYS.routed}/32 dev ${name}`,
              `route add ${host} dev ${name}`,
            ]
          : [`link set ${name} master ${BRIDGE} up`]),
      ]);
      const gateway = GATEWAYS[topology];
      await ip(
        pid,
        topology === "routed"
          ? [
              "link set eth0 up",
              `addr add ${host} dev eth0`,
              `route add ${gateway}/32 dev eth0 scope link`,
            ]
          : ["link set eth0 up", `addr add ${address}/24 dev eth0`],
      );
      return { address, hostInterface: name, hardwareAddress };
    },
    async get(url) {
      child.stdin.write(`${url}\n`);
      const { value, done } = await answers.next();
      if (done === true) throw new Error("the pod's client ended");
      return JSON.parse(value) as PodReply;
    },
    async [Symbol.asyncDispose]() {
      await unplug();
      await stopChild(child);
    },
  };
}

/** Runs `ip` commands in the network namespace of a process. */
async function ip(pid: number, commands: readonly string[]): Promise<void> {
  const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, "ip", "-batch", "-"], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk) => (said += String(chunk)));
  child.stdin.end(`${commands.join("\n")}\n`);
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`ip ${commands.join("; ")}: ${said.trim()}`);
}

function hexOf(number: number): string {
  return (number & 0xff).toString(16).padStart(2, "0");
}
