import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { run } from "./process.ts";

/** Kernel settings that a kubelet writes at its start, for the whole machine. */
const KERNEL_SETTINGS = [
  "/proc/sys/vm/overcommit_memory",
  "/proc/sys/kernel/panic",
  "/proc/sys/kernel/panic_on_oops",
];

/**
 * The command with which the suite gets a machine of its own: processes, mounts and network end with
 * its first process, however that one ends, so a run leaves nothing behind even when it is killed.
 */
export const SECLUDED = [
  "unshare",
  "--net",
  "--mount",
  "--pid",
  "--uts",
  "--ipc",
  "--fork",
  "--kill-child",
  "--mount-proc",
] as const;

/** Gives this process, already in namespaces of its own, its own `/run`, `/var` and kernel settings. */
export async function seclude(folder: string): Promise<void> {
  await mount("-t", "tmpfs", "tmpfs", "/run");
  await mkdir("/run/netns");
  const [upper, work] = [join(folder, "var"), join(folder, "var-work")];
  await mkdir(upper, { recursive: true });
  await mkdir(work);
  const layers = `lowerdir=/var,upperdir=${upper},workdir=${work}`;
  await mount("-t", "overlay", "overlay", "-o", layers, "/var");
  for (const setting of KERNEL_SETTINGS) {
    const own = join(folder, basename(setting));
    // Read, not copied: files of /proc say that they are empty.
    await writeFile(own, await readFile(setting));
    await mount("--bind", own, setting);
  }
}

async function mount(...args: readonly string[]): Promise<void> {
  await run("mount", args);
}
