import { run } from "./process.ts";

/** The address of the suite's own network namespace, where the control plane and STS run. */
export const HUB = "10.250.1.1";
/** The metadata service's address. Only ever routed between the suite's own network namespaces. */
export const METADATA_ADDRESS = "169.254.169.254";
export const SERVICE_RANGE = "10.96.0.0/24";
export const API_SERVICE = "10.96.0.1";
export const DNS_SERVICE = "10.96.0.10";
/** The range of all pods; each node has a /24 of it. */
export const POD_RANGE = "10.244.0.0/16";

/** One node's place in the network. */
export interface NodeNetwork {
  readonly name: string;
  readonly address: string;
  readonly podRange: string;
  readonly podGateway: string;
}

export const NODES = [
  { name: "a", address: "10.250.1.11", podRange: "10.244.1.0/24", podGateway: "10.244.1.1" },
  { name: "b", address: "10.250.1.12", podRange: "10.244.2.0/24", podGateway: "10.244.2.1" },
] as const satisfies readonly NodeNetwork[];

/**
 * Makes the network: this namespace is the hub, each node another one on its bridge.
 *
 * No namespace has a default route, so nothing that is sent here can leave the machine.
 */
export async function makeNetwork(): Promise<void> {
  await ip("link set lo up");
  await ip("link add hub type bridge");
  await ip(`addr add ${HUB}/24 dev hub`);
  await ip("link set hub up");
  for (const { name, address, podRange } of NODES) {
    await ip(`netns add ${name}`);
    await ip(`link add veth-${name} type veth peer name eth0 netns ${name}`);
    await ip(`link set veth-${name} master hub up`);
    await ip(`-n ${name} link set lo up`);
    await ip(`-n ${name} addr add ${address}/24 dev eth0`);
    await ip(`-n ${name} link set eth0 up`);
    // kube-proxy rewrites what goes to a service, but only a packet that has a route gets that far.
    await ip(`-n ${name} route add ${SERVICE_RANGE} dev eth0`);
    await ip(`route add ${podRange} via ${address}`);
    await inNode(name, "sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0"]);
  }
  for (const here of NODES) {
    for (const there of NODES) {
      if (here !== there)
        await ip(`-n ${here.name} route add ${there.podRange} via ${there.address}`);
    }
  }
}

/** Runs a command in a node's network namespace. Unlike `ip netns exec`, this leaves the mounts as they are. */
export async function inNode(
  name: string,
  command: string,
  args: readonly string[],
): Promise<string> {
  return run("nsenter", [...entering(name), command, ...args]);
}

/** The arguments with which `nsenter` enters a node's network namespace. */
export function entering(name: string): string[] {
  return [`--net=/run/netns/${name}`, "--"];
}

async function ip(line: string): Promise<void> {
  await run("ip", line.split(" "));
}
