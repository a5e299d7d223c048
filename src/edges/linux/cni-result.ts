import type { SandboxRecord } from "#core/feed/local-truth.ts";
import { normalizeAddress } from "#core/pod/address.ts";

/** A sandbox with the addresses that it was given, in their one spelling. */
export interface RecordedSandbox extends SandboxRecord {
  readonly addresses: readonly string[];
}

/** What libcni keeps, as far as it is used; every field may be anything. */
interface CachedResult {
  readonly ifName?: string;
  readonly cniArgs?: readonly (readonly [string, string])[];
  readonly result?: {
    readonly interfaces?: readonly {
      readonly name?: string;
      readonly mac?: string;
      readonly sandbox?: string;
    }[];
    readonly ips?: readonly { readonly address?: string }[];
    /** CNI before 0.3.0. */
    readonly ip4?: { readonly ip?: string };
    readonly ip6?: { readonly ip?: string };
  };
}

/**
 * Reads one file of libcni's cache of results (containernetworking/cni, libcni/api.go, `cachedInfo`).
 * Undefined for what is no result of a pod, or not whole yet.
 */
export function parseCniResult(text: string): RecordedSandbox | undefined {
  try {
    return fromCached(JSON.parse(text) as CachedResult);
  } catch {
    return undefined;
  }
}

function fromCached({
  ifName,
  cniArgs = [],
  result = {},
}: CachedResult): RecordedSandbox | undefined {
  const args = new Map(cniArgs.map(([name, value]) => [name, value]));
  const podUid = args.get("K8S_POD_UID");
  if (typeof podUid !== "string" || podUid === "") return undefined;
  const interfaces = result.interfaces ?? [];
  const ranges = [...(result.ips ?? []).map((ip) => ip.address), result.ip4?.ip, result.ip6?.ip];
  return {
    podUid,
    namespace: String(args.get("K8S_POD_NAMESPACE")),
    name: String(args.get("K8S_POD_NAME")),
    addresses: ranges
      .filter((range) => typeof range === "string")
      .map((range) => normalizeAddress(range.replace(/\/\d+$/, "")))
      .filter((address) => !isLoopback(address)),
    // Some plugins list the pod's own interface without saying that it is inside.
    hostInterfaces: interfaces
      .filter(({ name, sandbox = "" }) => sandbox === "" && name !== ifName)
      .map(({ name }) => String(name)),
    hardwareAddresses: interfaces
      .filter(({ mac = "", sandbox = "" }) => sandbox !== "" && mac !== "")
      .map(({ mac }) => String(mac).toLowerCase()),
  };
}

/** Runtimes keep the result of the loopback plugin too, which every pod has alike. */
function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
