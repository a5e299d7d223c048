import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { until } from "./process.ts";

const ROOT = "/sys/fs/cgroup";
/** The hierarchies that a kubelet wants its root in (cgroup v1, as on the machines this was run on). */
const HIERARCHIES = ["cpu", "cpuacct", "cpuset", "memory", "pids", "systemd"];
/** What a cpuset group must be given before it can hold a process. */
const CPUSET = ["cpuset.cpus", "cpuset.mems"];

/** How long the processes of a group may take to end once they were killed. */
const GONE_MS = 20_000;

/**
 * The pods' weight against the suite's other processes, each of which weighs 1024. On a machine of its own
 * a node has not the control plane of a whole cluster beside it.
 */
const CPU_SHARES = 16_384;

/** Makes the control group `name` and one below it for each node. */
export async function makeCgroups(name: string, nodes: readonly string[]): Promise<void> {
  for (const hierarchy of HIERARCHIES) {
    for (const group of [name, ...nodes.map((node) => join(name, node))]) {
      const folder = join(ROOT, hierarchy, group);
      await mkdir(folder);
      if (hierarchy === "cpu") await writeFile(join(folder, "cpu.shares"), String(CPU_SHARES));
      if (hierarchy !== "cpuset") continue;
      for (const file of CPUSET) {
        await writeFile(join(folder, file), await readFile(join(folder, "..", file)));
      }
    }
  }
}

/**
 * Removes the control group `name` and all below it, which must hold no process any more: a control
 * group outlives what ran in it.
 */
export async function removeCgroups(name: string): Promise<void> {
  for (const hierarchy of await readdir(ROOT)) await remove(join(ROOT, hierarchy, name));
}

async function remove(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return;
  for (const entry of entries.filter((found) => found.isDirectory())) {
    await remove(join(folder, entry.name));
  }
  // A process that was killed stays in its group for a moment.
  const gone = async (): Promise<true> => rmdir(folder).then(() => true);
  const signal = AbortSignal.timeout(GONE_MS);
  await until(gone, { what: `the end of ${folder}`, withinMs: GONE_MS, signal });
}
