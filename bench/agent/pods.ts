import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import type { Sources } from "../load/load.ts";

/** One pod of the node. */
export interface BenchPod {
  readonly uid: string;
  readonly name: string;
  readonly address: string;
  /** The node's interface that leads to it. */
  readonly interface: string;
  readonly role: string;
}

/** A pod of the node without an address: its token may come from anywhere. */
export const UNPLACED_UID = "00000000-0000-4000-8000-999999999999";

export const NODE_NAME = "node-a";

/** As many as the kubelet lets a node have by default. */
const PODS = 110;
const ROLES = 20;
const HOUR_MS = 3_600_000;

/** The node's own address, and the range of all its pods. */
export const RANGE = "10.99.0.1/16";
/** Where the node's pods are. */
export const SOURCES: Sources = { first: "10.99.1.1", count: PODS };

/** The pods of a full node; several share a role, as replicas do. */
export const NODE_PODS: readonly BenchPod[] = Array.from({ length: PODS }, (_, index) => ({
  uid: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
  name: `pod-${index}`,
  address: `10.99.1.${index + 1}`,
  interface: `cali${index}`,
  role: `bench-role-${index % ROLES}`,
}));

/** Credentials of the size that STS gives: an answer of about 1.2 kB. */
export function benchCredentials(serial: number): Credentials {
  const now = Date.now();
  return {
    accessKeyId: `ASIA${String(serial).padStart(16, "0")}`,
    secretAccessKey: new Secret("s".repeat(40)),
    sessionToken: new Secret("t".repeat(880)),
    issuedAt: now,
    expiresAt: now + HOUR_MS,
  };
}

/**
 * Writes the node's own records of its pods, as the container runtime keeps them.
 *
 * @returns the folder, for `--cni-results`.
 */
export async function writeCniResults(folder: string): Promise<string> {
  const results = join(folder, "cni-results");
  await mkdir(results);
  for (const pod of NODE_PODS) {
    const result = {
      ifName: "eth0",
      cniArgs: [["K8S_POD_UID", pod.uid]],
      result: {
        interfaces: [
          { name: pod.interface },
          { name: "eth0", sandbox: `/var/run/netns/${pod.name}` },
        ],
        ips: [{ address: `${pod.address}/32` }],
      },
    };
    await writeFile(join(results, `bench-${pod.uid}-eth0`), JSON.stringify(result));
  }
  return results;
}
