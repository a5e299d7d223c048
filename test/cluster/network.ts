import { run } from "./process.ts";

/** The address of the suite's own network namespace, where the control plane and STS run. */
export const HUB = "10.250.1.1";
const HUB_6 = "fd00:250:1::1";
export const METADATA_ADDRESS = "169.254.169.254";
/**
 * Where credentials are had on a node: the metadata service and EKS Pod Identity's agent. Only ever routed between
 * the suite's own network namespaces.
 */
export const CREDENTIAL_ADDRESSES = {
  IPv4: [METADATA_ADDRESS, "169.254.170.23"],
  IPv6: ["fd00:ec2::254", "fd00:ec2::23"],
} as const;
/** Of services, by family, as the components of Kubernetes want it. */
export const SERVICE_RANGES = ["10.96.0.0/24", "fd00:96::/112"] as const;
export const API_SERVICE = "10.96.0.1";
export const DNS_SERVICE = "10.96.0.10";
/** The ranges of all pods, by family; each node has a part of both. */
export const POD_RANGES = ["10.244.0.0/16", "fd00:244::/32"] as const;

/** One node's place in the network; what there are two of are of IPv4 and of IPv6. */
export interface NodeNetwork {
  readonly name: string;
  readonly addresses: readonly [string, string];
  readonly pods: readonly [PodRange, PodRange];
}

interface PodRange {
  readonly subnet: string;
  readonly gateway: string;
}

export const NODES = [
  {
    name: "a",
    addresses: ["10.250.1.11", "fd00:250:1::11"],
    pods: [
      { subnet: "10.244.1.0/24", gateway: "10.244.1.1" },
      { subnet: "fd00:244:1::/64", gateway: "fd00:244:1::1" },
    ],
  },
  {
    name: "b",
    addresses: ["10.250.1.12", "fd00:250:1::12"],
    pods: [
      { subnet: "10.244.2.0/24", gateway: "10.244.2.1" },
      { subnet: "fd00:244:2::/64", gateway: "fd00:244:2::1" },
    ],
  },
] as const satisfies readonly NodeNetwork[];

/** Whether an address is a pod's. */
export function isPodAddress(address: string): boolean {
  return address.startsWith("10.244.") || address.startsWith("fd00:244:");
}

const NODE_SETTINGS = [
  "net.ipv4.ip_forward=1",
  "net.ipv4.conf.all.rp_filter=0",
  "net.ipv6.conf.all.forwarding=1",
  // Connections that one agent has not taken when it leaves the port go to the next (docs/how-to/install.md).
  "net.ipv4.tcp_migrate_req=1",
];

/**
 * Makes the network: this namespace is the hub, each node another one on its bridge.
 *
 * No namespace has a default route, so nothing that is sent here can leave the machine.
 */
export async function makeNetwork(): Promise<void> {
  await ip("link set lo up");
  await ip("link add hub type bridge");
  await ip(`addr add ${HUB}/24 dev hub`);
  await ip(`addr add ${HUB_6}/64 dev hub nodad`);
  await ip("link set hub up");
  for (const { name, addresses, pods } of NODES) {
    await ip(`netns add ${name}`);
    await ip(`link add veth-${name} type veth peer name eth0 netns ${name}`);
    await ip(`link set veth-${name} master hub up`);
    await ip(`-n ${name} link set lo up`);
    await ip(`-n ${name} addr add ${addresses[0]}/24 dev eth0`);
    await ip(`-n ${name} addr add ${addresses[1]}/64 dev eth0 nodad`);
    await ip(`-n ${name} link set eth0 up`);
    await inNode(name, "sysctl", ["-qw", ...NODE_SETTINGS]);
    // kube-proxy rewrites what goes to a service, but only a packet that has a route gets that far.
    for (const range of SERVICE_RANGES) await ip(`-n ${name} route add ${range} dev eth0`);
    for (const family of [0, 1] as const) {
      await ip(`route add ${pods[family].subnet} via ${addresses[family]}`);
    }
    for (const address of CREDENTIAL_ADDRESSES.IPv4) {
      await ip(`-n ${name} route add ${address} via ${HUB}`);
    }
    for (const address of CREDENTIAL_ADDRESSES.IPv6) {
      await ip(`-n ${name} route add ${address} via ${HUB_6}`);
    }
  }
  for (const address of CREDENTIAL_ADDRESSES.IPv4) await ip(`addr add ${address}/32 dev hub`);
  for (const address of CREDENTIAL_ADDRESSES.IPv6) {
    await ip(`addr add ${address}/128 dev hub nodad`);
  }
  for (const here of NODES) {
    for (const there of NODES) {
      if (here === there) continue;
      for (const family of [0, 1] as const) {
        const { subnet } = there.pods[family];
        await ip(`-n ${here.name} route add ${subnet} via ${there.addresses[family]}`);
      }
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
