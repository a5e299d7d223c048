import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import type { Sources } from "../load/load.ts";

/** One pod of the node. Its address is one of the loopback network, which load can come from. */
export interface BenchPod {
  readonly uid: string;
  readonly name: string;
  readonly address: string;
  readonly role: string;
}

export const NODE_NAME = "node-a";

/** As many as the kubelet lets a node have by default. */
const PODS = 110;
const ROLES = 20;
const HOUR_MS = 3_600_000;

/** Where the node's pods are. */
export const SOURCES: Sources = { first: "127.0.1.1", count: PODS };

/** The pods of a full node; several share a role, as replicas do. */
export const NODE_PODS: readonly BenchPod[] = Array.from({ length: PODS }, (_, index) => ({
  uid: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
  name: `pod-${index}`,
  address: `127.0.1.${index + 1}`,
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
  for (const { uid, address } of NODE_PODS) {
    const result = {
      cniArgs: [["K8S_POD_UID", uid]],
      result: { ips: [{ address: `${address}/32` }] },
    };
    await writeFile(join(results, `bench-${uid}-eth0`), JSON.stringify(result));
  }
  return results;
}
