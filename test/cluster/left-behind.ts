import { readdir, readFile } from "node:fs/promises";

/**
 * What is left of a run whose folder, and so whose processes' arguments, groups and mounts, carry `name`.
 * Its networks and their rules live only as long as a process or a mount of it.
 */
export async function leftBehind(name: string): Promise<readonly string[]> {
  const mounts = (await read("/proc/self/mountinfo"))
    .split("\n")
    .filter((line) => line.includes(name))
    .map((line) => `mount ${line}`);
  const pids = (await readdir("/proc")).filter(
    (entry) => /^\d+$/.test(entry) && entry !== String(process.pid),
  );
  const processes = await Promise.all(
    pids.map(async (pid) => {
      const command = (await read(`/proc/${pid}/cmdline`)).replaceAll("\0", " ");
      const isOurs = `${command} ${await read(`/proc/${pid}/cgroup`)}`.includes(name);
      return isOurs ? [`process ${pid} ${command}`] : [];
    }),
  );
  const groups = (await Promise.all((await readdir("/sys/fs/cgroup")).map(list))).flat();
  return [...mounts, ...processes.flat(), ...groups.filter((group) => group.includes(name))];

  async function list(hierarchy: string): Promise<string[]> {
    const entries = await readdir(`/sys/fs/cgroup/${hierarchy}`).catch(() => []);
    return entries.map((entry) => `control group ${hierarchy}/${entry}`);
  }
}

/** The text of a file of the kernel's; empty when what it was about is gone. */
async function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
