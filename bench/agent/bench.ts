import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type Row, rowOf } from "../row.ts";
import { changes } from "./changes.ts";
import { container } from "./container.ts";
import { memory, memoryLong } from "./memory.ts";
import { profiles } from "./profiles.ts";
import { start } from "./start.ts";
import { TARGETS } from "./targets.ts";
import { connect, fixedRate, keepAlive } from "./throughput.ts";
import { type Plan, startWorld, type World } from "./world.ts";

/** What can be asked for with `--only`, in the order in which it is measured. */
const GROUPS: Readonly<Record<string, (world: World, plan: Plan) => Promise<readonly Row[]>>> = {
  "keep-alive": keepAlive,
  connect,
  "fixed-rate": fixedRate,
  container,
  changes,
  start,
  memory,
  "memory-long": memoryLong,
  bundle: bundleSize,
};

export const GROUP_NAMES: readonly string[] = Object.keys(GROUPS);

export interface BenchOptions {
  readonly plan: Plan;
  readonly groups: readonly string[];
  /** Where CPU profiles are put; none are taken when it is absent. */
  readonly profileFolder?: string;
  /** Told each group's rows as soon as they are there, or why there are none. */
  readonly onRows: (group: string, rows: readonly Row[] | Error) => void;
}

/** Measures the agent. A group that fails does not keep the others from being measured. */
export async function benchAgent(options: BenchOptions): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const world = await startWorld(resources);
  for (const group of options.groups) {
    try {
      options.onRows(group, (await GROUPS[group]?.(world, options.plan)) ?? []);
    } catch (error) {
      options.onRows(group, error as Error);
    }
  }
  if (options.profileFolder !== undefined) await profiles(world, options.profileFolder);
}

async function bundleSize(world: World): Promise<readonly Row[]> {
  const { size } = await stat(join(world.agentOptions.product.folder, "agent.cjs"));
  return [rowOf("bundle.size", "bytes", { values: [size] }, TARGETS["bundle.size"])];
}
