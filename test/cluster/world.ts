import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { startCluster, type Cluster } from "./cluster.ts";
import { startNodeMetadata, type NodeMetadata } from "./metadata.ts";
import { createNamespace } from "./pods.ts";
import { installRolecall, ROLECALL_NAMESPACE, type Rolecall } from "./rolecall.ts";
import { seclude } from "./seclusion.ts";
import { startSts, type Sts } from "./sts.ts";
import type { Tools } from "./tools.ts";

/** What was built before the suite left the machine's own network. */
export interface Prepared {
  readonly tools: Tools;
  /** Docker archives for the nodes. */
  readonly images: readonly string[];
  /** Where everything of this run is. */
  readonly folder: string;
  readonly cgroup: string;
  /** Names of the scenarios to run. */
  readonly scenarios: readonly string[];
  /** Whether outages take ten minutes instead of one. */
  readonly long: boolean;
}

/** What `main.ts` prepared. */
export async function readPrepared(): Promise<Prepared> {
  return JSON.parse(await readFile(process.env["ROLECALL_PREPARED"] ?? "", "utf8")) as Prepared;
}

/** Everything that the scenarios act on and look at. */
export interface World {
  readonly cluster: Cluster;
  readonly sts: Sts;
  readonly metadata: NodeMetadata;
  readonly rolecall: Rolecall;
  /** Where a scenario may write files. */
  readonly folder: string;
  readonly long: boolean;
}

/** Registers the tests of one subject; the world is there when they run. */
export type Scenario = (world: () => World) => void;

/** The nodes by how they bring pods' traffic to the host. */
export const TOPOLOGIES = [
  { node: "a", topology: "routed" },
  { node: "b", topology: "bridged" },
] as const;

/** Starts the cluster and everything in it. `resources` ends it all. */
export async function startWorld(
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<World> {
  const { tools, images, folder, cgroup, long } = await readPrepared();
  const logs = join(folder, "logs");
  await mkdir(logs);
  await seclude(folder);
  const cluster = await startCluster({ tools, folder, logs, cgroup, images, resources, signal });
  const { authority } = cluster.controlPlane;
  const { motoPython } = tools;
  const sts = await startSts({ motoPython, authority, logs, resources, signal });
  const metadata = await startNodeMetadata(resources);
  await createNamespace(cluster, ROLECALL_NAMESPACE, "");
  const rolecall = await installRolecall({ cluster, helm: tools.helm, folder });
  return { cluster, sts, metadata, rolecall, folder, long };
}

/** The ARN of the role whose credentials an answer holds; empty when STS issued none like that. */
export function roleIn({ sts }: Pick<World, "sts">, body: string): string {
  const { AccessKeyId } = JSON.parse(body) as { readonly AccessKeyId: string };
  return sts.roleOf(AccessKeyId) ?? "";
}
