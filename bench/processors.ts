import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";

/**
 * Who runs where: what is measured has processor 0 for itself, and the world around it the next one.
 * With one processor everything runs there.
 */
export type Place = "measured" | "world";

const PROCESSORS: Readonly<Record<Place, string>> = { measured: "0", world: "1" };
const IS_SHARED = availableParallelism() < 2;

/** A command that runs the given one at its place. */
export function pinned(place: Place, command: readonly string[]): readonly string[] {
  return IS_SHARED ? command : ["taskset", "-c", PROCESSORS[place], ...command];
}

/** Takes this process, which serves the feed, out of the way of what is measured. */
export async function standAside(): Promise<void> {
  if (IS_SHARED) return;
  const parameters = ["--all-tasks", "--cpu-list", "--pid", PROCESSORS.world];
  await promisify(execFile)("taskset", [...parameters, String(process.pid)]);
}
