import { normalizeAddress } from "#core/pod/address.ts";

const HOST_MASK = "FFFFFFFF";
const HOST_PREFIX = "80";
/** include/uapi/linux/route.h, ipv6_route.h */
const RTF_GATEWAY = 0x2;
const RTF_REJECT = 0x200;
const ELSEWHERE = RTF_GATEWAY | RTF_REJECT;
const RTF_LOCAL = 0x8000_0000;
/** include/uapi/linux/if_arp.h: the entry is complete. */
const ATF_COM = 0x2;

/** A neighbour on a shared interface. */
export interface Neighbour {
  readonly interface: string;
  readonly hardwareAddress: string;
}

/** Routes of `/proc/net/route` to one address each, straight through an interface: address → interface. */
export function parseHostRoutes(text: string): ReadonlyMap<string, string> {
  const routes = new Map<string, { readonly name: string; readonly metric: number }>();
  for (const line of text.split("\n").slice(1)) {
    const [name, to = "", , flags = "", , , metric, mask] = line.trim().split(/\s+/);
    if (name === undefined || mask !== HOST_MASK) continue;
    if ((Number.parseInt(flags, 16) & ELSEWHERE) !== 0) continue;
    const route = { name, metric: Number(metric) };
    const address = fromHex4(to);
    // The kernel takes the lowest metric.
    if (route.metric < (routes.get(address)?.metric ?? Number.POSITIVE_INFINITY)) {
      routes.set(address, route);
    }
  }
  return new Map([...routes].map(([address, { name }]) => [address, name]));
}

/** The same of `/proc/net/ipv6_route`. */
export function parseHostRoutes6(text: string): ReadonlyMap<string, string> {
  const routes = new Map<string, { readonly name: string; readonly metric: number }>();
  for (const line of text.split("\n")) {
    const [to = "", length, , , , metric = "", , , flags = "", name] = line.trim().split(/\s+/);
    if (name === undefined || name === "lo" || length !== HOST_PREFIX) continue;
    const bits = Number.parseInt(flags, 16);
    if ((bits & ELSEWHERE) !== 0 || bits >= RTF_LOCAL) continue;
    const route = { name, metric: Number.parseInt(metric, 16) };
    const address = normalizeAddress(to.replaceAll(/(.{4})(?!$)/g, "$1:"));
    if (route.metric < (routes.get(address)?.metric ?? Number.POSITIVE_INFINITY)) {
      routes.set(address, route);
    }
  }
  return new Map([...routes].map(([address, { name }]) => [address, name]));
}

/** The resolved entries of `/proc/net/arp` by address; none where two interfaces have one. */
export function parseArp(text: string): ReadonlyMap<string, Neighbour> {
  const neighbours = new Map<string, Neighbour | undefined>();
  for (const line of text.split("\n").slice(1)) {
    const [address, , flags = "", hardwareAddress, , name] = line.trim().split(/\s+/);
    if (address === undefined || hardwareAddress === undefined || name === undefined) continue;
    if ((Number.parseInt(flags, 16) & ATF_COM) === 0) continue;
    neighbours.set(
      address,
      neighbours.has(address)
        ? undefined
        : { interface: name, hardwareAddress: hardwareAddress.toLowerCase() },
    );
  }
  return new Map(
    [...neighbours].flatMap(([address, neighbour]) =>
      neighbour === undefined ? [] : [[address, neighbour]],
    ),
  );
}

/** Numbers of interfaces by name, from `/proc/net/igmp`, which has every one that is up. */
export function parseIndexes(igmp: string): ReadonlyMap<string, number> {
  const lines = igmp.matchAll(/^(?<index>\d+)\s+(?<name>\S+)/gm);
  return new Map(
    [...lines].map(({ groups }) => [groups?.["name"] ?? "", Number(groups?.["index"])]),
  );
}

const FDB_ENTRY_BYTES = 16;

/**
 * The port behind which a bridge has last seen a hardware address, by its forwarding table
 * (`brforward`; include/uapi/linux/if_bridge.h, `__fdb_entry`).
 */
export function bridgePortOf(forwarding: Uint8Array, hardwareAddress: string): number | undefined {
  for (let at = 0; at + FDB_ENTRY_BYTES <= forwarding.length; at += FDB_ENTRY_BYTES) {
    const bytes = [...forwarding.subarray(at, at + 6)];
    const entry = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    if (entry !== hardwareAddress) continue;
    const [low = 0, isLocal] = forwarding.subarray(at + 6, at + 8);
    return isLocal === 0 ? low + ((forwarding[at + 12] ?? 0) << 8) : undefined;
  }
  return undefined;
}

/** An IPv4 address as the kernel prints it on a little-endian machine, the only ones that Rolecall runs on. */
function fromHex4(hex: string): string {
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(".");
}
