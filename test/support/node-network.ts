import { Namespace } from "#test/namespace.ts";

const never = new AbortController().signal;

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

/** Gives a namespace a node's network. */
export async function makeNode(node: Namespace): Promise<void> {
  await ip(node, [
    "link set lo up",
    `link add ${BRIDGE} type bridge`,
    `link set ${BRIDGE} up`,
    `addr add ${GATEWAYS.bridged}/24 dev ${BRIDGE}`,
  ]);
}

let interfaces = 0;

/** Starts a pod's network namespace, which has no interface yet. */
export async function startPodSpace(node: Namespace, topology: Topology): Promise<PodSpace> {
  const pod = await Namespace.open();
  const client = new URL("./pod-client.ts", import.meta.url).pathname;
  const { child, output } = pod.start([process.execPath, client]);
  const answers = output[Symbol.asyncIterator]();
  await answers.next();
  let hostInterface: string | undefined;

  const unplug = async (): Promise<void> => {
    if (hostInterface !== undefined) await ip(node, [`link del ${hostInterface}`]);
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
      await ip(node, [
        `link add ${name} type veth peer name eth0 address ${hardwareAddress} netns ${pod.pid}`,
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
        pod,
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
      child.stdin?.write(`${url}\n`);
      const { value, done } = await answers.next();
      if (done === true) throw new Error("the pod's client ended");
      return JSON.parse(value) as PodReply;
    },
    async [Symbol.asyncDispose]() {
      await unplug();
      await pod[Symbol.asyncDispose]();
    },
  };
}

/** Runs `ip` commands in a namespace, and lets others have their turn meanwhile. */
async function ip(namespace: Namespace, commands: readonly string[]): Promise<void> {
  const input = `${commands.join("\n")}\n`;
  const { status, stderr } = await namespace.execute("ip", ["-batch", "-"], never, input);
  if (status !== 0) throw new Error(`ip ${commands.join("; ")}: ${stderr.trim()}`);
}

function hexOf(number: number): string {
  return (number & 0xff).toString(16).padStart(2, "0");
}
